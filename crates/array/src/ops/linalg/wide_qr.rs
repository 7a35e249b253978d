//! QR of a wide matrix whose rows lie in one chunk: the leading square is factorised in one task, and its reflections are
//! applied to the columns right of it, block by block. Q is square and belongs to the leading columns alone.

use super::blocks::{Num, block, cols, identity, kernel_error, mat, mat_mut, matrix, with_num};
use super::nodes::{chunk, next, opaque};
use super::{Limits, count};
use crate::block::Block;
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::source::Range;
use crate::value::Value;
use pantile_linalg::{Par, Side, apply_geqrt, geqrt};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The memory that the largest task needs.
pub(super) fn working_bytes(rows: u64, longest: u64, dtype: DType) -> u64 {
    let (rows, longest) = (count(rows), count(longest));
    ((count(6) * rows * rows).max(count(4) * rows * longest) * count(dtype.size() as u64)).0
}

fn whole_rows(input: usize, rows: u64, start: u64, len: u64) -> Request {
    let ranges = smallvec![Range { start: 0, step: 1, len: rows }, Range { start, step: 1, len }];
    Request::Box { input, ranges }
}

/// The leading square.
struct Leading {
    dtype: DType,
    rows: u64,
    par: Par,
}

impl BlockOp for Leading {
    fn name(&self) -> &str {
        "qr-leading"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("qr-leading {:?}", self.par))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![1]
    }
    fn requests(&self, _at: &[u32], out: &mut Vec<Request>) {
        out.push(whole_rows(0, self.rows, 0, self.rows));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => {
            let a = matrix::<T>(next(&mut inputs.drain(..))?)?;
            let (r, q) = geqrt(mat::<T>(&a), self.par);
            let (v, t) = q.into_parts();
            let parts = [r, v, t].iter().map(|m| block(m.as_ref()).map(Value::Block)).collect::<Result<Vec<_>>>()?;
            Ok(Value::Many(Arc::new(parts)))
        })
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        (2 * self.rows + 64) * self.rows * self.dtype.size() as u64
    }
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        3 * self.rows * self.rows * self.dtype.size() as u64
    }
}

/// A block of columns of R.
struct Columns {
    dtype: DType,
    rows: u64,
    cuts: AxisChunks,
}

impl Columns {
    /// The columns of a block that lie in the leading square, and those right of it: starts and lengths.
    fn split(&self, j: u32) -> ((u64, u64), (u64, u64)) {
        let (start, len) = (self.cuts.start(j as usize), self.cuts.sizes()[j as usize]);
        let left = self.rows.saturating_sub(start).min(len);
        ((start, left), (start + left, len - left))
    }
    fn run_as<T: Num>(&self, j: u32, inputs: &mut Vec<Value>) -> Result<Block> {
        let ((start, left), (_, right)) = self.split(j);
        let mut given = inputs.drain(..);
        let factor = next(&mut given)?;
        let parts = factor.parts()?;
        let triangle =
            || -> Result<Block> { Ok(cols(&matrix::<T>(parts[0].clone())?, start as usize, left as usize)) };
        if right == 0 {
            // A copy: a few columns must not keep the whole triangle in memory.
            return Ok(triangle()?.to_owned_block()?);
        }
        let rows = self.rows as usize;
        let mut out = Block::alloc(T::DTYPE, &[rows, (left + right) as usize])?;
        let a = matrix::<T>(next(&mut given)?)?;
        let (v, t) = (matrix::<T>(parts[1].clone())?, matrix::<T>(parts[2].clone())?);
        let (mut leading, mut rest) = mat_mut::<T>(&mut out).split_at_col(left as usize);
        if left > 0 {
            leading.copy_from(mat(&triangle()?));
        }
        rest.copy_from(mat(&a));
        apply_geqrt(mat(&v), mat(&t), Side::QAdjoint, rest, Par::Seq).map_err(kernel_error)?;
        Ok(out)
    }
}

impl BlockOp for Columns {
    fn name(&self) -> &str {
        "qr-r"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("qr-r wide {:?}", self.cuts))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![1, self.cuts.count() as u32]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &[0]));
        let (_, (start, right)) = self.split(at[1]);
        if right > 0 {
            out.push(whole_rows(1, self.rows, start, right));
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => Ok(Value::Block(self.run_as::<T>(at[1], inputs)?)))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.rows * self.cuts.sizes()[at[1] as usize] * self.dtype.size() as u64
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        3 * 64 * self.cuts.sizes()[at[1] as usize] * self.dtype.size() as u64
    }
}

/// Q: the reflections on the identity.
struct LeadingQ {
    dtype: DType,
    rows: u64,
    par: Par,
}

impl BlockOp for LeadingQ {
    fn name(&self) -> &str {
        "qr-q"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("qr-q wide {:?}", self.par))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![1, 1]
    }
    fn requests(&self, _at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &[0]));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => {
            let factor = next(&mut inputs.drain(..))?;
            let parts = factor.parts()?;
            let (v, t) = (matrix::<T>(parts[1].clone())?, matrix::<T>(parts[2].clone())?);
            let mut q = identity::<T>(self.rows as usize, self.rows as usize)?;
            apply_geqrt(mat(&v), mat(&t), Side::Q, mat_mut::<T>(&mut q), self.par).map_err(kernel_error)?;
            Ok(Value::Block(q))
        })
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        self.rows * self.rows * self.dtype.size() as u64
    }
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        3 * 64 * self.rows * self.dtype.size() as u64
    }
}

/// Q and R of a matrix with at least as many columns as rows, neither empty. The rows are put in one chunk.
pub(super) fn wide_qr(a: &Expr, limits: &Limits) -> Result<(Expr, Expr)> {
    let (dtype, cuts) = (a.dtype(), a.chunks()[1].clone());
    let rows = a.chunks()[0].len().unwrap_or(0);
    let chunks: Chunks = [AxisChunks::whole(rows), cuts.clone()].into_iter().collect();
    let a = a.rechunk(chunks.clone());
    let leading = opaque(Arc::new(Leading { dtype, rows, par: limits.par() }), vec![a.clone()], dtype)?;
    let r = Kind::Op(Arc::new(Columns { dtype, rows, cuts }), vec![leading.clone(), a]);
    let q = Kind::Op(Arc::new(LeadingQ { dtype, rows, par: limits.par() }), vec![leading]);
    let square = [AxisChunks::whole(rows), AxisChunks::whole(rows)].into_iter().collect();
    Ok((Expr::new(q, dtype, square), Expr::new(r, dtype, chunks)))
}
