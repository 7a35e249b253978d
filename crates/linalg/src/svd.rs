//! The singular value decomposition of one block: our own reduction to bidiagonal form and divide and conquer, see
//! `bidiagonal` and `divide`. Tall matrices go through a QR first, wide ones are transposed, and matrices of extreme
//! size are scaled by a power of two so that squares stay in range. Small matrices, and the small problems at the
//! bottom of the divide and conquer, go to faer; larger ones do not, because its reduction reads and writes the
//! remaining matrix once a column where ours only reads it.

use crate::bidiagonal::bidiagonalise;
use crate::bridge::{Field, Par, fmut, fref};
use crate::divide::RealDivide;
use crate::error::{Error, Result};
use crate::gemm::all_finite;
use crate::householder::{Side, Wy, apply_reflections, upper};
use crate::mat::{ColMat, Mat};
use crate::scalar::{RealScalar, Scalar};
use crate::view::MatRef;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, SvdParams};

/// The factors `u`, `s`, `vh` of a matrix.
#[derive(Clone, Debug)]
pub struct Svd<T: Scalar> {
    /// Left singular vectors, as columns.
    pub u: Mat<T>,
    /// Singular values, largest first.
    pub s: Vec<T::Re>,
    /// Right singular vectors, as conjugated rows.
    pub vh: Mat<T>,
}

/// How much taller than wide a matrix must be for a QR to come first.
const QR_FIRST_RATIO: f64 = 1.6;

/// A copy scaled by a power of two into the safe range, and that power's exponent.
pub(crate) fn scaled<T: Field>(op: &'static str, a: MatRef<'_, T>) -> Result<(ColMat<T>, i32)> {
    if !all_finite(a) {
        return Err(Error::NonFinite { op });
    }
    let mut work = ColMat::copied(a);
    let mut largest = <T::Re as Scalar>::ZERO;
    for j in 0..a.ncols() {
        for &x in work.as_ref().col(j).expect("working storage is column-major") {
            let size = if x.re().magnitude() > x.im().magnitude() { x.re() } else { x.im() }.magnitude();
            largest = if size > largest { size } else { largest };
        }
    }
    let exponent = if largest > <T::Re as Scalar>::ZERO { largest.exponent() } else { 0 };
    if exponent.abs() <= <T::Re as RealScalar>::SAFE_EXPONENT {
        return Ok((work, 0));
    }
    // In two halves: 2^-exponent itself may not be representable.
    let half = <T::Re as RealScalar>::power_of_two(-exponent / 2);
    let rest = <T::Re as RealScalar>::power_of_two(-exponent - (-exponent / 2));
    for j in 0..a.ncols() {
        for i in 0..a.nrows() {
            let x = work.as_ref().at(i, j);
            work.as_mut().set(i, j, x.scale(half).scale(rest));
        }
    }
    Ok((work, exponent))
}

/// Takes the scaling of [`scaled`] back.
pub(crate) fn unscale<R: RealScalar>(values: &mut [R], exponent: i32) {
    let half = R::power_of_two(exponent / 2);
    let rest = R::power_of_two(exponent - exponent / 2);
    if exponent != 0 {
        values.iter_mut().for_each(|x| *x = *x * half * rest);
    }
}

/// Up to this number of columns faer's way is as quick.
const SMALL: usize = 32;

/// The decomposition of a matrix at least as tall as wide, with the vectors that have room given for them: both or
/// none. The matrix is lost.
fn core<T: Field>(
    mut a: ColMat<T>,
    u: Option<&mut ColMat<T>>,
    v: Option<&mut ColMat<T>>,
    par: Par,
) -> Result<Vec<<T as Scalar>::Re>> {
    let n = a.as_ref().ncols();
    if n <= SMALL {
        return by_faer(a.as_ref(), u, v, par);
    }
    let vectors = u.is_some() || v.is_some();
    let reduced = bidiagonalise(&mut a, vectors, par);
    drop(a);
    let inner = <T::Re as RealDivide>::bidiagonal_svd(&reduced.diagonal, &reduced.above, vectors, par)
        .ok_or(Error::DidNotConverge { op: "svd" })?;
    let widen = |out: &mut ColMat<T>, from: &ColMat<T::Re>| {
        for j in 0..n {
            let from = from.as_ref();
            let from = from.col(j).expect("working storage is column-major");
            let mut out = out.as_mut();
            let out = out.col_mut(j).expect("working storage is column-major");
            out.iter_mut().zip(from).for_each(|(x, &re)| *x = T::from_parts(re, <T::Re as Scalar>::ZERO));
        }
    };
    if let Some(u) = u {
        widen(u, &inner.u);
        for j in n..u.as_ref().ncols() {
            u.as_mut().set(j, j, T::ONE);
        }
        let t = reduced.left.triangles(par);
        apply_reflections(reduced.left.v.as_ref(), t.as_ref(), Side::Q, u.as_mut(), par);
    }
    if let Some(v) = v {
        widen(v, &inner.v);
        let t = reduced.right.triangles(par);
        let rows = v.as_mut().sub(1, 0, n - 1, n);
        apply_reflections(reduced.right.v.as_ref(), t.as_ref(), Side::Q, rows, par);
    }
    Ok(inner.s)
}

