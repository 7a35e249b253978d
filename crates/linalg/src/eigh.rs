//! Eigenvalues and eigenvectors of a symmetric or Hermitian block, by faer's tridiagonalisation and divide and conquer.
//! One triangle is read; the other, and imaginary parts on the diagonal, are ignored, as in NumPy.

use crate::bridge::{Field, Par, fmut, fref};
use crate::error::{Error, Result, square};
use crate::mat::{ColMat, Mat};
use crate::scalar::Scalar;
use crate::svd::{scaled, unscale};
use crate::view::MatRef;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, SelfAdjointEvdParams};

/// Which triangle of a symmetric or Hermitian matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The lower one, NumPy's default.
    Lower,
    /// The upper one.
    Upper,
}

/// The lower triangle of a Hermitian matrix, with zeros above, from either of its triangles.
pub(crate) fn lower_part<T: Scalar>(a: MatRef<'_, T>, triangle: Triangle) -> ColMat<T> {
    let n = a.nrows();
    let mut out = ColMat::zeros(n, n);
    let mut view = out.as_mut();
    for j in 0..n {
        view.set(j, j, T::from_parts(a.at(j, j).re(), <T::Re as Scalar>::ZERO));
        for i in j + 1..n {
            let x = match triangle {
                Triangle::Lower => a.at(i, j),
                Triangle::Upper => a.at(j, i).conjugate(),
            };
            view.set(i, j, x);
        }
    }
    out
}

fn run<T: Field>(
    a: MatRef<'_, T>,
    triangle: Triangle,
    mut vectors: Option<&mut ColMat<T>>,
    par: Par,
) -> Result<Vec<<T as Scalar>::Re>> {
    let n = square("eigh", a.nrows(), a.ncols())?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let (work, exponent) = scaled("eigh", lower_part(a, triangle).as_ref())?;
    let want = if vectors.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let mut w = vec![T::ZERO; n];
    let par = par.to_faer();
    let mut params = <SelfAdjointEvdParams as faer::Auto<T>>::auto();
    for attempt in 0..2 {
        if attempt == 1 {
            params.recursion_threshold = usize::MAX;
        }
        let request = faer::linalg::evd::self_adjoint_evd_scratch::<T>(n, want, par, params.into());
        let mut memory = MemBuffer::new(request);
        let outcome = faer::linalg::evd::self_adjoint_evd(
            fref(work.as_ref()),
            DiagMut::from_slice_mut(&mut w),
            vectors.as_mut().map(|v| fmut(v.as_mut())),
            par,
            MemStack::new(&mut memory),
            params.into(),
        );
        if outcome.is_ok() && w.iter().all(|x| x.finite()) {
            let mut values: Vec<_> = w.iter().map(|x| x.re()).collect();
            unscale(&mut values, exponent);
            return Ok(values);
        }
    }
    Err(Error::DidNotConverge { op: "eigh" })
}

pub(crate) fn eigh<T: Field>(
    a: MatRef<'_, T>,
    triangle: Triangle,
    par: Par,
) -> Result<(Vec<<T as Scalar>::Re>, Mat<T>)> {
    let mut v = ColMat::zeros(a.nrows(), a.nrows());
    let w = run(a, triangle, Some(&mut v), par)?;
    Ok((w, v.to_mat()))
}

pub(crate) fn eigvalsh<T: Field>(
    a: MatRef<'_, T>,
    triangle: Triangle,
    par: Par,
) -> Result<Vec<<T as Scalar>::Re>> {
    run(a, triangle, None, par)
}
