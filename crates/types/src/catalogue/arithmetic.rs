//! Sums, products, quotients, powers, absolute values.

use crate::catalogue::build::Builder;
use crate::catalogue::complex;
use crate::catalogue::op::{Build, Chapter, Identity, Loops, Op, Quirk, row};
use crate::catalogue::time::TimeRule;
use crate::emit::Val;
use crate::prim::{BinOp, LibFn, ScalarType};

const ALL: &[Loops] = &[Loops { over: "bBhHiIqQefdFD", form: "xx->x" }];
const ALL_AND_BOOL: &[Loops] = &[Loops { over: "?bBhHiIqQefdFD", form: "xx->x" }];
const REAL: &[Loops] = &[Loops { over: "bBhHiIqQefd", form: "xx->x" }];
const INEXACT: &[Loops] = &[Loops { over: "efdFD", form: "xx->x" }];
const ALL_UNARY: &[Loops] = &[Loops { over: "bBhHiIqQefdFD", form: "x->x" }];

const fn op(name: &'static str, nin: usize, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Arithmetic, name, nin, loops, build, doc)
}

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    op("add", 2, ALL_AND_BOOL, Build::One(add), "Sum; logical or of booleans.")
        .symbol("+")
        .time(TimeRule::Add)
        .identity(Identity::Zero)
        .associative()
        .commutative(),
    op("subtract", 2, ALL, Build::One(|b, v| b.sub(v[0], v[1])), "Difference.").symbol("-").quirk(Quirk::NotBool).time(TimeRule::Subtract),
    op("multiply", 2, ALL_AND_BOOL, Build::One(multiply), "Product; logical and of booleans.")
        .symbol("*")
        .time(TimeRule::Multiply)
        .identity(Identity::One)
        .associative()
        .commutative(),
    op("divide", 2, INEXACT, Build::One(divide), "Quotient, of integers as float64.")
        .alias(&["true_divide"])
        .symbol("/")
        .quirk(Quirk::TrueDivide)
        .time(TimeRule::Divide),
    op("floor_divide", 2, REAL, Build::One(floor_divide), "Quotient rounded down; by the integer zero it is 0. A duration by a number is truncated, as NumPy does.")
        .symbol("//")
        .time(TimeRule::FloorDivide),
    op("remainder", 2, REAL, Build::One(remainder), "Remainder with the sign of the divisor; by the integer zero it is 0.")
        .alias(&["mod"])
        .symbol("%")
        .time(TimeRule::Remainder),
    op("divmod", 2, &[Loops { over: "bBhHiIqQefd", form: "xx->xx" }], Build::Two(divmod), "`floor_divide` and `remainder` at once.").time(TimeRule::DivMod),
    op("fmod", 2, REAL, Build::One(|b, v| b.rem(v[0], v[1])), "Remainder with the sign of the dividend, as C's fmod."),
    op(
        "power",
        2,
        ALL,
        Build::One(power),
        "First to the power of second. Integers wrap; a negative integer exponent in an array gives the truncated quotient (0, 1 or -1), where NumPy raises.",
    )
    .alias(&["pow"])
    .symbol("**")
    .quirk(Quirk::Power)
    .ulp(4),
    op("float_power", 2, &[Loops { over: "dD", form: "xx->x" }], Build::One(power), "First to the power of second, in float64 or complex128.")
        .ulp(4),
    op("negative", 1, ALL_UNARY, Build::One(|b, v| b.neg(v[0])), "Negation; integers wrap.")
        .symbol("-x")
        .quirk(Quirk::NotBool).time(TimeRule::Negative),
    op("positive", 1, ALL_UNARY, Build::One(|_, v| v[0]), "The value itself.").symbol("+x").quirk(Quirk::NotBool).time(TimeRule::Positive),
    op(
        "absolute",
        1,
        &[Loops { over: "?bBhHiIqQefd", form: "x->x" }, Loops { over: "F", form: "F->f" }, Loops { over: "D", form: "D->d" }],
        Build::One(absolute),
        "Absolute value; the length of a complex number. The smallest integer stays itself.",
    )
    .alias(&["abs"])
    .symbol("abs(x)")
    .time(TimeRule::Absolute),
    op("fabs", 1, &[Loops { over: "efd", form: "x->x" }], Build::One(|b, v| b.abs(v[0])), "Absolute value as a float."),
    op("sign", 1, ALL_UNARY, Build::One(sign), "-1, 0 or 1; z / abs(z) for complex numbers; NaN for NaN.")
        .quirk(Quirk::NotBool).time(TimeRule::Sign),
    op("square", 1, ALL_UNARY, Build::One(square), "Product with itself."),
    op("reciprocal", 1, ALL_UNARY, Build::One(reciprocal), "1 / x; of integers truncated."),
    op(
        "heaviside",
        2,
        &[Loops { over: "efd", form: "xx->x" }],
        Build::One(heaviside),
        "0 below zero, 1 above, the second argument at zero.",
    ),
];

