//! An owned matrix: a vector, row after row. What the factorisations return.

use crate::scalar::Scalar;
use crate::view::{MatMut, MatRef};

/// A dense row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Mat<T> {
    data: Vec<T>,
    nrows: usize,
    ncols: usize,
}

impl<T: Copy> Mat<T> {
    /// A matrix with one value everywhere.
    pub fn filled(nrows: usize, ncols: usize, value: T) -> Self {
        Self { data: vec![value; nrows * ncols], nrows, ncols }
    }
    /// A matrix whose elements come from a function of their position.
    pub fn from_fn(nrows: usize, ncols: usize, mut f: impl FnMut(usize, usize) -> T) -> Self {
        let data = (0..nrows * ncols).map(|p| f(p / ncols, p % ncols)).collect();
        Self { data, nrows, ncols }
    }
    /// Takes over a row-major vector.
    pub fn from_vec(data: Vec<T>, nrows: usize, ncols: usize) -> Self {
        assert_eq!(data.len(), nrows * ncols, "vector length must be rows times columns");
        Self { data, nrows, ncols }
    }
    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }
    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.ncols
    }
    /// The element at a position.
    pub fn at(&self, i: usize, j: usize) -> T {
        self.as_ref().at(i, j)
    }
    /// A shared view.
    #[allow(clippy::should_implement_trait)]
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef::from_slice(&self.data, self.nrows, self.ncols)
    }
    /// An exclusive view.
    #[allow(clippy::should_implement_trait)]
    pub fn as_mut(&mut self) -> MatMut<'_, T> {
        MatMut::from_slice(&mut self.data, self.nrows, self.ncols)
    }
    /// The elements, row after row.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }
    /// Gives up the elements, row after row.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }
}

impl<T: Scalar> Mat<T> {
    /// A matrix of zeros.
    pub fn zeros(nrows: usize, ncols: usize) -> Self {
        Self::filled(nrows, ncols, T::ZERO)
    }
    /// Ones on the diagonal, zeros elsewhere.
    pub fn eye(nrows: usize, ncols: usize) -> Self {
        let mut out = Self::zeros(nrows, ncols);
        for i in 0..nrows.min(ncols) {
            out.as_mut().set(i, i, T::ONE);
        }
        out
    }
    /// A copy of a view.
    pub fn copied(src: MatRef<'_, T>) -> Self {
        let mut out = Self::zeros(src.nrows(), src.ncols());
        out.as_mut().copy_from(src);
        out
    }
}

/// Working storage of the factorisations, column after column: the row-major storage of the transpose.
#[derive(Clone, Debug)]
pub(crate) struct ColMat<T>(Mat<T>);

impl<T: Scalar> ColMat<T> {
    pub fn zeros(nrows: usize, ncols: usize) -> Self {
        Self(Mat::zeros(ncols, nrows))
    }
    pub fn copied(src: MatRef<'_, T>) -> Self {
        Self(Mat::copied(src.transpose()))
    }
    pub fn as_ref(&self) -> MatRef<'_, T> {
        self.0.as_ref().transpose()
    }
    pub fn as_mut(&mut self) -> MatMut<'_, T> {
        self.0.as_mut().transpose()
    }
    /// The row-major matrix with the same content.
    pub fn to_mat(&self) -> Mat<T> {
        Mat::copied(self.as_ref())
    }
    /// The row-major transpose, without moving data.
    pub fn into_transpose(self) -> Mat<T> {
        self.0
    }
    /// The matrix whose row-major transpose is given, without moving data.
    pub fn from_transpose(transpose: Mat<T>) -> Self {
        Self(transpose)
    }
}
