//! Parts of complex numbers, and the complex arithmetic that other chapters share.
//!
//! Division and the reciprocal scale by the larger part of the divisor (Smith's method), as NumPy does: the formula is
//! part of the result, since it decides where rounding and overflow happen.

use crate::catalogue::build::Builder;
use crate::catalogue::op::{Build, Chapter, Loops, Op, row};
use crate::emit::Val;
use crate::prim::{BinOp, LibFn, ScalarType};

const fn op(name: &'static str, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Complex, name, 1, loops, build, doc)
}

const PARTS: &[Loops] = &[
    Loops { over: "?bBhHiIqQefd", form: "x->x" },
    Loops { over: "F", form: "F->f" },
    Loops { over: "D", form: "D->d" },
];

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    op(
        "conjugate",
        &[Loops { over: "bBhHiIqQefdFD", form: "x->x" }],
        Build::One(conjugate),
        "The value with its imaginary part negated.",
    )
    .alias(&["conj"]),
    op("real", PARTS, Build::One(real), "The real part; any other number itself.").function(),
    op("imag", PARTS, Build::One(imag), "The imaginary part; zero for any other number.").function(),
    op(
        "angle",
        &[
            Loops { over: "x", form: "?->d" },
            Loops { over: "efd", form: "x->x" },
            Loops { over: "F", form: "F->f" },
            Loops { over: "D", form: "D->d" },
        ],
        Build::One(angle),
        "The angle from the positive real axis, in radians.",
    )
    .ulp(4)
    .function(),
];

fn conjugate(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if !b.ty(v[0]).is_complex() {
        return v[0];
    }
    let (re, im) = (b.re(v[0]), b.im(v[0]));
    let im = b.neg(im);
    b.complex(re, im)
}

fn real(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if b.ty(v[0]).is_complex() { b.re(v[0]) } else { v[0] }
}

fn imag(b: &mut Builder<'_>, v: &[Val]) -> Val {
    if b.ty(v[0]).is_complex() { b.im(v[0]) } else { b.int(v[0], 0) }
}

fn angle(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let x = if b.ty(v[0]) == ScalarType::Bool { b.cast(v[0], ScalarType::F64) } else { v[0] };
    let (re, im) = (real(b, &[x]), imag(b, &[x]));
    b.bin(BinOp::Atan2, im, re)
}

/// `x / y`. By zero: both parts of `x` divided by (positive) zero.
pub(crate) fn divide(b: &mut Builder<'_>, x: Val, y: Val) -> Val {
    let (xr, xi, yr, yi) = (b.re(x), b.im(x), b.re(y), b.im(y));
    let (abs_r, abs_i) = (b.abs(yr), b.abs(yi));
    let real_larger = b.ge(abs_r, abs_i);
    let one = b.float(xr, 1.0);
    // Both arms at once: `big` is the larger part of the divisor, `small` the other.
    let big = b.select(real_larger, yr, yi);
    let small = b.select(real_larger, yi, yr);
    let ratio = b.div(small, big);
    let t = b.mul(small, ratio);
    let t = b.add(big, t);
    let scale = b.div(one, t);
    let (xr_ratio, xi_ratio) = (b.mul(xr, ratio), b.mul(xi, ratio));
    let re_if_real = b.add(xr, xi_ratio);
    let re_if_imag = b.add(xr_ratio, xi);
    let im_if_real = b.sub(xi, xr_ratio);
    let im_if_imag = b.sub(xi_ratio, xr);
    let re = b.select(real_larger, re_if_real, re_if_imag);
    let im = b.select(real_larger, im_if_real, im_if_imag);
    let (re, im) = (b.mul(re, scale), b.mul(im, scale));
    let (r_zero, i_zero) = (b.is_zero(abs_r), b.is_zero(abs_i));
    let by_zero = b.and(r_zero, i_zero);
    let (re_zero, im_zero) = (b.div(xr, abs_r), b.div(xi, abs_r));
    let re = b.select(by_zero, re_zero, re);
    let im = b.select(by_zero, im_zero, im);
    b.complex(re, im)
}

