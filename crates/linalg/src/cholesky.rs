//! The Cholesky factor of one block. Only the lower triangle is read, as in NumPy.

use crate::bridge::{Field, Par, fmut};
use crate::eigh::{Triangle, lower_part};
use crate::error::{Error, Result, square};
use crate::mat::Mat;
use crate::scalar::Scalar;
use crate::view::MatRef;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor;

pub(crate) fn cholesky<T: Field>(a: MatRef<'_, T>, par: Par) -> Result<Mat<T>> {
    let n = square("cholesky", a.nrows(), a.ncols())?;
    let mut work = lower_part(a, Triangle::Lower);
    if n > 0 {
        let params: factor::LltParams = faer::Auto::<T>::auto();
        let par = par.to_faer();
        let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<T>(n, par, params.into()));
        factor::cholesky_in_place(
            fmut(work.as_mut()),
            factor::LltRegularization {
                dynamic_regularization_delta: <T::Re as Scalar>::ZERO,
                dynamic_regularization_epsilon: <T::Re as Scalar>::ZERO,
            },
            par,
            MemStack::new(&mut memory),
            params.into(),
        )
        .map_err(|factor::LltError::NonPositivePivot { index }| Error::NotPositiveDefinite {
            order: index + 1,
        })?;
    }
    for j in 1..n {
        work.as_mut().sub(0, j, j, 1).fill(T::ZERO);
    }
    Ok(work.to_mat())
}
