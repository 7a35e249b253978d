//! Folding a region: partial states, their merging in a tree, and the results.
//!
//! A fold task walks a run of blocks and keeps one state for them; runs are longer than one block only where blocks are so
//! small that a task a block would cost more than its work. Merge tasks join the states of a few runs; the last one of a result turns
//! the state into the result.

use super::region::Region;
use crate::block::{Block, Dims, Strides, c_strides};
use crate::chunks::{Chunks, block_count, elements, unravel};
use crate::error::{ArrayError, Result};
use crate::expr::Origin;
use crate::kernel::{self, Call, Coordinate, Mode};
use crate::leaf::{Box_, BoxAxis, block_box};
use crate::plan::PlanLayer;
use crate::reduce::{ReduceKind, Reducer};
use crate::value::Value;
use pantile_graph::{Layer, LayerId, TaskRef};
use pantile_types::{DType, Scalar, ScalarType};
use smallvec::SmallVec;
use std::sync::Arc;

/// States that one merge task joins.
pub const FAN_IN: u32 = 16;

/// What fold and merge tasks of one reduction have in common.
pub struct Shape {
    /// How values are accumulated.
    pub reducer: Reducer,
    /// Which axes of the region are reduced.
    pub reduced: SmallVec<[bool; 4]>,
    /// Whether reduced axes stay, with length one.
    pub keepdims: bool,
    /// Whether no elements are an error: then a count travels with the states, as one more block without axes.
    pub nonempty: bool,
    /// The dtype of the results.
    pub dtype: DType,
    /// For people.
    pub label: String,
    /// Where the user built it.
    pub origin: Option<Arc<Origin>>,
}

impl Shape {
    /// What leaves a task: the result if these are the states of all elements, else the states and perhaps their count.
    fn value(&self, mut states: Vec<Block>, count: i64, complete: bool) -> Result<Value> {
        if complete {
            if self.nonempty && count == 0 {
                let operation = if self.reducer.kind == ReduceKind::Min { "minimum" } else { "maximum" };
                return Err(ArrayError::value(format!(
                    "zero-size array to reduction operation {operation} which has no identity"
                )));
            }
            return self.finish(&states);
        }
        if self.nonempty {
            states.push(Block::full(DType::I64, &[], Scalar::Int(ScalarType::I64, count))?);
        }
        Ok(Value::Many(Arc::new(states.into_iter().map(Value::Block).collect())))
    }

    /// The result for finished states.
    fn finish(&self, states: &[Block]) -> Result<Value> {
        let out = Block::alloc(DType::from_scalar(self.reducer.output()), states[0].shape())?;
        kernel::finish_states(self.reducer, states, &out)?;
        let mut shape: Dims = SmallVec::new();
        let mut kept = out.shape().iter();
        for &reduced in &self.reduced {
            if !reduced {
                shape.push(*kept.next().expect("a state has the kept axes"));
            } else if self.keepdims {
                shape.push(1);
            }
        }
        Ok(Value::Block(out.reshape(&shape)?.with_dtype(self.dtype)))
    }

    fn state_bytes(&self, results: u64) -> u64 {
        let count = if self.nonempty { 8 } else { 0 };
        let state: u64 = self.reducer.state().iter().map(|t| t.size() as u64).sum();
        state.saturating_mul(results).saturating_add(count)
    }
}

/// Folds runs of blocks into states.
pub struct FoldLayer {
    /// What is folded.
    pub region: Region,
    /// How.
    pub shape: Arc<Shape>,
    /// How many blocks a run has.
    pub run: u32,
    kept: Chunks,
    across: Chunks,
}

