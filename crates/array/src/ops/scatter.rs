//! Assignment at positions along one axis: `x[[3, 0, 3]] = value`, NumPy's last one winning where a position repeats.
//!
//! The value is first brought into the order of the positions, each of which occurs once then; so a block takes one box of it.

use super::elementwise::{broadcast_to, shape_text};
use super::index::{take, take_cuts, wrap};
use crate::block::Block;
use crate::chunks::{AxisChunks, Chunks};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::source::Range;
use crate::value::Value;
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// The array after `e[.., positions, ..] = value`, the positions being along `axis` (in messages `original`).
///
/// # Errors
/// Positions out of range; a value that does not broadcast to the indexed part; unknown lengths.
pub(super) fn scatter(
    e: &Expr,
    positions: &[i64],
    axis: usize,
    original: usize,
    value: &Expr,
) -> Result<Expr> {
    let wrapped = wrap(e, positions, axis, original)?;
    let mut part = e.chunks().clone();
    part[axis] = AxisChunks::whole(positions.len() as u64);
    let unfit = || {
        let to: SmallVec<[Option<u64>; 4]> = part.iter().map(AxisChunks::len).collect();
        ArrayError::value(format!(
            "shape mismatch: value array of shape {} could not be broadcast to indexing result of shape {}",
            shape_text(&value.shape()),
            shape_text(&to)
        ))
    };
    let fits = value.ndim() <= part.len()
        && value
            .shape()
            .iter()
            .rev()
            .zip(part.iter().rev())
            .all(|(&a, b)| a.is_some() && (a == Some(1) || a == b.len()));
    if !fits {
        return Err(unfit());
    }
    // Sorted, the last of equal positions kept: what comes later in the list is assigned later.
    let mut order: Vec<u64> = (0..wrapped.len() as u64).collect();
    order.sort_by_key(|&k| wrapped[k as usize]);
    let last = |i: usize| order.get(i + 1).is_none_or(|&k| wrapped[k as usize] != wrapped[order[i] as usize]);
    let kept: Vec<u64> = (0..order.len()).filter(|&i| last(i)).map(|i| order[i]).collect();
    let sorted: Vec<u64> = kept.iter().map(|&k| wrapped[k as usize]).collect();
    if sorted.is_empty() || e.size() == Some(0) {
        return Ok(e.clone());
    }
    let behind = part.len() - 1 - axis;
    let mut value = value.clone();
    if value.ndim() > behind {
        let own = value.ndim() - 1 - behind;
        if value.chunks()[own].len() != Some(1) {
            let kept: Vec<i64> = kept.iter().map(|&k| k as i64).collect();
            value = take(&value, &kept, own, own)?;
        }
    }
    part[axis] = take_cuts(&e.chunks()[axis], &sorted);
    let value = broadcast_to(&value, part)?;
    let op = Scatter { chunks: e.chunks().clone(), axis, positions: sorted, dtype: e.dtype() };
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e.clone(), value]), e.dtype(), e.chunks().clone()))
}

struct Scatter {
    chunks: Chunks,
    axis: usize,
    /// Ascending, each once.
    positions: Vec<u64>,
    dtype: DType,
}

impl Scatter {
    /// Which of the positions fall into the block at `at`.
    fn within(&self, at: &[u32]) -> std::ops::Range<usize> {
        let (cut, i) = (&self.chunks[self.axis], at[self.axis] as usize);
        let (start, end) = (cut.start(i), cut.start(i) + cut.sizes()[i]);
        self.positions.partition_point(|&p| p < start)..self.positions.partition_point(|&p| p < end)
    }
}

impl BlockOp for Scatter {
    fn name(&self) -> &str {
        "assign-at"
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: at.into() });
        let within = self.within(at);
        if within.is_empty() {
            return;
        }
        let ranges = self
            .chunks
            .iter()
            .zip(at)
            .enumerate()
            .map(|(axis, (c, &i))| {
                if axis == self.axis {
                    Range { start: within.start as u64, step: 1, len: within.len() as u64 }
                } else {
                    Range { start: c.start(i as usize), step: 1, len: c.sizes()[i as usize] }
                }
            })
            .collect();
        out.push(Request::Box { input: 1, ranges });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let within = self.within(at);
        let mut next = || -> Result<Block> {
            inputs.pop().ok_or_else(|| ArrayError::bug("an assignment got too few blocks"))?.into_block()
        };
        if within.is_empty() {
            return Ok(Value::Block(next()?));
        }
        let (value, block) = (next()?, next()?);
        let out = if block.is_sole_owner() { block } else { block.to_owned_block()? };
        let start = self.chunks[self.axis].start(at[self.axis] as usize);
        let mine = &self.positions[within];
        let mut k = 0;
        while k < mine.len() {
            // Runs of neighbours are copied together.
            let n = 1 + (k + 1..mine.len()).take_while(|&j| mine[j] == mine[k] + (j - k) as u64).count();
            let to = out.clone().slice_axis(self.axis, (mine[k] - start) as usize, 1, n);
            // SAFETY: `out` is this task's alone, and the value is another block.
            unsafe { to.assign(&value.clone().slice_axis(self.axis, k, 1, n)) };
            k += n;
        }
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let sizes = self.chunks.iter().zip(at).map(|(c, &i)| c.sizes()[i as usize]);
        sizes.product::<u64>() * self.dtype.size() as u64
    }
}
