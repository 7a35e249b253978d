//! Conversions between data types as values: NumPy's `astype`.
//!
//! Between numbers a conversion is a primitive. Datetimes and timedeltas are integers whose unit changes: by a factor,
//! rounding down, or through the calendar when years or months meet days. NaT stays NaT between times, NaN becomes NaT,
//! and NaT as a number is the smallest integer.
//!
//! What it does not do: foreign data types, and checking that a conversion is allowed (`promote::can_cast`).

use crate::catalogue::build::Builder;
use crate::dtype::{DType, TimeBase, TimeUnit};
use crate::emit::{Emit, Val};
use crate::error::TypeError;
use crate::prim::{BinOp, ScalarType};

/// Appends the conversion of a value, stored as `from`, to `to`.
pub fn build(emit: &mut dyn Emit, v: Val, from: DType, to: DType) -> Result<Val, TypeError> {
    let b = &mut Builder::new(emit);
    if from == to {
        return Ok(v);
    }
    let (Some(_), Some(target)) = (from.scalar(), to.scalar()) else {
        return Err(TypeError::foreign("astype", if from.is_foreign() { from } else { to }));
    };
    match (from, to) {
        (DType::DateTime(u), DType::DateTime(w)) => convert(b, v, u, w, true, from, to),
        (DType::TimeDelta(u) | DType::DateTime(u), DType::TimeDelta(w) | DType::DateTime(w)) => {
            convert(b, v, u, w, false, from, to)
        }
        (number, DType::DateTime(_) | DType::TimeDelta(_)) if number.is_inexact() => {
            let re = if number.is_complex() { b.re(v) } else { v };
            let re = b.cast(re, ScalarType::F64);
            let (plain, nan, nat) = (b.cast(re, ScalarType::I64), b.is_nan(re), b.nat());
            Ok(b.select(nan, nat, plain))
        }
        _ => Ok(b.cast(v, target)),
    }
}

/// Counts of one unit as counts of another. `calendar`: moments, which years and months place on days.
fn convert(
    b: &mut Builder<'_>,
    v: Val,
    from: TimeUnit,
    to: TimeUnit,
    calendar: bool,
    from_dtype: DType,
    to_dtype: DType,
) -> Result<Val, TypeError> {
    if from == to || from.base == TimeBase::Generic || to.base == TimeBase::Generic {
        return Ok(v);
    }
    let overflow = || TypeError::UnitOverflow { a: from_dtype, b: to_dtype };
    let months = |u: TimeUnit| matches!(u.base, TimeBase::Year | TimeBase::Month);
    let nat = b.is_nat(v);
    let day = TimeUnit::of(TimeBase::Day);
    let month = TimeUnit::of(TimeBase::Month);
    let result = match (calendar, months(from), months(to)) {
        (true, true, false) => {
            let count = rescale(b, v, from, month).ok_or_else(overflow)?;
            let days = days_of_month(b, count);
            rescale(b, days, day, to).ok_or_else(overflow)?
        }
        (true, false, true) => {
            let days = rescale(b, v, from, day).ok_or_else(overflow)?;
            let count = month_of_days(b, days);
            rescale(b, count, month, to).ok_or_else(overflow)?
        }
        _ => rescale(b, v, from, to).ok_or_else(overflow)?,
    };
    let not_a_time = b.nat();
    Ok(b.select(nat, not_a_time, result))
}

/// Days in 400 years, after which the calendar repeats.
const DAYS_IN_ERA: i64 = 146_097;

/// A unit as a fraction of a day, a year being a 400th of an era.
fn days(unit: TimeUnit) -> (i128, i128) {
    const PER_DAY: [i128; 10] = [
        1,
        24,
        1440,
        86_400,
        86_400_000,
        86_400_000_000,
        86_400_000_000_000,
        86_400_000_000_000_000,
        86_400_000_000_000_000_000,
        86_400_000_000_000_000_000_000,
    ];
    let count = i128::from(unit.count);
    match unit.base {
        TimeBase::Year => (count * i128::from(DAYS_IN_ERA), 400),
        TimeBase::Month => (count * i128::from(DAYS_IN_ERA), 4800),
        TimeBase::Week => (count * 7, 1),
        TimeBase::Generic => (count, 1),
        finer => (count, PER_DAY[finer as usize - TimeBase::Day as usize]),
    }
}

