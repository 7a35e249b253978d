//! Python functions on blocks: what `map_blocks`, `blockwise` and `map_overlap` come down to.

use crate::block::{from_result, to_numpy};
use crate::convert::{chunks_from_py, dtype};
use crate::error::{OrRaise, raised};
use crate::expr::{Expr, Here};
use crate::interrupt::interruptible;
use pantile_array::chunks::{Chunks, block_bytes};
use pantile_array::error::{ArrayError, Result};
use pantile_array::op::{BlockOp, Request};
use pantile_array::source::Range;
use pantile_array::value::{ForeignValue, Value};
use pantile_array::{Expr as Node, Kind};
use pantile_diag::waits;
use pantile_types::DType;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;
use std::any::Any;
use std::sync::Arc;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(blockwise, m)?)
}

/// A Python object made by a task.
pub struct PythonValue {
    pub object: Py<PyAny>,
    bytes: u64,
    shape: Vec<usize>,
}

impl PythonValue {
    /// Wraps what a function returned.
    fn new(object: &Bound<'_, PyAny>) -> PythonValue {
        let bytes = object.getattr("nbytes").and_then(|n| n.extract()).unwrap_or(64);
        let shape = object.getattr("shape").and_then(|s| s.extract()).unwrap_or_default();
        PythonValue { object: object.clone().unbind(), bytes, shape }
    }
}

impl ForeignValue for PythonValue {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn nbytes(&self) -> u64 {
        self.bytes
    }
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
}

/// How one axis of an input is cut for the tasks.
enum AxisMap {
    /// The block at the same position of this output axis.
    Block(usize),
    /// The positions of the output's block along this axis, widened on both sides and clipped.
    Window { axis: usize, before: u64, after: u64 },
    /// Everything.
    Whole,
}

struct PythonOp {
    function: Py<PyAny>,
    name: String,
    inputs: Vec<(Chunks, Vec<AxisMap>)>,
    output: Chunks,
    reference: Chunks,
    dtype: DType,
}

impl PythonOp {
    fn request(&self, input: usize, at: &[u32]) -> Request {
        let (chunks, maps) = &self.inputs[input];
        let boxed = maps.iter().any(|m| matches!(m, AxisMap::Window { .. }))
            || maps.iter().zip(chunks).any(|(m, c)| matches!(m, AxisMap::Whole) && c.count() > 1);
        if !boxed {
            let at = maps
                .iter()
                .zip(chunks)
                .map(|(m, c)| match m {
                    AxisMap::Block(axis) if c.count() > 1 => at[*axis],
                    _ => 0,
                })
                .collect();
            return Request::Chunk { input, at };
        }
        let ranges = maps
            .iter()
            .zip(chunks)
            .map(|(m, c)| {
                let len = c.len().unwrap_or(0);
                let (start, stop) = match m {
                    AxisMap::Whole => (0, len),
                    AxisMap::Block(axis) => {
                        let i = if c.count() > 1 { at[*axis] as usize } else { 0 };
                        (c.start(i), c.start(i) + c.sizes()[i])
                    }
                    AxisMap::Window { axis, before, after } => {
                        let (r, i) = (&self.reference[*axis], at[*axis] as usize);
                        (r.start(i).saturating_sub(*before), (r.start(i) + r.sizes()[i] + after).min(len))
                    }
                };
                Range { start, step: 1, len: stop - start.min(stop) }
            })
            .collect();
        Request::Box { input, ranges }
    }

