//! What operations mean for datetimes and timedeltas: typing, and builders that keep NaT.
//!
//! NaT is the smallest integer. Arithmetic with it gives it, comparisons with it are false (except `!=`), and integers
//! that meet a datetime or timedelta are durations in its unit.

use crate::catalogue::build::Builder;
use crate::catalogue::op::{Op, Outputs, Signature};
use crate::catalogue::typing::no_loop;
use crate::catalogue::{arithmetic, comparison};
use crate::dtype::{DType, TimeUnit};
use crate::emit::Val;
use crate::error::TypeError;
use crate::prim::{BinOp, CmpOp, ScalarType};
use crate::promote::{Operand, arithmetic_unit, promote, promote_all};
use smallvec::{SmallVec, smallvec};

/// An operation's meaning for datetimes and timedeltas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeRule {
    /// There is none.
    None,
    /// Moments and durations.
    Add,
    /// Moments and durations.
    Subtract,
    /// Durations by numbers.
    Multiply,
    /// Durations by numbers or durations.
    Divide,
    /// Durations by numbers or durations.
    FloorDivide,
    /// Durations by durations.
    Remainder,
    /// Durations by durations.
    DivMod,
    /// Moments with moments, durations with durations.
    Compare(CmpOp),
    /// NaT if either is.
    Extremum(BinOp),
    /// The other one if one is NaT.
    ExtremumNoNat(BinOp),
    /// Of a duration.
    Absolute,
    /// Of a duration.
    Negative,
    /// Of a duration.
    Positive,
    /// Of a duration.
    Sign,
    /// Whether it is NaT.
    IsNat,
    /// Whether it is not NaT.
    IsFinite,
    /// Never.
    IsInf,
    /// Everything but zero is true.
    Truth,
    /// Choice by a condition.
    Where,
    /// Limits; NaT if any is.
    Clip,
}

/// One of `DType::DateTime` and `DType::TimeDelta`.
type Timed = fn(TimeUnit) -> DType;

