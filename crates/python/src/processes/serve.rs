//! The worker's side: frames become what the loop in `python/pantile/_worker.py` handles.

use super::call::{IN_WORKER, Notes};
use super::pickled::{Pickled, Role, dumps, loads};
use super::view::readable;
use pantile_exec::processes::{Frame, Kind, Message, Part, ProcessError, Watch};
use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::atomic::Ordering;

/// A worker's end of its channel. Making it begins the watch over the parent.
#[pyclass(frozen, module = "pantile._native")]
pub struct WorkerEnd(Mutex<Watch>);

/// A call, taken apart as far as the machinery knows it: the function's number, the function if it is new, the numbers to forget,
/// the arguments, and whether it is the initializer.
type Call<'py> = (u64, Option<Bound<'py, PyAny>>, Vec<u64>, Bound<'py, PyAny>, bool);

fn broken(e: ProcessError) -> PyErr {
    match e {
        ProcessError::Segment { ref source, .. } | ProcessError::Socket { ref source, .. } => {
            match source.raw_os_error() {
                Some(number) => PyOSError::new_err((number, e.to_string())),
                None => PyOSError::new_err(e.to_string()),
            }
        }
        e => PyRuntimeError::new_err(e.to_string()),
    }
}

#[pymethods]
impl WorkerEnd {
    #[new]
    fn new(parent: u32) -> PyResult<WorkerEnd> {
        IN_WORKER.store(true, Ordering::Relaxed);
        Ok(WorkerEnd(Mutex::new(Watch::begin(parent).map_err(broken)?)))
    }

    /// Lets Ctrl-C through, once there is a handler for it.
    #[staticmethod]
    fn allow_interrupt() {
        Watch::allow_interrupt();
    }

    /// The next message: `None` at the end, bytes for a setup, and for a call `Received`.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(Frame { kind, tag, notes, parts, mut files }) =
            py.detach(|| self.0.lock().receive()).map_err(broken)?
        else {
            return Ok(None);
        };
        let mut parts = parts.into_iter();
        if kind == Kind::Setup {
            if let Some(stderr) = files.pop() {
                Watch::set_stderr(stderr)?;
            }
            let setup = parts.next().unwrap_or(Part::Inline(Vec::new()));
            return Ok(Some(readable(py, setup)?));
        }
        let fresh = notes.first() == Some(&Notes::FRESH);
        let initializer = notes.first() == Some(&Notes::INITIALIZER);
        let function = if fresh { parts.next().map(|p| readable(py, p)).transpose()? } else { None };
        let body = Bound::new(py, Body(Mutex::new(Some(parts.collect()))))?.into_any();
        let call: Call<'py> = (tag, function, notes.into_iter().skip(1).collect(), body, initializer);
        Ok(Some(call.into_pyobject(py)?.into_any()))
    }

    /// Says that calls may come.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.lock().answer(&Message::new(Kind::Ready, &[]))).map_err(broken)
    }

    /// Sends what a function returned. Raises where it cannot be pickled or finds no memory; then something else can be sent.
    fn returned(
        &self,
        py: Python<'_>,
        value: &Bound<'_, PyAny>,
        function: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.send(py, Kind::Value, 0, &dumps(value, Role::Result, function)?)
    }

    /// Sends what a function raised, with what belongs to it. `unread`: the function itself could not be read.
    fn raised(
        &self,
        py: Python<'_>,
        error: &Bound<'_, PyTuple>,
        function: &Bound<'_, PyAny>,
        unread: bool,
    ) -> PyResult<()> {
        self.send(py, Kind::Failure, u64::from(unread), &dumps(error, Role::Exception, function)?)
    }
}

impl WorkerEnd {
    fn send(&self, py: Python<'_>, kind: Kind, tag: u64, pickled: &Pickled) -> PyResult<()> {
        py.detach(|| {
            let parts: Vec<&[u8]> = pickled.parts().collect();
            self.0.lock().answer(&Message { tag, ..Message::new(kind, &parts) })
        })
        .map_err(broken)
    }
}

/// The arguments of a call, to be read once: reading hands the memory over to them.
#[pyclass(frozen, module = "pantile._native")]
pub struct Body(Mutex<Option<Vec<Part>>>);

#[pymethods]
impl Body {
    fn load<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let parts = self.0.lock().take();
        loads(py, parts.ok_or_else(|| PyRuntimeError::new_err("the arguments were read already"))?)
    }
}
