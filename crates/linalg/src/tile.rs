//! The kernels of the tile QR, for arrays chunked in both directions, so that a task graph can factorise what no
//! memory holds. For the column of tiles `j`, from left to right:
//!
//! 1. [`geqrt`] of the diagonal tile; [`GeReflectors::apply`] (`QAdjoint`) to each tile right of it;
//! 2. for each tile below, in order: [`tsqrt`] of the triangle over that tile; [`TsReflectors::apply`] to the pair of
//!    tiles right of them, the first in the diagonal tile's row.
//!
//! R is then in the upper tiles. Q times a tiled matrix is the same list of reflections with `Side::Q`, backwards; the
//! thin Q starts from the identity. A diagonal tile with tiles below it needs at least as many rows as columns.

use crate::bridge::{Field, Par};
use crate::dispatch::Elem;
use crate::error::{Error, Result};
use crate::householder::{Side, StackedWy, Wy, apply_reflections, apply_stacked, upper};
use crate::mat::{ColMat, Mat};
use crate::view::{MatMut, MatRef};

/// The reflections that made a tile triangular.
#[derive(Clone, Debug)]
pub struct GeReflectors<T>(Wy<T>);

/// The reflections that annihilated a tile against a triangle above it.
#[derive(Clone, Debug)]
pub struct TsReflectors<T>(StackedWy<T>);

macro_rules! reflectors {
    ($name:ident, $inner:ident) => {
        impl<T: Elem> $name<T> {
            /// Gives up the storage, two row-major matrices: Vᵀ and Tᵀ. For moving a payload between tasks or to disk.
            pub fn into_parts(self) -> (Mat<T>, Mat<T>) {
                (self.0.v.into_transpose(), self.0.t.into_transpose())
            }
            /// The inverse of `into_parts`. The two matrices must come from there.
            pub fn from_parts(v_transpose: Mat<T>, t_transpose: Mat<T>) -> Self {
                Self($inner {
                    v: ColMat::from_transpose(v_transpose),
                    t: ColMat::from_transpose(t_transpose),
                })
            }
            /// The memory held, in bytes.
            pub fn bytes(&self) -> usize {
                let elements = |a: MatRef<'_, T>| a.nrows() * a.ncols();
                (elements(self.0.v.as_ref()) + elements(self.0.t.as_ref())) * size_of::<T>()
            }
        }
    };
}
reflectors!(GeReflectors, Wy);
reflectors!(TsReflectors, StackedWy);

impl<T: Elem> GeReflectors<T> {
    /// Multiplies a tile of as many rows from the left by the full Q, or its adjoint, in place.
    pub fn apply(&self, side: Side, c: MatMut<'_, T>, par: Par) -> Result<()> {
        T::ge_apply(self.0.v.as_ref(), self.0.t.as_ref(), side, c, par)
    }
}

impl<T: Elem> TsReflectors<T> {
    /// Multiplies a pair of tiles from the left by Q or its adjoint, in place. `top` may have more rows than the
    /// triangle had columns; the rows beyond are not touched.
    pub fn apply(&self, side: Side, top: MatMut<'_, T>, bottom: MatMut<'_, T>, par: Par) -> Result<()> {
        T::ts_apply(self.0.v.as_ref(), self.0.t.as_ref(), side, top, bottom, par)
    }
}

/// Factorises a tile: R (`min(m, n)` by n, upper trapezoidal) and the reflections.
pub fn geqrt<T: Elem>(a: MatRef<'_, T>, par: Par) -> (Mat<T>, GeReflectors<T>) {
    T::geqrt(a, par)
}

/// Factorises an upper triangle `r` (n by n) stacked on a tile `a` (m by n): the new triangle and the reflections.
/// Only the upper triangle of `r` is read.
pub fn tsqrt<T: Elem>(r: MatRef<'_, T>, a: MatRef<'_, T>, par: Par) -> Result<(Mat<T>, TsReflectors<T>)> {
    T::tsqrt(r, a, par)
}

pub(crate) fn geqrt_impl<T: Field>(a: MatRef<'_, T>, par: Par) -> (Mat<T>, GeReflectors<T>) {
    let mut work = ColMat::copied(a);
    let wy = Wy::factor(&mut work, par);
    (upper(work.as_ref(), a.nrows().min(a.ncols())), GeReflectors(wy))
}

pub(crate) fn tsqrt_impl<T: Field>(
    r: MatRef<'_, T>,
    a: MatRef<'_, T>,
    par: Par,
) -> Result<(Mat<T>, TsReflectors<T>)> {
    let n = a.ncols();
    if r.nrows() != n || r.ncols() != n {
        return Err(Error::Unsupported {
            op: "tsqrt",
            reason: format!(
                "the triangle must be {n}x{n} to stack on a tile of {n} columns, it is {}x{}; choose chunks with at \
                 least as many rows as columns",
                r.nrows(),
                r.ncols()
            ),
        });
    }
    let mut work = ColMat::copied(r);
    let wy = StackedWy::factor(&mut work, a, par);
    Ok((upper(work.as_ref(), n), TsReflectors(wy)))
}

/// [`GeReflectors::apply`] for reflections whose two matrices (of `into_parts`) lie in the caller's memory.
pub fn apply_geqrt<T: Elem>(
    v_transpose: MatRef<'_, T>,
    t_transpose: MatRef<'_, T>,
    side: Side,
    c: MatMut<'_, T>,
    par: Par,
) -> Result<()> {
    T::ge_apply(v_transpose.transpose(), t_transpose.transpose(), side, c, par)
}

/// [`TsReflectors::apply`] for reflections whose two matrices (of `into_parts`) lie in the caller's memory.
pub fn apply_tsqrt<T: Elem>(
    v_transpose: MatRef<'_, T>,
    t_transpose: MatRef<'_, T>,
    side: Side,
    top: MatMut<'_, T>,
    bottom: MatMut<'_, T>,
    par: Par,
) -> Result<()> {
    T::ts_apply(v_transpose.transpose(), t_transpose.transpose(), side, top, bottom, par)
}

pub(crate) fn ge_apply_impl<T: Field>(
    v: MatRef<'_, T>,
    t: MatRef<'_, T>,
    side: Side,
    c: MatMut<'_, T>,
    par: Par,
) -> Result<()> {
    let rows = v.nrows();
    if c.nrows() != rows {
        return Err(Error::Shape {
            op: "apply",
            detail: format!("Q is {rows}x{rows}, the tile has {} rows", c.nrows()),
        });
    }
    apply_reflections(v, t, side, c, par);
    Ok(())
}

pub(crate) fn ts_apply_impl<T: Field>(
    v: MatRef<'_, T>,
    t: MatRef<'_, T>,
    side: Side,
    top: MatMut<'_, T>,
    bottom: MatMut<'_, T>,
    par: Par,
) -> Result<()> {
    let (m, n) = (v.nrows(), v.ncols());
    if top.nrows() < n || bottom.nrows() != m || top.ncols() != bottom.ncols() {
        return Err(Error::Shape {
            op: "apply",
            detail: format!(
                "Q mixes {n} rows with {m}, the tiles are {}x{} and {}x{}",
                top.nrows(),
                top.ncols(),
                bottom.nrows(),
                bottom.ncols()
            ),
        });
    }
    let columns = top.ncols();
    apply_stacked(v, t, side, top.sub(0, 0, n, columns), bottom, par);
    Ok(())
}
