//! QR of a matrix chunked in both directions, by square tiles.
//!
//! Panel `k`, from left to right: the diagonal tile becomes a triangle; each tile below it is annihilated against that triangle, in
//! turn; and the pairs of tiles right of them follow. A task holds a few tiles, so memory is bounded whatever the size of
//! the matrix. Q is the same list of reflections backwards, applied to the identity, tile by tile, and only
//! for the tiles of Q that are asked for. The kernels and their order are described in `pantile_linalg::geqrt`.
//!
//! A task on a pair of tiles makes both. Slot 0 is the pair, slot 1 the lower tile picked from it: without the pick the
//! upper tile, which the next task replaces, would stay alive as long as the lower one is waited for.

use super::blocks::{Num, block, identity, kernel_error, mat, mat_mut, matrix, with_num, writable, zeros};
use super::nodes::{chunk, next, opaque};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::{Par, Side, apply_geqrt, apply_tsqrt, geqrt, tsqrt};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The upper tile of a pair.
const TOP: usize = 0;
/// The lower tile of a pair.
const BOTTOM: usize = 1;

/// The tiles.
struct Tiling {
    dtype: DType,
    rows: AxisChunks,
    cols: AxisChunks,
}

impl Tiling {
    fn row_count(&self) -> u32 {
        self.rows.count() as u32
    }
    fn col_count(&self) -> u32 {
        self.cols.count() as u32
    }
    fn panels(&self) -> u32 {
        self.row_count().min(self.col_count())
    }
    fn height(&self, i: u32) -> u64 {
        self.rows.sizes()[i as usize]
    }
    fn width(&self, j: u32) -> u64 {
        self.cols.sizes()[j as usize]
    }
    fn bytes(&self, rows: u64, cols: u64) -> u64 {
        rows * cols * self.dtype.size() as u64
    }
    /// Rows of R, columns of Q.
    fn inner(&self) -> AxisChunks {
        if self.rows.len() < self.cols.len() { self.rows.clone() } else { self.cols.clone() }
    }
}

/// The index of a task in a grid of `(k, i, j, slot)`.
fn own((rows, cols): (u32, u32), k: u32, i: u32, j: u32, slot: u32) -> Request {
    Request::Own(((k * rows + i) * cols + j) * 2 + slot)
}

/// A part of a pair, or the block itself.
fn part(value: Value, which: usize) -> Result<Value> {
    match value {
        // Taken out where nobody else needs the pair, so that the tile may be overwritten.
        Value::Many(parts) => match Arc::try_unwrap(parts) {
            Ok(mut parts) => Ok(parts.swap_remove(which)),
            Err(parts) => Ok(parts[which].clone()),
        },
        other => Ok(other),
    }
}

fn many(parts: Vec<Value>) -> Value {
    Value::Many(Arc::new(parts))
}

/// Panels of reflections, and what they do to the tiles right of them.
struct Factor {
    tiling: Arc<Tiling>,
}

impl Factor {
    fn run_as<T: Num>(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let (k, i, j, slot) = (at[0], at[1], at[2], at[3]);
        let mut given = inputs.drain(..);
        if slot == 1 {
            return part(next(&mut given)?, BOTTOM);
        }
        let keep = |m: pantile_linalg::Mat<T>| block(m.as_ref()).map(Value::Block);
        if j == k {
            let (r, (v, t)) = if i == k {
                let a = matrix::<T>(next(&mut given)?)?;
                let (r, q) = geqrt(mat::<T>(&a), Par::Seq);
                (r, q.into_parts())
            } else {
                let above = matrix::<T>(next(&mut given)?.parts()?[TOP].clone())?;
                let a = matrix::<T>(next(&mut given)?)?;
                let (r, q) = tsqrt(mat::<T>(&above), mat(&a), Par::Seq).map_err(kernel_error)?;
                (r, q.into_parts())
            };
            return Ok(many(vec![keep(r)?, keep(v)?, keep(t)?]));
        }
        let q = next(&mut given)?;
        let (v, t) = (matrix::<T>(q.parts()?[1].clone())?, matrix::<T>(q.parts()?[2].clone())?);
        if i == k {
            let mut c = writable::<T>(next(&mut given)?)?;
            apply_geqrt(mat(&v), mat(&t), Side::QAdjoint, mat_mut::<T>(&mut c), Par::Seq)
                .map_err(kernel_error)?;
            return Ok(Value::Block(c));
        }
        let mut top = writable::<T>(part(next(&mut given)?, TOP)?)?;
        let mut bottom = writable::<T>(next(&mut given)?)?;
        let (upper, lower) = (mat_mut::<T>(&mut top), mat_mut::<T>(&mut bottom));
        apply_tsqrt(mat(&v), mat(&t), Side::QAdjoint, upper, lower, Par::Seq).map_err(kernel_error)?;
        Ok(many(vec![Value::Block(top), Value::Block(bottom)]))
    }
}

