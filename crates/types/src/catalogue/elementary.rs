//! Elementary functions: exponentials, logarithms, roots, trigonometry, hyperbolics.
//!
//! Real ones are primitives that backends turn into vectorised library calls. Complex ones call the C library one value
//! at a time, in double precision.

use crate::catalogue::build::Builder;
use crate::catalogue::complex;
use crate::catalogue::op::{Build, Chapter, Identity, Loops, Op, Quirk, row};
use crate::emit::Val;
use crate::prim::{BinOp, LibFn, UnOp};
use std::f64::consts;

const INEXACT: &[Loops] = &[Loops { over: "efdFD", form: "x->x" }];
const REAL: &[Loops] = &[Loops { over: "efd", form: "x->x" }];
const BINARY: &[Loops] = &[Loops { over: "efd", form: "xx->x" }];

const fn op(name: &'static str, nin: usize, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Elementary, name, nin, loops, build, doc).ulp(4)
}

/// A function of real and complex numbers, each with its own primitive.
macro_rules! both {
    ($name:literal, $un:ident, $lib:ident, $doc:literal) => {
        op(
            $name,
            1,
            INEXACT,
            Build::One(|b, v| {
                if b.ty(v[0]).is_complex() { complex::call(b, LibFn::$lib, v) } else { b.un(UnOp::$un, v[0]) }
            }),
            $doc,
        )
    };
}

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    both!("exp", Exp, Cexp, "e to the power."),
    op("exp2", 1, INEXACT, Build::One(exp2), "2 to the power."),
    op("expm1", 1, INEXACT, Build::One(expm1), "exp(x) - 1, accurate near zero."),
    both!("log", Log, Clog, "Natural logarithm."),
    op(
        "log2",
        1,
        INEXACT,
        Build::One(|b, v| log(b, UnOp::Log2, consts::LOG2_E, v[0])),
        "Logarithm to base 2.",
    ),
    op(
        "log10",
        1,
        INEXACT,
        Build::One(|b, v| log(b, UnOp::Log10, consts::LOG10_E, v[0])),
        "Logarithm to base 10.",
    ),
    op("log1p", 1, INEXACT, Build::One(log1p), "log(1 + x), accurate near zero."),
    op("logaddexp", 2, BINARY, Build::One(logaddexp), "log(exp(x) + exp(y)) without overflow.")
        .identity(Identity::MinusInfinity)
        .commutative(),
    op("logaddexp2", 2, BINARY, Build::One(logaddexp2), "log2(2**x + 2**y) without overflow.")
        .identity(Identity::MinusInfinity)
        .commutative(),
    both!("sqrt", Sqrt, Csqrt, "Square root."),
    op("cbrt", 1, REAL, Build::One(|b, v| b.un(UnOp::Cbrt, v[0])), "Cube root."),
    both!("sin", Sin, Csin, "Sine."),
    both!("cos", Cos, Ccos, "Cosine."),
    both!("tan", Tan, Ctan, "Tangent."),
    both!("arcsin", Asin, Casin, "Inverse sine.").alias(&["asin"]),
    both!("arccos", Acos, Cacos, "Inverse cosine.").alias(&["acos"]),
    both!("arctan", Atan, Catan, "Inverse tangent.").alias(&["atan"]),
    op(
        "arctan2",
        2,
        BINARY,
        Build::One(|b, v| b.bin(BinOp::Atan2, v[0], v[1])),
        "Angle of the vector (second, first).",
    )
    .alias(&["atan2"]),
    op("hypot", 2, BINARY, Build::One(|b, v| b.bin(BinOp::Hypot, v[0], v[1])), "Length of the vector.")
        .identity(Identity::Zero)
        .commutative(),
    both!("sinh", Sinh, Csinh, "Hyperbolic sine."),
    both!("cosh", Cosh, Ccosh, "Hyperbolic cosine."),
    both!("tanh", Tanh, Ctanh, "Hyperbolic tangent."),
    both!("arcsinh", Asinh, Casinh, "Inverse hyperbolic sine.").alias(&["asinh"]),
    both!("arccosh", Acosh, Cacosh, "Inverse hyperbolic cosine.").alias(&["acosh"]),
    both!("arctanh", Atanh, Catanh, "Inverse hyperbolic tangent.").alias(&["atanh"]),
    op("degrees", 1, REAL, Build::One(|b, v| ratio(b, v[0], 180.0, consts::PI)), "Radians to degrees.")
        .alias(&["rad2deg"]),
    op("radians", 1, REAL, Build::One(|b, v| ratio(b, v[0], consts::PI, 180.0)), "Degrees to radians.")
        .alias(&["deg2rad"]),
    op(
        "sinc",
        1,
        INEXACT,
        Build::One(sinc),
        "sin(pi x) / (pi x); 1 at zero. Halves are computed as singles throughout.",
    )
    .quirk(Quirk::TrueDivide)
    .function(),
];

