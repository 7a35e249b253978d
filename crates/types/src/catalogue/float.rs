//! Rounding, and the pieces of floating-point numbers.

use crate::catalogue::build::Builder;
use crate::catalogue::op::{Build, Chapter, Loops, Op, row};
use crate::catalogue::time::TimeRule;
use crate::emit::Val;
use crate::prim::{BinOp, LibFn, Scalar, ScalarType, UnOp};

const WHOLE: &[Loops] = &[Loops { over: "?bBhHiIqQefd", form: "x->x" }];
const PREDICATE: &[Loops] = &[Loops { over: "?bBhHiIqQefdFD", form: "x->?" }];
const BINARY: &[Loops] = &[Loops { over: "efd", form: "xx->x" }];

const fn op(name: &'static str, nin: usize, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Float, name, nin, loops, build, doc)
}

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    op(
        "floor",
        1,
        WHOLE,
        Build::One(|b, v| round(b, UnOp::Floor, v[0])),
        "The largest integer not above; integers as they are.",
    ),
    op(
        "ceil",
        1,
        WHOLE,
        Build::One(|b, v| round(b, UnOp::Ceil, v[0])),
        "The smallest integer not below; integers as they are.",
    ),
    op(
        "trunc",
        1,
        WHOLE,
        Build::One(|b, v| round(b, UnOp::Trunc, v[0])),
        "Towards zero; integers as they are.",
    )
    .alias(&["fix"]),
    op(
        "rint",
        1,
        &[Loops { over: "efdFD", form: "x->x" }],
        Build::One(rint),
        "To the nearest integer, ties to even.",
    ),
    op("isnan", 1, PREDICATE, Build::One(is_nan), "Whether it is NaN (NaT).").time(TimeRule::IsNat),
    op("isinf", 1, PREDICATE, Build::One(is_inf), "Whether it is an infinity.").time(TimeRule::IsInf),
    op("isfinite", 1, PREDICATE, Build::One(is_finite), "Whether it is neither infinite nor NaN (NaT).")
        .time(TimeRule::IsFinite),
    op("isnat", 1, &[], Build::One(|b, _| b.bool(false)), "Whether a datetime or timedelta is NaT.")
        .time(TimeRule::IsNat),
    op(
        "signbit",
        1,
        &[Loops { over: "efd", form: "x->?" }],
        Build::One(|b, v| b.un(UnOp::SignBit, v[0])),
        "Whether the sign bit is set, of zeros and NaN too.",
    ),
    op(
        "copysign",
        2,
        BINARY,
        Build::One(|b, v| b.bin(BinOp::Copysign, v[0], v[1])),
        "The first's magnitude with the second's sign.",
    ),
    op(
        "nextafter",
        2,
        BINARY,
        Build::One(nextafter),
        "The next representable value from the first towards the second.",
    )
    .raw_half(),
    op(
        "spacing",
        1,
        &[Loops { over: "efd", form: "x->x" }],
        Build::One(spacing),
        "Distance to the next representable value away from zero, negative for negative numbers; of halves, to the next greater value.",
    )
    .raw_half(),
    op(
        "ldexp",
        2,
        &[
            Loops { over: "ef", form: "xi->x" },
            Loops { over: "ef", form: "xq->x" },
            Loops { over: "d", form: "di->d" },
            Loops { over: "d", form: "dq->d" },
        ],
        Build::One(ldexp),
        "The first times two to the power of the second.",
    )
    .quirk(crate::catalogue::op::Quirk::Ldexp),
    op(
        "frexp",
        1,
        &[Loops { over: "efd", form: "x->xi" }],
        Build::Two(frexp),
        "A fraction in [0.5, 1) and the power of two that scales it.",
    ),
    op(
        "modf",
        1,
        &[Loops { over: "efd", form: "x->xx" }],
        Build::Two(modf),
        "The fractional and the integral part, both with the sign.",
    ),
    op(
        "nan_to_num",
        1,
        &[Loops { over: "?bBhHiIqQefdFD", form: "x->x" }],
        Build::One(nan_to_num),
        "NaN replaced by zero, infinities by the largest finite numbers.",
    )
    .raw_half()
    .function(),
];

fn round(b: &mut Builder<'_>, op: UnOp, x: Val) -> Val {
    if b.ty(x).is_float() { b.un(op, x) } else { x }
}

fn rint(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if !b.ty(v[0]).is_complex() {
        return b.un(UnOp::Rint, v[0]);
    }
    let (re, im) = (b.re(v[0]), b.im(v[0]));
    let (re, im) = (b.un(UnOp::Rint, re), b.un(UnOp::Rint, im));
    b.complex(re, im)
}

/// A predicate of floats, and of complex numbers by their parts; `any` says how the parts combine. Integers: `other`.
fn inspect(b: &mut Builder<'_>, x: Val, any: bool, other: bool, f: fn(&mut Builder<'_>, Val) -> Val) -> Val {
    let ty = b.ty(x);
    if ty.is_complex() {
        let (re, im) = (b.re(x), b.im(x));
        let (re, im) = (f(b, re), f(b, im));
        if any { b.or(re, im) } else { b.and(re, im) }
    } else if ty.is_float() {
        f(b, x)
    } else {
        b.bool(other)
    }
}

fn is_nan(b: &mut Builder<'_>, v: &[Val]) -> Val {
    inspect(b, v[0], true, false, |b, x| b.is_nan(x))
}

fn is_inf(b: &mut Builder<'_>, v: &[Val]) -> Val {
    inspect(b, v[0], true, false, |b, x| b.is_inf(x))
}

