//! Every line of `data/values.txt`, which NumPy wrote: the operations on special values, and conversions.
//!
//! Exact rows are compared bit for bit (any NaN is any NaN, and the sign of an extremum's zero is free); elementary ones
//! within their units in the last place.

mod eval;

use std::collections::HashMap;

use eval::Eval;
use pantile_types::catalogue::{self, Accuracy, Op, resolve};
use pantile_types::{DType, Emit, Operand, Scalar, ScalarType, cast};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn scalars(dtype: DType, hex: &str) -> Vec<Scalar> {
    let ty = dtype.scalar().unwrap();
    let one = |chunk: &[u8]| {
        let mut bits = [0; 16];
        bits[..chunk.len()].copy_from_slice(chunk);
        Scalar::from_bits(ty, u128::from_le_bytes(bits))
    };
    bytes(hex).chunks(ty.size()).map(one).collect()
}

/// The value as parts, each a double, and the distance of neighbouring values at a magnitude.
fn parts(s: Scalar) -> Vec<f64> {
    match s {
        Scalar::F16(b) => vec![half::f16::from_bits(b).to_f64()],
        Scalar::F32(v) => vec![v.into()],
        Scalar::F64(v) => vec![v],
        Scalar::C64(re, im) => vec![re.into(), im.into()],
        Scalar::C128(re, im) => vec![re, im],
        _ => Vec::new(),
    }
}

fn spacing(ty: ScalarType, magnitude: f64) -> f64 {
    let (digits, smallest) = match ty {
        ScalarType::F16 => (10, 2f64.powi(-24)),
        ScalarType::F32 | ScalarType::C64 => (23, 2f64.powi(-149)),
        _ => (52, f64::from_bits(1)),
    };
    if magnitude == 0.0 {
        smallest
    } else {
        (2f64.powi(magnitude.log2().floor() as i32 - digits)).max(smallest)
    }
}

/// `ulp` zero: the bits.
fn agree(got: Scalar, expected: Scalar, ulp: u8, zero_sign_free: bool) -> bool {
    if got == expected {
        return true;
    }
    let (a, b) = (parts(got), parts(expected));
    if got.ty() != expected.ty() || a.is_empty() {
        return false;
    }
    // Complex numbers: units in the last place of the larger part.
    let magnitude = b.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let tolerance = if ulp == 0 { 0.0 } else { f64::from(ulp) * spacing(got.ty(), magnitude) };
    a.iter().zip(&b).all(|(x, y)| {
        (x.is_nan() && y.is_nan())
            || (x.to_bits() == y.to_bits())
            || (x == y && *x != 0.0)
            || (x == y && (zero_sign_free || ulp > 0))
            || (x.is_finite() && y.is_finite() && ulp > 0 && (x - y).abs() <= tolerance)
    })
}

fn evaluate(op: &Op, dtypes: &[DType], args: &[Scalar]) -> Vec<Scalar> {
    let operands: Vec<Operand> = dtypes.iter().map(|d| Operand::Typed(*d)).collect();
    let signature = resolve(op, &operands).unwrap();
    let mut eval = Eval::default();
    let converted: Vec<_> = args
        .iter()
        .zip(dtypes.iter().zip(&signature.inputs))
        .map(|(s, (from, to))| {
            let v = eval.push(*s);
            cast::build(&mut eval, v, *from, *to).unwrap()
        })
        .collect();
    let outputs = op.build(&mut eval, &converted, &signature);
    assert_eq!(outputs.len(), op.nout);
    for (v, dtype) in outputs.iter().zip(&signature.outputs) {
        assert_eq!(Some(eval.ty(*v)), dtype.scalar(), "{} {dtypes:?}", op.name);
    }
    outputs.iter().map(|v| eval.get(*v)).collect()
}

