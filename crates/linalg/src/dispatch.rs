//! The door to the generic kernels. [`Elem`] has one hidden method a kernel, implemented for the four types here, so
//! that faer's generic code is compiled in this crate once and never again in a caller's.

use crate::bridge::Par;
use crate::eigh::Triangle;
use crate::error::Result;
use crate::householder::Side;
use crate::lu::{Lu, Trans};
use crate::mat::Mat;
use crate::scalar::Scalar;
use crate::svd::Svd;
use crate::tile::{GeReflectors, TsReflectors};
use crate::view::{MatMut, MatRef};
use num_complex::{Complex32, Complex64};

macro_rules! kernels {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $path:expr;)*) => {
        /// An element type of the kernels: `f32`, `f64`, `Complex32`, `Complex64`.
        pub trait Elem: Scalar {
            $(#[doc(hidden)] fn $name($($arg: $ty),*) -> $ret;)*
        }
        kernels!(@one f32; $(fn $name($($arg: $ty),*) -> $ret = $path;)*);
        kernels!(@one f64; $(fn $name($($arg: $ty),*) -> $ret = $path;)*);
        kernels!(@one Complex32; $(fn $name($($arg: $ty),*) -> $ret = $path;)*);
        kernels!(@one Complex64; $(fn $name($($arg: $ty),*) -> $ret = $path;)*);
    };
    (@one $t:ty; $(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $path:expr;)*) => {
        impl Elem for $t {
            $(fn $name($($arg: $ty),*) -> $ret { $path($($arg),*) })*
        }
    };
}