impl TimeRule {
    /// The signature for operands of which at least one is a datetime or timedelta.
    pub(crate) fn resolve(self, op: &Op, operands: &[Operand]) -> Result<Signature, TypeError> {
        let none = || no_loop(op, operands);
        let dtypes: SmallVec<[DType; 3]> = operands
            .iter()
            .map(|o| match *o {
                Operand::Typed(dtype) => dtype,
                Operand::PyBool => DType::Bool,
                Operand::PyInt(_) => DType::I64,
                Operand::PyFloat => DType::F64,
                Operand::PyComplex => DType::C128,
            })
            .collect();
        let sig = |inputs: &[DType], outputs: &[DType]| {
            Ok(Signature { inputs: SmallVec::from_slice(inputs), outputs: SmallVec::from_slice(outputs) })
        };
        let duration = |d: DType| match d {
            d if d.is_time() => Some(d),
            d if d == DType::Bool || d.is_int() => Some(DType::TimeDelta(TimeUnit::GENERIC)),
            _ => None,
        };
        let number = |d: DType| match d {
            d if d.is_int() => Some(DType::I64),
            d if d.is_float() => Some(DType::F64),
            _ => None,
        };
        match self {
            TimeRule::None => Err(none()),
            TimeRule::Add | TimeRule::Subtract => {
                let (Some(a), Some(b)) = (duration(dtypes[0]), duration(dtypes[1])) else {
                    return Err(none());
                };
                let (first, second, out): (Timed, Timed, Timed) = match (a, b, self == TimeRule::Add) {
                    (DType::TimeDelta(_), DType::TimeDelta(_), _) => {
                        (DType::TimeDelta, DType::TimeDelta, DType::TimeDelta)
                    }
                    (DType::DateTime(_), DType::TimeDelta(_), _) => {
                        (DType::DateTime, DType::TimeDelta, DType::DateTime)
                    }
                    (DType::TimeDelta(_), DType::DateTime(_), true) => {
                        (DType::TimeDelta, DType::DateTime, DType::DateTime)
                    }
                    (DType::DateTime(_), DType::DateTime(_), false) => {
                        (DType::DateTime, DType::DateTime, DType::TimeDelta)
                    }
                    _ => return Err(none()),
                };
                let unit = arithmetic_unit(a, b)?;
                sig(&[first(unit), second(unit)], &[out(unit)])
            }
            TimeRule::Multiply => match (dtypes[0], dtypes[1]) {
                (m @ DType::TimeDelta(_), DType::Bool) => sig(&[m, DType::I64], &[m]),
                (DType::Bool, m @ DType::TimeDelta(_)) => sig(&[DType::I64, m], &[m]),
                (m @ DType::TimeDelta(_), n) => sig(&[m, number(n).ok_or_else(none)?], &[m]),
                (n, m @ DType::TimeDelta(_)) => sig(&[number(n).ok_or_else(none)?, m], &[m]),
                _ => Err(none()),
            },
            TimeRule::Divide | TimeRule::FloorDivide | TimeRule::Remainder | TimeRule::DivMod => {
                match (dtypes[0], dtypes[1]) {
                    (a @ DType::TimeDelta(_), b @ DType::TimeDelta(_)) => {
                        let m = DType::TimeDelta(arithmetic_unit(a, b)?);
                        match self {
                            TimeRule::Divide => sig(&[m, m], &[DType::F64]),
                            TimeRule::FloorDivide => sig(&[m, m], &[DType::I64]),
                            TimeRule::DivMod => sig(&[m, m], &[DType::I64, m]),
                            _ => sig(&[m, m], &[m]),
                        }
                    }
                    (m @ DType::TimeDelta(_), n)
                        if matches!(self, TimeRule::Divide | TimeRule::FloorDivide) =>
                    {
                        sig(&[m, number(n).ok_or_else(none)?], &[m])
                    }
                    _ => Err(none()),
                }
            }
            TimeRule::Compare(_) | TimeRule::Extremum(_) | TimeRule::ExtremumNoNat(_) => {
                let mixed = matches!(
                    (dtypes[0], dtypes[1]),
                    (DType::DateTime(_), DType::TimeDelta(_)) | (DType::TimeDelta(_), DType::DateTime(_))
                );
                if mixed {
                    return Err(none());
                }
                let common = promote(dtypes[0], dtypes[1])?;
                let out = if matches!(self, TimeRule::Compare(_)) { DType::Bool } else { common };
                sig(&[common, common], &[out])
            }
            TimeRule::Absolute | TimeRule::Negative | TimeRule::Positive | TimeRule::Sign => {
                match dtypes[0] {
                    m @ DType::TimeDelta(_) => sig(&[m], &[m]),
                    _ => Err(none()),
                }
            }
            TimeRule::IsNat | TimeRule::IsFinite | TimeRule::IsInf => sig(&[dtypes[0]], &[DType::Bool]),
            TimeRule::Truth => sig(&[DType::Bool, DType::Bool][..dtypes.len().min(2)], &[DType::Bool]),
            TimeRule::Where => {
                let common = promote(dtypes[1], dtypes[2])?;
                sig(&[DType::Bool, common, common], &[common])
            }
            TimeRule::Clip => {
                let kinds = |kind| dtypes.iter().any(|d| d.kind() == kind);
                if kinds('M') && kinds('m') {
                    return Err(none());
                }
                let common = promote_all(&dtypes)?.ok_or(TypeError::NoOperands)?;
                sig(&[common, common, common], &[common])
            }
        }
    }