impl FoldLayer {
    /// A fold of a region.
    pub fn new(region: Region, shape: Arc<Shape>) -> FoldLayer {
        let pick = |reduced: bool| -> Chunks {
            region
                .grid
                .iter()
                .zip(&shape.reduced)
                .filter(|(_, r)| **r == reduced)
                .map(|(c, _)| c.clone())
                .collect()
        };
        let (kept, across) = (pick(false), pick(true));
        let blocks = block_count(&across);
        let longest = |c: &Chunks| elements(c.iter().map(|a| a.longest().max(1)));
        let block_len = longest(&kept).saturating_mul(longest(&across));
        // A run has about 64 K elements where blocks are smaller, but leaves enough runs for all threads.
        const RUN_LEN: u64 = 64 << 10;
        let unknown = region.grid.iter().any(|c| !c.is_known());
        let run = if unknown {
            // Nobody knows how long the blocks are: one at a time.
            1
        } else if block_len.saturating_mul(blocks) <= RUN_LEN {
            blocks
        } else {
            (RUN_LEN / block_len).min(blocks / 32)
        };
        FoldLayer { region, shape, run: run.max(1) as u32, kept, across }
    }

    /// How many runs each result has.
    pub fn runs(&self) -> u32 {
        (block_count(&self.across) as u32).div_ceil(self.run)
    }

    /// The grid of the results.
    pub fn kept(&self) -> &Chunks {
        &self.kept
    }

    fn blocks(&self, index: u32) -> impl Iterator<Item = SmallVec<[u32; 4]>> + '_ {
        let runs = self.runs();
        let kept = unravel(&self.kept, index / runs);
        let first = index % runs * self.run;
        let last = (first + self.run).min(block_count(&self.across) as u32);
        (first..last).map(move |i| {
            let across = unravel(&self.across, i);
            let (mut kept, mut across) = (kept.iter(), across.iter());
            let next = |reduced: &bool| if *reduced { across.next() } else { kept.next() };
            self.shape
                .reduced
                .iter()
                .map(next)
                .map(|at| *at.expect("the grid's axes are kept or reduced"))
                .collect()
        })
    }

    fn results(&self, index: u32) -> u64 {
        let at = unravel(&self.kept, index / self.runs());
        elements(
            self.kept.iter().zip(&at).map(|(c, &i)| if c.is_known() { c.sizes()[i as usize] } else { 1 }),
        )
    }

    /// Positions in C order over the reduced axes.
    fn positions(&self, at: &[BoxAxis]) -> Coordinate {
        let mut steps: SmallVec<[i64; 4]> = SmallVec::from_elem(0, at.len());
        let mut base = 0;
        let mut step = 1i64;
        for axis in (0..at.len()).rev() {
            if self.shape.reduced[axis] {
                steps[axis] = step;
                if let BoxAxis::Range(r) = at[axis] {
                    base += r.start as i64 * step;
                }
                step *= self.region.grid[axis].len().unwrap_or(1) as i64;
            }
        }
        Coordinate { base, steps }
    }
}

impl Layer for FoldLayer {
    fn len(&self) -> u32 {
        block_count(&self.kept) as u32 * self.runs()
    }

    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        if self.region.leaves.iter().all(|l| matches!(l.producer, crate::leaf::Producer::Source(_))) {
            return;
        }
        for at in self.blocks(index) {
            self.region.tasks(&block_box(&self.region.grid, &at), out);
        }
    }

    fn bytes(&self, index: u32) -> u64 {
        self.shape.state_bytes(self.results(index))
    }

    fn scratch_bytes(&self, index: u32) -> u64 {
        if !self.region.may_need_scratch() {
            return 0;
        }
        // One block after the other: what the largest one needs.
        self.blocks(index)
            .map(|at| self.region.scratch_bytes(&block_box(&self.region.grid, &at)))
            .max()
            .unwrap_or(0)
    }

    fn label(&self) -> &str {
        &self.shape.label
    }
}

