//! Random arrays as sources: any box of them can be made at any time, so they are never stored unless several groups need
//! them.

use crate::block::Block;
use crate::chunks::{AxisChunks, Chunks};
use crate::error::{ArrayError, Result, UserKind};
use crate::expr::{Expr, Kind};
use crate::random::{Distribution, Key, Permutation, RandomError, Sampler};
use crate::source::{Range, Source};
use pantile_types::{DType, ScalarType};
use std::sync::Arc;

impl From<RandomError> for ArrayError {
    fn from(e: RandomError) -> ArrayError {
        let kind = match e {
            RandomError::Overflow { .. } => UserKind::Overflow,
            RandomError::Dtype { .. } => UserKind::Type,
            RandomError::Bug { .. } => return ArrayError::bug(e.to_string()),
            _ => UserKind::Value,
        };
        ArrayError::User(kind, e.to_string())
    }
}

/// Independent samples of a distribution.
///
/// # Errors
/// Parameters outside their range, dtypes that the distribution does not have.
pub fn random(distribution: Distribution, dtype: DType, key: Key, chunks: Chunks) -> Result<Expr> {
    let ty = dtype
        .scalar()
        .ok_or_else(|| ArrayError::ty(format!("random samples of dtype {} do not exist", dtype.name())))?;
    let sampler = Sampler::new(distribution.clone(), ty)?;
    let shape = known(&chunks)?;
    let source = RandomSource { sampler, key, shape, dtype, name: distribution.name() };
    Ok(Expr::new(Kind::Source(Arc::new(source)), dtype, chunks))
}

/// `0 .. n` in random order.
///
/// # Errors
/// More positions than can be numbered.
pub fn permutation(key: Key, n: u64, chunks: AxisChunks) -> Result<Expr> {
    let source = PermutationSource { permutation: Permutation::new(key, n)?, shape: vec![n] };
    let chunks: Chunks = [chunks].into_iter().collect();
    Ok(Expr::new(Kind::Source(Arc::new(source)), DType::from_scalar(ScalarType::I64), chunks))
}

fn known(chunks: &Chunks) -> Result<Vec<u64>> {
    chunks
        .iter()
        .map(|c| c.len().ok_or_else(|| ArrayError::value("random arrays have known shapes")))
        .collect()
}

struct RandomSource {
    sampler: Sampler,
    key: Key,
    shape: Vec<u64>,
    dtype: DType,
    name: &'static str,
}

impl Source for RandomSource {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        through_box(ranges, out, &mut |start, count, block| {
            // SAFETY: the block is contiguous with room for `count` elements of the sampler's type, and not shared.
            unsafe { self.sampler.fill(self.key, &self.shape, start, count, block.ptr()) }
                .map_err(ArrayError::from)
        })
    }
    fn describe(&self) -> String {
        format!("random {}", self.name)
    }
}

struct PermutationSource {
    permutation: Permutation,
    shape: Vec<u64>,
}

impl Source for PermutationSource {
    fn dtype(&self) -> DType {
        DType::I64
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        through_box(ranges, out, &mut |start, count, block| {
            // SAFETY: the block is contiguous with `count` 64-bit integers, and not shared.
            let to = unsafe { std::slice::from_raw_parts_mut(block.ptr().cast::<i64>(), count[0] as usize) };
            self.permutation.fill(start[0], to);
            Ok(())
        })
    }
    fn describe(&self) -> String {
        "random permutation".into()
    }
}

/// Reads the plain box `start`, `count` into a contiguous block.
pub type ReadBox<'a> = dyn FnMut(&[u64], &[u64], &Block) -> Result<()> + 'a;

/// Reads a strided box through a reader of plain boxes into contiguous memory: directly where the box is one.
pub fn through_box(ranges: &[Range], out: &Block, read: &mut ReadBox<'_>) -> Result<()> {
    let first =
        |r: &Range| if r.step > 0 { r.start } else { (r.start as i64 + r.step * (r.len as i64 - 1)) as u64 };
    let start: Vec<u64> = ranges.iter().map(first).collect();
    if ranges.iter().all(|r| r.step == 1) && out.is_c_contiguous() {
        let count: Vec<u64> = ranges.iter().map(|r| r.len).collect();
        return read(&start, &count, out);
    }
    let count: Vec<u64> = ranges.iter().map(|r| (r.len - 1) * r.step.unsigned_abs() + 1).collect();
    let shape: Vec<usize> = count.iter().map(|&n| n as usize).collect();
    let all = Block::alloc(out.dtype(), &shape)?;
    read(&start, &count, &all)?;
    let mut picked = all;
    for (axis, r) in ranges.iter().enumerate() {
        picked = picked.slice_axis(axis, (r.start - start[axis]) as usize, r.step as isize, r.len as usize);
    }
    // SAFETY: `out` is the caller's own block and does not overlap the buffer.
    unsafe { out.assign(&picked) };
    Ok(())
}
