//! Products of a few tall columns with one vector: inner products of each column, and sums of columns with weights.
//! They are what a bidiagonalisation does between its matrix products, and memory traffic is all of their cost, so
//! several columns are taken at once, with AVX-512 or AVX2 where the processor has them.
//!
//! A complex column is read as the real column of twice its length. Its inner product with `x` is then two real ones,
//! with `x` and with `-i x`, made in the same pass (`P` is two below), and likewise for sums; so only real kernels exist.

// Loops of constant length over several arrays at once, which the compiler unrolls into registers.
#![allow(clippy::needless_range_loop)]

use crate::bridge::Field;
use crate::scalar::{RealScalar, Scalar};

/// How many numbers an instruction handles, as a type: a vector register.
pub(crate) trait Lanes: Copy {
    type Real: RealScalar;
    const COUNT: usize;
    /// Reads `COUNT` numbers from where they must be readable.
    unsafe fn load(from: *const Self::Real) -> Self;
    /// Writes `COUNT` numbers to where they must be writable.
    unsafe fn store(self, to: *mut Self::Real);
    /// One number in all lanes. Like all that follow: the processor must have the instructions.
    unsafe fn splat(x: Self::Real) -> Self;
    /// `self + a * b`
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// The sum of the lanes.
    unsafe fn sum(self) -> Self::Real;
}

/// The kernels of a real type, with the choice among instruction sets behind them.
pub(crate) trait RealColumns: RealScalar {
    /// `out[c * P + p] = column c . x[p]`.
    ///
    /// # Safety
    /// `a` points at `n` columns of `len` numbers, `ld` apart; each `x` at `len` numbers; `out` at `n * P`.
    unsafe fn dots<const P: usize>(
        a: *const Self,
        ld: usize,
        n: usize,
        len: usize,
        x: [*const Self; P],
        out: *mut Self,
    );
    /// `w[p] += sum over c of column c * q[c * P + p]`.
    ///
    /// # Safety
    /// As for `dots`; each `w` points at `len` numbers that nothing else reads or writes.
    unsafe fn sums<const P: usize>(
        a: *const Self,
        ld: usize,
        n: usize,
        len: usize,
        q: *const Self,
        w: [*mut Self; P],
    );
}

/// Inner products of exactly `C` columns with `P` vectors.
///
/// # Safety
/// As for [`RealColumns::dots`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn dots_tile<V: Lanes, const C: usize, const P: usize>(
    a: *const V::Real,
    ld: usize,
    len: usize,
    x: [*const V::Real; P],
    out: *mut V::Real,
) {
    // SAFETY: every offset below is less than `len` within a column or vector, `C` columns, `C * P` results.
    unsafe {
        let mut acc = [[V::splat(V::Real::ZERO); P]; C];
        let whole = len - len % V::COUNT;
        let mut i = 0;
        while i < whole {
            let mut xs = [V::splat(V::Real::ZERO); P];
            for p in 0..P {
                xs[p] = V::load(x[p].add(i));
            }
            for c in 0..C {
                let col = V::load(a.add(c * ld + i));
                for p in 0..P {
                    acc[c][p] = acc[c][p].plus_product(col, xs[p]);
                }
            }
            i += V::COUNT;
        }
        for c in 0..C {
            for p in 0..P {
                let mut sum = acc[c][p].sum();
                for i in whole..len {
                    sum = sum + *a.add(c * ld + i) * *x[p].add(i);
                }
                *out.add(c * P + p) = sum;
            }
        }
    }
}

/// Adds the weighted sum of exactly `C` columns to each of `P` vectors.
///
/// # Safety
/// As for [`RealColumns::sums`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn sums_tile<V: Lanes, const C: usize, const P: usize>(
    a: *const V::Real,
    ld: usize,
    len: usize,
    q: *const V::Real,
    w: [*mut V::Real; P],
) {
    // SAFETY: every offset below is less than `len` within a column or vector, `C` columns, `C * P` weights.
    unsafe {
        let mut weight = [[V::splat(V::Real::ZERO); P]; C];
        for c in 0..C {
            for p in 0..P {
                weight[c][p] = V::splat(*q.add(c * P + p));
            }
        }
        let whole = len - len % V::COUNT;
        let mut i = 0;
        while i < whole {
            let mut sum = [V::splat(V::Real::ZERO); P];
            for p in 0..P {
                sum[p] = V::load(w[p].add(i));
            }
            for c in 0..C {
                let col = V::load(a.add(c * ld + i));
                for p in 0..P {
                    sum[p] = sum[p].plus_product(col, weight[c][p]);
                }
            }
            for p in 0..P {
                sum[p].store(w[p].add(i));
            }
            i += V::COUNT;
        }
        for p in 0..P {
            for i in whole..len {
                let mut sum = *w[p].add(i);
                for c in 0..C {
                    sum = sum + *a.add(c * ld + i) * *q.add(c * P + p);
                }
                *w[p].add(i) = sum;
            }
        }
    }
}

