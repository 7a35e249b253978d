//! Linear algebra on chunked matrices, composed from the dense kernels of `pantile-linalg`.
//!
//! Reading order: `blocks` (blocks as matrices), `nodes` (small nodes), `share` (by-products), then the methods:
//! `tsqr` (tall and skinny), `tile_qr` (chunked both ways), `wide_qr`, and `qr` which chooses; `svd`; `cholesky`; `triangular`; `lu`
//! and what follows from it in `solve`; `lstsq`.
//!
//! A function builds nodes and computes nothing. Each method is a fixed number of nodes, whatever the number of blocks: its
//! tasks refer to each other with `Request::Own`. Parts that nobody asks for are never made: asking for R alone forms no Q,
//! asking for singular values alone forms no vectors. What is singular or not positive definite is known only when
//! the tasks run.
//!
//! Not here: norms (elementwise and reductions do them), eigenvalues, and stacks of matrices (arrays of more than two
//! dimensions), which are refused.

mod blocks;
mod cholesky;
mod lstsq;
mod lu;
mod nodes;
mod qr;
pub mod share;
mod solve;
mod svd;
mod tile_qr;
mod triangular;
mod tsqr;
mod wide_qr;

pub use cholesky::cholesky;
pub use lstsq::{Lstsq, lstsq};
pub use qr::qr;
pub use solve::{det, inv, slogdet, solve};
pub use svd::{svd, svdvals};
pub use triangular::solve_triangular;

use crate::chunks::{AxisChunks, short_list};
use crate::error::{ArrayError, Result, UserKind};
use crate::expr::{Expr, Kind};
use crate::program::MapOp;
use pantile_linalg::Par;
use pantile_types::DType;
use smallvec::smallvec;
use std::num::Saturating;

/// A number of elements or bytes in an estimate: matrices may be of any size before somebody says that they do not fit, so
/// their estimates must not wrap.
fn count(n: u64) -> Saturating<u64> {
    Saturating(n)
}

/// What the methods may use. The caller knows the machine; these functions do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most memory that one dense task may need in all: what it reads, works in and returns. Callers give half of a run's
    /// memory limit, and messages say so.
    pub max_dense_bytes: u64,
    /// How many threads of the pool a dense task that runs alone may use.
    pub threads: usize,
    /// Square tiles have sides of at least this length, so that a task outweighs its scheduling,
    pub min_tile: u64,
    /// and of at most this length, so that there are tasks enough and a tile stays in the cache.
    pub max_tile: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_dense_bytes: 1 << 30, threads: 1, min_tile: 256, max_tile: 1024 }
    }
}

impl Limits {
    /// The parallelism of a task that runs alone.
    fn par(&self) -> Par {
        if self.threads > 1 { Par::Threads(self.threads) } else { Par::Seq }
    }

    /// The side of square tiles for an array with these cuts: what it has already where that is sensible.
    fn tile(&self, chunks: &[AxisChunks]) -> u64 {
        let present = chunks.iter().map(AxisChunks::longest).min().unwrap_or(1).max(1);
        if present <= self.max_tile {
            return present.max(self.min_tile).max(1);
        }
        // Equal parts of the present chunks, so that tiles are views of blocks.
        present.div_ceil(present.div_ceil(self.max_tile.max(1)))
    }
}

/// Shapes in messages.
fn dims(rows: u64, cols: u64) -> String {
    format!("({rows}, {cols})")
}

/// A matrix as the kernels take it: two-dimensional, of known shape, in one of the four dtypes.
struct Matrix {
    expr: Expr,
    rows: u64,
    cols: u64,
}

/// NumPy's rule: integers and booleans compute in `float64`, the four floating types in themselves.
fn linalg_dtype(dtype: DType) -> Result<DType> {
    match dtype {
        DType::F32 | DType::F64 | DType::C64 | DType::C128 => Ok(dtype),
        DType::Bool => Ok(DType::F64),
        d if d.is_int() => Ok(DType::F64),
        d => Err(ArrayError::ty(format!("array type {} is unsupported in linalg", d.name()))),
    }
}

