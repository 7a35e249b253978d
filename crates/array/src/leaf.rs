//! Leaves: how a task gets at the elements that it works on.
//!
//! A task works on a box of some iteration space. A leaf says which elements of which producer (a source or another
//! layer) belong to each position of that space, as one affine view. From a task's box follow the producer's box, the
//! blocks that hold it (the task's dependencies) and, when it runs, one strided block: a view where possible, assembled
//! from several blocks where not. Rechunking is nothing but the latter.

use crate::block::{Block, Dims, Strides};
use crate::chunks::{AxisChunks, Chunks, elements, ravel};
use crate::error::{ArrayError, Result};
use crate::source::{Range, Source};
use crate::value::Value;
use crate::view::{View, ViewAxis};
use pantile_graph::{LayerId, TaskRef};
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One axis of a task's box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BoxAxis {
    /// These positions.
    Range(Range),
    /// All of this chunk, whose length only the block itself tells.
    Chunk(u32),
}

/// A task's box, an entry an axis.
pub type Box_ = SmallVec<[BoxAxis; 4]>;

/// The box of the block at `at` in a grid.
pub fn block_box(chunks: &[AxisChunks], at: &[u32]) -> Box_ {
    chunks
        .iter()
        .zip(at)
        .map(|(c, &i)| {
            if c.is_known() {
                BoxAxis::Range(Range { start: c.start(i as usize), step: 1, len: c.sizes()[i as usize] })
            } else {
                BoxAxis::Chunk(i)
            }
        })
        .collect()
}

/// Who has the elements.
#[derive(Clone)]
pub enum Producer {
    /// An array from outside, read inside the task.
    Source(Arc<dyn Source>),
    /// Another layer, whose tasks make the blocks of this grid.
    Layer(LayerId, Chunks),
}

/// A way to elements.
#[derive(Clone)]
pub struct Leaf {
    /// Who has them.
    pub producer: Producer,
    /// From the iteration space to the producer's.
    pub view: View,
    /// Their dtype.
    pub dtype: DType,
}

/// One axis of a producer's box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Span {
    Range(Range),
    Chunk(u32),
}

impl Leaf {
    /// Whether loading runs Python code: it reads a source that does.
    pub fn is_python(&self) -> bool {
        matches!(&self.producer, Producer::Source(s) if s.is_python())
    }

    fn spans(&self, at: &[BoxAxis]) -> SmallVec<[Span; 4]> {
        let mut spans: SmallVec<[Span; 4]> = self
            .view
            .fixed
            .iter()
            .map(|f| Span::Range(Range { start: f.unwrap_or(0), step: 1, len: 1 }))
            .collect();
        for (axis, b) in self.view.axes.iter().zip(at) {
            if let ViewAxis::Along { input, start, step } = *axis {
                spans[input as usize] = match *b {
                    BoxAxis::Range(r) => Span::Range(Range {
                        start: (start as i64 + step * r.start as i64) as u64,
                        step: step * r.step,
                        len: r.len,
                    }),
                    BoxAxis::Chunk(i) => Span::Chunk(i),
                };
            }
        }
        spans
    }

    /// Appends the tasks that make the elements of this box, in the order in which `load` takes them.
    pub fn tasks(&self, at: &[BoxAxis], out: &mut Vec<TaskRef>) {
        let Producer::Layer(layer, chunks) = &self.producer else { return };
        let spans = self.spans(at);
        let blocks = block_ranges(chunks, &spans);
        for_each_block(&blocks, |at| out.push(TaskRef { layer: *layer, index: ravel(chunks, at) }));
    }

    /// Bytes that `load` allocates for this box: files are read into a buffer, several blocks are put together in one.
    pub fn scratch_bytes(&self, at: &[BoxAxis]) -> u64 {
        let spans = self.spans(at);
        let len = elements(spans.iter().map(|s| if let Span::Range(r) = s { r.len } else { 0 }));
        let bytes = len.saturating_mul(self.dtype.size() as u64);
        match &self.producer {
            Producer::Source(s) if s.in_memory().is_some() => 0,
            Producer::Source(_) => bytes,
            Producer::Layer(_, chunks) => {
                let one = block_ranges(chunks, &spans).iter().all(|(first, last)| first == last);
                if one { 0 } else { bytes }
            }
        }
    }

    /// The elements of this box as a block with the box' axes. Takes as many values from `inputs` as `tasks` named.
    pub fn load(&self, at: &[BoxAxis], inputs: &mut dyn Iterator<Item = Value>) -> Result<Block> {
        let spans = self.spans(at);
        let block = match &self.producer {
            Producer::Source(source) => load_source(source.as_ref(), &spans)?,
            Producer::Layer(_, chunks) => assemble(chunks, &spans, self.dtype, inputs)?,
        };
        Ok(arrange(&block, &self.view, at))
    }
}

