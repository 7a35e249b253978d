//! Python objects as sources of arrays: anything that slices.

use crate::block::from_result;
use crate::convert::{chunks_from_py, dtype};
use crate::error::{array_error, raised};
use crate::expr::{Expr, Here};
use crate::interrupt::interruptible;
use pantile_array::block::Block;
use pantile_array::error::Result;
use pantile_array::source::{Range, Source};
use pantile_array::{Expr as Node, Kind};
use pantile_diag::waits;
use pantile_types::DType;
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};
use std::sync::Arc;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(from_python, m)?)
}

/// An object with `__getitem__`, read under the GIL.
struct PythonSource {
    object: Py<PyAny>,
    shape: Vec<u64>,
    dtype: DType,
    stored: Option<Vec<u64>>,
    /// Held around each read where the object is not safe to use from several threads. Taken only while holding the GIL is given up,
    /// so that two readers cannot wait for each other.
    lock: Option<parking_lot::Mutex<()>>,
    text: String,
}

impl PythonSource {
    fn read_locked(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let wait = waits::wait(waits::Kind::Gil);
        Python::attach(|py| {
            drop(wait);
            let read = || -> PyResult<Block> {
                let mut key = Vec::with_capacity(ranges.len());
                for r in ranges {
                    // Not everything that slices takes negative steps.
                    let step = r.step.unsigned_abs() as isize;
                    let last = (r.start as i64 + r.step * (r.len as i64 - 1)) as isize;
                    let first = if r.step > 0 { r.start as isize } else { last };
                    let stop = first + step * (r.len as isize - 1) + 1;
                    key.push(PySlice::new(py, first, stop, step));
                }
                let part = self.object.bind(py).get_item(PyTuple::new(py, key)?)?;
                from_result(py, &part, self.dtype, &self.text)
            };
            let mut block = interruptible(py, read).map_err(|e| raised(py, e))?;
            let expected: Vec<usize> = ranges.iter().map(|r| r.len as usize).collect();
            if block.shape() != expected {
                return Err(pantile_array::ArrayError::value(format!(
                    "{} gave an array of shape {:?} for a box of shape {expected:?}",
                    self.text,
                    block.shape()
                )));
            }
            for (axis, r) in ranges.iter().enumerate() {
                if r.step < 0 && r.len > 0 {
                    block = block.slice_axis(axis, r.len as usize - 1, -1, r.len as usize);
                }
            }
            // SAFETY: `out` belongs to the task that reads; the block is NumPy's.
            unsafe { out.assign(&block) };
            Ok(())
        })
    }
}

impl Source for PythonSource {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let _wait = waits::wait(waits::Kind::Io);
        let _guard = self.lock.as_ref().map(|l| l.lock());
        self.read_locked(ranges, out)
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        self.stored.as_deref()
    }
    fn describe(&self) -> String {
        self.text.clone()
    }
    fn outside(&self) -> Option<usize> {
        Some(self.object.as_ptr() as usize)
    }
    fn is_python(&self) -> bool {
        true
    }
}

/// A native source, whose reads are counted as waiting for files.
struct CountedSource<S>(S);

/// A native source behind an `Arc`, as expressions hold it.
pub fn counted(source: impl Source + 'static) -> Arc<dyn Source> {
    Arc::new(CountedSource(source))
}

impl<S: Source> Source for CountedSource<S> {
    fn dtype(&self) -> DType {
        self.0.dtype()
    }
    fn shape(&self) -> &[u64] {
        self.0.shape()
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let _wait = waits::wait(waits::Kind::Io);
        self.0.read(ranges, out)
    }
    fn in_memory(&self) -> Option<&Block> {
        self.0.in_memory()
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        self.0.stored_chunks()
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn is_python(&self) -> bool {
        self.0.is_python()
    }
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn from_python(
    py: Python<'_>,
    obj: Py<PyAny>,
    shape: Vec<u64>,
    dtype: &str,
    chunks: &Bound<'_, PyAny>,
    stored: Option<Vec<u64>>,
    lock: bool,
    describe: String,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let dtype = self::dtype(py, dtype)?;
    if dtype.scalar().is_none() {
        let text =
            format!("arrays of dtype {} have no native blocks; use map_blocks to convert them", dtype.name());
        return Err(array_error(py, pantile_array::ArrayError::Unsupported(text)));
    }
    let source = PythonSource {
        object: obj,
        shape,
        dtype,
        stored,
        lock: lock.then(|| parking_lot::Mutex::new(())),
        text: describe,
    };
    Ok(Node::new(Kind::Source(Arc::new(source)), dtype, chunks_from_py(chunks)?).into())
}