/// The dtype in which two operands meet.
fn common_dtype(a: DType, b: DType) -> Result<DType> {
    let (a, b) = (linalg_dtype(a)?, linalg_dtype(b)?);
    let double = [a, b].iter().any(|d| matches!(d, DType::F64 | DType::C128));
    Ok(match (a.is_complex() || b.is_complex(), double) {
        (false, false) => DType::F32,
        (false, true) => DType::F64,
        (true, false) => DType::C64,
        (true, true) => DType::C128,
    })
}

/// The array in another dtype.
fn cast(a: &Expr, dtype: DType) -> Expr {
    if a.dtype() == dtype {
        return a.clone();
    }
    Expr::new(Kind::Map(MapOp::Cast(a.dtype(), dtype), smallvec![a.clone()]), dtype, a.chunks().clone())
}

/// Checks that the lengths of all axes are known.
fn known(op: &str, a: &Expr) -> Result<()> {
    if let Some(axis) = a.chunks().iter().position(|c| !c.is_known()) {
        return Err(ArrayError::value(format!(
            "{op} needs known chunk lengths, but those along axis {axis} are only known once the array is computed \
             (it depends on a boolean mask, for instance); call compute_chunk_sizes() first"
        )));
    }
    Ok(())
}

/// Checks the argument of a factorisation and converts its dtype.
fn matrix(op: &str, a: &Expr) -> Result<Matrix> {
    let dtype = linalg_dtype(a.dtype())?;
    if a.ndim() < 2 {
        return Err(ArrayError::User(
            UserKind::LinAlg,
            format!("{}-dimensional array given. Array must be at least two-dimensional", a.ndim()),
        ));
    }
    if a.ndim() > 2 {
        return Err(ArrayError::Unsupported(format!(
            "{op} of a stack of matrices ({}-dimensional array): only single matrices are factorised across chunks; \
             use map_blocks with NumPy's function where each matrix lies in one chunk",
            a.ndim()
        )));
    }
    known(op, a)?;
    let shape = a.known_shape().ok_or_else(|| ArrayError::bug("known chunks without a shape"))?;
    Ok(Matrix { expr: cast(a, dtype), rows: shape[0], cols: shape[1] })
}

/// As `matrix`, and square.
fn square(op: &str, a: &Expr) -> Result<Matrix> {
    let m = matrix(op, a)?;
    if m.rows != m.cols {
        return Err(ArrayError::User(
            UserKind::LinAlg,
            format!(
                "Last 2 dimensions of the array must be square, but the shape is {}",
                dims(m.rows, m.cols)
            ),
        ));
    }
    Ok(m)
}

/// A right-hand side: a vector becomes a matrix of one column.
struct RightSide {
    expr: Expr,
    cols: u64,
    vector: bool,
}

/// Checks a right-hand side against the number of rows, in a common dtype.
fn right_side(op: &str, b: &Expr, rows: u64, dtype: DType) -> Result<RightSide> {
    if b.ndim() == 0 || b.ndim() > 2 {
        return Err(ArrayError::Unsupported(format!(
            "{op} takes a right-hand side of one or two dimensions, not {}",
            b.ndim()
        )));
    }
    known(op, b)?;
    let shape = b.known_shape().ok_or_else(|| ArrayError::bug("known chunks without a shape"))?;
    if shape[0] != rows {
        return Err(ArrayError::value(format!(
            "{op}: the matrix has {rows} rows but the right-hand side has {} (shape {})",
            shape[0],
            short_list(&shape)
        )));
    }
    let b = cast(b, dtype);
    let vector = b.ndim() == 1;
    let expr = if vector { nodes::as_column(&b) } else { b };
    Ok(RightSide { cols: if vector { 1 } else { shape[1] }, expr, vector })
}

/// The error for what one task cannot hold.
fn too_large(op: &str, rows: u64, cols: u64, need: u64, limits: &Limits, advice: &str) -> ArrayError {
    ArrayError::Unsupported(format!(
        "{op} of a matrix of shape {} needs a dense step of about {} MiB, but one task may use {} MiB, half of the memory limit; {advice}",
        dims(rows, cols),
        need.div_ceil(1 << 20),
        limits.max_dense_bytes >> 20
    ))
}