/// The producer's box seen with the iteration space's axes: broadcast axes get stride zero.
fn arrange(block: &Block, view: &View, at: &[BoxAxis]) -> Block {
    let mut shape: Dims = SmallVec::new();
    let mut strides: Strides = SmallVec::new();
    for (axis, b) in view.axes.iter().zip(at) {
        match *axis {
            ViewAxis::Along { input, .. } => {
                shape.push(block.shape()[input as usize]);
                strides.push(block.strides()[input as usize]);
            }
            ViewAxis::New => {
                // A new axis of unknown length is widened when the other operands are known.
                shape.push(if let BoxAxis::Range(r) = b { r.len as usize } else { 1 });
                strides.push(0);
            }
        }
    }
    // SAFETY: every axis is one of the block's own or repeats its elements, so nothing outside is reached.
    unsafe { block.restride(0, shape, strides) }
}

static BYTES_READ: AtomicU64 = AtomicU64::new(0);

/// Bytes that tasks of this process have taken from sources so far, in memory or not: what progress bars show.
pub fn bytes_read() -> u64 {
    BYTES_READ.load(Relaxed)
}

fn load_source(source: &dyn Source, spans: &[Span]) -> Result<Block> {
    let mut ranges: SmallVec<[Range; 4]> = SmallVec::new();
    for s in spans {
        match s {
            Span::Range(r) => ranges.push(*r),
            Span::Chunk(_) => return Err(ArrayError::bug("a source has a chunk of unknown length")),
        }
    }
    let bytes = elements(ranges.iter().map(|r| r.len)).saturating_mul(source.dtype().size() as u64);
    BYTES_READ.fetch_add(bytes, Relaxed);
    if let Some(block) = source.in_memory() {
        let mut view = block.clone();
        for (axis, r) in ranges.iter().enumerate() {
            view = view.slice_axis(axis, r.start as usize, r.step as isize, r.len as usize);
        }
        return Ok(view);
    }
    let shape: Dims = ranges.iter().map(|r| r.len as usize).collect();
    let out = Block::alloc(source.dtype(), &shape)?;
    if !out.is_empty() {
        source.read(&ranges, &out)?;
    }
    Ok(out)
}

/// First and last block on each axis that a box touches.
fn block_ranges(chunks: &Chunks, spans: &[Span]) -> SmallVec<[(u32, u32); 4]> {
    chunks
        .iter()
        .zip(spans)
        .map(|(c, s)| match *s {
            Span::Chunk(i) => (i, i),
            // A single block of unknown length: position zero of it (a broadcast or a fixed index).
            Span::Range(_) if !c.is_known() => (0, 0),
            Span::Range(Range { len: 0, .. }) => (0, 0),
            Span::Range(r) => {
                let end = (r.start as i64 + r.step * (r.len as i64 - 1)) as u64;
                let (a, b) = (c.find(r.start.min(end)), c.find(r.start.max(end)));
                (a as u32, b as u32)
            }
        })
        .collect()
}

fn for_each_block(ranges: &[(u32, u32)], mut f: impl FnMut(&[u32])) {
    let mut at: SmallVec<[u32; 4]> = ranges.iter().map(|r| r.0).collect();
    loop {
        f(&at);
        let mut axis = ranges.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            if at[axis] < ranges[axis].1 {
                at[axis] += 1;
                break;
            }
            at[axis] = ranges[axis].0;
        }
    }
}

/// Whether a block has the lengths that its place in the grid promises. Views of it are made without further checks.
fn check_block(block: &Block, chunks: &Chunks, at: &[u32]) -> Result<()> {
    let fits = block.ndim() == chunks.len()
        && chunks
            .iter()
            .zip(at)
            .zip(block.shape())
            .all(|((c, &i), &n)| !c.is_known() || c.sizes()[i as usize] == n as u64);
    if fits {
        return Ok(());
    }
    Err(ArrayError::bug(format!(
        "block {at:?} of an array with chunks {chunks:?} has shape {:?}",
        block.shape()
    )))
}