/// faer's decomposition of a matrix at least as tall as wide, with the vectors that have room given for them.
pub(crate) fn by_faer<T: Field>(
    a: MatRef<'_, T>,
    mut u: Option<&mut ColMat<T>>,
    mut v: Option<&mut ColMat<T>>,
    par: Par,
) -> Result<Vec<<T as Scalar>::Re>> {
    let (m, n) = (a.nrows(), a.ncols());
    let mut s = vec![T::ZERO; n];
    let want = |columns: Option<usize>| match columns {
        None => ComputeSvdVectors::No,
        Some(c) if c > n => ComputeSvdVectors::Full,
        Some(_) => ComputeSvdVectors::Thin,
    };
    let want_u = want(u.as_ref().map(|u| u.as_ref().ncols()));
    let want_v = want(v.as_ref().map(|v| v.as_ref().ncols()));
    let par = par.to_faer();
    let mut params = <SvdParams as faer::Auto<T>>::auto();
    // Never faer's own QR: see `householder`.
    params.qr_ratio_threshold = f64::INFINITY;
    for attempt in 0..2 {
        if attempt == 1 {
            // Divide and conquer gave up: the plain QR iteration is slower and more patient.
            params.recursion_threshold = usize::MAX;
        }
        let request = faer::linalg::svd::svd_scratch::<T>(m, n, want_u, want_v, par, params.into());
        let mut memory = MemBuffer::new(request);
        let outcome = faer::linalg::svd::svd(
            fref(a),
            DiagMut::from_slice_mut(&mut s),
            u.as_mut().map(|u| fmut(u.as_mut())),
            v.as_mut().map(|v| fmut(v.as_mut())),
            par,
            MemStack::new(&mut memory),
            params.into(),
        );
        if outcome.is_ok() && s.iter().all(|x| x.finite()) {
            return Ok(s.into_iter().map(|x| x.re()).collect());
        }
    }
    Err(Error::DidNotConverge { op: "svd" })
}

pub(crate) fn svd<T: Field>(a: MatRef<'_, T>, full_matrices: bool, par: Par) -> Result<Svd<T>> {
    let (m, n) = (a.nrows(), a.ncols());
    if m < n {
        // Aᵀ = U' S V'ᴴ gives A = V'* S U'ᵀ, and V'* is the transpose of V'ᴴ.
        let t = svd(a.transpose(), full_matrices, par)?;
        return Ok(Svd {
            u: Mat::copied(t.vh.as_ref().transpose()),
            s: t.s,
            vh: Mat::copied(t.u.as_ref().transpose()),
        });
    }
    let u_cols = if full_matrices { m } else { n };
    if n == 0 {
        return Ok(Svd { u: Mat::eye(m, u_cols), s: Vec::new(), vh: Mat::zeros(0, 0) });
    }
    let (mut work, exponent) = scaled("svd", a)?;
    let mut v = ColMat::zeros(n, n);
    let mut u = ColMat::zeros(m, u_cols);
    let mut s;
    if m as f64 > QR_FIRST_RATIO * n as f64 {
        let wy = Wy::factor(&mut work, par);
        let r = ColMat::copied(upper(work.as_ref(), n).as_ref());
        drop(work);
        let mut u_small = ColMat::zeros(n, n);
        s = core(r, Some(&mut u_small), Some(&mut v), par)?;
        // Q times (u_small over zeros; beside it, for the full matrix, the remaining unit vectors).
        u.as_mut().sub(0, 0, n, n).copy_from(u_small.as_ref());
        for j in n..u_cols {
            u.as_mut().set(j, j, T::ONE);
        }
        wy.apply(Side::Q, u.as_mut(), par);
    } else {
        s = core(work, Some(&mut u), Some(&mut v), par)?;
    }
    unscale(&mut s, exponent);
    // The row-major transpose of V lies in V's own memory; only the conjugate is left to take.
    let mut vh = v.into_transpose();
    if T::IS_COMPLEX {
        vh.as_mut_slice().iter_mut().for_each(|x| *x = x.conjugate());
    }
    Ok(Svd { u: u.to_mat(), s, vh })
}

pub(crate) fn svdvals<T: Field>(a: MatRef<'_, T>, par: Par) -> Result<Vec<<T as Scalar>::Re>> {
    let (m, n) = (a.nrows(), a.ncols());
    if m < n {
        return svdvals(a.transpose(), par);
    }
    if n == 0 {
        return Ok(Vec::new());
    }
    let (mut work, exponent) = scaled("svd", a)?;
    if m as f64 > QR_FIRST_RATIO * n as f64 {
        Wy::factor(&mut work, par);
        work = ColMat::copied(upper(work.as_ref(), n).as_ref());
    }
    let mut s = core(work, None, None, par)?;
    unscale(&mut s, exponent);
    Ok(s)
}