    /// One evaluation; the arguments are `I64` for datetimes and timedeltas.
    pub(crate) fn build(self, b: &mut Builder<'_>, v: &[Val], signature: &Signature) -> Outputs {
        let is_time = |i: usize| signature.inputs.get(i).is_some_and(|d| d.is_time());
        smallvec![match self {
            TimeRule::Add => with_nat(b, v, BinOp::Add),
            TimeRule::Subtract => with_nat(b, v, BinOp::Sub),
            TimeRule::Multiply => {
                let (m, n) = if is_time(0) { (v[0], v[1]) } else { (v[1], v[0]) };
                scale(b, m, n, BinOp::Mul)
            }
            TimeRule::Divide if is_time(1) => {
                let (x, y) = (to_float(b, v[0]), to_float(b, v[1]));
                b.div(x, y)
            }
            TimeRule::Divide => scale(b, v[0], v[1], BinOp::Div),
            TimeRule::FloorDivide if is_time(1) => {
                let quotient = arithmetic::floor_divide(b, v);
                let zero = b.int(quotient, 0);
                let nat = either_nat(b, v);
                b.select(nat, zero, quotient)
            }
            // NumPy truncates here, though the name says otherwise.
            TimeRule::FloorDivide => scale(b, v[0], v[1], BinOp::Div),
            TimeRule::Remainder => remainder(b, v),
            TimeRule::DivMod => {
                let quotient = TimeRule::FloorDivide.build(b, v, signature)[0];
                return smallvec![quotient, remainder(b, v)];
            }
            TimeRule::Compare(op) => {
                let plain = b.cmp(op, v[0], v[1]);
                let nat = either_nat(b, v);
                if op == CmpOp::Ne {
                    b.or(plain, nat)
                } else {
                    let valid = b.not(nat);
                    b.and(plain, valid)
                }
            }
            TimeRule::Extremum(op) => with_nat(b, v, op),
            TimeRule::ExtremumNoNat(op) => {
                let plain = b.bin(op, v[0], v[1]);
                let (first, second) = (b.is_nat(v[0]), b.is_nat(v[1]));
                let inner = b.select(second, v[0], plain);
                b.select(first, v[1], inner)
            }
            // The absolute value and the negation of the smallest integer wrap to itself: NaT stays NaT.
            TimeRule::Absolute => b.abs(v[0]),
            TimeRule::Negative => b.neg(v[0]),
            TimeRule::Positive => v[0],
            // NumPy takes NaT for the negative number that it is stored as.
            TimeRule::Sign => sign(b, v[0]),
            TimeRule::IsNat => b.is_nat(v[0]),
            TimeRule::IsFinite => {
                let nat = b.is_nat(v[0]);
                b.not(nat)
            }
            TimeRule::IsInf => b.bool(false),
            TimeRule::Where => b.select(v[0], v[1], v[2]),
            TimeRule::Clip => {
                let low = with_nat(b, &v[..2], BinOp::Max);
                with_nat(b, &[low, v[2]], BinOp::Min)
            }
            // `resolve` gives no signature with times in these.
            TimeRule::None | TimeRule::Truth => comparison::truth(b, v[0]),
        }]
    }
}

fn sign(b: &mut Builder<'_>, x: Val) -> Val {
    let (low, high) = (b.int(x, -1), b.int(x, 1));
    let limited = b.bin(BinOp::Max, x, low);
    b.bin(BinOp::Min, limited, high)
}

fn either_nat(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let (x, y) = (b.is_nat(v[0]), b.is_nat(v[1]));
    b.or(x, y)
}

/// An integer operation, NaT if either operand is.
fn with_nat(b: &mut Builder<'_>, v: &[Val], op: BinOp) -> Val {
    let plain = b.bin(op, v[0], v[1]);
    let nat = either_nat(b, v);
    let not_a_time = b.nat();
    b.select(nat, not_a_time, plain)
}

/// A duration as `F64`, NaT as NaN.
fn to_float(b: &mut Builder<'_>, m: Val) -> Val {
    let plain = b.cast(m, ScalarType::F64);
    let nan = b.float(plain, f64::NAN);
    let nat = b.is_nat(m);
    b.select(nat, nan, plain)
}

/// A duration times or divided by an `I64` or `F64`. Division by the integer zero gives NaT; through floats a NaN does.
fn scale(b: &mut Builder<'_>, m: Val, n: Val, op: BinOp) -> Val {
    let not_a_time = b.nat();
    let nat = b.is_nat(m);
    if b.ty(n) == ScalarType::I64 {
        let plain = b.bin(op, m, n);
        let none = if op == BinOp::Div {
            let by_zero = b.is_zero(n);
            b.or(nat, by_zero)
        } else {
            nat
        };
        return b.select(none, not_a_time, plain);
    }
    let x = b.cast(m, ScalarType::F64);
    let y = b.bin(op, x, n);
    let nan = b.is_nan(y);
    let none = b.or(nat, nan);
    let plain = b.cast(y, ScalarType::I64);
    b.select(none, not_a_time, plain)
}

fn remainder(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let plain = arithmetic::remainder(b, v);
    let (nat, by_zero) = (either_nat(b, v), b.is_zero(v[1]));
    let none = b.or(nat, by_zero);
    let not_a_time = b.nat();
    b.select(none, not_a_time, plain)
}
