//! Which data type holds the values of several: NumPy's rules since NEP 50.
//!
//! `promote` is `numpy.promote_types`, `result_type` is `numpy.result_type` with Python scalars as weak operands, and
//! `can_cast` is `numpy.can_cast` between data types. Checked for every pair by `tests/promotion.rs` against a table that
//! NumPy wrote. Values are never inspected, except that a Python integer must fit the type it becomes (`check_bounds`).

use std::cmp::Ordering;

use crate::dtype::{DType, Foreign, TimeBase, TimeUnit};
use crate::error::TypeError;

/// One operand of an operation, as far as typing is concerned.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Operand {
    /// An array or a NumPy scalar.
    Typed(DType),
    /// A Python `bool`.
    PyBool,
    /// A Python `int`. One beyond `i128` is passed as `i128::MAX` or `i128::MIN`.
    PyInt(i128),
    /// A Python `float`.
    PyFloat,
    /// A Python `complex`.
    PyComplex,
}

impl From<DType> for Operand {
    fn from(dtype: DType) -> Operand {
        Operand::Typed(dtype)
    }
}

/// How much a conversion may lose, from nothing to everything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Casting {
    /// The same data type.
    No,
    /// The same but for byte order, which data types here do not have.
    Equiv,
    /// Every value is kept.
    Safe,
    /// Safe, or within a kind: `float64` to `float32`.
    SameKind,
    /// Anything.
    Unsafe,
}

impl Casting {
    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Casting::No => "no",
            Casting::Equiv => "equiv",
            Casting::Safe => "safe",
            Casting::SameKind => "same_kind",
            Casting::Unsafe => "unsafe",
        }
    }

    /// The inverse of `name`.
    pub fn from_name(name: &str) -> Option<Casting> {
        [Casting::No, Casting::Equiv, Casting::Safe, Casting::SameKind, Casting::Unsafe]
            .into_iter()
            .find(|c| c.name() == name)
    }
}

/// The smallest data type to which both can be cast safely, or that NumPy takes for it.
pub fn promote(a: DType, b: DType) -> Result<DType, TypeError> {
    let none = Err(TypeError::NoCommonDType { a, b });
    if a == b {
        return Ok(a);
    }
    match (a, b) {
        (DType::Foreign(Foreign::Object), _) | (_, DType::Foreign(Foreign::Object)) => Ok(DType::OBJECT),
        (DType::Foreign(Foreign::Bytes(n)), DType::Foreign(Foreign::Bytes(m))) => {
            Ok(DType::Foreign(Foreign::Bytes(n.max(m))))
        }
        (
            DType::Foreign(Foreign::Unicode(n) | Foreign::Bytes(n)),
            DType::Foreign(Foreign::Unicode(m) | Foreign::Bytes(m)),
        ) => Ok(DType::Foreign(Foreign::Unicode(n.max(m)))),
        (DType::Foreign(Foreign::Bytes(n)), number) | (number, DType::Foreign(Foreign::Bytes(n))) => {
            text_length(number).map_or(none, |m| Ok(DType::Foreign(Foreign::Bytes(n.max(m)))))
        }
        (DType::Foreign(Foreign::Unicode(n)), number) | (number, DType::Foreign(Foreign::Unicode(n))) => {
            text_length(number).map_or(none, |m| Ok(DType::Foreign(Foreign::Unicode(n.max(m)))))
        }
        (DType::Foreign(Foreign::Void(_)), _) | (_, DType::Foreign(Foreign::Void(_))) => none,
        (DType::TimeDelta(u), DType::TimeDelta(v)) => common_unit(a, u, b, v, true).map(DType::TimeDelta),
        (DType::DateTime(u) | DType::TimeDelta(u), DType::DateTime(v) | DType::TimeDelta(v)) => {
            common_unit(a, u, b, v, false).map(DType::DateTime)
        }
        (DType::TimeDelta(u), n) | (n, DType::TimeDelta(u)) => {
            // Integers count in whatever unit they meet, when they are sure to fit.
            if n == DType::Bool || n.is_signed() || (n.is_unsigned() && n.size() < 8) {
                Ok(DType::TimeDelta(u))
            } else {
                none
            }
        }
        (DType::DateTime(_), _) | (_, DType::DateTime(_)) => none,
        _ => Ok(promote_numbers(a, b)),
    }
}

/// The characters that NumPy sets aside for a number's text.
const fn text_length(dtype: DType) -> Option<u32> {
    Some(match dtype {
        DType::Bool => 5,
        DType::I8 => 4,
        DType::U8 => 3,
        DType::I16 => 6,
        DType::U16 => 5,
        DType::I32 => 11,
        DType::U32 => 10,
        DType::I64 => 21,
        DType::U64 => 20,
        DType::F16 | DType::F32 | DType::F64 => 32,
        DType::C64 | DType::C128 => 64,
        DType::DateTime(_) | DType::TimeDelta(_) | DType::Foreign(_) => return None,
    })
}