impl PlanLayer for FoldLayer {
    fn run(&self, index: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let reducer = self.shape.reducer;
        let mut states: Vec<Block> = Vec::new();
        let mut count = 0;
        let mut inputs = inputs.drain(..);
        for at in self.blocks(index) {
            let at: Box_ = block_box(&self.region.grid, &at);
            let (shape, leaves) = self.region.load(&at, &mut inputs)?;
            if states.is_empty() {
                let kept: Dims =
                    shape.iter().zip(&self.shape.reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
                for (ty, identity) in reducer.state().into_iter().zip(reducer.identity()) {
                    states.push(Block::full(DType::from_scalar(ty), &kept, identity)?);
                }
            }
            count += shape
                .iter()
                .zip(&self.shape.reduced)
                .map(|(&n, &r)| if r { n as i64 } else { 1 })
                .product::<i64>();
            let outputs: Vec<Block> = states.iter().map(|s| self.spread(s, &shape)).collect();
            let mut coords = self.region.coordinates(&at);
            if reducer.needs_position() {
                coords.push(self.positions(&at));
            }
            kernel::run(&Call {
                program: &self.region.program,
                mode: Mode::Reduce(reducer),
                shape: &shape,
                reduced: &self.shape.reduced,
                leaves: &leaves,
                coords: &coords,
                consts: &self.region.consts,
                outputs: &outputs,
            })?;
        }
        self.shape.value(states, count, self.runs() == 1)
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        self.shape.origin.as_ref()
    }

    fn is_python(&self) -> bool {
        self.region.is_python()
    }

    fn describe(&self) -> String {
        format!("{}  folded by {}\n", self.region.describe(), self.shape.reducer.name())
    }
}

impl FoldLayer {
    /// A state seen with the region's axes: stride zero along the reduced ones.
    fn spread(&self, state: &Block, shape: &[usize]) -> Block {
        let own = c_strides(state.shape(), state.dtype().size());
        let mut own = own.iter();
        let strides: Strides = self
            .shape
            .reduced
            .iter()
            .map(|&r| if r { 0 } else { *own.next().expect("a kept axis") })
            .collect();
        // SAFETY: kept axes have the state's lengths, reduced ones repeat its elements.
        unsafe { state.restride(0, shape.into(), strides) }
    }
}

/// Merges the states of up to `FAN_IN` tasks of the layer below.
pub struct MergeLayer {
    /// The layer below.
    pub below: LayerId,
    /// How many states each result has there.
    pub states: u32,
    /// How many results there are.
    pub results: u32,
    /// Elements of each result, for the estimate.
    pub result_len: u64,
    /// What the tasks have in common.
    pub shape: Arc<Shape>,
}

impl MergeLayer {
    /// How many states are left for each result.
    pub fn left(&self) -> u32 {
        self.states.div_ceil(FAN_IN)
    }
}

impl Layer for MergeLayer {
    fn len(&self) -> u32 {
        self.results * self.left()
    }

    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        let (result, part) = (index / self.left(), index % self.left());
        let first = part * FAN_IN;
        let last = (first + FAN_IN).min(self.states);
        out.extend((first..last).map(|i| TaskRef { layer: self.below, index: result * self.states + i }));
    }

    fn bytes(&self, _index: u32) -> u64 {
        self.shape.state_bytes(self.result_len)
    }

    fn label(&self) -> &str {
        &self.shape.label
    }
}

impl PlanLayer for MergeLayer {
    fn run(&self, _index: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let mut states: Option<Vec<Block>> = None;
        let mut count = 0;
        for value in inputs.drain(..) {
            let mut parts: Vec<Block> = match value {
                Value::Many(parts) => {
                    // Taken out of the shared list where nobody else has it, so that it can be merged in place.
                    match Arc::try_unwrap(parts) {
                        Ok(owned) => owned.into_iter().map(Value::into_block).collect::<Result<_>>()?,
                        Err(shared) => {
                            shared.iter().cloned().map(Value::into_block).collect::<Result<_>>()?
                        }
                    }
                }
                _ => return Err(ArrayError::bug("a merge task got something that is no state")),
            };
            if self.shape.nonempty
                && let Some(Scalar::Int(_, n)) = parts.pop().map(|b| b.item())
            {
                count += n;
            }
            match &states {
                None => {
                    let mut own = Vec::with_capacity(parts.len());
                    for part in parts {
                        own.push(if part.is_sole_owner() { part } else { part.to_owned_block()? });
                    }
                    states = Some(own);
                }
                Some(into) => kernel::merge_states(self.shape.reducer, into, &parts)?,
            }
        }
        let states = states.ok_or_else(|| ArrayError::bug("a merge task got no states"))?;
        self.shape.value(states, count, self.left() == 1)
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        self.shape.origin.as_ref()
    }

    fn describe(&self) -> String {
        format!("  states merged, {FAN_IN} at a time\n")
    }
}