fn add(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if b.ty(v[0]) == ScalarType::Bool { b.or(v[0], v[1]) } else { b.add(v[0], v[1]) }
}

fn multiply(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if b.ty(v[0]) == ScalarType::Bool { b.and(v[0], v[1]) } else { b.mul(v[0], v[1]) }
}

fn divide(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if b.ty(v[0]).is_complex() { complex::divide(b, v[0], v[1]) } else { b.div(v[0], v[1]) }
}

/// Whether a non-zero remainder has the wrong sign for Python.
fn needs_correction(b: &mut Builder<'_>, rem: Val, divisor: Val) -> Val {
    let zero = b.int(rem, 0);
    let some = b.ne(rem, zero);
    let (n, d) = (b.lt(rem, zero), b.lt(divisor, zero));
    let differ = b.xor(n, d);
    b.and(some, differ)
}

pub(crate) fn floor_divide(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty.is_float() {
        return divmod(b, v)[0];
    }
    let quotient = b.div(v[0], v[1]);
    if ty.is_unsigned() {
        return quotient;
    }
    let rem = b.rem(v[0], v[1]);
    let correct = needs_correction(b, rem, v[1]);
    let one = b.int(quotient, 1);
    let lower = b.sub(quotient, one);
    b.select(correct, lower, quotient)
}

pub(crate) fn remainder(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty.is_float() {
        return divmod(b, v)[1];
    }
    let rem = b.rem(v[0], v[1]);
    if ty.is_unsigned() {
        return rem;
    }
    let correct = needs_correction(b, rem, v[1]);
    let shifted = b.add(rem, v[1]);
    b.select(correct, shifted, rem)
}

/// Floats: the remainder is exact, and the quotient is rounded from `(a - remainder) / b`, so that the two agree.
/// Division by zero is IEEE's quotient, and NaN for the remainder.
fn divmod(b: &mut Builder<'_>, v: &[Val]) -> [Val; 2] {
    let (x, y) = (v[0], v[1]);
    if b.ty(x).is_int() {
        return [floor_divide(b, v), remainder(b, v)];
    }
    let (zero, one, half) = (b.float(x, 0.0), b.float(x, 1.0), b.float(x, 0.5));
    let rem = b.rem(x, y);
    let difference = b.sub(x, rem);
    let quotient = b.div(difference, y);
    // The sign of the divisor.
    let correct = needs_correction(b, rem, y);
    let (shifted, lower) = (b.add(rem, y), b.sub(quotient, one));
    let signed_zero = b.bin(BinOp::Copysign, zero, y);
    let exact = b.eq(rem, zero);
    let some = b.select(correct, shifted, rem);
    let modulus = b.select(exact, signed_zero, some);
    let quotient = b.select(correct, lower, quotient);
    // The quotient is within rounding of an integer: take the nearest.
    let floor = b.floor(quotient);
    let excess = b.sub(quotient, floor);
    let up = b.gt(excess, half);
    let next = b.add(floor, one);
    let nearest = b.select(up, next, floor);
    let plain = b.div(x, y);
    let zero_of_sign = b.bin(BinOp::Copysign, zero, plain);
    let vanished = b.eq(quotient, zero);
    let whole = b.select(vanished, zero_of_sign, nearest);
    let by_zero = b.eq(y, zero);
    [b.select(by_zero, plain, whole), b.select(by_zero, rem, modulus)]
}