kernels! {
    fn gemm(dst: MatMut<'_, Self>, accumulate: bool, alpha: Self, lhs: MatRef<'_, Self>, rhs: MatRef<'_, Self>, par: Par)
        -> Result<()> = crate::gemm::gemm;
    fn qr(a: MatRef<'_, Self>, par: Par) -> (Mat<Self>, Mat<Self>) = crate::qr::qr;
    fn qr_r_only(a: MatRef<'_, Self>, par: Par) -> Mat<Self> = crate::qr::qr_r_only;
    fn qr_r_any_signs(a: MatRef<'_, Self>, par: Par) -> Mat<Self> = crate::qr::qr_r_any_signs;
    fn tsqr_merge(parts: &[MatRef<'_, Self>], par: Par) -> Result<(Vec<Mat<Self>>, Mat<Self>)> = crate::qr::tsqr_merge;
    fn tsqr_merge_r_only(parts: &[MatRef<'_, Self>], par: Par) -> Result<Mat<Self>> = crate::qr::tsqr_merge_r_only;
    fn geqrt(a: MatRef<'_, Self>, par: Par) -> (Mat<Self>, GeReflectors<Self>) = crate::tile::geqrt_impl;
    fn tsqrt(r: MatRef<'_, Self>, a: MatRef<'_, Self>, par: Par) -> Result<(Mat<Self>, TsReflectors<Self>)>
        = crate::tile::tsqrt_impl;
    fn ge_apply(v: MatRef<'_, Self>, t: MatRef<'_, Self>, side: Side, c: MatMut<'_, Self>, par: Par) -> Result<()>
        = crate::tile::ge_apply_impl;
    fn ts_apply(
        v: MatRef<'_, Self>, t: MatRef<'_, Self>, side: Side, top: MatMut<'_, Self>, bottom: MatMut<'_, Self>, par: Par
    ) -> Result<()> = crate::tile::ts_apply_impl;
    fn svd(a: MatRef<'_, Self>, full_matrices: bool, par: Par) -> Result<Svd<Self>> = crate::svd::svd;
    fn svdvals(a: MatRef<'_, Self>, par: Par) -> Result<Vec<Self::Re>> = crate::svd::svdvals;
    fn eigh(a: MatRef<'_, Self>, triangle: Triangle, par: Par) -> Result<(Vec<Self::Re>, Mat<Self>)> = crate::eigh::eigh;
    fn eigvalsh(a: MatRef<'_, Self>, triangle: Triangle, par: Par) -> Result<Vec<Self::Re>> = crate::eigh::eigvalsh;
    fn cholesky(a: MatRef<'_, Self>, par: Par) -> Result<Mat<Self>> = crate::cholesky::cholesky;
    fn lu(a: MatRef<'_, Self>, par: Par) -> Lu<Self> = crate::lu::lu;
    fn solve(op: &'static str, a: MatRef<'_, Self>, b: MatRef<'_, Self>, par: Par) -> Result<Mat<Self>> = crate::lu::solve;
    fn inv(a: MatRef<'_, Self>, par: Par) -> Result<Mat<Self>> = crate::lu::inv;
    fn det(a: MatRef<'_, Self>, par: Par) -> Result<Self> = crate::lu::det;
    fn slogdet(a: MatRef<'_, Self>, par: Par) -> Result<(Self, Self::Re)> = crate::lu::slogdet;
    fn solve_triangular(
        a: MatRef<'_, Self>, b: MatRef<'_, Self>, lower: bool, trans: Trans, unit_diagonal: bool, par: Par
    ) -> Result<Mat<Self>> = crate::lu::solve_triangular;
}

/// `dst = alpha * lhs * rhs`, or `dst += ...` when `accumulate`. Any strides; `dst` must not overlap the operands.
pub fn gemm<T: Elem>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    alpha: T,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    par: Par,
) -> Result<()> {
    T::gemm(dst, accumulate, alpha, lhs, rhs, par)
}

/// The reduced QR factorisation: Q (m by k) with orthonormal columns, R (k by n) upper trapezoidal, k = min(m, n).
/// Signs agree with LAPACK's. NaN and infinity give factors of NaN.
pub fn qr<T: Elem>(a: MatRef<'_, T>, par: Par) -> (Mat<T>, Mat<T>) {
    T::qr(a, par)
}

/// The R of [`qr`] alone, at half the work.
pub fn qr_r_only<T: Elem>(a: MatRef<'_, T>, par: Par) -> Mat<T> {
    T::qr_r_only(a, par)
}

/// An R as [`qr_r_only`]'s, except that a row may have the opposite sign (for complex numbers, it never does). Several
/// times faster for a tall matrix of real numbers. For whoever needs `Rᵀ R` or singular values, and no Q that fits.
pub fn qr_r_any_signs<T: Elem>(a: MatRef<'_, T>, par: Par) -> Mat<T> {
    T::qr_r_any_signs(a, par)
}

/// The merge step of a tall-skinny QR: the QR of blocks (usually Rs) stacked on each other, with Q cut into the rows
/// that belong to each block.
pub fn tsqr_merge<T: Elem>(parts: &[MatRef<'_, T>], par: Par) -> Result<(Vec<Mat<T>>, Mat<T>)> {
    T::tsqr_merge(parts, par)
}

/// The R of [`tsqr_merge`] alone.
pub fn tsqr_merge_r_only<T: Elem>(parts: &[MatRef<'_, T>], par: Par) -> Result<Mat<T>> {
    T::tsqr_merge_r_only(parts, par)
}

/// The singular value decomposition `A = U diag(s) Vh`: thin, or with square U and Vh when `full_matrices`.
pub fn svd<T: Elem>(a: MatRef<'_, T>, full_matrices: bool, par: Par) -> Result<Svd<T>> {
    T::svd(a, full_matrices, par)
}

/// The singular values, largest first; no vectors are formed.
pub fn svdvals<T: Elem>(a: MatRef<'_, T>, par: Par) -> Result<Vec<T::Re>> {
    T::svdvals(a, par)
}

/// Eigenvalues in ascending order and eigenvectors (as columns) of a symmetric or Hermitian matrix.
pub fn eigh<T: Elem>(a: MatRef<'_, T>, triangle: Triangle, par: Par) -> Result<(Vec<T::Re>, Mat<T>)> {
    T::eigh(a, triangle, par)
}

/// The eigenvalues of [`eigh`] alone.
pub fn eigvalsh<T: Elem>(a: MatRef<'_, T>, triangle: Triangle, par: Par) -> Result<Vec<T::Re>> {
    T::eigvalsh(a, triangle, par)
}

/// The lower triangular L with `A = L Lᴴ`. Reads the lower triangle of A.
pub fn cholesky<T: Elem>(a: MatRef<'_, T>, par: Par) -> Result<Mat<T>> {
    T::cholesky(a, par)
}

/// LU with partial pivoting, of any shape. A zero pivot is not an error here.
pub fn lu<T: Elem>(a: MatRef<'_, T>, par: Par) -> Lu<T> {
    T::lu(a, par)
}

/// Solves `A X = B`.
pub fn solve<T: Elem>(a: MatRef<'_, T>, b: MatRef<'_, T>, par: Par) -> Result<Mat<T>> {
    T::solve("solve", a, b, par)
}

/// The inverse.
pub fn inv<T: Elem>(a: MatRef<'_, T>, par: Par) -> Result<Mat<T>> {
    T::inv(a, par)
}

/// The determinant; one for the empty matrix.
pub fn det<T: Elem>(a: MatRef<'_, T>, par: Par) -> Result<T> {
    T::det(a, par)
}

/// The determinant as a sign (a unit complex number, or zero) and the logarithm of its modulus.
pub fn slogdet<T: Elem>(a: MatRef<'_, T>, par: Par) -> Result<(T, T::Re)> {
    T::slogdet(a, par)
}

/// Solves `op(A) X = B` for a triangular A, of which only the named triangle is read.
pub fn solve_triangular<T: Elem>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    lower: bool,
    trans: Trans,
    unit_diagonal: bool,
    par: Par,
) -> Result<Mat<T>> {
    T::solve_triangular(a, b, lower, trans, unit_diagonal, par)
}
