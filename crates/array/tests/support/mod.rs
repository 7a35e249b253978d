//! Short ways to make small arrays and to look at results, shared by the plan-level tests.
//!
//! `blocks` runs a plan task by task without putting the blocks together, so that it also serves arrays of unknown
//! length, whose blocks only the run can measure.
#![allow(dead_code)]

use crate::common::{elements, plan, source};
use pantile_array::block::c_strides;
use pantile_array::chunks::{AxisChunks, Chunks};
use pantile_array::ops::elementwise::{Arg, Weak, call};
use pantile_array::ops::reduction::{Params, reduce};
use pantile_array::plan::{Plan, PlanRunner, TaskError};
use pantile_array::pool::Buffer;
use pantile_array::{Block, Expr, Value};
use pantile_graph::{Graph, Runner};
use pantile_types::DType;
use std::sync::Arc;

/// Cuts from chunk lengths, an entry an axis.
pub fn cut(sizes: &[&[u64]]) -> Chunks {
    sizes.iter().map(|s| AxisChunks::new(s.to_vec())).collect()
}

/// Doubles in memory that belongs to somebody else, as a user's NumPy array does: not counted, never overwritten.
pub fn foreign(data: Vec<f64>, shape: &[usize]) -> Block {
    let owner = data.into_boxed_slice();
    assert_eq!(owner.len(), shape.iter().product::<usize>());
    let (p, len) = (owner.as_ptr().cast_mut().cast::<u8>(), owner.len() * 8);
    // SAFETY: the buffer keeps the boxed slice alive, whose elements stay where they are.
    let buffer = unsafe { Buffer::foreign(p, len, Box::new(owner), false) };
    // SAFETY: a C-ordered block of this shape has exactly the slice's elements.
    unsafe { Block::from_parts(Arc::new(buffer), 0, DType::F64, shape, &c_strides(shape, 8)) }
}

/// An array of doubles in memory; its shape follows from the cuts.
pub fn f64s(data: &[f64], sizes: &[&[u64]]) -> Expr {
    let shape: Vec<usize> = sizes.iter().map(|s| s.iter().sum::<u64>() as usize).collect();
    source(foreign(data.to_vec(), &shape), cut(sizes))
}

/// `0, 1, 2, ...` as doubles in these cuts.
pub fn ramp(sizes: &[&[u64]]) -> Expr {
    let n: u64 = sizes.iter().map(|s| s.iter().sum::<u64>()).product();
    let data: Vec<f64> = (0..n).map(|v| v as f64).collect();
    f64s(&data, sizes)
}

/// An operation of the catalogue on arrays.
pub fn map(name: &str, args: &[&Expr]) -> Expr {
    let args: Vec<Arg> = args.iter().map(|e| Arg::Array((*e).clone())).collect();
    call(name, &args).expect(name)
}

/// An operation on an array and a Python float.
pub fn with(name: &str, e: &Expr, number: f64) -> Expr {
    call(name, &[Arg::Array(e.clone()), Arg::Weak(Weak::Float(number))]).expect(name)
}

/// A reduction over some axes (all if `None`).
pub fn fold(name: &str, e: &Expr, axes: Option<&[usize]>) -> Expr {
    reduce(name, e, &params(axes)).expect(name)
}

/// Parameters with these axes and defaults.
pub fn params(axes: Option<&[usize]>) -> Params {
    Params { axes: axes.map(|a| a.iter().copied().collect()), ..Params::default() }
}

/// The blocks of one expression, in C order of its grid.
pub fn blocks(expr: &Expr) -> Result<Vec<Block>, TaskError> {
    run_plan(&plan(std::slice::from_ref(expr)))
}

/// The blocks of all outputs of a plan, one after the other.
pub fn run_plan(plan: &Plan) -> Result<Vec<Block>, TaskError> {
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks()).expect("the graph expands");
    let runner = PlanRunner::new(plan, None);
    let mut values: Vec<Option<Value>> = vec![None; graph.len()];
    let mut uses = vec![0usize; graph.len()];
    for id in graph.ids() {
        graph.inputs(id).iter().for_each(|input| uses[input.0 as usize] += 1);
    }
    for id in graph.outputs() {
        uses[id.0 as usize] += 1;
    }
    for id in graph.ids() {
        let mut inputs = Vec::new();
        for input in graph.inputs(id) {
            let at = input.0 as usize;
            uses[at] -= 1;
            let value = if uses[at] == 0 { values[at].take() } else { values[at].clone() };
            inputs.push(value.expect("inputs run before consumers"));
        }
        values[id.0 as usize] = Some(runner.run(graph.task(id), &mut inputs)?);
    }
    let block = |v: &Option<Value>| v.clone().expect("outputs are kept").into_block().expect("a block");
    Ok(graph.outputs().iter().map(|id| block(&values[id.0 as usize])).collect())
}

/// The elements of a one-dimensional array (its length may be unknown), block after block.
pub fn line<T: Copy>(expr: &Expr) -> Vec<T> {
    blocks(expr).expect("it runs").iter().flat_map(|b| elements::<T>(b)).collect()
}

/// The single value of a double array without axes.
pub fn number(expr: &Expr) -> f64 {
    let all = line::<f64>(expr);
    assert_eq!(all.len(), 1, "{expr:?} is no single number");
    all[0]
}