/// All columns, eight (or, for two vectors, four) at a time.
///
/// # Safety
/// As for [`RealColumns::dots`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn dots_all<V: Lanes, const P: usize>(
    a: *const V::Real,
    ld: usize,
    n: usize,
    len: usize,
    x: [*const V::Real; P],
    out: *mut V::Real,
) {
    let mut c = 0;
    // SAFETY: the tiles cover the columns 0..n once.
    unsafe {
        while P == 1 && c + 8 <= n {
            dots_tile::<V, 8, P>(a.add(c * ld), ld, len, x, out.add(c * P));
            c += 8;
        }
        while c + 4 <= n {
            dots_tile::<V, 4, P>(a.add(c * ld), ld, len, x, out.add(c * P));
            c += 4;
        }
        while c < n {
            dots_tile::<V, 1, P>(a.add(c * ld), ld, len, x, out.add(c * P));
            c += 1;
        }
    }
}

/// All columns, eight (or, for two vectors, four) at a time.
///
/// # Safety
/// As for [`RealColumns::sums`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn sums_all<V: Lanes, const P: usize>(
    a: *const V::Real,
    ld: usize,
    n: usize,
    len: usize,
    q: *const V::Real,
    w: [*mut V::Real; P],
) {
    let mut c = 0;
    // SAFETY: the tiles cover the columns 0..n once.
    unsafe {
        while P == 1 && c + 8 <= n {
            sums_tile::<V, 8, P>(a.add(c * ld), ld, len, q.add(c * P), w);
            c += 8;
        }
        while c + 4 <= n {
            sums_tile::<V, 4, P>(a.add(c * ld), ld, len, q.add(c * P), w);
            c += 4;
        }
        while c < n {
            sums_tile::<V, 1, P>(a.add(c * ld), ld, len, q.add(c * P), w);
            c += 1;
        }
    }
}

/// The registers of any processor: plain arithmetic that the compiler may vectorise.
#[derive(Clone, Copy)]
pub(crate) struct Plain<R>([R; 4]);

impl<R: RealScalar> Lanes for Plain<R> {
    type Real = R;
    const COUNT: usize = 4;
    #[inline(always)]
    unsafe fn load(from: *const R) -> Self {
        // SAFETY: the caller vouches for four readable numbers.
        Self(unsafe { std::array::from_fn(|l| *from.add(l)) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut R) {
        for (l, x) in self.0.into_iter().enumerate() {
            // SAFETY: the caller vouches for four writable numbers.
            unsafe { *to.add(l) = x };
        }
    }
    #[inline(always)]
    unsafe fn splat(x: R) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l] + a.0[l] * b.0[l]))
    }
    #[inline(always)]
    unsafe fn sum(self) -> R {
        (self.0[0] + self.0[1]) + (self.0[2] + self.0[3])
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    macro_rules! lanes {
        ($($name:ident = $register:ident of $real:ident, $count:literal: $load:ident $store:ident $splat:ident $fma:ident, $sum:expr;)*) => {$(
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);
            impl Lanes for $name {
                type Real = $real;
                const COUNT: usize = $count;
                #[inline(always)]
                unsafe fn load(from: *const $real) -> Self {
                    // SAFETY: the caller vouches for the memory and the instructions.
                    Self(unsafe { $load(from) })
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $real) {
                    // SAFETY: the caller vouches for the memory and the instructions.
                    unsafe { $store(to, self.0) }
                }
                #[inline(always)]
                unsafe fn splat(x: $real) -> Self {
                    // SAFETY: the caller vouches for the instructions.
                    Self(unsafe { $splat(x) })
                }
                #[inline(always)]
                unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: the caller vouches for the instructions.
                    Self(unsafe { $fma(a.0, b.0, self.0) })
                }
                #[inline(always)]
                unsafe fn sum(self) -> $real {
                    let sum: unsafe fn($register) -> $real = $sum;
                    // SAFETY: the caller vouches for the instructions.
                    unsafe { sum(self.0) }
                }
            }
        )*};
    }

    lanes! {
        Wide64 = __m512d of f64, 8: _mm512_loadu_pd _mm512_storeu_pd _mm512_set1_pd _mm512_fmadd_pd, |r| {
            // SAFETY: a register of eight numbers has the size of an array of eight.
            let x: [f64; 8] = unsafe { std::mem::transmute(r) };
            x.iter().sum()
        };
        Wide32 = __m512 of f32, 16: _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_fmadd_ps, |r| {
            // SAFETY: a register of sixteen numbers has the size of an array of sixteen.
            let x: [f32; 16] = unsafe { std::mem::transmute(r) };
            x.iter().sum()
        };
        Half64 = __m256d of f64, 4: _mm256_loadu_pd _mm256_storeu_pd _mm256_set1_pd _mm256_fmadd_pd, |r| {
            // SAFETY: a register of four numbers has the size of an array of four.
            let x: [f64; 4] = unsafe { std::mem::transmute(r) };
            x.iter().sum()
        };
        Half32 = __m256 of f32, 8: _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_fmadd_ps, |r| {
            // SAFETY: a register of eight numbers has the size of an array of eight.
            let x: [f32; 8] = unsafe { std::mem::transmute(r) };
            x.iter().sum()
        };
    }
}

