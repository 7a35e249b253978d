//! What tasks make: Python objects, counted by how much memory they probably hold, written to disk by pickle.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList, PySet, PyTuple};
use std::sync::Arc;

/// A result, or the pickle of one that has come back from disk and has not been used yet.
#[derive(Clone)]
pub struct Object(Arc<Inner>);

enum Inner {
    Here {
        object: Py<PyAny>,
        bytes: u64,
    },
    /// Unpickling needs the interpreter's lock, which whoever reads a file back must not wait for.
    Pickled {
        pickle: Vec<u8>,
        bytes: u64,
    },
}

/// Objects below this size are not worth a file.
const SMALLEST_SPILL: u64 = 4096;
/// So many elements of a container are looked at to guess what all of them weigh.
const SAMPLE: usize = 16;
/// No object is said to be larger, so that sums of what objects claim do not overflow.
const LARGEST: u64 = 1 << 48;

impl Object {
    pub fn new(object: Bound<'_, PyAny>) -> Object {
        let bytes = weigh(&object, 2).min(LARGEST);
        Object(Arc::new(Inner::Here { object: object.unbind(), bytes }))
    }

    pub fn nbytes(&self) -> u64 {
        match &*self.0 {
            Inner::Here { bytes, .. } | Inner::Pickled { bytes, .. } => *bytes,
        }
    }

    /// The object.
    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &*self.0 {
            Inner::Here { object, .. } => Ok(object.bind(py).clone()),
            Inner::Pickled { pickle, .. } => py
                .import(intern!(py, "pickle"))?
                .call_method1(intern!(py, "loads"), (PyBytes::new(py, pickle),)),
        }
    }

    /// Writes the object's pickle. False where it is too small, or cannot be pickled.
    pub fn spill(&self, to: &mut dyn std::io::Write) -> std::io::Result<bool> {
        if self.nbytes() < SMALLEST_SPILL {
            return Ok(false);
        }
        let pickle = match &*self.0 {
            Inner::Pickled { pickle, .. } => Some(pickle.clone()),
            Inner::Here { object, .. } => Python::attach(|py| {
                let pickled = py.import("pickle").and_then(|m| m.call_method1("dumps", (object.bind(py), 5)));
                pickled.and_then(|p| p.extract::<Vec<u8>>()).ok()
            }),
        };
        let Some(pickle) = pickle else { return Ok(false) };
        to.write_all(&self.nbytes().to_le_bytes())?;
        to.write_all(&pickle)?;
        Ok(true)
    }

    /// What `spill` wrote.
    pub fn restore(mut file: std::fs::File) -> std::io::Result<Object> {
        use std::io::Read;
        let mut word = [0u8; 8];
        file.read_exact(&mut word)?;
        let mut pickle = Vec::new();
        file.read_to_end(&mut pickle)?;
        Ok(Object(Arc::new(Inner::Pickled { pickle, bytes: u64::from_le_bytes(word) })))
    }
}

/// How many bytes an object holds: its own word for it (`nbytes`), else its size and what its elements hold, from a sample.
fn weigh(object: &Bound<'_, PyAny>, depth: usize) -> u64 {
    let p = object.as_ptr();
    // SAFETY: these look at the object's type only.
    if unsafe { ffi::PyLong_CheckExact(p) != 0 || ffi::PyFloat_CheckExact(p) != 0 || object.is_none() } {
        return 32;
    }
    let py = object.py();
    // SAFETY: as before.
    if unsafe { ffi::PyUnicode_CheckExact(p) != 0 || ffi::PyBytes_CheckExact(p) != 0 } {
        return object.len().map_or(64, |n| n as u64 + 49);
    }
    let sample = |elements: &mut dyn Iterator<Item = Bound<'_, PyAny>>, len: usize| {
        let (mut sum, mut seen) = (0, 0);
        for element in elements.take(SAMPLE) {
            sum += if depth > 0 { weigh(&element, depth - 1).min(LARGEST) } else { 64 };
            seen += 1;
        }
        64u64.saturating_add(
            u64::checked_div(sum, seen).map_or(0, |mean| (mean + 8).saturating_mul(len as u64)),
        )
    };
    if let Ok(list) = object.cast_exact::<PyList>() {
        return sample(&mut list.iter(), list.len());
    }
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return sample(&mut tuple.iter(), tuple.len());
    }
    if let Ok(dict) = object.cast_exact::<PyDict>() {
        return sample(&mut dict.iter().flat_map(|(k, v)| [k, v]), 2 * dict.len());
    }
    if object.cast_exact::<PySet>().is_ok() || object.cast_exact::<PyFrozenSet>().is_ok() {
        let len = object.len().unwrap_or(0);
        return match object.try_iter() {
            Ok(items) => sample(&mut items.flatten(), len),
            Err(_) => 64,
        };
    }
    if let Ok(n) = object.getattr(intern!(py, "nbytes"))
        && let Ok(n) = n.extract::<u64>()
    {
        return n.saturating_add(64);
    }
    // Data frames and series.
    if let Ok(usage) = object.call_method0(intern!(py, "memory_usage")) {
        let total =
            usage.extract::<u64>().or_else(|_| usage.call_method0(intern!(py, "sum"))?.extract::<u64>());
        if let Ok(n) = total {
            return n.saturating_add(64);
        }
    }
    object.call_method0(intern!(py, "__sizeof__")).and_then(|n| n.extract::<u64>()).unwrap_or(64)
}
