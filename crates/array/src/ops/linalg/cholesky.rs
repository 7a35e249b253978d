//! The Cholesky factor, by square tiles.
//!
//! Tile `(i, j)` of the lower triangle is updated with each column of tiles left of it, `L_ik L_jkᴴ`, in place, and is then
//! finished: factorised if it lies on the diagonal, divided by the diagonal tile's factor if below. Task `(i, j, k)` is the
//! update with column `k`, and with `k = j` the finish. A task holds three tiles. The upper triangle is not read.

use super::blocks::{Num, block, in_block, mat, mat_mut, matrix, with_adjoint, with_num, writable};
use super::nodes::{at as place, chunk, collect, next, opaque};
use super::{Limits, square};
use crate::chunks::AxisChunks;
use crate::error::Result;
use crate::expr::Expr;
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::{Error, Par, Trans, cholesky as dense_cholesky, gemm, solve_triangular};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

struct Tiles {
    dtype: DType,
    cuts: AxisChunks,
    par: Par,
}

impl Tiles {
    fn count(&self) -> u32 {
        self.cuts.count() as u32
    }
    fn own(&self, i: u32, j: u32, k: u32) -> Request {
        Request::Own((i * self.count() + j) * self.count() + k)
    }
    fn area(&self, at: &[u32]) -> u64 {
        self.cuts.sizes()[at[0] as usize] * self.cuts.sizes()[at[1] as usize] * self.dtype.size() as u64
    }
    fn run_as<T: Num>(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let (i, j, k) = (at[0], at[1], at[2]);
        let mut given = inputs.drain(..);
        let tile = next(&mut given)?;
        if k < j {
            let mut tile = writable::<T>(tile)?;
            let left = matrix::<T>(next(&mut given)?)?;
            let right = if i == j { left.clone() } else { matrix::<T>(next(&mut given)?)? };
            let out = mat_mut::<T>(&mut tile);
            with_adjoint(mat(&right), |r| gemm(out, true, -T::ONE, mat(&left), r, Par::Seq))
                .map_err(|e| in_block(e, i, j))?;
            return Ok(Value::Block(tile));
        }
        let tile = matrix::<T>(tile)?;
        let done = if i == j {
            let before = self.cuts.start(j as usize) as usize;
            let l = dense_cholesky(mat::<T>(&tile), self.par).map_err(|e| match e {
                Error::NotPositiveDefinite { order } => {
                    in_block(Error::NotPositiveDefinite { order: before + order }, i, j)
                }
                other => in_block(other, i, j),
            })?;
            block(l.as_ref())?
        } else {
            // X Lᴴ = A is L Xᴴ = Aᴴ.
            let l = matrix::<T>(next(&mut given)?)?;
            let x = with_adjoint(mat::<T>(&tile), |a| {
                solve_triangular(mat(&l), a, true, Trans::No, false, Par::Seq)
            })
            .map_err(|e| in_block(e, j, j))?;
            with_adjoint(x.as_ref(), block)?
        };
        Ok(Value::Block(done))
    }
}

impl BlockOp for Tiles {
    fn name(&self) -> &str {
        "cholesky-tiles"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("cholesky-tiles {:?}", self.par))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        SmallVec::from_elem(self.count(), 3)
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (i, j, k) = (at[0], at[1], at[2]);
        out.push(if k == 0 { chunk(0, &[i, j]) } else { self.own(i, j, k - 1) });
        if k < j {
            out.push(self.own(i, k, k));
        }
        if i != j {
            out.push(self.own(j, k, k));
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(at, inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.area(at)
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        // A finish works in a copy and returns a matrix that becomes a block; an update of complex tiles conjugates one.
        if at[2] == at[1] {
            2 * self.area(at)
        } else if self.dtype.is_complex() {
            self.area(at)
        } else {
            0
        }
    }
}

/// The lower triangular L with `A = L Lᴴ`. Only the lower triangle of A is read.
///
/// # Errors
/// Unsupported dtypes, other than two dimensions, not square, unknown chunk lengths. When run: not positive definite.
pub fn cholesky(a: &Expr, limits: &Limits) -> Result<Expr> {
    let a = square("cholesky", a)?;
    let cuts = AxisChunks::try_uniform(a.rows, limits.tile(a.expr.chunks()))?;
    let chunks: crate::chunks::Chunks = smallvec![cuts.clone(), cuts.clone()];
    let dtype = a.expr.dtype();
    let par = if cuts.count() == 1 { limits.par() } else { Par::Seq };
    let tiles = opaque(Arc::new(Tiles { dtype, cuts, par }), vec![a.expr.rechunk(chunks.clone())], dtype)?;
    Ok(collect("cholesky", &tiles, chunks, |at| (at[1] <= at[0]).then(|| place(&[at[0], at[1], at[1]]))))
}
