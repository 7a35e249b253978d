//! Triangular systems, by square tiles: substitution, forwards for a lower triangle, backwards for an upper one.
//!
//! In the order of substitution, task `(p, c, q)` subtracts from block row `p` of the right-hand side (its block column `c`) what
//! block row `q` of the solution contributes, in place; with `q = p` it solves with the diagonal tile.

use super::blocks::{Num, block, in_block, mat, mat_mut, matrix, with_num, writable};
use super::nodes::{as_vector, at as place, chunk, collect, next, opaque, transpose};
use super::{Limits, cast, common_dtype, right_side, square};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::Expr;
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::{Mat, Par, Trans, gemm, solve_triangular as dense_solve};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

struct Substitution {
    dtype: DType,
    cuts: AxisChunks,
    right: AxisChunks,
    lower: bool,
    conjugate: bool,
    unit: bool,
}

/// A tile, conjugated if the system is with the adjoint.
fn conjugated<T: Num>(a: &crate::block::Block, yes: bool) -> Option<Mat<T>> {
    let a = mat::<T>(a);
    (yes && T::IS_COMPLEX).then(|| Mat::from_fn(a.nrows(), a.ncols(), |i, j| a.at(i, j).conjugate()))
}

impl Substitution {
    fn count(&self) -> u32 {
        self.cuts.count() as u32
    }
    /// The block row that is solved as the `p`-th.
    fn row(&self, p: u32) -> u32 {
        if self.lower { p } else { self.count() - 1 - p }
    }
    fn own(&self, p: u32, c: u32, q: u32) -> Request {
        Request::Own((p * self.right.count() as u32 + c) * self.count() + q)
    }
    fn run_as<T: Num>(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let (p, q) = (at[0], at[2]);
        let mut given = inputs.drain(..);
        let (state, a) = (next(&mut given)?, matrix::<T>(next(&mut given)?)?);
        let fixed = conjugated::<T>(&a, self.conjugate);
        let a = fixed.as_ref().map_or_else(|| mat::<T>(&a), |m| m.as_ref());
        let failed = |e| in_block(e, self.row(p), self.row(q));
        if q == p {
            let b = matrix::<T>(state)?;
            let x = dense_solve(a, mat(&b), self.lower, Trans::No, self.unit, Par::Seq).map_err(failed)?;
            return Ok(Value::Block(block(x.as_ref())?));
        }
        let mut b = writable::<T>(state)?;
        let x = matrix::<T>(next(&mut given)?)?;
        gemm(mat_mut(&mut b), true, -T::ONE, a, mat(&x), Par::Seq).map_err(failed)?;
        Ok(Value::Block(b))
    }
    fn area(&self, at: &[u32]) -> u64 {
        let height = self.cuts.sizes()[self.row(at[0]) as usize];
        height * self.right.sizes()[at[1] as usize] * self.dtype.size() as u64
    }
}

impl BlockOp for Substitution {
    fn name(&self) -> &str {
        "substitution"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("substitution {} {} {}", self.lower, self.conjugate, self.unit))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.count(), self.right.count() as u32, self.count()]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (p, c, q) = (at[0], at[1], at[2]);
        out.push(if q == 0 { chunk(1, &[self.row(p), c]) } else { self.own(p, c, q - 1) });
        out.push(chunk(0, &[self.row(p), self.row(q)]));
        if q < p {
            out.push(self.own(q, c, q));
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(at, inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.area(at)
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        let tile = self.cuts.sizes()[self.row(at[0]) as usize] * self.cuts.sizes()[self.row(at[2]) as usize];
        let copy =
            if self.conjugate && self.dtype.is_complex() { tile * self.dtype.size() as u64 } else { 0 };
        copy + if at[0] == at[2] { 2 * self.area(at) } else { 0 }
    }
}

/// Solves `op(A) X = B` for a triangular A, of which only the named triangle is read. B may be a vector.
///
/// # Errors
/// Unsupported dtypes, shapes that do not fit, unknown chunk lengths. When run: a zero on the diagonal.
pub fn solve_triangular(
    a: &Expr,
    b: &Expr,
    lower: bool,
    trans: Trans,
    unit_diagonal: bool,
    limits: &Limits,
) -> Result<Expr> {
    let dtype = common_dtype(a.dtype(), b.dtype())?;
    let a = square("solve_triangular", a)?;
    let b = right_side("solve_triangular", b, a.rows, dtype)?;
    let side = limits.tile(a.expr.chunks());
    let cuts = AxisChunks::try_uniform(a.rows, side)?;
    let right = AxisChunks::try_uniform(b.cols, side)?;
    let transposed = trans != Trans::No;
    let matrix = cast(&if transposed { transpose(&a.expr) } else { a.expr }, dtype);
    let chunks: Chunks = smallvec![cuts.clone(), right.clone()];
    let inputs = vec![matrix.rechunk(smallvec![cuts.clone(), cuts.clone()]), b.expr.rechunk(chunks.clone())];
    let lower = lower != transposed;
    let op =
        Substitution { dtype, cuts, right, lower, conjugate: trans == Trans::Adjoint, unit: unit_diagonal };
    let last = op.count() - 1;
    let solved = opaque(Arc::new(op), inputs, dtype)?;
    let x = collect(
        if lower { "solve_triangular" } else { "solve_triangular (upper)" },
        &solved,
        chunks,
        move |at| {
            let p = if lower { at[0] } else { last - at[0] };
            Some(place(&[p, at[1], p]))
        },
    );
    Ok(if b.vector { as_vector(&x) } else { x })
}
