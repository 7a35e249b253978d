//! A small sequential evaluator for tests: lowers expressions, expands the graph, and runs it in topological order.
//!
//! It gives up its own reference to a value as soon as no later task needs it, as the executor does, so that whatever is
//! overwritten in place is overwritten here as well. It counts tasks by label, and the largest shortfall of the estimates.
#![allow(dead_code)]

use pantile_array::chunks::{AxisChunks, Chunks, unravel};
use pantile_array::layers::store::Destination;
use pantile_array::lower::{Options, lower};
use pantile_array::ops::linalg::share::share;
use pantile_array::plan::{Plan, PlanRunner, TaskError};
use pantile_array::source::MemorySource;
use pantile_array::{Block, Expr, Kind, Value};
use pantile_graph::{Graph, Runner};
use pantile_types::DType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a run gave, and what it took.
pub struct Run {
    /// One block an output.
    pub outputs: Vec<Block>,
    /// How many tasks ran, by label.
    pub tasks: BTreeMap<String, usize>,
    /// Tasks whose value holds more memory than was estimated: label, estimate, truth.
    pub underestimated: Vec<(String, u64, u64)>,
}

impl Run {
    /// How many tasks had this label.
    pub fn count(&self, label: &str) -> usize {
        self.tasks.get(label).copied().unwrap_or(0)
    }
    /// How many tasks there were.
    pub fn total(&self) -> usize {
        self.tasks.values().sum()
    }
}

/// The plan for some outputs.
pub fn plan(outputs: &[Expr]) -> Plan {
    let outputs = share(outputs);
    let destinations = vec![Destination::Fresh; outputs.len()];
    lower(&outputs, &destinations, Options { keep_bytes: 1 << 30, ..Options::default() })
        .expect("lowering works")
}

/// The number of tasks by label, without running them.
pub fn task_counts(outputs: &[Expr]) -> BTreeMap<String, usize> {
    let plan = plan(outputs);
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks()).expect("the graph expands");
    let mut counts = BTreeMap::new();
    for id in graph.ids() {
        *counts.entry(plan.layers[graph.task(id).layer.0 as usize].label().to_string()).or_insert(0) += 1;
    }
    counts
}

/// Runs everything, in topological order.
pub fn run(outputs: &[Expr]) -> Result<Run, TaskError> {
    let plan = plan(outputs);
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks()).expect("the graph expands");
    let runner = PlanRunner::new(&plan, None);
    let mut uses = vec![0usize; graph.len()];
    for id in graph.ids() {
        for input in graph.inputs(id) {
            uses[input.0 as usize] += 1;
        }
    }
    for id in graph.outputs() {
        uses[id.0 as usize] += 1;
    }
    let mut values: Vec<Option<Value>> = vec![None; graph.len()];
    let mut tasks = BTreeMap::new();
    let mut underestimated = Vec::new();
    for id in graph.ids() {
        let mut inputs = Vec::new();
        for input in graph.inputs(id) {
            let at = input.0 as usize;
            uses[at] -= 1;
            let value = if uses[at] == 0 { values[at].take() } else { values[at].clone() };
            inputs.push(value.expect("inputs run before consumers"));
        }
        let value = runner.run(graph.task(id), &mut inputs)?;
        let label = plan.layers[graph.task(id).layer.0 as usize].label().to_string();
        if runner.nbytes(&value) > graph.bytes(id) {
            underestimated.push((label.clone(), graph.bytes(id), runner.nbytes(&value)));
        }
        *tasks.entry(label).or_insert(0) += 1;
        if uses[id.0 as usize] > 0 {
            values[id.0 as usize] = Some(value);
        }
    }
    let mut next = graph.outputs().iter();
    let outputs = outputs
        .iter()
        .map(|expr| {
            let blocks = (0..expr.block_count()).map(|_| {
                let id = next.next().expect("an output task for each block");
                values[id.0 as usize]
                    .clone()
                    .expect("outputs are kept")
                    .into_block()
                    .expect("outputs are blocks")
            });
            join(expr, blocks.collect())
        })
        .collect();
    Ok(Run { outputs, tasks, underestimated })
}

/// Puts an output's blocks together.
fn join(expr: &Expr, blocks: Vec<Block>) -> Block {
    let shape: Vec<usize> = expr.known_shape().expect("known shape").iter().map(|&n| n as usize).collect();
    let out = Block::alloc(expr.dtype(), &shape).expect("memory");
    for (index, block) in blocks.iter().enumerate() {
        let at = unravel(expr.chunks(), index as u32);
        let mut part = out.clone();
        for (axis, &i) in at.iter().enumerate() {
            let (start, len) =
                (expr.chunks()[axis].start(i as usize), expr.chunks()[axis].sizes()[i as usize]);
            assert_eq!(
                block.shape()[axis] as u64,
                len,
                "block {at:?} of {expr:?} has shape {:?}",
                block.shape()
            );
            part = part.slice_axis(axis, start as usize, 1, len as usize);
        }
        assert_eq!(block.dtype(), expr.dtype());
        // SAFETY: `out` is fresh; each block fills its own part.
        unsafe { part.assign(block) };
    }
    out
}

/// Cuts from chunk lengths.
pub fn cuts(sizes: &[&[u64]]) -> Chunks {
    sizes.iter().map(|s| AxisChunks::new(s.to_vec())).collect()
}

/// An array in memory, in chunks.
pub fn source(block: Block, chunks: Chunks) -> Expr {
    let dtype = block.dtype();
    Expr::new(Kind::Source(Arc::new(MemorySource::new(block))), dtype, chunks)
}

/// A C-ordered block from elements.
pub fn block_of<T: Copy>(dtype: DType, shape: &[usize], elements: &[T]) -> Block {
    let block = Block::alloc(dtype, shape).expect("memory");
    assert!(size_of::<T>() == dtype.size() && elements.len() == block.len());
    // SAFETY: the fresh block has exactly this many elements of this size.
    unsafe { std::ptr::copy_nonoverlapping(elements.as_ptr(), block.ptr().cast::<T>(), elements.len()) };
    block
}

/// A block's elements in C order.
pub fn elements<T: Copy>(block: &Block) -> Vec<T> {
    let block = block.to_contiguous().expect("memory");
    // SAFETY: contiguous; the callers name the type of the dtype.
    unsafe { block.as_slice::<T>() }.to_vec()
}
