//! Scalars as text, exact in both directions.

use pantile_types::prim::half_from_f64;
use pantile_types::{Scalar, ScalarType};

/// The text of a scalar, without its type.
pub fn print_scalar(s: Scalar) -> String {
    match s {
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(_, v) => v.to_string(),
        Scalar::UInt(_, v) => v.to_string(),
        Scalar::F16(bits) => {
            let v = half::f16::from_bits(bits);
            print_float(v.to_f64(), format!("{:?}", v.to_f32()), bits as u64, bits == 0x7e00)
        }
        Scalar::F32(v) => {
            print_float(v as f64, format!("{v:?}"), v.to_bits() as u64, v.to_bits() == 0x7fc0_0000)
        }
        Scalar::F64(v) => print_float(v, format!("{v:?}"), v.to_bits(), v.to_bits() == 0x7ff8_0000_0000_0000),
        Scalar::C64(re, im) => {
            format!("({}, {})", print_scalar(Scalar::F32(re)), print_scalar(Scalar::F32(im)))
        }
        Scalar::C128(re, im) => {
            format!("({}, {})", print_scalar(Scalar::F64(re)), print_scalar(Scalar::F64(im)))
        }
    }
}

fn print_float(v: f64, finite: String, bits: u64, quiet: bool) -> String {
    if v.is_nan() {
        if quiet { "nan".into() } else { format!("nan({bits:#x})") }
    } else if v.is_infinite() {
        if v > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        finite
    }
}

/// Reads a scalar of a real type. Complex numbers are two of these; the callers put them together.
///
/// Integers may be written in hexadecimal, and must fit the type. Finite decimal floats are rounded to nearest.
pub fn parse_scalar(ty: ScalarType, text: &str) -> Result<Scalar, String> {
    let wrong = || format!("`{text}` is not a literal of type {}", ty.name());
    match ty {
        ScalarType::Bool => text.parse().map(Scalar::Bool).map_err(|_| wrong()),
        ScalarType::F16 | ScalarType::F32 | ScalarType::F64 => parse_float(ty, text).ok_or_else(wrong),
        ScalarType::C64 | ScalarType::C128 => {
            Err(format!("a literal of type {} is (real, imaginary)", ty.name()))
        }
        int => {
            let (negative, digits) = match text.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, text),
            };
            let magnitude = match digits.strip_prefix("0x") {
                Some(hex) => i128::from_str_radix(hex, 16),
                None => digits.parse::<i128>(),
            };
            let magnitude = magnitude.ok().filter(|m| *m >= 0 && *m <= u64::MAX as i128).ok_or_else(wrong)?;
            let value = if negative { -magnitude } else { magnitude };
            let scalar = Scalar::from_bits(int, value as u128);
            let fits = match scalar {
                Scalar::Int(_, v) => v as i128 == value,
                Scalar::UInt(_, v) => v as i128 == value,
                _ => false,
            };
            if fits { Ok(scalar) } else { Err(format!("{text} does not fit {}", int.name())) }
        }
    }
}

fn parse_float(ty: ScalarType, text: &str) -> Option<Scalar> {
    if let Some(rest) = text.strip_prefix("nan") {
        let bits = if rest.is_empty() {
            match ty {
                ScalarType::F16 => 0x7e00,
                ScalarType::F32 => 0x7fc0_0000,
                _ => 0x7ff8_0000_0000_0000,
            }
        } else {
            u64::from_str_radix(rest.strip_prefix("(0x")?.strip_suffix(')')?, 16).ok()?
        };
        if ty.size() < 8 && bits >> (ty.size() * 8) != 0 {
            return None;
        }
        let scalar = Scalar::from_bits(ty, bits as u128);
        let nan = match scalar {
            Scalar::F16(b) => half::f16::from_bits(b).is_nan(),
            Scalar::F32(v) => v.is_nan(),
            Scalar::F64(v) => v.is_nan(),
            _ => false,
        };
        return nan.then_some(scalar);
    }
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    // Rust reads `infinity` and `+1` too; the format has one spelling of each number's kind.
    if magnitude != "inf" && !magnitude.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match ty {
        // f32 directly, not through f64: two roundings can differ from one.
        ScalarType::F32 => text.parse().ok().map(Scalar::F32),
        ScalarType::F16 => text.parse().ok().map(|v: f64| Scalar::F16(half_from_f64(v).to_bits())),
        _ => text.parse().ok().map(Scalar::F64),
    }
}
