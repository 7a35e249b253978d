//! Objects to bytes and back: pickle's protocol 5, with large buffers beside the bytes.
//!
//! Plain pickle comes first, because it is many times faster. It names functions and classes by their modules, which the other process
//! imports. Where that cannot work (lambdas, closures, anything of `__main__`, which the other process does not have),
//! `pantile._pickling` takes over with cloudpickle, which sends them by value.

use pantile_exec::processes::Part;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::view::{readable, writable};

/// An object's pickle, and the memory that goes with it.
pub struct Pickled {
    bytes: PyUntypedBuffer,
    buffers: Vec<PyUntypedBuffer>,
}

impl Pickled {
    /// The bytes to send, the pickle's first.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.bytes).chain(&self.buffers).map(slice)
    }
}

/// The memory of a contiguous buffer.
fn slice(buffer: &PyUntypedBuffer) -> &[u8] {
    match buffer.len_bytes() {
        0 => &[],
        // SAFETY: a contiguous buffer (`contiguous` has seen to that) of this many bytes, whose owner may not move it while the
        // buffer is held. Another thread of the user's may write to it, and then sends something in between.
        len => unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), len) },
    }
}

fn contiguous(buffer: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    // A buffer without dimensions, as of a 0-d array, has no shape, which is refused here; its raw bytes have one.
    if let Ok(view) = PyUntypedBuffer::get(buffer)
        && (view.is_c_contiguous() || view.is_fortran_contiguous())
    {
        return Ok(view);
    }
    // One dimension of bytes, or the error that says that they are not contiguous.
    PyUntypedBuffer::get(&buffer.call_method0("raw")?)
}

fn imported<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let object = cell.get_or_try_init(py, || Ok::<_, PyErr>(py.import(module)?.getattr(name)?.unbind()))?;
    Ok(object.bind(py).clone())
}

/// Plain pickle; `None` where it cannot do it, or where the other process could not read it.
fn plain<'py>(
    object: &Bound<'py, PyAny>,
    buffers: Option<&Bound<'py, PyList>>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let dumps = imported(py, &DUMPS, "pickle", "dumps")?;
    let options = PyDict::new(py);
    if let Some(list) = buffers {
        options.set_item(intern!(py, "buffer_callback"), list.getattr(intern!(py, "append"))?)?;
    }
    match dumps.call((object, 5), Some(&options)) {
        Ok(bytes) => {
            let bytes = bytes.cast_into::<PyBytes>()?;
            // The end of `__main__`, and of `__mp_main__`, which is that module in the children of multiprocessing. It may be in a
            // string that happens to be so called: then the slower way is taken for nothing.
            static MAIN: PyOnceLock<Py<PyBytes>> = PyOnceLock::new();
            let main = MAIN.get_or_init(py, || PyBytes::new(py, b"_main__").unbind());
            Ok((!bytes.contains(main)?).then_some(bytes))
        }
        // Interrupts and exits are not about this object.
        Err(e) if e.is_instance_of::<PyException>(py) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a pickled object is to the function of a call: for messages.
#[derive(Clone, Copy)]
pub enum Role {
    Arguments,
    Result,
    Exception,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Arguments => "arguments",
            Role::Result => "result",
            Role::Exception => "exception",
        }
    }
}

/// Pickles an object that belongs to a call of `function`.
pub fn dumps(object: &Bound<'_, PyAny>, role: Role, function: &Bound<'_, PyAny>) -> PyResult<Pickled> {
    static SLOWLY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let mut list = PyList::empty(py);
    let bytes = match plain(object, Some(&list))? {
        Some(bytes) => bytes.into_any(),
        None => {
            list = PyList::empty(py);
            let slowly = imported(py, &SLOWLY, "pantile._pickling", "dumps")?;
            slowly.call1((object, role.name(), function, list.getattr("append")?))?
        }
    };
    let buffers = list.iter().map(|b| contiguous(&b)).collect::<PyResult<_>>()?;
    Ok(Pickled { bytes: contiguous(&bytes)?, buffers })
}

/// Pickles a function into one string.
pub fn dumps_function(function: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    static SLOWLY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = function.py();
    let bytes = match plain(function, None)? {
        Some(bytes) => bytes.into_any(),
        None => {
            let slowly = imported(py, &SLOWLY, "pantile._pickling", "dumps")?;
            slowly.call1((function, "function", function, py.None()))?
        }
    };
    Ok(slice(&contiguous(&bytes)?).to_vec())
}

/// The object of a pickle whose parts were received.
pub fn loads<'py>(py: Python<'py>, parts: impl IntoIterator<Item = Part>) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let mut parts = parts.into_iter();
    let bytes = match parts.next() {
        Some(part) => readable(py, part)?,
        None => PyBytes::new(py, b"").into_any(),
    };
    let buffers = parts.map(|part| writable(py, part)).collect::<PyResult<Vec<_>>>()?;
    let options = PyDict::new(py);
    if !buffers.is_empty() {
        options.set_item(intern!(py, "buffers"), PyTuple::new(py, buffers)?)?;
    }
    imported(py, &LOADS, "pickle", "loads")?.call((bytes,), Some(&options))
}
