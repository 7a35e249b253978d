//! Pipelines over partitions: to a partition, to counts, to the largest, to a fold, to one value.

use super::OrRaise;
use super::counts::{Counts, Folds};
use super::sequence::{part_of, wrap};
use super::steps::{InPython, METHODS, STEPS, key_of, steps_of};
use super::value::to_python;
use pantile_bag::fold::FoldBy;
use pantile_bag::pipeline::Function;
use pantile_bag::rank::Rank;
use pantile_bag::reduce::{Reduce, Reduction};
use pantile_bag::{Collect, FoldOp, Part, Pipeline, Sink, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::Arc;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(bag_native_steps, m)?)?;
    m.add_function(wrap_pyfunction!(bag_apply, m)?)?;
    m.add_function(wrap_pyfunction!(bag_frequencies, m)?)?;
    m.add_function(wrap_pyfunction!(bag_topk, m)?)?;
    m.add_function(wrap_pyfunction!(bag_foldby, m)?)?;
    m.add_function(wrap_pyfunction!(bag_reduce, m)?)
}

/// Names of the native steps; methods of `str` as `str.name`.
#[pyfunction]
fn bag_native_steps() -> Vec<String> {
    let steps = STEPS.iter().map(|s| s.to_string());
    steps.chain(METHODS.iter().map(|m| format!("str.{m}"))).collect()
}

/// Runs all elements through the steps into the sink, without the GIL.
fn run<S: Sink + Send>(py: Python<'_>, part: &Arc<Part>, steps: &[Step], mut sink: S) -> PyResult<S> {
    py.detach(|| {
        Pipeline::new(steps)?.run(part, &mut InPython, &mut sink)?;
        Ok(sink)
    })
    .or_raise(py)
}

#[pyfunction]
fn bag_apply<'py>(
    py: Python<'py>,
    steps: &Bound<'py, PyAny>,
    part: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (steps, part) = (steps_of(Some(steps))?, part_of(part)?);
    wrap(py, run(py, &part, &steps, Collect::default())?.part())
}

#[pyfunction]
#[pyo3(signature = (part, steps=None))]
fn bag_frequencies(
    py: Python<'_>,
    part: &Bound<'_, PyAny>,
    steps: Option<&Bound<'_, PyAny>>,
) -> PyResult<Counts> {
    let (steps, part) = (steps_of(steps)?, part_of(part)?);
    Ok(Counts { counts: run(py, &part, &steps, pantile_bag::Counts::default())? })
}

#[pyfunction]
#[pyo3(signature = (part, k, key=None, steps=None))]
fn bag_topk<'py>(
    py: Python<'py>,
    part: &Bound<'py, PyAny>,
    k: usize,
    key: Option<&Bound<'py, PyAny>>,
    steps: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let (steps, part) = (steps_of(steps)?, part_of(part)?);
    let rank = Rank::new(k, Function::new(&key_of(key)?).or_raise(py)?);
    let best = run(py, &part, &steps, rank)?;
    PyList::new(py, best.into_items().map(|item| to_python(py, item.item())).collect::<PyResult<Vec<_>>>()?)
}

/// The operation that a name says.
pub fn fold_op(name: &str) -> PyResult<FoldOp> {
    Ok(match name {
        "count" => FoldOp::Count,
        "sum" => FoldOp::Sum,
        "min" => FoldOp::Min,
        "max" => FoldOp::Max,
        _ => {
            let text = format!("a fold is 'count', 'sum', 'min' or 'max', not {name:?}");
            return Err(PyValueError::new_err(text));
        }
    })
}

#[pyfunction]
#[pyo3(signature = (part, key, op, value=None, steps=None))]
fn bag_foldby(
    py: Python<'_>,
    part: &Bound<'_, PyAny>,
    key: Option<&Bound<'_, PyAny>>,
    op: &str,
    value: Option<&Bound<'_, PyAny>>,
    steps: Option<&Bound<'_, PyAny>>,
) -> PyResult<Folds> {
    let op = fold_op(op)?;
    let (steps, part) = (steps_of(steps)?, part_of(part)?);
    let key = Function::new(&key_of(key)?).or_raise(py)?;
    let value = Function::new(&key_of(value)?).or_raise(py)?;
    Ok(Folds { folds: run(py, &part, &steps, FoldBy::new(op, key, value))?.folds })
}

#[pyfunction]
#[pyo3(signature = (part, op, steps=None))]
fn bag_reduce<'py>(
    py: Python<'py>,
    part: &Bound<'py, PyAny>,
    op: &str,
    steps: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, u64)> {
    let what = match op {
        "count" => Reduction::Count,
        "sum" => Reduction::Sum,
        "min" => Reduction::Min,
        "max" => Reduction::Max,
        "any" => Reduction::Any,
        "all" => Reduction::All,
        _ => {
            let text = format!("a reduction is 'count', 'sum', 'min', 'max', 'any' or 'all', not {op:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    // `sum` of floats carries its rounding error along from 3.12 on.
    let compensated = py.version_info() >= (3, 12);
    let (steps, part) = (steps_of(steps)?, part_of(part)?);
    let (value, count) = run(py, &part, &steps, Reduce::new(what, compensated))?.finish();
    Ok((to_python(py, value.item())?, count))
}
