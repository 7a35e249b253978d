//! Received memory as a Python object with the buffer interface, so that arrays are made over it without a copy.

use pantile_exec::processes::{Part, Shared};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use std::ffi::{c_int, c_void};

/// A received segment. It goes back to its sender with the last array on it.
#[pyclass(frozen, module = "pantile._native")]
pub struct Segment(Shared);

#[pymethods]
impl Segment {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// # Safety
    /// Called by Python with a buffer to fill in.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer to fill in"));
        }
        let shared = &slf.get().0;
        let (address, len) = (shared.address().cast::<c_void>(), shared.len() as ffi::Py_ssize_t);
        // SAFETY: `view` is Python's to fill in, and it holds a reference to this object, which keeps the memory mapped at
        // this address. The memory is writable and nobody else's while the object lives.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address, len, 0, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

/// A part as an object for `pickle.loads` to read from.
pub fn readable(py: Python<'_>, part: Part) -> PyResult<Bound<'_, PyAny>> {
    match part {
        Part::Inline(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
        Part::Shared(shared) => Ok(Bound::new(py, Segment(shared))?.into_any()),
    }
}

/// A part as memory for an object to live in.
pub fn writable(py: Python<'_>, part: Part) -> PyResult<Bound<'_, PyAny>> {
    match part {
        Part::Inline(bytes) => Ok(PyByteArray::new(py, &bytes).into_any()),
        Part::Shared(shared) => Ok(Bound::new(py, Segment(shared))?.into_any()),
    }
}
