//! Evaluating a region: one block out for each block of its grid.

use super::region::Region;
use crate::block::{Block, Dims, c_strides};
use crate::chunks::{block_count, elements, unravel};
use crate::error::Result;
use crate::expr::Origin;
use crate::kernel::{self, Call, Mode};
use crate::leaf::{Box_, BoxAxis, block_box};
use crate::plan::PlanLayer;
use crate::value::Value;
use pantile_graph::{Layer, TaskRef};
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// Where the blocks go.
#[derive(Clone)]
pub enum Destination {
    /// Into memory of their own; the task's value is the block.
    Fresh,
    /// Each into its part of this array; the task's value is nothing.
    Into(Block),
}

/// Evaluates a region block by block.
pub struct StoreLayer {
    /// What is evaluated.
    pub region: Region,
    /// The dtype of the blocks.
    pub dtype: DType,
    /// Where they go.
    pub destination: Destination,
    /// For people.
    pub label: String,
    /// Where the user built it.
    pub origin: Option<Arc<Origin>>,
}

impl StoreLayer {
    fn box_of(&self, index: u32) -> Box_ {
        block_box(&self.region.grid, &unravel(&self.region.grid, index))
    }

    fn block_bytes(&self, at: &[BoxAxis]) -> u64 {
        let len = elements(at.iter().map(|b| if let BoxAxis::Range(r) = b { r.len } else { 1 }));
        len.saturating_mul(self.dtype.size() as u64)
    }

    /// Whether a task's value is a view of an array in memory.
    fn is_view(&self) -> bool {
        self.region.program.is_copy()
            && matches!(&self.region.leaves[0].producer, crate::leaf::Producer::Source(s) if s.in_memory().is_some())
    }
}

impl Layer for StoreLayer {
    fn len(&self) -> u32 {
        block_count(&self.region.grid) as u32
    }

    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        self.region.tasks(&self.box_of(index), out);
    }

    fn bytes(&self, index: u32) -> u64 {
        match self.destination {
            Destination::Into(_) => 0,
            Destination::Fresh if self.is_view() => 0,
            Destination::Fresh => self.block_bytes(&self.box_of(index)),
        }
    }

    fn scratch_bytes(&self, index: u32) -> u64 {
        let scratch = self.region.scratch_bytes(&self.box_of(index));
        // A plain read delivers the buffer itself.
        if self.region.program.is_copy() { scratch.saturating_sub(self.bytes(index)) } else { scratch }
    }

    fn label(&self) -> &str {
        &self.label
    }
}

impl PlanLayer for StoreLayer {
    fn run(&self, index: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let at = self.box_of(index);
        let (shape, leaves) = self.region.load(&at, &mut inputs.drain(..))?;
        let out = match &self.destination {
            Destination::Fresh if self.region.program.is_copy() => {
                let block = leaves.into_iter().next().expect("a copy has one leaf");
                // A small view must not keep a large block alive.
                let keeps = block.owned_bytes() > 2 * block.nbytes().max(64);
                let repeats = block.nbytes() > block.owned_bytes() && block.owned_bytes() > 0;
                let block = if keeps || repeats { block.to_owned_block()? } else { block };
                return Ok(Value::Block(block.with_dtype(self.dtype)));
            }
            Destination::Fresh => alloc_like(self.dtype, &shape, &leaves)?,
            Destination::Into(all) => {
                let mut part = all.clone();
                for (axis, b) in at.iter().enumerate() {
                    if let BoxAxis::Range(r) = b {
                        part = part.slice_axis(axis, r.start as usize, 1, r.len as usize);
                    }
                }
                part
            }
        };
        if self.region.program.is_copy() {
            // SAFETY: each task writes its own part of the destination, which no task reads.
            unsafe { out.assign(&leaves[0]) };
        } else {
            let reduced: SmallVec<[bool; 4]> = SmallVec::from_elem(false, shape.len());
            kernel::run(&Call {
                program: &self.region.program,
                mode: Mode::Store,
                shape: &shape,
                reduced: &reduced,
                leaves: &leaves,
                coords: &self.region.coordinates(&at),
                consts: &self.region.consts,
                outputs: std::slice::from_ref(&out),
            })?;
        }
        Ok(match self.destination {
            Destination::Fresh => Value::Block(out),
            Destination::Into(_) => Value::Unit,
        })
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    fn position(&self, index: u32) -> Vec<u32> {
        unravel(&self.region.grid, index).to_vec()
    }

    fn is_python(&self) -> bool {
        self.region.is_python()
    }

    fn describe(&self) -> String {
        self.region.describe()
    }
}

/// A block whose axes lie in memory in the order in which the leaves' do, where all agree; else in C order. So that the
/// sum of two transposed blocks is computed along memory.
fn alloc_like(dtype: DType, shape: &[usize], leaves: &[Block]) -> Result<Block> {
    let mut order: SmallVec<[usize; 4]> = (0..shape.len()).collect();
    let outside = |a: usize, b: usize| -> Option<bool> {
        let mut verdict = None;
        for leaf in leaves {
            let (x, y) = (leaf.strides()[a].unsigned_abs(), leaf.strides()[b].unsigned_abs());
            if x == 0 || y == 0 || x == y || shape[a] == 1 || shape[b] == 1 {
                continue;
            }
            if verdict.is_some_and(|v| v != (x > y)) {
                return None;
            }
            verdict = Some(x > y);
        }
        verdict
    };
    for i in 1..order.len() {
        let mut j = i;
        while j > 0 && outside(order[j], order[j - 1]) == Some(true) {
            order.swap(j, j - 1);
            j -= 1;
        }
    }
    let memory_shape: Dims = order.iter().map(|&k| shape[k]).collect();
    let block = Block::alloc(dtype, &memory_shape)?;
    let memory_strides = c_strides(&memory_shape, dtype.size());
    let mut strides: crate::block::Strides = SmallVec::from_elem(0, shape.len());
    for (position, &axis) in order.iter().enumerate() {
        strides[axis] = memory_strides[position];
    }
    // SAFETY: the axes are those of the block in another order.
    Ok(unsafe { block.restride(0, shape.into(), strides) })
}