/// `1 / x`.
pub(crate) fn reciprocal(b: &mut Builder<'_>, x: Val) -> Val {
    let (re, im) = (b.re(x), b.im(x));
    let (abs_r, abs_i) = (b.abs(re), b.abs(im));
    let real_larger = b.le(abs_i, abs_r);
    let one = b.float(re, 1.0);
    let big = b.select(real_larger, re, im);
    let small = b.select(real_larger, im, re);
    let ratio = b.div(small, big);
    let t = b.mul(small, ratio);
    let d = b.add(big, t);
    let (inverse, scaled) = (b.div(one, d), b.div(ratio, d));
    let (minus_inverse, minus_scaled) = (b.neg(inverse), b.neg(scaled));
    let out_re = b.select(real_larger, inverse, scaled);
    let out_im = b.select(real_larger, minus_scaled, minus_inverse);
    b.complex(out_re, out_im)
}

/// `z / abs(z)`; zero for zero, NaN for NaN.
pub(crate) fn sign(b: &mut Builder<'_>, z: Val) -> Val {
    let (re, im) = (b.re(z), b.im(z));
    let length = b.bin(BinOp::Hypot, re, im);
    let (zero, one) = (b.float(re, 0.0), b.float(re, 1.0));
    let nan = b.float(re, f64::NAN);
    let (plain_re, plain_im) = (b.div(re, length), b.div(im, length));
    // An infinite part points straight along its axis; two of them have no direction.
    let (re_inf, im_inf) = (b.is_inf(re), b.is_inf(im));
    let (unit_re, unit_im) = (b.bin(BinOp::Copysign, one, re), b.bin(BinOp::Copysign, one, im));
    let both = b.and(re_inf, im_inf);
    let inf_re = b.select(re_inf, unit_re, zero);
    let inf_im = b.select(im_inf, unit_im, zero);
    let either = b.or(re_inf, im_inf);
    let out_re = b.select(either, inf_re, plain_re);
    let out_im = b.select(either, inf_im, plain_im);
    let is_zero = b.is_zero(length);
    let is_nan = b.is_nan(z);
    let out_re = b.select(is_zero, zero, out_re);
    let out_im = b.select(is_zero, zero, out_im);
    let none = b.or(both, is_nan);
    let out_re = b.select(none, nan, out_re);
    let out_im = b.select(none, nan, out_im);
    b.complex(out_re, out_im)
}

/// A library function on `C128`; singles are computed as doubles.
pub(crate) fn call(b: &mut Builder<'_>, f: LibFn, args: &[Val]) -> Val {
    let ty = b.ty(args[0]);
    let wide: Vec<Val> = args.iter().map(|v| b.cast(*v, ScalarType::C128)).collect();
    let result = b.lib(f, &wide);
    b.cast(result, ty)
}

/// `x ** n`. Zero to a power with a positive real part is zero, to zero one, to anything else NaN; the exponents 1, 2 and 3 are
/// products, so that Gaussian integers stay exact.
pub(crate) fn power(b: &mut Builder<'_>, x: Val, n: Val) -> Val {
    let general = call(b, LibFn::Cpow, &[x, n]);
    let (xr, xi, nr, ni) = (b.re(x), b.im(x), b.re(n), b.im(n));
    let one = b.int(x, 1);
    let zero = b.int(x, 0);
    let nan_part = b.float(xr, f64::NAN);
    let nan = b.complex(nan_part, nan_part);
    let (nr_zero, ni_zero) = (b.is_zero(nr), b.is_zero(ni));
    let (xr_zero, xi_zero) = (b.is_zero(xr), b.is_zero(xi));
    let base_zero = b.and(xr_zero, xi_zero);
    let square = b.mul(x, x);
    let cube = b.mul(x, square);
    let mut result = general;
    for (exponent, value) in [(1, x), (2, square), (3, cube)] {
        let e = b.int(nr, exponent);
        let same = b.eq(nr, e);
        let real = b.and(same, ni_zero);
        result = b.select(real, value, result);
    }
    let r_zero = b.int(nr, 0);
    let positive = b.gt(nr, r_zero);
    let of_zero = b.select(positive, zero, nan);
    let result = b.select(base_zero, of_zero, result);
    let exponent_zero = b.and(nr_zero, ni_zero);
    b.select(exponent_zero, one, result)
}