fn assemble(
    chunks: &Chunks,
    spans: &[Span],
    dtype: DType,
    inputs: &mut dyn Iterator<Item = Value>,
) -> Result<Block> {
    let blocks = block_ranges(chunks, spans);
    let mut next = |at: &[u32]| {
        let value = inputs.next().ok_or_else(|| ArrayError::bug("a task got fewer inputs than it named"))?;
        let block = value.into_block()?;
        check_block(&block, chunks, at).map(|()| block)
    };
    if blocks.iter().all(|(first, last)| first == last) {
        let at: SmallVec<[u32; 4]> = blocks.iter().map(|b| b.0).collect();
        let mut block = next(&at)?;
        for (axis, span) in spans.iter().enumerate() {
            let Span::Range(r) = *span else { continue };
            let begin = if chunks[axis].is_known() { chunks[axis].start(at[axis] as usize) } else { 0 };
            let start = if r.len == 0 { 0 } else { (r.start - begin) as usize };
            let last = start as i64 + r.step * (r.len as i64 - 1);
            if r.len > 0 && last.max(start as i64) >= block.shape()[axis] as i64 {
                return Err(ArrayError::value(format!(
                    "position {} along axis {axis} was asked for, but the axis, whose length was unknown before the \
                     computation, has a block of {} elements there",
                    last.max(start as i64),
                    block.shape()[axis]
                )));
            }
            block = block.slice_axis(axis, start, r.step as isize, r.len as usize);
        }
        return Ok(block);
    }
    let mut parts: Vec<(SmallVec<[u32; 4]>, Block)> = Vec::new();
    let mut failed = None;
    for_each_block(&blocks, |at| match next(at) {
        Ok(block) => parts.push((at.into(), block)),
        Err(e) => {
            failed.get_or_insert(e);
        }
    });
    if let Some(e) = failed {
        return Err(e);
    }
    // Along an axis of unknown lengths the blocks say how long the box is, and they must say the same.
    let mut shape: Dims = SmallVec::new();
    for (axis, span) in spans.iter().enumerate() {
        let len = match span {
            Span::Range(r) => r.len as usize,
            Span::Chunk(_) => parts[0].1.shape()[axis],
        };
        if let (Span::Chunk(_), Some((_, other))) = (span, parts.iter().find(|(_, b)| b.shape()[axis] != len))
        {
            return Err(ArrayError::value(format!(
                "blocks side by side have different lengths along axis {axis} ({len} and {}): they come from \
                 boolean masks that do not agree",
                other.shape()[axis]
            )));
        }
        shape.push(len);
    }
    let out = Block::alloc(dtype, &shape)?;
    for (at, block) in parts {
        let (mut to, mut from) = (out.clone(), block);
        for (axis, span) in spans.iter().enumerate() {
            let Span::Range(r) = *span else { continue };
            let i = at[axis] as usize;
            let (begin, end) = if chunks[axis].is_known() {
                (chunks[axis].start(i), chunks[axis].start(i) + chunks[axis].sizes()[i])
            } else {
                (0, from.shape()[axis] as u64)
            };
            let (lo, hi) = positions_in(r, begin, end);
            let start = if lo < hi { (r.start as i64 + r.step * lo as i64) as u64 - begin } else { 0 };
            from = from.slice_axis(axis, start as usize, r.step as isize, (hi - lo) as usize);
            to = to.slice_axis(axis, if lo < hi { lo as usize } else { 0 }, 1, (hi - lo) as usize);
        }
        if to.shape() != from.shape() {
            return Err(ArrayError::bug(format!(
                "a block of shape {:?} fills {:?}",
                from.shape(),
                to.shape()
            )));
        }
        // SAFETY: `out` is fresh; each block fills its own part of it.
        unsafe { to.assign(&from) };
    }
    Ok(out)
}

/// Which `k` in `0 .. len` have `begin <= start + step * k < end`, as a half-open range.
pub fn positions_in(r: Range, begin: u64, end: u64) -> (u64, u64) {
    let (start, begin, end) = (r.start as i64, begin as i64, end as i64);
    let ceil_div = |a: i64, b: i64| if a <= 0 { 0 } else { (a + b - 1) / b };
    let (lo, hi) = if r.step > 0 {
        (ceil_div(begin - start, r.step), ceil_div(end - start, r.step))
    } else {
        (ceil_div(start - end + 1, -r.step), ceil_div(start - begin + 1, -r.step))
    };
    let len = r.len as i64;
    let (lo, hi) = (lo.min(len), hi.min(len));
    (lo as u64, hi.max(lo) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_match_a_naive_search() {
        for start in 0..12u64 {
            for step in [-4i64, -3, -1, 1, 2, 5] {
                for len in 0..6u64 {
                    let last = start as i64 + step * (len as i64 - 1);
                    if last < 0 {
                        continue;
                    }
                    for begin in 0..10u64 {
                        for end in begin..14 {
                            let r = Range { start, step, len };
                            let (lo, hi) = positions_in(r, begin, end);
                            let inside: Vec<u64> = (0..len)
                                .filter(|&k| {
                                    let p = start as i64 + step * k as i64;
                                    p >= begin as i64 && p < end as i64
                                })
                                .collect();
                            assert_eq!((lo..hi).collect::<Vec<_>>(), inside, "{r:?} {begin}..{end}");
                        }
                    }
                }
            }
        }
    }
}
