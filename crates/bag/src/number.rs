//! Numbers as Python sees them: their text, and comparing ints of any size with floats exactly.

use std::cmp::Ordering;
use std::fmt::Write;

/// `repr` of a finite float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn repr(v: f64, out: &mut String) {
    let scientific = format!("{v:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let from = out.len();
        let _ = write!(out, "{v}");
        if !out[from..].contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

/// Compares decimal ints without leading zeros.
pub(crate) fn compare_digits(a: &str, b: &str) -> Ordering {
    let size = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => size(a, b),
        (Some(a), Some(b)) => size(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

/// 2^63: the first float that is above all 64-bit ints.
const LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// The int that a float is, if it is one of 64 bits.
pub(crate) fn as_int(v: f64) -> Option<i64> {
    (v.trunc() == v && (-LIMIT..LIMIT).contains(&v)).then_some(v as i64)
}

/// The digits of a float that is an int beyond 64 bits.
pub(crate) fn as_digits(v: f64) -> Option<String> {
    (v.is_finite() && v.trunc() == v && as_int(v).is_none()).then(|| format!("{v:.0}"))
}

/// Compares an int with a float exactly; `None` for NaN.
pub(crate) fn compare_int_float(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    Some(if b >= LIMIT {
        Ordering::Less
    } else if b < -LIMIT {
        Ordering::Greater
    } else {
        let whole = b.trunc();
        a.cmp(&(whole as i64)).then(0.0.partial_cmp(&(b - whole))?)
    })
}

/// Compares an int beyond 64 bits with a float exactly; `None` for NaN.
pub(crate) fn compare_big_float(a: &str, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b.is_finite() && b.abs() < LIMIT {
        return Some(if a.starts_with('-') { Ordering::Less } else { Ordering::Greater });
    }
    Some(if b == f64::INFINITY {
        Ordering::Less
    } else if b == f64::NEG_INFINITY {
        Ordering::Greater
    } else {
        // From 2^63 on a float is an int; -2^63 itself is one of 64 bits, and all that is longer is beyond it.
        compare_digits(a, &format!("{b:.0}"))
    })
}