fn is_finite(b: &mut Builder<'_>, v: &[Val]) -> Val {
    // NaN is not less than infinity.
    inspect(b, v[0], false, true, |b, x| {
        let (magnitude, inf) = (b.abs(x), b.float(x, f64::INFINITY));
        b.lt(magnitude, inf)
    })
}

/// Halves have no primitive for it: their bits, as sign and magnitude, are stepped as integers.
fn nextafter(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let (x, y) = (v[0], v[1]);
    if b.ty(x) != ScalarType::F16 {
        return b.bin(BinOp::Nextafter, x, y);
    }
    let (bits, wide_x, wide_y) =
        (b.bitcast(x, ScalarType::I16), b.cast(x, ScalarType::F32), b.cast(y, ScalarType::F32));
    let (one, sign_bit) = (b.int(bits, 1), b.int(bits, i64::from(i16::MIN)));
    let negative = b.is_negative(bits);
    let upwards = b.gt(wide_y, wide_x);
    // Away from zero the magnitude grows.
    let grows = b.xor(upwards, negative);
    let (longer, shorter) = (b.add(bits, one), b.sub(bits, one));
    let stepped = b.select(grows, longer, shorter);
    // From zero, of either sign, to the smallest number of the direction's sign.
    let down = b.or(sign_bit, one);
    let from_zero = b.select(upwards, one, down);
    let zero = b.is_zero(wide_x);
    let stepped = b.select(zero, from_zero, stepped);
    let same = b.eq(wide_x, wide_y);
    let result = b.select(same, bits, stepped);
    let quiet = b.int(bits, 0x7e00);
    let (x_nan, y_nan) = (b.is_nan(wide_x), b.is_nan(wide_y));
    let nan = b.or(x_nan, y_nan);
    let result = b.select(nan, quiet, result);
    b.bitcast(result, ScalarType::F16)
}

fn spacing(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty == ScalarType::F16 {
        // For halves NumPy gives the distance to the next greater value, which for negative powers of two is the
        // smaller one. The difference of neighbours is exact in single precision.
        let x = b.cast(v[0], ScalarType::F32);
        let bits = b.bitcast(v[0], ScalarType::I16);
        let one = b.int(bits, 1);
        let (longer, shorter) = (b.add(bits, one), b.sub(bits, one));
        let negative = b.is_negative(x);
        let up = b.select(negative, shorter, longer);
        let zero = b.is_zero(x);
        let up = b.select(zero, one, up);
        let up = b.bitcast(up, ScalarType::F16);
        let up = b.cast(up, ScalarType::F32);
        let step = b.sub(up, x);
        let nan = b.float(x, f64::NAN);
        let infinite = b.is_inf(x);
        let step = b.select(infinite, nan, step);
        return b.cast(step, ScalarType::F16);
    }
    let (up, down) = (b.float(v[0], f64::INFINITY), b.float(v[0], f64::NEG_INFINITY));
    let negative = b.is_negative(v[0]);
    let away = b.select(negative, down, up);
    let next = b.bin(BinOp::Nextafter, v[0], away);
    b.sub(next, v[0])
}

/// Through doubles, which scale singles and halves without a second rounding.
fn ldexp(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    let x = b.cast(v[0], ScalarType::F64);
    // Beyond 32 bits any exponent overflows or underflows alike.
    let exponent = if b.ty(v[1]) == ScalarType::I32 {
        v[1]
    } else {
        let (low, high) = (b.int(v[1], i64::from(i32::MIN)), b.int(v[1], i64::from(i32::MAX)));
        let limited = b.bin(BinOp::Max, v[1], low);
        let limited = b.bin(BinOp::Min, limited, high);
        b.cast(limited, ScalarType::I32)
    };
    let scaled = b.lib(LibFn::Ldexp, &[x, exponent]);
    b.cast(scaled, ty)
}

fn frexp(b: &mut Builder<'_>, v: &[Val]) -> [Val; 2] {
    let ty = b.ty(v[0]);
    let x = b.cast(v[0], ScalarType::F64);
    let (fraction, exponent) = (b.lib(LibFn::FrexpFraction, &[x]), b.lib(LibFn::FrexpExponent, &[x]));
    [b.cast(fraction, ty), exponent]
}

fn modf(b: &mut Builder<'_>, v: &[Val]) -> [Val; 2] {
    let x = v[0];
    let whole = b.un(UnOp::Trunc, x);
    let rest = b.sub(x, whole);
    // Infinity minus itself would be NaN.
    let infinite = b.is_inf(x);
    let zero = b.float(x, 0.0);
    let rest = b.select(infinite, zero, rest);
    [b.bin(BinOp::Copysign, rest, x), whole]
}

fn nan_to_num(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty.is_complex() {
        let (re, im) = (b.re(v[0]), b.im(v[0]));
        let (re, im) = (nan_to_num(b, &[re]), nan_to_num(b, &[im]));
        return b.complex(re, im);
    }
    let largest = match ty {
        ScalarType::F16 => 65504.0,
        ScalarType::F32 => f64::from(f32::MAX),
        ScalarType::F64 => f64::MAX,
        _ => return v[0],
    };
    let x = if ty == ScalarType::F16 { b.cast(v[0], ScalarType::F32) } else { v[0] };
    let wide = b.ty(x);
    let make = |b: &mut Builder<'_>, value: f64| {
        let s = if wide == ScalarType::F32 { Scalar::F32(value as f32) } else { Scalar::F64(value) };
        b.constant(s)
    };
    let (zero, high, low) = (make(b, 0.0), make(b, largest), make(b, -largest));
    let nan = b.is_nan(x);
    let x = b.select(nan, zero, x);
    let x = b.bin(BinOp::Min, x, high);
    let x = b.bin(BinOp::Max, x, low);
    b.cast(x, ty)
}