/// Bool, integers, floats and complex numbers only.
fn promote_numbers(a: DType, b: DType) -> DType {
    // The float that holds an integer of so many bytes; NumPy lets `float64` stand for 64-bit integers.
    let float_of = |d: DType| match (d.is_inexact(), d.part().size()) {
        (true, size) => size,
        (false, 1) => 2,
        (false, 2) => 4,
        (false, _) => 8,
    };
    let float = |size| match size {
        2 => DType::F16,
        4 => DType::F32,
        _ => DType::F64,
    };
    if a.is_complex() || b.is_complex() {
        return if float_of(a).max(float_of(b)) > 4 { DType::C128 } else { DType::C64 };
    }
    if a.is_float() || b.is_float() {
        return float(float_of(a).max(float_of(b)));
    }
    match (a, b) {
        (DType::Bool, other) | (other, DType::Bool) => other,
        _ if a.is_signed() == b.is_signed() => {
            if a.size() >= b.size() {
                a
            } else {
                b
            }
        }
        _ => {
            let (signed, unsigned) = if a.is_signed() { (a, b) } else { (b, a) };
            let needed = if signed.size() > unsigned.size() { signed.size() } else { unsigned.size() * 2 };
            match needed {
                2 => DType::I16,
                4 => DType::I32,
                8 => DType::I64,
                _ => DType::F64,
            }
        }
    }
}

/// How many of the next finer base make one, from years on. A year has no fixed number of weeks, nor has a month; NumPy
/// writes 1 there, and the resulting counts are part of its behaviour.
const FACTORS: [u64; 13] = [1, 1, 7, 24, 60, 60, 1000, 1000, 1000, 1000, 1000, 1000, 1];

/// How many `fine` make one `coarse`; `None` on overflow.
fn base_factor(coarse: TimeBase, fine: TimeBase) -> Option<u64> {
    FACTORS[coarse as usize..fine as usize]
        .iter()
        .try_fold(1u64, |acc, f| Some(acc.wrapping_mul(*f)).filter(|v| v & 0xff00_0000_0000_0000 == 0))
}

/// The coarsest unit of which both are multiples. `strict`: a year or a month is not a number of days.
fn common_unit(a: DType, u: TimeUnit, b: DType, v: TimeUnit, strict: bool) -> Result<TimeUnit, TypeError> {
    if u.base == TimeBase::Generic {
        return Ok(v);
    }
    if v.base == TimeBase::Generic {
        return Ok(u);
    }
    let overflow = || TypeError::UnitOverflow { a, b };
    let (mut n, mut m) = (u64::from(u.count), u64::from(v.count));
    let base = u.base.max(v.base);
    if u.base != v.base {
        let months = |x, y| x == TimeBase::Year && y == TimeBase::Month;
        if months(u.base, v.base) {
            n *= 12;
        } else if months(v.base, u.base) {
            m *= 12;
        } else {
            if strict && (nonlinear(u.base) || nonlinear(v.base)) {
                return Err(TypeError::NonlinearUnits { a, b });
            }
            n = n.wrapping_mul(base_factor(u.base, base).ok_or_else(overflow)?);
            m = m.wrapping_mul(base_factor(v.base, base).ok_or_else(overflow)?);
        }
    }
    while m != 0 {
        (n, m) = (m, n % m);
    }
    let count = u32::try_from(n).ok().filter(|c| (1..=i32::MAX as u32).contains(c)).ok_or_else(overflow)?;
    Ok(TimeUnit { base, count })
}

/// The unit in which a moment and a duration are added: stricter than `promote`, since a duration of months cannot be
/// counted in days, while a moment in months can.
pub(crate) fn arithmetic_unit(a: DType, b: DType) -> Result<TimeUnit, TypeError> {
    let (Some(u), Some(v)) = (a.unit(), b.unit()) else { return Err(TypeError::NoCommonDType { a, b }) };
    let months = |d: DType, unit: TimeUnit| matches!(d, DType::TimeDelta(_)) && nonlinear(unit.base);
    common_unit(a, u, b, v, months(a, u) || months(b, v))
}

/// Years and months: not a fixed number of days.
fn nonlinear(base: TimeBase) -> bool {
    matches!(base, TimeBase::Year | TimeBase::Month)
}

