//! The four element types and the arithmetic that the kernels written here need of them. Sealed: a fifth type would
//! need its own instantiation of every kernel, which happens in `dispatch`.

use num_complex::{Complex32, Complex64};
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Arithmetic of `f32`, `f64`, `Complex32` and `Complex64`.
pub trait Scalar:
    sealed::Sealed
    + Copy
    + Send
    + Sync
    + Debug
    + Default
    + PartialEq
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The real type of the same precision.
    type Re: RealScalar;
    /// Whether the type has an imaginary part.
    const IS_COMPLEX: bool;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Builds a number from its parts; a real type ignores the imaginary one.
    fn from_parts(re: Self::Re, im: Self::Re) -> Self;
    /// The real part.
    fn re(self) -> Self::Re;
    /// The imaginary part, zero for a real type.
    fn im(self) -> Self::Re;
    /// The complex conjugate.
    fn conjugate(self) -> Self;
    /// The modulus, without undue overflow.
    fn modulus(self) -> Self::Re;
    /// Multiplies by a real number.
    fn scale(self, factor: Self::Re) -> Self;

    /// `|re| + |im|`, the cheap size by which pivots are compared.
    fn abs1(self) -> Self::Re {
        self.re().magnitude() + self.im().magnitude()
    }
    /// Divides both parts by a real number.
    fn over(self, divisor: Self::Re) -> Self {
        Self::from_parts(self.re() / divisor, self.im() / divisor)
    }
    /// `1 / self`. The usual quotient squares the modulus of a complex divisor, which overflows at the root of the range.
    fn reciprocal(self) -> Self {
        let size = self.modulus();
        self.conjugate().over(size).over(size)
    }
    /// Whether both parts are finite.
    fn finite(self) -> bool {
        (self.re() * Self::Re::ZERO) == Self::Re::ZERO && (self.im() * Self::Re::ZERO) == Self::Re::ZERO
    }
}

/// What a real scalar offers besides [`Scalar`].
pub trait RealScalar: Scalar<Re = Self> + PartialOrd {
    /// The distance from one to the next number.
    const EPS: Self;
    /// The smallest normal number.
    const TINY: Self;
    /// Not a number.
    const NAN: Self;
    /// The largest exponent `e` for which a matrix with entries of size `2^e` is factorised without rescaling: squares
    /// and products of three entries stay in range.
    const SAFE_EXPONENT: i32;
    /// Absolute value.
    fn magnitude(self) -> Self;
    /// Square root.
    fn root(self) -> Self;
    /// `sqrt(a*a + b*b)` without undue overflow.
    fn hypotenuse(self, other: Self) -> Self;
    /// Natural logarithm.
    fn log(self) -> Self;
    /// The size of `self` with the sign of `sign`.
    fn with_sign(self, sign: Self) -> Self;
    /// `2^exponent`.
    fn power_of_two(exponent: i32) -> Self;
    /// The exponent `e` with `2^e <= self < 2^(e+1)`, for finite positive numbers.
    fn exponent(self) -> i32;
    /// The number as `f64`.
    fn to_f64(self) -> f64;
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
}

macro_rules! real {
    ($($t:ident, $c:ident, $safe:expr;)*) => {$(
        impl sealed::Sealed for $t {}
        impl sealed::Sealed for $c {}
        impl Scalar for $t {
            type Re = $t;
            const IS_COMPLEX: bool = false;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn from_parts(re: $t, _im: $t) -> Self { re }
            #[inline(always)]
            fn re(self) -> $t { self }
            #[inline(always)]
            fn im(self) -> $t { 0.0 }
            #[inline(always)]
            fn conjugate(self) -> Self { self }
            #[inline(always)]
            fn modulus(self) -> $t { self.abs() }
            #[inline(always)]
            fn scale(self, factor: $t) -> Self { self * factor }
        }
        impl Scalar for $c {
            type Re = $t;
            const IS_COMPLEX: bool = true;
            const ZERO: Self = $c::new(0.0, 0.0);
            const ONE: Self = $c::new(1.0, 0.0);
            #[inline(always)]
            fn from_parts(re: $t, im: $t) -> Self { $c::new(re, im) }
            #[inline(always)]
            fn re(self) -> $t { self.re }
            #[inline(always)]
            fn im(self) -> $t { self.im }
            #[inline(always)]
            fn conjugate(self) -> Self { self.conj() }
            #[inline(always)]
            fn modulus(self) -> $t { self.re.hypot(self.im) }
            #[inline(always)]
            fn scale(self, factor: $t) -> Self { $c::new(self.re * factor, self.im * factor) }
        }
        impl RealScalar for $t {
            const EPS: Self = $t::EPSILON;
            const TINY: Self = $t::MIN_POSITIVE;
            const NAN: Self = $t::NAN;
            const SAFE_EXPONENT: i32 = $safe;
            #[inline(always)]
            fn magnitude(self) -> Self { self.abs() }
            #[inline(always)]
            fn root(self) -> Self { self.sqrt() }
            #[inline(always)]
            fn hypotenuse(self, other: Self) -> Self { self.hypot(other) }
            #[inline(always)]
            fn log(self) -> Self { self.ln() }
            #[inline(always)]
            fn with_sign(self, sign: Self) -> Self { self.copysign(sign) }
            fn power_of_two(exponent: i32) -> Self { <$t>::powi(2.0, exponent) }
            fn exponent(self) -> i32 { self.log2().floor() as i32 }
            fn to_f64(self) -> f64 { self as f64 }
            fn from_f64(value: f64) -> Self { value as $t }
        }
    )*};
}

real! {
    f32, Complex32, 30;
    f64, Complex64, 300;
}