macro_rules! real_columns {
    ($($real:ident, $wide:ident, $half:ident;)*) => {$(
        impl RealColumns for $real {
            unsafe fn dots<const P: usize>(
                a: *const Self, ld: usize, n: usize, len: usize, x: [*const Self; P], out: *mut Self,
            ) {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx512f")]
                    unsafe fn wide<const P: usize>(
                        a: *const $real, ld: usize, n: usize, len: usize, x: [*const $real; P], out: *mut $real,
                    ) {
                        // SAFETY: the caller's promises are the same.
                        unsafe { dots_all::<x86::$wide, P>(a, ld, n, len, x, out) }
                    }
                    #[target_feature(enable = "avx2,fma")]
                    unsafe fn half<const P: usize>(
                        a: *const $real, ld: usize, n: usize, len: usize, x: [*const $real; P], out: *mut $real,
                    ) {
                        // SAFETY: the caller's promises are the same.
                        unsafe { dots_all::<x86::$half, P>(a, ld, n, len, x, out) }
                    }
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { wide::<P>(a, ld, n, len, x, out) };
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { half::<P>(a, ld, n, len, x, out) };
                    }
                }
                // SAFETY: the caller's promises are the same, and any processor will do.
                unsafe { dots_all::<Plain<$real>, P>(a, ld, n, len, x, out) }
            }
            unsafe fn sums<const P: usize>(
                a: *const Self, ld: usize, n: usize, len: usize, q: *const Self, w: [*mut Self; P],
            ) {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx512f")]
                    unsafe fn wide<const P: usize>(
                        a: *const $real, ld: usize, n: usize, len: usize, q: *const $real, w: [*mut $real; P],
                    ) {
                        // SAFETY: the caller's promises are the same.
                        unsafe { sums_all::<x86::$wide, P>(a, ld, n, len, q, w) }
                    }
                    #[target_feature(enable = "avx2,fma")]
                    unsafe fn half<const P: usize>(
                        a: *const $real, ld: usize, n: usize, len: usize, q: *const $real, w: [*mut $real; P],
                    ) {
                        // SAFETY: the caller's promises are the same.
                        unsafe { sums_all::<x86::$half, P>(a, ld, n, len, q, w) }
                    }
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { wide::<P>(a, ld, n, len, q, w) };
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { half::<P>(a, ld, n, len, q, w) };
                    }
                }
                // SAFETY: the caller's promises are the same, and any processor will do.
                unsafe { sums_all::<Plain<$real>, P>(a, ld, n, len, q, w) }
            }
        }
    )*};
}

real_columns! {
    f32, Wide32, Half32;
    f64, Wide64, Half64;
}

/// A vector ready for inner products: itself and, for complex types, `-i` times itself.
pub(crate) struct Turned<T> {
    turned: Vec<T>,
}

impl<T: Field> Turned<T> {
    pub fn new() -> Self {
        Self { turned: Vec::new() }
    }
    /// Prepares for the products with `x`.
    pub fn set(&mut self, x: &[T]) {
        if T::IS_COMPLEX {
            self.turned.clear();
            self.turned.extend(x.iter().map(|x| T::from_parts(x.im(), -x.re())));
        }
    }
    /// Where the turned vector lies; dangling for real types.
    pub fn as_ptr(&self) -> *const T {
        self.turned.as_ptr()
    }
}

