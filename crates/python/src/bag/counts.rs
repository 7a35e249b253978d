//! The classes `Counts` and `Folds`: results of counting and folding, which merge.

use super::run::fold_op;
use super::sequence::{part_of, wrap};
use super::value::to_python;
use super::{OrRaise, bag_error};
use pantile_bag::counts::By;
use pantile_bag::{FoldOp, Item, Part, Tape, Values};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Counts>()?;
    m.add_class::<Folds>()?;
    m.add_function(wrap_pyfunction!(bag_counts, m)?)?;
    m.add_function(wrap_pyfunction!(bag_folds, m)?)
}

/// How often each value occurs.
#[pyclass(frozen, module = "pantile._native")]
pub struct Counts {
    pub counts: pantile_bag::Counts,
}

fn pair<'py>(
    py: Python<'py>,
    key: Item<'_>,
    value: impl IntoPyObject<'py, Error: Into<PyErr>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let value = value.into_bound_py_any(py)?;
    PyTuple::new(py, [to_python(py, key)?, value])
}

#[pymethods]
impl Counts {
    fn __len__(&self) -> usize {
        self.counts.len()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.counts.nbytes()
    }

    fn __repr__(&self) -> String {
        format!("Counts({} distinct)", self.counts.len())
    }

    /// Pairs of key and count, in the order in which keys were first seen.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.pairs(py, 0..self.counts.len())
    }

    /// The `k` largest pairs by count (`key=1`), by key (`key=0`), or as pairs (`key=None`).
    #[pyo3(signature = (k, key=Some(1)))]
    fn topk<'py>(&self, py: Python<'py>, k: usize, key: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let by = match key {
            Some(1 | -1) => By::Count,
            Some(0 | -2) | None => By::Key,
            Some(other) => {
                return Err(PyValueError::new_err(format!("a pair is ranked by 0, 1 or None, not {other}")));
            }
        };
        let best = py.detach(|| self.counts.topk(k, by)).or_raise(py)?;
        self.pairs(py, best)
    }

    /// All counts together; keys stay in the order of the parts.
    #[staticmethod]
    fn merge(py: Python<'_>, parts: Vec<Py<Counts>>) -> PyResult<Counts> {
        let counts = py
            .detach(|| pantile_bag::Counts::merge(parts.iter().map(|part| &part.get().counts)))
            .or_raise(py)?;
        Ok(Counts { counts })
    }

    fn __reduce_ex__<'py>(&self, py: Python<'py>, _protocol: i32) -> PyResult<Bound<'py, PyAny>> {
        let (keys, counts) = py
            .detach(|| {
                let (mut keys, mut counts) = (Values::new(), Vec::new());
                for i in 0..self.counts.len() {
                    let (key, count) = self.counts.get(i);
                    keys.push(key)?;
                    counts.push(count as i64);
                }
                Ok((keys, counts))
            })
            .or_raise(py)?;
        let args = (wrap(py, Part::Values(keys))?, wrap(py, Part::Values(Values::Ints(counts)))?);
        let rebuild = py.import("pantile._native")?.getattr("_bag_counts")?;
        Ok((rebuild, args).into_pyobject(py)?.into_any())
    }
}

impl Counts {
    fn pairs<'py>(
        &self,
        py: Python<'py>,
        which: impl IntoIterator<Item = usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let pairs = which.into_iter().map(|i| {
            let (key, count) = self.counts.get(i);
            pair(py, key, count)
        });
        PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)
    }
}

#[pyfunction]
#[pyo3(name = "_bag_counts")]
fn bag_counts(py: Python<'_>, keys: &Bound<'_, PyAny>, counts: &Bound<'_, PyAny>) -> PyResult<Counts> {
    let (keys, counts) = (part_of(keys)?, part_of(counts)?);
    let mut all = pantile_bag::Counts::default();
    for i in 0..keys.len().min(counts.len()) {
        let Item::Int(times) = counts.get(i) else {
            return Err(PyValueError::new_err("pickled counts are damaged"));
        };
        all.add(keys.get(i), times.max(0) as u64).or_raise(py)?;
    }
    Ok(Counts { counts: all })
}

/// One value for each key.
#[pyclass(frozen, module = "pantile._native")]
pub struct Folds {
    pub folds: pantile_bag::Folds,
}

#[pymethods]
impl Folds {
    fn __len__(&self) -> usize {
        self.folds.len()
    }

    #[getter]
    fn op(&self) -> &'static str {
        match self.folds.op() {
            FoldOp::Count => "count",
            FoldOp::Sum => "sum",
            FoldOp::Min => "min",
            FoldOp::Max => "max",
        }
    }

    fn __repr__(&self) -> String {
        format!("Folds({}, {} keys)", self.op(), self.folds.len())
    }

    /// Pairs of key and value, in the order in which keys were first seen.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut tape = Tape::new();
        let mut pairs = Vec::with_capacity(self.folds.len());
        for i in 0..self.folds.len() {
            tape.clear();
            self.folds.value(i, &mut tape).or_raise(py)?;
            pairs.push(pair(py, self.folds.key(i), to_python(py, tape.first())?)?);
        }
        PyList::new(py, pairs)
    }

    /// All folds together, which must be of one operation.
    #[staticmethod]
    fn merge(py: Python<'_>, parts: Vec<Py<Folds>>) -> PyResult<Folds> {
        let Some(first) = parts.first() else {
            return Err(PyValueError::new_err("merging folds needs at least one"));
        };
        let op = first.get().folds.op();
        let folds = py
            .detach(|| pantile_bag::Folds::merge(op, parts.iter().map(|part| &part.get().folds)))
            .or_raise(py)?;
        Ok(Folds { folds })
    }

    fn __reduce_ex__<'py>(&self, py: Python<'py>, _protocol: i32) -> PyResult<Bound<'py, PyAny>> {
        let (mut keys, mut values, mut tape) = (Values::new(), Values::new(), Tape::new());
        for i in 0..self.folds.len() {
            tape.clear();
            let pushed = self.folds.value(i, &mut tape).and_then(|()| {
                keys.push(self.folds.key(i))?;
                values.push(tape.first())
            });
            pushed.map_err(|e| bag_error(py, e))?;
        }
        let args = (self.op(), wrap(py, Part::Values(keys))?, wrap(py, Part::Values(values))?);
        let rebuild = py.import("pantile._native")?.getattr("_bag_folds")?;
        Ok((rebuild, args).into_pyobject(py)?.into_any())
    }
}

#[pyfunction]
#[pyo3(name = "_bag_folds")]
fn bag_folds(
    py: Python<'_>,
    op: &str,
    keys: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> PyResult<Folds> {
    let (keys, values) = (part_of(keys)?, part_of(values)?);
    let mut folds = pantile_bag::Folds::new(fold_op(op)?);
    for i in 0..keys.len().min(values.len()) {
        folds.insert(keys.get(i), values.get(i)).or_raise(py)?;
    }
    Ok(Folds { folds })
}
