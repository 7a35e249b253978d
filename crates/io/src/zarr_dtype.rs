//! The names of data types in Zarr metadata, and the same types as NumPy type strings.
//!
//! Format 2 writes NumPy's strings themselves; format 3 has its own names. Only types with flat elements of a fixed size that
//! NumPy has too are known here.

use half::f16;
use serde_json::{Number, Value, json};

use crate::element::ElementLayout;

const NUMBERS: [(&str, &str); 14] = [
    ("bool", "|b1"),
    ("int8", "|i1"),
    ("int16", "<i2"),
    ("int32", "<i4"),
    ("int64", "<i8"),
    ("uint8", "|u1"),
    ("uint16", "<u2"),
    ("uint32", "<u4"),
    ("uint64", "<u8"),
    ("float16", "<f2"),
    ("float32", "<f4"),
    ("float64", "<f8"),
    ("complex64", "<c8"),
    ("complex128", "<c16"),
];

const DATES: [(&str, &str); 2] = [("numpy.datetime64", "M8"), ("numpy.timedelta64", "m8")];

/// The native NumPy type string of a type in the metadata of either format.
pub(crate) fn descr_of_metadata(data_type: &Value) -> Option<String> {
    let name = data_type.as_str().or_else(|| data_type["name"].as_str())?;
    if let Some((_, descr)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        return Some(native(descr));
    }
    if let Some((_, kind)) = DATES.iter().find(|(known, _)| *known == name) {
        let configuration = &data_type["configuration"];
        let unit = configuration["unit"].as_str()?;
        let factor = configuration["scale_factor"].as_u64().filter(|&factor| factor != 1);
        let factor = factor.map(|factor| factor.to_string()).unwrap_or_default();
        return Some(if unit == "generic" {
            native(&format!("<{kind}"))
        } else {
            native(&format!("<{kind}[{factor}{unit}]"))
        });
    }
    // Format 2, in either byte order: regions are native whatever the file has.
    let kind = name.chars().nth(1)?;
    (ElementLayout::from_descr(name).is_some() && "biufcmM".contains(kind)).then(|| native(name))
}

/// A type string with this machine's byte order.
fn native(descr: &str) -> String {
    let order = if cfg!(target_endian = "big") { ">" } else { "<" };
    match descr.strip_prefix(['<', '>', '=']) {
        Some(rest) => format!("{order}{rest}"),
        None => descr.to_string(),
    }
}

/// The metadata of format 3 for a NumPy type string.
pub(crate) fn metadata_of_descr(descr: &str) -> Option<Value> {
    let plain = descr.trim_start_matches(['<', '>', '=', '|']);
    if let Some((name, _)) = NUMBERS.iter().find(|(_, known)| known[1..] == *plain) {
        return Some(json!(name));
    }
    let (name, unit) = DATES.iter().find_map(|(name, kind)| Some((name, plain.strip_prefix(kind)?)))?;
    let unit = unit.trim_start_matches('[').trim_end_matches(']');
    let digits = unit.bytes().take_while(u8::is_ascii_digit).count();
    let factor: u64 = if digits == 0 { 1 } else { unit[..digits].parse().ok()? };
    let unit = if unit.is_empty() { "generic" } else { &unit[digits..] };
    Some(json!({"name": name, "configuration": {"unit": unit, "scale_factor": factor}}))
}

/// The JSON of a fill value, given as one element in native byte order.
pub(crate) fn fill_value_json(descr: &str, bytes: &[u8]) -> Option<Value> {
    let kind = descr.chars().nth(1)?;
    let value = match (kind, bytes) {
        ('b', [byte]) => json!(*byte != 0),
        ('i', &[a]) => json!(a as i8),
        ('u', &[a]) => json!(a),
        ('i', &[a, b]) => json!(i16::from_ne_bytes([a, b])),
        ('u', &[a, b]) => json!(u16::from_ne_bytes([a, b])),
        ('i', &[a, b, c, d]) => json!(i32::from_ne_bytes([a, b, c, d])),
        ('u', &[a, b, c, d]) => json!(u32::from_ne_bytes([a, b, c, d])),
        ('i' | 'm' | 'M', bytes) => json!(i64::from_ne_bytes(bytes.try_into().ok()?)),
        ('u', bytes) => json!(u64::from_ne_bytes(bytes.try_into().ok()?)),
        ('f', bytes) => float_json(bytes)?,
        ('c', bytes) => {
            let (real, imaginary) = bytes.split_at(bytes.len() / 2);
            json!([float_json(real)?, float_json(imaginary)?])
        }
        _ => return None,
    };
    Some(value)
}

fn float_json(bytes: &[u8]) -> Option<Value> {
    let value = match *bytes {
        [a, b] => f16::from_ne_bytes([a, b]).to_f64(),
        [a, b, c, d] => f64::from(f32::from_ne_bytes([a, b, c, d])),
        _ => f64::from_ne_bytes(bytes.try_into().ok()?),
    };
    Some(match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => json!("NaN"),
        None if value > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (name, descr) in NUMBERS {
            assert_eq!(descr_of_metadata(&json!(name)), Some(native(descr)));
            assert_eq!(metadata_of_descr(descr), Some(json!(name)));
        }
        for descr in ["<M8[ns]", "<m8[25us]", "<M8"] {
            let metadata = metadata_of_descr(descr).unwrap();
            assert_eq!(descr_of_metadata(&metadata), Some(native(descr)));
        }
        assert_eq!(descr_of_metadata(&json!(">f4")), Some(native("<f4")));
        for unknown in [json!("string"), json!("|S5"), json!([["a", "<i4"]]), json!(3), json!("")] {
            assert_eq!(descr_of_metadata(&unknown), None, "{unknown}");
        }
    }

    #[test]
    fn fill_values_of_every_kind() {
        assert_eq!(fill_value_json("<f2", &f16::from_f32(1.5).to_ne_bytes()), Some(json!(1.5)));
        assert_eq!(fill_value_json("<f4", &f32::NAN.to_ne_bytes()), Some(json!("NaN")));
        assert_eq!(fill_value_json("<i8", &(-7i64).to_ne_bytes()), Some(json!(-7)));
        assert_eq!(fill_value_json("|b1", &[1]), Some(json!(true)));
        let complex = [1.0f64.to_ne_bytes(), f64::NEG_INFINITY.to_ne_bytes()].concat();
        assert_eq!(fill_value_json("<c16", &complex), Some(json!([1.0, "-Infinity"])));
        assert_eq!(fill_value_json("<f8", &[0; 3]), None);
    }
}