/// Where the catalogue's documented result is not NumPy's: integers to negative powers (NumPy raises), an infinite complex
/// number to the power of -1 (NumPy gives NaN), and `sinc` of halves (NumPy rounds `pi x` to a half).
fn departs(op: &Op, args: &[Scalar]) -> bool {
    let infinite = |s: &Scalar| parts(*s).iter().any(|v| v.is_infinite());
    match op.name {
        "power"
            if matches!(args[0], Scalar::Int(..) | Scalar::UInt(ScalarType::U8, _))
                && matches!(args[1], Scalar::Int(_, v) if v < 0) =>
        {
            true
        }
        "power" | "float_power" => {
            matches!(args[1], Scalar::C128(re, 0.0) if re == -1.0) && infinite(&args[0])
        }
        "sinc" => matches!(args[0], Scalar::F16(_)),
        _ => false,
    }
}

/// Conversions that C leaves undefined, and that NumPy's vectorised and scalar code do differently.
fn undefined(s: Scalar, to: DType) -> bool {
    to == DType::U32 && parts(s).first().is_some_and(|v| !v.is_finite() || *v <= -1.0)
}

#[test]
fn values_are_numpys() {
    let mut inputs: HashMap<&str, Vec<Scalar>> = HashMap::new();
    let mut wrong = Vec::new();
    let mut tried = std::collections::HashSet::new();
    for line in include_str!("data/values.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let dtype = |text: &str| DType::parse(text).unwrap();
        match words[0] {
            "in" => {
                inputs.insert(words[1], scalars(dtype(words[1]), words[2]));
            }
            "cast" => {
                let (from, to) = (dtype(words[1]), dtype(words[2]));
                for (s, expected) in inputs[words[1]].iter().zip(scalars(to, words[3])) {
                    let mut eval = Eval::default();
                    let v = eval.push(*s);
                    let v = cast::build(&mut eval, v, from, to).unwrap();
                    if !undefined(*s, to) && !agree(eval.get(v), expected, 0, false) {
                        wrong.push(format!(
                            "{from} to {to} of {s:?}: numpy {expected:?}, ours {:?}",
                            eval.get(v)
                        ));
                    }
                }
            }
            _ => {
                let op = catalogue::find(words[1]).unwrap();
                tried.insert(op.name);
                let names: Vec<&str> = words[2].split(',').collect();
                let dtypes: Vec<DType> = names.iter().map(|n| dtype(n)).collect();
                let operands: Vec<Operand> = dtypes.iter().map(|d| Operand::Typed(*d)).collect();
                let signature = resolve(op, &operands).unwrap();
                let expected: Vec<Vec<Scalar>> =
                    signature.outputs.iter().zip(&words[3..]).map(|(d, hex)| scalars(*d, hex)).collect();
                let complex = dtypes.iter().any(|d| d.is_complex());
                let ulp = match op.accuracy {
                    // NumPy fuses complex products, and the squares of an absolute value, on some machines.
                    Accuracy::Exact if complex => 2,
                    Accuracy::Exact => 0,
                    Accuracy::Ulp(n) => n,
                };
                let extremum = matches!(op.name, "maximum" | "minimum" | "fmax" | "fmin" | "clip");
                let lists: Vec<&Vec<Scalar>> = names.iter().map(|n| &inputs[n]).collect();
                for (i, _) in expected[0].iter().enumerate() {
                    let mut rest = i;
                    let mut args: Vec<Scalar> = Vec::new();
                    for list in lists.iter().rev() {
                        args.insert(0, list[rest % list.len()]);
                        rest /= list.len();
                    }
                    if departs(op, &args) {
                        continue;
                    }
                    let got = evaluate(op, &dtypes, &args);
                    for (k, got) in got.iter().enumerate() {
                        if !agree(*got, expected[k][i], ulp, extremum) {
                            wrong.push(format!(
                                "{} {args:?}: numpy {:?}, ours {got:?}",
                                op.name, expected[k][i]
                            ));
                        }
                    }
                }
            }
        }
    }
    for op in catalogue::all() {
        assert!(tried.contains(op.name), "{} is not tried", op.name);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(2000)].join("\n"));
}
