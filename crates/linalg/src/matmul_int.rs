//! Products of integer and boolean matrices, for the dtypes that no BLAS serves. Integers wrap as NumPy's do; for
//! booleans multiplication is "and", addition is "or".

use crate::bridge::Par;
use crate::error::Result;
use crate::gemm::check_product;
use crate::stop::{ask, join};
use crate::view::{MatMut, MatRef};

/// The element types of [`matmul_int`].
pub trait IntElem: Copy + Send + Sync + 'static + private::Sealed {
    /// The neutral element of the sum.
    const ZERO: Self;
    /// `acc + a * b` in the type's arithmetic.
    fn mul_add(acc: Self, a: Self, b: Self) -> Self;
    #[doc(hidden)]
    fn run(dst: MatMut<'_, Self>, accumulate: bool, lhs: MatRef<'_, Self>, rhs: MatRef<'_, Self>, par: Par);
}

mod private {
    pub trait Sealed {}
}

macro_rules! int_elem {
    ($($t:ty: $zero:expr, |$acc:ident, $a:ident, $b:ident| $body:expr;)*) => {$(
        impl private::Sealed for $t {}
        impl IntElem for $t {
            const ZERO: Self = $zero;
            #[inline(always)]
            fn mul_add($acc: Self, $a: Self, $b: Self) -> Self { $body }
            fn run(
                dst: MatMut<'_, Self>,
                accumulate: bool,
                lhs: MatRef<'_, Self>,
                rhs: MatRef<'_, Self>,
                par: Par,
            ) {
                divide::<Self>(dst, accumulate, lhs, rhs, par.degree());
            }
        }
    )*};
}
int_elem! {
    i8: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    i16: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    i32: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    i64: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    u8: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    u16: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    u32: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    u64: 0, |acc, a, b| acc.wrapping_add(a.wrapping_mul(b));
    bool: false, |acc, a, b| acc | (a & b);
}

/// `dst (+)= lhs * rhs` for integers and booleans, any strides.
pub fn matmul_int<T: IntElem>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    par: Par,
) -> Result<()> {
    check_product(
        "matmul",
        (dst.nrows(), dst.ncols()),
        (lhs.nrows(), lhs.ncols()),
        (rhs.nrows(), rhs.ncols()),
    )?;
    T::run(dst, accumulate, lhs, rhs, par);
    Ok(())
}

fn divide<T: IntElem>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    threads: usize,
) {
    let (m, k) = (lhs.nrows(), lhs.ncols());
    if threads <= 1 || m < 2 || m.saturating_mul(k).saturating_mul(rhs.ncols()) < 1 << 18 {
        return blocked(dst, accumulate, lhs, rhs);
    }
    let left_threads = threads.div_ceil(2);
    let at = m * left_threads / threads;
    let (top, bottom) = dst.split_at_row(at);
    join(
        || divide(top, accumulate, lhs.sub(0, 0, at, k), rhs, left_threads),
        || divide(bottom, accumulate, lhs.sub(at, 0, m - at, k), rhs, threads - left_threads),
    );
}

/// Cuts the inner and the right dimension so that a packed block of `rhs` (at most 256 x 512) stays in the second
/// level cache while all rows of `lhs` pass over it.
fn blocked<T: IntElem>(mut dst: MatMut<'_, T>, accumulate: bool, lhs: MatRef<'_, T>, rhs: MatRef<'_, T>) {
    const INNER: usize = 256;
    const WIDTH: usize = 512;
    let (m, n, k) = (dst.nrows(), dst.ncols(), lhs.ncols());
    if !accumulate {
        dst.fill(T::ZERO);
    }
    let mut packed = vec![T::ZERO; INNER.min(k) * WIDTH.min(n)];
    let mut acc = vec![T::ZERO; WIDTH.min(n)];
    for j0 in (0..n).step_by(WIDTH) {
        let width = WIDTH.min(n - j0);
        for p0 in (0..k).step_by(INNER) {
            let inner = INNER.min(k - p0);
            MatMut::from_slice(&mut packed[..inner * width], inner, width)
                .copy_from(rhs.sub(p0, j0, inner, width));
            for i in 0..m {
                ask();
                let acc = &mut acc[..width];
                for (j, slot) in acc.iter_mut().enumerate() {
                    *slot = dst.at(i, j0 + j);
                }
                for p in 0..inner {
                    row_update(acc, lhs.at(i, p0 + p), &packed[p * width..(p + 1) * width]);
                }
                for (j, &value) in acc.iter().enumerate() {
                    dst.set(i, j0 + j, value);
                }
            }
        }
    }
}

/// `acc += factor * row`, with the widest vectors the machine has.
fn row_update<T: IntElem>(acc: &mut [T], factor: T, row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the features were just found on this machine.
            return unsafe { row_update_avx512(acc, factor, row) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { row_update_avx2(acc, factor, row) };
        }
    }
    row_update_plain(acc, factor, row);
}

#[inline(always)]
fn row_update_plain<T: IntElem>(acc: &mut [T], factor: T, row: &[T]) {
    for (slot, &value) in acc.iter_mut().zip(row) {
        *slot = T::mul_add(*slot, factor, value);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn row_update_avx512<T: IntElem>(acc: &mut [T], factor: T, row: &[T]) {
    row_update_plain(acc, factor, row);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_update_avx2<T: IntElem>(acc: &mut [T], factor: T, row: &[T]) {
    row_update_plain(acc, factor, row);
}