impl BlockOp for Factor {
    fn name(&self) -> &str {
        "qr-tiles"
    }
    fn identity(&self) -> Option<String> {
        Some("qr-tiles".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        let t = &self.tiling;
        smallvec![t.panels(), t.row_count(), t.col_count(), 2]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (k, i, j, slot) = (at[0], at[1], at[2], at[3]);
        let shape = (self.tiling.row_count(), self.tiling.col_count());
        if slot == 1 {
            out.push(own(shape, k, i, j, 0));
            return;
        }
        if j > k {
            out.push(own(shape, k, i, k, 0));
        }
        if i > k {
            out.push(own(shape, k, i - 1, j, 0));
        }
        out.push(if k == 0 { chunk(0, &[i, j]) } else { own(shape, k - 1, i, j, 1) });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.tiling.dtype, T => self.run_as::<T>(at, inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let (k, i, j, slot) = (at[0], at[1], at[2], at[3]);
        let t = &self.tiling;
        let tile = t.bytes(t.height(i), t.width(j));
        if slot == 1 || (j > k && i == k) {
            return tile;
        }
        if j > k {
            return tile + t.bytes(t.height(k), t.width(j));
        }
        // R, the reflections, and the small matrices T of their panels.
        tile + t.bytes(t.width(j) + 64, t.width(j))
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        let t = &self.tiling;
        let (height, width) = (t.height(at[1]), t.width(at[2]));
        if at[3] == 1 {
            0
        } else if at[2] == at[0] {
            t.bytes(2 * height + width, width)
        } else {
            t.bytes(3 * 64, width)
        }
    }
}

/// R: tiles of the upper rows, zeros below.
struct TilesOfR {
    tiling: Arc<Tiling>,
}

impl BlockOp for TilesOfR {
    fn name(&self) -> &str {
        "qr-r"
    }
    fn identity(&self) -> Option<String> {
        Some("qr-r tiles".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.tiling.panels(), self.tiling.col_count()]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        if at[1] >= at[0] {
            out.push(chunk(0, &[at[0], self.tiling.row_count() - 1, at[1], 0]));
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        match inputs.pop() {
            Some(value) => part(value, TOP),
            None => {
                let rows = self.tiling.inner().sizes()[at[0] as usize] as usize;
                let cols = self.tiling.width(at[1]) as usize;
                with_num!(self.tiling.dtype, T => Ok(Value::Block(zeros::<T>(rows, cols)?)))
            }
        }
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.tiling.bytes(self.tiling.inner().sizes()[at[0] as usize], self.tiling.width(at[1]))
    }
}

/// The reflections, backwards, on the columns of the identity. Column `j` has nothing below row `j` that panels after `j` could mix.
struct Apply {
    tiling: Arc<Tiling>,
}

impl Apply {
    fn shape(&self) -> (u32, u32) {
        (self.tiling.row_count(), self.tiling.panels())
    }
    fn run_as<T: Num>(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let (k, i, j, slot) = (at[0], at[1], at[2], at[3]);
        let mut given = inputs.drain(..);
        if slot == 1 {
            return part(next(&mut given)?, BOTTOM);
        }
        let t = &self.tiling;
        let width = t.inner().sizes()[j as usize] as usize;
        let q = next(&mut given)?;
        let (v, tau) = (matrix::<T>(q.parts()?[1].clone())?, matrix::<T>(q.parts()?[2].clone())?);
        let rows = t.height(k) as usize;
        let mut top = if i + 1 < t.row_count() {
            writable::<T>(part(next(&mut given)?, TOP)?)?
        } else if j == k {
            identity::<T>(rows, width)?
        } else {
            zeros::<T>(rows, width)?
        };
        if i == k {
            apply_geqrt(mat(&v), mat(&tau), Side::Q, mat_mut::<T>(&mut top), Par::Seq)
                .map_err(kernel_error)?;
            return Ok(Value::Block(top));
        }
        let mut bottom =
            if j == k { zeros::<T>(t.height(i) as usize, width)? } else { writable::<T>(next(&mut given)?)? };
        let (upper, lower) = (mat_mut::<T>(&mut top), mat_mut::<T>(&mut bottom));
        apply_tsqrt(mat(&v), mat(&tau), Side::Q, upper, lower, Par::Seq).map_err(kernel_error)?;
        Ok(many(vec![Value::Block(top), Value::Block(bottom)]))
    }
}

impl BlockOp for Apply {
    fn name(&self) -> &str {
        "qr-tiles-apply"
    }
    fn identity(&self) -> Option<String> {
        Some("qr-tiles-apply".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        let t = &self.tiling;
        smallvec![t.panels(), t.row_count(), t.panels(), 2]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (k, i, j, slot) = (at[0], at[1], at[2], at[3]);
        if slot == 1 {
            out.push(own(self.shape(), k, i, j, 0));
            return;
        }
        out.push(chunk(0, &[k, i, k, 0]));
        // The chain of panel k runs upwards and ends at the diagonal.
        if i + 1 < self.tiling.row_count() {
            out.push(own(self.shape(), k, i + 1, j, 0));
        }
        if i > k && j > k {
            // What panel k + 1 left in this row.
            out.push(if i == k + 1 {
                own(self.shape(), i, i, j, 0)
            } else {
                own(self.shape(), k + 1, i, j, 1)
            });
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.tiling.dtype, T => self.run_as::<T>(at, inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let t = &self.tiling;
        let width = t.inner().sizes()[at[2] as usize];
        let tile = t.bytes(t.height(at[1]), width);
        if at[3] == 1 || at[1] == at[0] { tile } else { tile + t.bytes(t.height(at[0]), width) }
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        if at[3] == 1 { 0 } else { self.tiling.bytes(3 * 64, self.tiling.inner().sizes()[at[2] as usize]) }
    }
}

/// Q: what the last panel left in each row.
struct TilesOfQ {
    tiling: Arc<Tiling>,
}

impl BlockOp for TilesOfQ {
    fn name(&self) -> &str {
        "qr-q"
    }
    fn identity(&self) -> Option<String> {
        Some("qr-q tiles".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.tiling.row_count(), self.tiling.panels()]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &[0, at[0], at[1], u32::from(at[0] > 0)]));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        next(&mut inputs.drain(..))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.tiling.bytes(self.tiling.height(at[0]), self.tiling.inner().sizes()[at[1] as usize])
    }
}

/// Q and R of a matrix, neither side of which is empty, in tiles of this side.
pub(super) fn tile_qr(a: &Expr, side: u64) -> Result<(Expr, Expr)> {
    let cut = |axis: usize| AxisChunks::try_uniform(a.chunks()[axis].len().unwrap_or(0), side);
    let tiling = Arc::new(Tiling { dtype: a.dtype(), rows: cut(0)?, cols: cut(1)? });
    let a = a.rechunk([tiling.rows.clone(), tiling.cols.clone()].into_iter().collect());
    let dtype = a.dtype();
    let factor = opaque(Arc::new(Factor { tiling: tiling.clone() }), vec![a], dtype)?;
    let inner = tiling.inner();
    let r_chunks: Chunks = [inner.clone(), tiling.cols.clone()].into_iter().collect();
    let r = Kind::Op(Arc::new(TilesOfR { tiling: tiling.clone() }), vec![factor.clone()]);
    let applied = opaque(Arc::new(Apply { tiling: tiling.clone() }), vec![factor], dtype)?;
    let q_chunks: Chunks = [tiling.rows.clone(), inner].into_iter().collect();
    let q = Kind::Op(Arc::new(TilesOfQ { tiling }), vec![applied]);
    Ok((Expr::new(q, dtype, q_chunks), Expr::new(r, dtype, r_chunks)))
}