/// Multiplies by a constant ratio and rounds down. `None` when the ratio does not fit.
fn rescale(b: &mut Builder<'_>, v: Val, from: TimeUnit, to: TimeUnit) -> Option<Val> {
    let ((n1, d1), (n2, d2)) = (days(from), days(to));
    // The common factors go first, since attoseconds in a week, squared, are more than 128 bits.
    let (n1, n2) = reduce(n1, n2);
    let (d1, d2) = reduce(d1, d2);
    let (up, down) = reduce(n1.checked_mul(d2)?, n2.checked_mul(d1)?);
    let (up, down) = (i64::try_from(up).ok()?, i64::try_from(down).ok()?);
    let v = if up == 1 {
        v
    } else {
        let factor = b.int(v, up);
        b.mul(v, factor)
    };
    Some(if down == 1 { v } else { floor_div(b, v, down) })
}

fn reduce(a: i128, b: i128) -> (i128, i128) {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x, b / x)
}

/// Division by a positive constant, rounded down.
fn floor_div(b: &mut Builder<'_>, v: Val, divisor: i64) -> Val {
    let d = b.int(v, divisor);
    let (quotient, rem) = (b.bin(BinOp::Div, v, d), b.bin(BinOp::Rem, v, d));
    let one = b.int(v, 1);
    let lower = b.sub(quotient, one);
    let negative = b.is_negative(rem);
    b.select(negative, lower, quotient)
}

/// `a * v + c`, with constants.
fn affine(b: &mut Builder<'_>, v: Val, a: i64, c: i64) -> Val {
    let (a, c) = (b.int(v, a), b.int(v, c));
    let scaled = b.mul(v, a);
    b.add(scaled, c)
}

/// Days from 1970 to the first of a month, counted from January 1970.
///
/// Years begin in March here, so that the leap day is the last of a year, and eras of 400 years have equal lengths.
fn days_of_month(b: &mut Builder<'_>, month: Val) -> Val {
    // Months since March of the year 0.
    let shifted = affine(b, month, 1, 1970 * 12 - 2);
    let year = floor_div(b, shifted, 12);
    let months_of_year = affine(b, year, -12, 0);
    let march_month = b.add(shifted, months_of_year);
    let era = floor_div(b, year, 400);
    let years_of_era = affine(b, era, -400, 0);
    let year_of_era = b.add(year, years_of_era);
    // Five months in a row have 153 days.
    let t = affine(b, march_month, 153, 2);
    let day_of_year = floor_div(b, t, 5);
    let (leap, century) = (floor_div(b, year_of_era, 4), floor_div(b, year_of_era, 100));
    let t = affine(b, year_of_era, 365, 0);
    let t = b.add(t, leap);
    let t = b.sub(t, century);
    let day_of_era = b.add(t, day_of_year);
    // 719468 days from the first of March of the year 0 to 1970.
    let eras = affine(b, era, DAYS_IN_ERA, -719_468);
    b.add(eras, day_of_era)
}

/// The month, counted from January 1970, of a day counted from 1970.
fn month_of_days(b: &mut Builder<'_>, days: Val) -> Val {
    let shifted = affine(b, days, 1, 719_468);
    let era = floor_div(b, shifted, DAYS_IN_ERA);
    let days_of_era = affine(b, era, -DAYS_IN_ERA, 0);
    let day = b.add(shifted, days_of_era);
    // The year of the era: days less the leap days before, over 365.
    let (four, century, last) =
        (floor_div(b, day, 1460), floor_div(b, day, 36_524), floor_div(b, day, 146_096));
    let t = b.sub(day, four);
    let t = b.add(t, century);
    let t = b.sub(t, last);
    let year = floor_div(b, t, 365);
    let (leap, hundreds) = (floor_div(b, year, 4), floor_div(b, year, 100));
    let before = affine(b, year, 365, 0);
    let before = b.add(before, leap);
    let before = b.sub(before, hundreds);
    let day_of_year = b.sub(day, before);
    let t = affine(b, day_of_year, 5, 2);
    let march_month = floor_div(b, t, 153);
    let year_months = affine(b, year, 12, 2 - 1970 * 12);
    let era_months = affine(b, era, 4800, 0);
    let t = b.add(year_months, march_month);
    b.add(t, era_months)
}
