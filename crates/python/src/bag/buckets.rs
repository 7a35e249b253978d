//! The class `Buckets`: where `groupby` puts pickled groups, in memory up to a limit and in files beyond.

use super::OrRaise;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::path::PathBuf;

/// Buckets of bytes.
#[pyclass(frozen, module = "pantile._native")]
pub struct Buckets {
    buckets: pantile_bag::Buckets,
}

#[pymethods]
impl Buckets {
    #[new]
    fn new(py: Python<'_>, folder: PathBuf, n: usize, memory_limit: usize) -> PyResult<Buckets> {
        let buckets = py.detach(|| pantile_bag::Buckets::new(&folder, n, memory_limit)).or_raise(py)?;
        Ok(Buckets { buckets })
    }

    fn __len__(&self) -> usize {
        self.buckets.len()
    }

    #[getter]
    fn folder(&self) -> PathBuf {
        self.buckets.folder().to_owned()
    }

    #[getter]
    fn held_bytes(&self) -> usize {
        self.buckets.held_bytes()
    }

    #[getter]
    fn spilled_bytes(&self) -> u64 {
        self.buckets.spilled_bytes()
    }

    /// Adds bytes to a bucket.
    fn add(&self, py: Python<'_>, bucket: usize, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = PyBuffer::<u8>::get(data)?.to_vec(py)?;
        py.detach(|| self.buckets.add(bucket, bytes)).or_raise(py)
    }

    /// What was added to a bucket, in order.
    fn read<'py>(&self, py: Python<'py>, bucket: usize) -> PyResult<Bound<'py, PyList>> {
        let records = py.detach(|| self.buckets.read(bucket)).or_raise(py)?;
        PyList::new(py, records.iter().map(|record| PyBytes::new(py, record)))
    }

    /// Forgets everything and removes the files.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.buckets.close()).or_raise(py)
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, py: Python<'_>, _args: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }
}
