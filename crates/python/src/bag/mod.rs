//! Bags: sequences of text and values that stay native, and pipelines over them that run without the GIL.
//!
//! Reading order: `value` (Python objects in and out), `sequence` (the classes `Strings` and `Values`), `steps` (tuples to
//! steps; doing a step in Python), `read`, `run` (the functions), `counts` (their results), `buckets`.

mod buckets;
mod counts;
mod read;
mod run;
mod sequence;
mod steps;
mod value;

use crate::error::Raised;
use pantile_bag::Error;
use pyo3::exceptions::{PyEOFError, PyOSError, PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pyo3::create_exception!(
    pantile,
    NotNative,
    PyTypeError,
    "These elements or steps have no native form; Python can do them."
);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("NotNative", m.py().get_type::<NotNative>())?;
    sequence::register(m)?;
    read::register(m)?;
    run::register(m)?;
    counts::register(m)?;
    m.add_class::<buckets::Buckets>()
}

/// The exception for an error of the bag crate.
fn bag_error(py: Python<'_>, e: Error) -> PyErr {
    let text = e.to_string();
    match e {
        Error::Io { path, source } => match source.raw_os_error() {
            // With the number, Python makes the subclass that fits, such as FileNotFoundError.
            Some(number) => {
                let reason = py
                    .import("os")
                    .and_then(|os| os.call_method1("strerror", (number,))?.extract::<String>())
                    .unwrap_or_else(|_| source.to_string());
                PyOSError::new_err((number, reason, path.to_string_lossy().into_owned()))
            }
            None => PyOSError::new_err(text),
        },
        Error::Truncated { .. } => PyEOFError::new_err(text),
        Error::Corrupt { kind: "gzip", .. } => match py.import("gzip").and_then(|m| m.getattr("BadGzipFile"))
        {
            Ok(class) => match class.call1((text,)) {
                Ok(value) => PyErr::from_value(value),
                Err(e) => e,
            },
            Err(e) => e,
        },
        Error::Corrupt { .. } => PyOSError::new_err(text),
        Error::Decode { encoding, at, window, within } => undecodable(py, encoding, at, &window, within),
        Error::NotNative(_) => NotNative::new_err(text),
        Error::Argument(_) => PyValueError::new_err(text),
        Error::Foreign(payload) => match payload.downcast_ref::<Raised>() {
            Some(raised) => PyErr::from_value(raised.0.bind(py).clone()),
            None => PyTypeError::new_err(text),
        },
    }
}

/// What Python's codec raises for the bytes around the bad one.
fn undecodable(py: Python<'_>, encoding: &str, at: usize, window: &[u8], within: usize) -> PyErr {
    let bytes = PyBytes::new(py, window);
    let e = match bytes.call_method1("decode", (encoding,)) {
        Err(e) => e,
        Ok(_) => match PyUnicodeDecodeError::new(py, c"utf-8", window, within..within + 1, c"invalid byte") {
            Ok(e) => PyErr::from_value(e.into_any()),
            Err(e) => e,
        },
    };
    note(py, &e, &format!("the byte is at offset {at} of the data"));
    e
}

/// Adds a note to an exception.
fn note(py: Python<'_>, e: &PyErr, text: &str) {
    let _ = e.value(py).call_method1("add_note", (text,));
}

/// An exception, to be carried through the bag crate.
fn carried(py: Python<'_>, e: PyErr) -> Error {
    if e.is_instance_of::<NotNative>(py) {
        return Error::NotNative(e.value(py).to_string());
    }
    Error::Foreign(Box::new(Raised(e.into_value(py).into_any())))
}

/// `?` on results of the bag crate.
trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for pantile_bag::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| bag_error(py, e))
    }
}