/// `out[c] = (column c)ᴴ x`, where `turned` was made from this `x`.
///
/// # Safety
/// `a` points at `n` columns of `len` elements, `ld` apart; `x` and, for complex types, `turned` at `len` elements;
/// `out` at `n`.
#[inline]
pub(crate) unsafe fn inner<T: Field>(
    a: *const T,
    ld: usize,
    n: usize,
    len: usize,
    x: *const T,
    turned: *const T,
    out: *mut T,
) {
    // SAFETY: a complex number is laid out as its real and its imaginary part; the rest is the caller's promise.
    unsafe {
        if T::IS_COMPLEX {
            let x = [x.cast(), turned.cast()];
            <T::Re as RealColumns>::dots::<2>(a.cast(), 2 * ld, n, 2 * len, x, out.cast());
        } else {
            <T::Re as RealColumns>::dots::<1>(a.cast(), ld, n, len, [x.cast()], out.cast());
        }
    }
}

/// `w += sum over c of column c * q[c]`; for complex types the imaginary parts of `q` act on `w_turned` in place of
/// `i w`, and [`merge_turned`] brings the two together.
///
/// # Safety
/// `a` points at `n` columns of `len` elements, `ld` apart; `q` at `n` elements; `w` and, for complex types,
/// `w_turned` at `len` elements that nothing else uses.
#[inline]
pub(crate) unsafe fn combine<T: Field>(
    a: *const T,
    ld: usize,
    n: usize,
    len: usize,
    q: *const T,
    w: *mut T,
    w_turned: *mut T,
) {
    // SAFETY: a complex number is laid out as its real and its imaginary part; the rest is the caller's promise.
    unsafe {
        if T::IS_COMPLEX {
            let w = [w.cast(), w_turned.cast()];
            <T::Re as RealColumns>::sums::<2>(a.cast(), 2 * ld, n, 2 * len, q.cast(), w);
        } else {
            <T::Re as RealColumns>::sums::<1>(a.cast(), ld, n, len, q.cast(), [w.cast()]);
        }
    }
}

/// `w += i w_turned`, and `w_turned` is zero again. Nothing to do for real types.
pub(crate) fn merge_turned<T: Field>(w: &mut [T], w_turned: &mut [T]) {
    if T::IS_COMPLEX {
        for (w, t) in w.iter_mut().zip(w_turned) {
            *w += T::from_parts(-t.im(), t.re());
            *t = T::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kernels of one instruction set against plain loops, for lengths and counts around the tiles' sizes.
    fn check<V: Lanes, const P: usize>() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            V::Real::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        };
        for len in [0usize, 1, 7, 16, 33, 70] {
            for n in [0usize, 1, 3, 4, 8, 13] {
                let ld = len + 3;
                let a: Vec<V::Real> = (0..ld * n).map(|_| next()).collect();
                let x: [Vec<V::Real>; P] = std::array::from_fn(|_| (0..len).map(|_| next()).collect());
                let q: Vec<V::Real> = (0..n * P).map(|_| next()).collect();
                let mut dots = vec![V::Real::NAN; n * P];
                let mut sums = x.clone();
                // SAFETY: the vectors have the sizes that are passed; the caller has asked for the instructions.
                unsafe {
                    let from = std::array::from_fn(|p| x[p].as_ptr());
                    dots_all::<V, P>(a.as_ptr(), ld, n, len, from, dots.as_mut_ptr());
                    let to = sums.each_mut().map(|w| w.as_mut_ptr());
                    sums_all::<V, P>(a.as_ptr(), ld, n, len, q.as_ptr(), to);
                }
                let tol = 100.0 * V::Real::EPS.to_f64();
                for p in 0..P {
                    for c in 0..n {
                        let want: f64 = (0..len).map(|i| a[c * ld + i].to_f64() * x[p][i].to_f64()).sum();
                        assert!((dots[c * P + p].to_f64() - want).abs() < tol, "{len} {n}: dot {c} {p}");
                    }
                    for i in 0..len {
                        let more: f64 = (0..n).map(|c| a[c * ld + i].to_f64() * q[c * P + p].to_f64()).sum();
                        let want = x[p][i].to_f64() + more;
                        assert!((sums[p][i].to_f64() - want).abs() < tol, "{len} {n}: sum {i} {p}");
                    }
                }
            }
        }
    }

    #[test]
    fn kernels_of_every_instruction_set() {
        check::<Plain<f32>, 1>();
        check::<Plain<f64>, 2>();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                check::<x86::Half32, 1>();
                check::<x86::Half32, 2>();
                check::<x86::Half64, 1>();
                check::<x86::Half64, 2>();
            }
            if is_x86_feature_detected!("avx512f") {
                check::<x86::Wide32, 1>();
                check::<x86::Wide32, 2>();
                check::<x86::Wide64, 1>();
                check::<x86::Wide64, 2>();
            }
        }
    }
}
