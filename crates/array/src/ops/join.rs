//! Concatenation: the blocks of several arrays side by side, passed on without copying.

use super::elementwise::{astype, shape_text};
use crate::chunks::{AxisChunks, Chunks, block_bytes};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// Arrays one after the other along an axis.
///
/// # Errors
/// No arrays; other lengths along another axis; no common dtype.
pub fn concatenate(arrays: &[Expr], axis: usize, dtype: Option<DType>) -> Result<Expr> {
    let Some(first) = arrays.first() else {
        return Err(ArrayError::value("need at least one array to concatenate"));
    };
    let dtype = match dtype {
        Some(d) => d,
        None => {
            let all: Vec<DType> = arrays.iter().map(Expr::dtype).collect();
            pantile_types::promote::promote_all(&all)?.unwrap_or(first.dtype())
        }
    };
    let mut cuts: Chunks = first.chunks().clone();
    for (k, e) in arrays.iter().enumerate().skip(1) {
        if e.ndim() != first.ndim() {
            return Err(ArrayError::value(format!(
                "all the input array dimensions except for the concatenation axis must match exactly, but array at index 0 \
                 has {} dimension(s) and the array at index {k} has {} dimension(s)",
                first.ndim(),
                e.ndim()
            )));
        }
        for other in (0..first.ndim()).filter(|&a| a != axis) {
            let (a, b) = (&cuts[other], &e.chunks()[other]);
            if a.len() != b.len() || (!a.is_known() && a.count() != b.count()) {
                return Err(ArrayError::value(format!(
                    "all the input array dimensions except for the concatenation axis must match exactly, but along \
                     dimension {other}, the shapes are {} and {}",
                    shape_text(&first.shape()),
                    shape_text(&e.shape())
                )));
            }
            if a.is_known() {
                cuts[other] = a.refine(b);
            }
        }
    }
    let mut sizes: Vec<u64> = Vec::new();
    let mut from: Vec<(u32, u32)> = Vec::new();
    let mut inputs = Vec::with_capacity(arrays.len());
    for e in arrays {
        let mut own = cuts.clone();
        own[axis] = e.chunks()[axis].clone();
        let skip = e.chunks()[axis].is_empty();
        let e = astype(e, dtype)?.rechunk(own.clone());
        if !skip {
            for (chunk, &size) in own[axis].sizes().iter().enumerate() {
                sizes.push(size);
                from.push((inputs.len() as u32, chunk as u32));
            }
        }
        inputs.push(e);
    }
    if sizes.is_empty() {
        sizes.push(0);
        from.push((0, 0));
    }
    cuts[axis] = AxisChunks::new(sizes);
    let op = ConcatenateOp { axis, from, output: cuts.clone(), dtype };
    Ok(Expr::new(Kind::Op(Arc::new(op), inputs), dtype, cuts))
}

struct ConcatenateOp {
    axis: usize,
    /// For each output chunk along the axis: which input, which of its chunks.
    from: Vec<(u32, u32)>,
    output: Chunks,
    dtype: DType,
}

impl BlockOp for ConcatenateOp {
    fn name(&self) -> &str {
        "concatenate"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("concatenate {}", self.axis))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (input, chunk) = self.from[at[self.axis] as usize];
        let mut at: SmallVec<[u32; 4]> = at.into();
        at[self.axis] = chunk;
        out.push(Request::Chunk { input: input as usize, at });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        inputs.pop().ok_or_else(|| ArrayError::bug("a concatenate task got no block"))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, at, self.dtype)
    }
}