fn power(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let (x, n) = (v[0], v[1]);
    let ty = b.ty(x);
    if ty.is_float() {
        return b.bin(BinOp::Pow, x, n);
    }
    if ty.is_complex() {
        return complex::power(b, x, n);
    }
    // Modulo 2^64 the sign of the base does not matter: its sign extension multiplies to the right low bits.
    let wide = if ty.is_signed() { ScalarType::I64 } else { ScalarType::U64 };
    let widen = |b: &mut Builder<'_>, v: Val| {
        let w = b.cast(v, wide);
        b.cast(w, ScalarType::U64)
    };
    let (wide_x, wide_n) = (widen(b, x), widen(b, n));
    let plain = b.lib(LibFn::PowU64, &[wide_x, wide_n]);
    let plain = b.cast(plain, ty);
    if !ty.is_signed() {
        return plain;
    }
    // 1 / x^|n|, truncated: only 1 and -1 leave something.
    let (zero, one, minus_one) = (b.int(x, 0), b.int(x, 1), b.int(x, -1));
    let low_bit = b.and(n, one);
    let odd = b.eq(low_bit, one);
    let is_one = b.eq(x, one);
    let is_minus_one = b.eq(x, minus_one);
    let alternating = b.select(odd, minus_one, one);
    let rest = b.select(is_minus_one, alternating, zero);
    let inverse = b.select(is_one, one, rest);
    let negative = b.lt(n, zero);
    b.select(negative, inverse, plain)
}

fn absolute(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty == ScalarType::Bool || ty.is_unsigned() {
        v[0]
    } else if ty.is_complex() {
        let (re, im) = (b.re(v[0]), b.im(v[0]));
        b.bin(BinOp::Hypot, re, im)
    } else {
        b.abs(v[0])
    }
}

fn sign(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty.is_complex() {
        return complex::sign(b, v[0]);
    }
    let (zero, one) = (b.int(v[0], 0), b.int(v[0], 1));
    let positive = b.gt(v[0], zero);
    if ty.is_unsigned() {
        return b.select(positive, one, zero);
    }
    let minus_one = b.int(v[0], -1);
    let negative = b.lt(v[0], zero);
    // What is neither above, below nor equal to zero is NaN.
    let rest = if ty.is_float() {
        let is_zero = b.eq(v[0], zero);
        b.select(is_zero, zero, v[0])
    } else {
        zero
    };
    let low = b.select(negative, minus_one, rest);
    b.select(positive, one, low)
}

fn square(b: &mut Builder<'_>, v: &[Val]) -> Val {
    b.mul(v[0], v[0])
}

fn reciprocal(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty.is_complex() {
        return complex::reciprocal(b, v[0]);
    }
    if ty.is_float() {
        let one = b.float(v[0], 1.0);
        return b.div(one, v[0]);
    }
    // Through doubles, as NumPy: 1 / 0 is infinity, and becomes whatever the conversion gives.
    let x = b.cast(v[0], ScalarType::F64);
    let one = b.float(x, 1.0);
    let quotient = b.div(one, x);
    b.cast(quotient, ty)
}

fn heaviside(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let (x, at_zero) = (v[0], v[1]);
    let (zero, one) = (b.float(x, 0.0), b.float(x, 1.0));
    let negative = b.lt(x, zero);
    let step = b.select(negative, zero, one);
    let is_zero = b.eq(x, zero);
    let value = b.select(is_zero, at_zero, step);
    let nan = b.is_nan(x);
    b.select(nan, x, value)
}

/// `x ** n` for a constant exponent: multiplications only, which a loop around them vectorises. Floats with `|n|` up to
/// 3 are within one rounding of `power`; integers of any non-negative exponent agree with it.
pub fn power_by_constant(b: &mut Builder<'_>, x: Val, n: u32) -> Val {
    let mut result = None;
    let mut base = x;
    let mut rest = n;
    while rest > 0 {
        if rest & 1 == 1 {
            result = Some(match result {
                None => base,
                Some(r) => b.mul(r, base),
            });
        }
        rest >>= 1;
        if rest > 0 {
            base = b.mul(base, base);
        }
    }
    result.unwrap_or_else(|| b.int(x, 1))
}
