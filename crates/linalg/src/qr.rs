//! QR of one block, and the merge step of the tall-skinny QR. NaN and infinity propagate: a matrix that holds them has
//! factors of NaN, as in NumPy.

use crate::bridge::{Field, Par};
use crate::error::{Error, Result};
use crate::gemm::all_finite;
use crate::householder::{Wy, upper};
use crate::mat::{ColMat, Mat};
use crate::scalar::{RealScalar, Scalar};
use crate::tall::triangle;
use crate::view::MatRef;

pub(crate) fn qr<T: Field>(a: MatRef<'_, T>, par: Par) -> (Mat<T>, Mat<T>) {
    let k = a.nrows().min(a.ncols());
    if !all_finite(a) {
        return (nan(a.nrows(), k), nan_upper(k, a.ncols()));
    }
    let mut work = ColMat::copied(a);
    let wy = Wy::factor(&mut work, par);
    let r = upper(work.as_ref(), k);
    drop(work);
    (wy.q(k, par).to_mat(), r)
}

pub(crate) fn qr_r_only<T: Field>(a: MatRef<'_, T>, par: Par) -> Mat<T> {
    let k = a.nrows().min(a.ncols());
    if !all_finite(a) {
        return nan_upper(k, a.ncols());
    }
    let mut work = ColMat::copied(a);
    Wy::factor(&mut work, par);
    upper(work.as_ref(), k)
}

/// R with rows of either sign: by row panels if the numbers are real, the matrix tall and nothing extreme or non-finite.
pub(crate) fn qr_r_any_signs<T: Field>(a: MatRef<'_, T>, par: Par) -> Mat<T> {
    // The panels run on one thread, at about four times the speed of `qr_r_only`, whose products share many threads.
    if T::IS_COMPLEX || par.degree() > 4 {
        return qr_r_only(a, par);
    }
    // SAFETY: a real element type is its own `Re`, so this is the same view under another name.
    let real = unsafe {
        let start = a.as_ptr().cast::<<T as Scalar>::Re>();
        MatRef::from_raw(start, a.nrows(), a.ncols(), a.row_stride(), a.col_stride())
    };
    match triangle(real) {
        Some(r) => {
            Mat::from_fn(r.nrows(), r.ncols(), |i, j| T::from_parts(r.at(i, j), <T::Re as Scalar>::ZERO))
        }
        None => qr_r_only(a, par),
    }
}

/// Stacks blocks of equal width.
pub(crate) fn stack<T: Field>(op: &'static str, parts: &[MatRef<'_, T>]) -> Result<ColMat<T>> {
    let ncols = parts.first().map_or(0, |p| p.ncols());
    if let Some(other) = parts.iter().find(|p| p.ncols() != ncols) {
        return Err(Error::Shape {
            op,
            detail: format!("blocks to stack have {ncols} and {} columns", other.ncols()),
        });
    }
    let mut all = ColMat::zeros(parts.iter().map(|p| p.nrows()).sum(), ncols);
    let mut row = 0;
    for part in parts {
        all.as_mut().sub(row, 0, part.nrows(), ncols).copy_from(*part);
        row += part.nrows();
    }
    Ok(all)
}

pub(crate) fn tsqr_merge<T: Field>(parts: &[MatRef<'_, T>], par: Par) -> Result<(Vec<Mat<T>>, Mat<T>)> {
    let all = stack("tsqr_merge", parts)?;
    let (q, r) = qr(all.as_ref(), par);
    let mut row = 0;
    let pieces = parts
        .iter()
        .map(|part| {
            let piece = Mat::copied(q.as_ref().sub(row, 0, part.nrows(), q.ncols()));
            row += part.nrows();
            piece
        })
        .collect();
    Ok((pieces, r))
}

pub(crate) fn tsqr_merge_r_only<T: Field>(parts: &[MatRef<'_, T>], par: Par) -> Result<Mat<T>> {
    Ok(qr_r_only(stack("tsqr_merge", parts)?.as_ref(), par))
}

fn nan<T: Scalar>(nrows: usize, ncols: usize) -> Mat<T> {
    Mat::filled(nrows, ncols, T::from_parts(T::Re::NAN, T::Re::NAN))
}

fn nan_upper<T: Scalar>(nrows: usize, ncols: usize) -> Mat<T> {
    upper(nan::<T>(nrows, ncols).as_ref(), nrows)
}