/// The data type of the result of an operation on all of these, Python scalars being weak: they choose the kind, the
/// typed operands the size.
pub fn result_type(operands: &[Operand]) -> Result<DType, TypeError> {
    let mut typed: Vec<DType> = Vec::with_capacity(operands.len());
    let mut weakest = None;
    for operand in operands {
        match *operand {
            Operand::Typed(dtype) => typed.push(dtype),
            // `bool` is not weak: there is one boolean type only.
            Operand::PyBool => typed.push(DType::Bool),
            Operand::PyInt(_) => weakest = weakest.max(Some(0)),
            Operand::PyFloat => weakest = weakest.max(Some(1)),
            Operand::PyComplex => weakest = weakest.max(Some(2)),
        }
    }
    let strong = promote_all(&typed)?;
    let Some(weak) = weakest else { return strong.ok_or(TypeError::NoOperands) };
    let Some(strong) = strong else { return untyped(operands, weak) };
    let none = |b| Err(TypeError::NoCommonDType { a: strong, b });
    match (weak, strong) {
        (_, DType::Foreign(Foreign::Object)) => Ok(strong),
        (0, DType::TimeDelta(_)) => Ok(strong),
        (0, DType::DateTime(_) | DType::Foreign(_)) => none(DType::I64),
        (1, DType::DateTime(_) | DType::TimeDelta(_) | DType::Foreign(_)) => none(DType::F64),
        (_, DType::DateTime(_) | DType::TimeDelta(_) | DType::Foreign(_)) => none(DType::C128),
        (0, DType::Bool) => Ok(DType::I64),
        (0, _) => Ok(strong),
        (1, _) if strong.is_inexact() => Ok(strong),
        (1, _) => Ok(DType::F64),
        (_, DType::C64 | DType::F16 | DType::F32) => Ok(DType::C64),
        _ => Ok(DType::C128),
    }
}

/// Python scalars only: they become what `numpy.array` makes of them.
fn untyped(operands: &[Operand], weak: u8) -> Result<DType, TypeError> {
    match weak {
        0 => {
            let mut all = None;
            for operand in operands {
                if let Operand::PyInt(value) = *operand {
                    let dtype = integer_type(value)?;
                    all = Some(all.map_or(Ok(dtype), |a| promote(a, dtype))?);
                }
            }
            // Several integers are one weak integer: the default type holds the result, as in NumPy.
            let several = operands.iter().filter(|o| matches!(o, Operand::PyInt(_))).count() > 1;
            Ok(if several { DType::I64 } else { all.unwrap_or(DType::I64) })
        }
        1 => Ok(DType::F64),
        _ => Ok(DType::C128),
    }
}

/// The integer type that NumPy gives a Python integer on its own.
fn integer_type(value: i128) -> Result<DType, TypeError> {
    if i64::try_from(value).is_ok() {
        Ok(DType::I64)
    } else if u64::try_from(value).is_ok() {
        Ok(DType::U64)
    } else {
        Err(TypeError::IntegerOutOfBounds { value, dtype: if value < 0 { DType::I64 } else { DType::U64 } })
    }
}

/// Promotion of any number of data types. It is not associative (`int16, uint16, float32` is `float32`, though the
/// first two give `int32`), so the operand of the highest kind is met by each of the others first.
pub fn promote_all(dtypes: &[DType]) -> Result<Option<DType>, TypeError> {
    let rank = |d: &DType| match d.kind() {
        'b' => 0,
        'i' | 'u' => 1,
        'f' => 2,
        'c' => 3,
        'm' => 4,
        'M' => 5,
        'S' => 6,
        'U' => 7,
        'V' => 8,
        _ => 9,
    };
    let by_rank = |a: &&DType, b: &&DType| rank(a).cmp(&rank(b)).then(Ordering::Greater);
    let Some(&leader) = dtypes.iter().max_by(by_rank) else { return Ok(None) };
    let mut result = leader;
    for dtype in dtypes {
        result = promote(result, promote(leader, *dtype)?)?;
    }
    Ok(Some(result))
}

/// Whether a Python integer may become a value of this data type.
pub fn check_bounds(value: i128, dtype: DType) -> Result<(), TypeError> {
    let fits = match dtype {
        DType::I8 => i8::try_from(value).is_ok(),
        DType::I16 => i16::try_from(value).is_ok(),
        DType::I32 => i32::try_from(value).is_ok(),
        DType::I64 | DType::DateTime(_) | DType::TimeDelta(_) => i64::try_from(value).is_ok(),
        DType::U8 => u8::try_from(value).is_ok(),
        DType::U16 => u16::try_from(value).is_ok(),
        DType::U32 => u32::try_from(value).is_ok(),
        DType::U64 => u64::try_from(value).is_ok(),
        DType::Bool | DType::F16 | DType::F32 | DType::F64 | DType::C64 | DType::C128 | DType::Foreign(_) => {
            true
        }
    };
    if fits { Ok(()) } else { Err(TypeError::IntegerOutOfBounds { value, dtype }) }
}

/// Whether values of one data type may become values of another under a rule.
pub fn can_cast(from: DType, to: DType, casting: Casting) -> bool {
    required_casting(from, to) <= casting
}