    fn call(&self, py: Python<'_>, at: &[u32], inputs: &mut Vec<Value>) -> PyResult<Value> {
        let mut args: Vec<Bound<'_, PyAny>> = vec![PyTuple::new(py, at)?.into_any()];
        for value in inputs.drain(..) {
            args.push(match value {
                Value::Block(b) => to_numpy(py, b, false)?,
                Value::Foreign(f) => match f.as_any().downcast_ref::<PythonValue>() {
                    Some(v) => v.object.bind(py).clone(),
                    None => return Err(PyValueError::new_err("a value of another engine")),
                },
                Value::Unit | Value::Many(_) => {
                    return Err(PyValueError::new_err("a value that is no array"));
                }
            });
        }
        let args = PyTuple::new(py, args)?;
        let result = interruptible(py, || self.function.bind(py).call1(args))?;
        if self.dtype.scalar().is_none() {
            return Ok(Value::Foreign(Arc::new(PythonValue::new(&result))));
        }
        let block = from_result(py, &result, self.dtype, &self.name)?;
        let expected: Vec<Option<u64>> =
            self.output.iter().zip(at).map(|(c, &i)| c.is_known().then(|| c.sizes()[i as usize])).collect();
        let fits = block.ndim() == expected.len()
            && block.shape().iter().zip(&expected).all(|(&n, e)| e.is_none_or(|e| e == n as u64));
        if !fits {
            return Err(PyValueError::new_err(format!(
                "{} returned an array of shape {:?} for block {at:?}, where {} was expected; pass chunks= (and drop_axis=, \
                 new_axis=) that describe what the function returns",
                self.name,
                block.shape(),
                pantile_array::ops::elementwise::shape_text(&expected)
            )));
        }
        Ok(Value::Block(block))
    }
}

impl BlockOp for PythonOp {
    fn name(&self) -> &str {
        &self.name
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.extend((0..self.inputs.len()).map(|input| self.request(input, at)));
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let wait = waits::wait(waits::Kind::Gil);
        Python::attach(|py| {
            drop(wait);
            self.call(py, at, inputs).map_err(|e| raised(py, e))
        })
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, at, self.dtype)
    }
    fn is_python(&self) -> bool {
        true
    }
}

#[pyfunction]
fn blockwise(
    py: Python<'_>,
    function: Py<PyAny>,
    name: String,
    inputs: Vec<(Py<Expr>, Vec<Bound<'_, PyTuple>>)>,
    chunks: &Bound<'_, PyAny>,
    reference: &Bound<'_, PyAny>,
    dtype: &str,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let output = chunks_from_py(chunks)?;
    let reference = chunks_from_py(reference)?;
    let dtype = self::dtype(py, dtype)?;
    let mut nodes = Vec::with_capacity(inputs.len());
    let mut described = Vec::with_capacity(inputs.len());
    for (e, axes) in inputs {
        let node = e.get().node.clone();
        let mut maps = Vec::with_capacity(axes.len());
        for (k, axis) in axes.iter().enumerate() {
            let kind: String = axis.get_item(0)?.extract()?;
            let map = match kind.as_str() {
                "whole" => AxisMap::Whole,
                "block" => AxisMap::Block(axis.get_item(1)?.extract()?),
                "window" => AxisMap::Window {
                    axis: axis.get_item(1)?.extract()?,
                    before: axis.get_item(2)?.extract()?,
                    after: axis.get_item(3)?.extract()?,
                },
                other => {
                    return Err(PyValueError::new_err(format!(
                        "an axis is block, window or whole, not {other:?}"
                    )));
                }
            };
            let (out_axis, known_needed) = match map {
                AxisMap::Block(a) => (Some(a), false),
                AxisMap::Window { axis, .. } => (Some(axis), true),
                AxisMap::Whole => (None, node.chunks()[k].count() > 1),
            };
            let cut = &node.chunks()[k];
            let bad_block = matches!(map, AxisMap::Block(a) if cut.count() > 1
                && output.get(a).is_none_or(|o| o.count() != cut.count()));
            if out_axis.is_some_and(|a| a >= output.len()) || bad_block {
                return Err(PyValueError::new_err(format!(
                    "axis {k} of an input of {name} has {} blocks, which do not match the output's",
                    cut.count()
                )));
            }
            if known_needed && !cut.is_known() {
                let text = format!(
                    "axis {k} of an input of {name} has an unknown length: call compute_chunk_sizes() first"
                );
                return Err(ArrayError::value(text)).or_raise(py);
            }
            maps.push(map);
        }
        described.push((node.chunks().clone(), maps));
        nodes.push(node);
    }
    let op = PythonOp { function, name, inputs: described, output: output.clone(), reference, dtype };
    Ok(Node::new(Kind::Op(Arc::new(op), nodes), dtype, output).into())
}
