//! Rust errors as Python exceptions: the one place where families become classes.
//!
//! The exceptions subclass the builtin that NumPy would raise, so that code written for NumPy catches them.

use pantile_array::ArrayError;
use pantile_array::error::UserKind;
use pantile_array::plan::TaskError;
use pantile_exec::RunError;
use pyo3::exceptions::{
    PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyOverflowError, PyRuntimeError,
    PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

pyo3::create_exception!(
    pantile,
    UnsupportedError,
    pyo3::exceptions::PyNotImplementedError,
    "Possible in principle, but not here."
);
pyo3::create_exception!(pantile, InternalError, PyRuntimeError, "A mistake in Pantile itself.");
pyo3::create_exception!(
    pantile,
    MemoryLimitError,
    PyMemoryError,
    "The computation does not fit the memory limit."
);

/// A Python exception carried through the engine.
pub struct Raised(pub Py<PyAny>);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    m.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    m.add("InternalError", py.get_type::<InternalError>())?;
    m.add("MemoryLimitError", py.get_type::<MemoryLimitError>())
}

fn imported<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyType>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyType>> {
    let class = cell.get_or_try_init(py, || -> PyResult<Py<PyType>> {
        Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
    })?;
    Ok(class.bind(py).clone())
}

/// The exception for an error of the array crate.
pub fn array_error(py: Python<'_>, e: ArrayError) -> PyErr {
    static AXIS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static LINALG: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let text = e.to_string();
    match e {
        ArrayError::User(kind, _) => match kind {
            UserKind::Value => PyValueError::new_err(text),
            UserKind::Type => PyTypeError::new_err(text),
            UserKind::Index => PyIndexError::new_err(text),
            UserKind::Overflow => PyOverflowError::new_err(text),
            UserKind::File => PyOSError::new_err(text),
            UserKind::Axis => match imported(py, &AXIS, "numpy.exceptions", "AxisError") {
                Ok(class) => PyErr::from_type(class, text),
                Err(e) => e,
            },
            UserKind::LinAlg => match imported(py, &LINALG, "numpy.linalg", "LinAlgError") {
                Ok(class) => PyErr::from_type(class, text),
                Err(e) => e,
            },
        },
        ArrayError::Unsupported(_) => UnsupportedError::new_err(text),
        ArrayError::Resource(_) => MemoryLimitError::new_err(text),
        ArrayError::Bug(_) => InternalError::new_err(text),
        // Seen only by whoever stopped the run, who has something better to say.
        ArrayError::Stopped => PyKeyboardInterrupt::new_err(()),
        ArrayError::Foreign(payload, _) => match payload.downcast_ref::<Raised>() {
            Some(raised) => PyErr::from_value(raised.0.bind(py).clone()),
            None => PyRuntimeError::new_err(text),
        },
    }
}

/// The error that carries a Python exception through the engine.
pub fn raised(py: Python<'_>, e: PyErr) -> ArrayError {
    let text = e.to_string();
    let value = e.into_value(py).into_any();
    ArrayError::Foreign(std::sync::Arc::new(Raised(value)), text)
}

/// `?` on results of the array crate.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, ArrayError> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| array_error(py, e))
    }
}

impl<T> OrRaise<T> for Result<T, pantile_types::TypeError> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| array_error(py, e.into()))
    }
}

/// The exception for a block that could not be computed, with a note about where.
pub fn task_error(py: Python<'_>, error: TaskError) -> PyErr {
    let note = error.note();
    let err = array_error(py, error.error);
    let _ = err.value(py).call_method1("add_note", (note,));
    err
}

/// The exception for a run that failed.
pub fn run_error<E: std::fmt::Display>(
    py: Python<'_>,
    e: RunError<E>,
    task_error: impl FnOnce(E) -> PyErr,
) -> PyErr {
    match e {
        RunError::Task { error, .. } => task_error(error),
        RunError::Interrupted => match py.check_signals() {
            Err(e) => e,
            Ok(()) => PyKeyboardInterrupt::new_err(()),
        },
        RunError::DoesNotFit(e) => MemoryLimitError::new_err(e.to_string()),
        RunError::Spill { ref source, .. } => match source.raw_os_error() {
            // With the number, Python makes the subclass that fits, such as PermissionError.
            Some(number) => PyOSError::new_err((number, e.to_string())),
            None => PyOSError::new_err(e.to_string()),
        },
        e @ RunError::Cancelled => PyRuntimeError::new_err(e.to_string()),
        e @ RunError::Thread(_) => PyRuntimeError::new_err(e.to_string()),
        e @ RunError::Panic { .. } => InternalError::new_err(e.to_string()),
    }
}