/// `can_cast`, with NumPy's error for `astype(casting=...)`.
pub fn check_cast(from: DType, to: DType, casting: Casting) -> Result<(), TypeError> {
    if can_cast(from, to, casting) { Ok(()) } else { Err(TypeError::Cast { from, to, casting }) }
}

/// `can_cast`, with NumPy's error for a ufunc's `out=` and for in-place operators (whose rule is `SameKind`).
pub fn check_output_cast(
    op: &'static str,
    from: DType,
    to: DType,
    casting: Casting,
) -> Result<(), TypeError> {
    if can_cast(from, to, casting) { Ok(()) } else { Err(TypeError::OutputCast { op, from, to, casting }) }
}

/// The strictest rule under which the conversion is allowed.
pub fn required_casting(from: DType, to: DType) -> Casting {
    if from == to {
        return Casting::No;
    }
    let when = |safe| if safe { Casting::Safe } else { Casting::SameKind };
    match (from, to) {
        (_, DType::Foreign(Foreign::Object)) => Casting::Safe,
        (DType::Foreign(Foreign::Object), _) => Casting::Unsafe,
        (DType::DateTime(u), DType::DateTime(v)) => required_unit_casting(u, v, false),
        (DType::TimeDelta(u), DType::TimeDelta(v)) => required_unit_casting(u, v, true),
        // Length zero stands for as many characters as it takes.
        (DType::Foreign(Foreign::Bytes(_)), DType::Foreign(Foreign::Bytes(0)))
        | (DType::Foreign(Foreign::Unicode(_)), DType::Foreign(Foreign::Unicode(0))) => Casting::No,
        (DType::Foreign(Foreign::Bytes(_)), DType::Foreign(Foreign::Unicode(0))) => Casting::Safe,
        (DType::Foreign(Foreign::Bytes(n)), DType::Foreign(Foreign::Bytes(m) | Foreign::Unicode(m)))
        | (DType::Foreign(Foreign::Unicode(n)), DType::Foreign(Foreign::Unicode(m))) => when(n <= m),
        (DType::Foreign(Foreign::Void(_)), DType::Foreign(Foreign::Void(_))) => {
            if from.size() <= to.size() {
                Casting::Safe
            } else {
                Casting::SameKind
            }
        }
        (number, DType::Foreign(Foreign::Bytes(m) | Foreign::Unicode(m))) if !number.is_foreign() => {
            match text_length(number) {
                Some(n) => when(n <= m || m == 0),
                None => Casting::Unsafe,
            }
        }
        (from, DType::Foreign(Foreign::Void(m))) => {
            if from.size() <= m as usize {
                Casting::Safe
            } else {
                Casting::Unsafe
            }
        }
        (DType::Foreign(_), _) | (_, DType::Foreign(_)) => Casting::Unsafe,
        (n, DType::TimeDelta(_)) if n.is_numeric() => {
            let safe = n == DType::Bool || n.is_signed() || (n.is_unsigned() && n.size() < 8);
            match (safe, n.is_int()) {
                (true, _) => Casting::Safe,
                (false, true) => Casting::SameKind,
                (false, false) => Casting::Unsafe,
            }
        }
        (DType::DateTime(_) | DType::TimeDelta(_), _) | (_, DType::DateTime(_) | DType::TimeDelta(_)) => {
            Casting::Unsafe
        }
        _ => {
            if promote_numbers(from, to) == to {
                return Casting::Safe;
            }
            let rank = |d: DType| match d.kind() {
                'b' => 0,
                'u' => 1,
                'i' => 2,
                'f' => 3,
                _ => 4,
            };
            if rank(from) <= rank(to) { Casting::SameKind } else { Casting::Unsafe }
        }
    }
}

/// Between units of one of datetime and timedelta (`strict`: timedelta, where a year is not a number of days).
fn required_unit_casting(from: TimeUnit, to: TimeUnit, strict: bool) -> Casting {
    if from.base == TimeBase::Generic {
        return Casting::Safe;
    }
    if to.base == TimeBase::Generic || (strict && nonlinear(from.base) != nonlinear(to.base)) {
        return Casting::Unsafe;
    }
    if from.base <= to.base && divides(from, to) { Casting::Safe } else { Casting::SameKind }
}

/// Whether one count of `from`, whose base is no finer, is a whole number of counts of `to`, as far as NumPy looks.
fn divides(from: TimeUnit, to: TimeUnit) -> bool {
    let mut n = u64::from(from.count);
    if from.base != to.base {
        if from.base == TimeBase::Year && to.base == TimeBase::Month {
            n *= 12;
        } else if nonlinear(from.base) {
            return true;
        } else {
            match base_factor(from.base, to.base) {
                Some(factor) => n = n.wrapping_mul(factor),
                None => return false,
            }
        }
    }
    n & 0xff00_0000_0000_0000 == 0 && n % u64::from(to.count) == 0
}