/// The quotient is formed in the type of the loop, as NumPy does: it is one ulp off in single precision otherwise.
fn ratio(b: &mut Builder<'_>, x: Val, numerator: f64, denominator: f64) -> Val {
    let (n, d) = (b.float(x, numerator), b.float(x, denominator));
    let factor = b.div(n, d);
    b.mul(x, factor)
}

/// A complex number times a real one, part by part.
fn scale(b: &mut Builder<'_>, z: Val, factor: f64) -> Val {
    let (re, im) = (b.re(z), b.im(z));
    let factor = b.float(re, factor);
    let (re, im) = (b.mul(re, factor), b.mul(im, factor));
    b.complex(re, im)
}

fn exp2(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if !b.ty(v[0]).is_complex() {
        return b.un(UnOp::Exp2, v[0]);
    }
    let scaled = scale(b, v[0], consts::LN_2);
    complex::call(b, LibFn::Cexp, &[scaled])
}

fn expm1(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if !b.ty(v[0]).is_complex() {
        return b.un(UnOp::Expm1, v[0]);
    }
    // exp(x) cos(y) - 1 without cancellation: expm1(x) cos(y) - 2 sin(y/2)^2.
    let (re, im) = (b.re(v[0]), b.im(v[0]));
    let (half, two) = (b.float(re, 0.5), b.float(re, 2.0));
    let half_im = b.mul(im, half);
    let a = b.un(UnOp::Sin, half_im);
    let (grown, cos) = (b.un(UnOp::Expm1, re), b.un(UnOp::Cos, im));
    let first = b.mul(grown, cos);
    let a2 = b.mul(a, a);
    let second = b.mul(two, a2);
    let out_re = b.sub(first, second);
    let (sin, exp) = (b.un(UnOp::Sin, im), b.un(UnOp::Exp, re));
    let out_im = b.mul(sin, exp);
    b.complex(out_re, out_im)
}

fn log(b: &mut Builder<'_>, op: UnOp, factor: f64, x: Val) -> Val {
    if !b.ty(x).is_complex() {
        return b.un(op, x);
    }
    let natural = complex::call(b, LibFn::Clog, &[x]);
    scale(b, natural, factor)
}

fn log1p(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if !b.ty(v[0]).is_complex() {
        return b.un(UnOp::Log1p, v[0]);
    }
    let (re, im) = (b.re(v[0]), b.im(v[0]));
    let one = b.float(re, 1.0);
    let shifted = b.add(re, one);
    let length = b.bin(BinOp::Hypot, shifted, im);
    let (out_re, out_im) = (b.un(UnOp::Log, length), b.bin(BinOp::Atan2, im, shifted));
    b.complex(out_re, out_im)
}

/// The larger argument plus a correction. Equal arguments, infinities among them, are apart from it by a constant.
fn log_of_sum(
    b: &mut Builder<'_>,
    v: &[Val],
    at_equal: f64,
    correction: impl Fn(&mut Builder<'_>, Val) -> Val,
) -> Val {
    let (x, y) = (v[0], v[1]);
    let constant = b.float(x, at_equal);
    let same = b.eq(x, y);
    let shifted = b.add(x, constant);
    let (larger, difference) = (b.bin(BinOp::Max, x, y), b.sub(x, y));
    let distance = b.abs(difference);
    let down = b.neg(distance);
    let correction = correction(b, down);
    let sum = b.add(larger, correction);
    b.select(same, shifted, sum)
}

fn logaddexp(b: &mut Builder<'_>, v: &[Val]) -> Val {
    log_of_sum(b, v, consts::LN_2, |b, down| {
        let e = b.un(UnOp::Exp, down);
        b.un(UnOp::Log1p, e)
    })
}

fn logaddexp2(b: &mut Builder<'_>, v: &[Val]) -> Val {
    log_of_sum(b, v, 1.0, |b, down| {
        let e = b.un(UnOp::Exp2, down);
        let natural = b.un(UnOp::Log1p, e);
        let factor = b.float(natural, consts::LOG2_E);
        b.mul(natural, factor)
    })
}

fn sinc(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let x = v[0];
    if b.ty(x).is_complex() {
        let scaled = scale(b, x, consts::PI);
        let sine = complex::call(b, LibFn::Csin, &[scaled]);
        let quotient = complex::divide(b, sine, scaled);
        let (zero, one) = (b.is_zero(x), b.int(x, 1));
        return b.select(zero, one, quotient);
    }
    let pi = b.float(x, consts::PI);
    let scaled = b.mul(pi, x);
    let sine = b.un(UnOp::Sin, scaled);
    let quotient = b.div(sine, scaled);
    let (zero, one) = (b.is_zero(x), b.float(x, 1.0));
    b.select(zero, one, quotient)
}
