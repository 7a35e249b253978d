//! The caller's side: a function and its arguments go to a worker, its result comes back.
//!
//! Which functions are sent once. A plain function (also a lambda or a closure) is pickled apart from its arguments, and a worker
//! keeps what it has read under the exact bytes of the pickle, so the same bytes are sent to a worker once. What a function closes
//! over is in those bytes: after a change they differ, and the changed function is sent. Pickling itself is saved only by those who
//! say for how long a function stays as it is: `Functions` keeps pickles by identity, for one run. Other callables (objects with
//! state, bound methods, partials) are pickled together with their arguments, each time.

use super::WorkerDiedError;
use super::pickled::{Pickled, Role, dumps, dumps_function, loads};
use crate::error::InternalError;
use pantile_exec::processes::{Kind, Launch, Message, Pool, ProcessError, Worker};
use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyTuple};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Set in worker processes: calls from there run where they are, or processes would multiply.
pub static IN_WORKER: AtomicBool = AtomicBool::new(false);

/// The pickles of functions that do not change for as long as this lives: a run.
#[derive(Default)]
pub struct Functions(Mutex<HashMap<usize, Known>>);

/// The function is kept so that its address stays its own.
struct Known {
    _function: Py<PyAny>,
    bytes: Arc<[u8]>,
}

impl Functions {
    fn bytes(&self, function: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
        let at = function.as_ptr() as usize;
        if let Some(known) = self.0.lock().get(&at) {
            return Ok(Arc::clone(&known.bytes));
        }
        // Pickling runs Python code, which may come back here: not under the lock.
        let bytes: Arc<[u8]> = dumps_function(function)?.into();
        let known = Known { _function: function.clone().unbind(), bytes: Arc::clone(&bytes) };
        self.0.lock().insert(at, known);
        Ok(bytes)
    }
}

/// Which workers: the process' own, or those of a pool whose workers are prepared by an initializer.
#[derive(Clone, Copy)]
pub struct Workers<'a> {
    /// `None` for the process' own.
    pub pool: Option<&'a WorkerPool>,
    /// At most so many.
    pub most: usize,
}

/// What workers have to know of this process, as it is now, and the number of its version.
///
/// Modules are found through `sys.path`, and files through the working directory; both may change after a worker was started.
struct Context {
    number: u64,
    setup: PyBackedBytes,
}

impl Context {
    fn now(py: Python<'_>) -> PyResult<Context> {
        static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let current = CURRENT.get_or_try_init(py, || -> PyResult<_> {
            Ok(py.import("pantile._pickling")?.getattr("Context")?.call0()?.unbind())
        })?;
        let (number, setup) = current.bind(py).call_method0(intern!(py, "now"))?.extract()?;
        Ok(Context { number, setup })
    }
}

fn start(py: Python<'_>, pool: Option<&WorkerPool>, stop: &Stop<'_>) -> Result<Worker, Failed> {
    let context = Context::now(py)?;
    let (program, arguments): (String, Vec<String>) =
        py.import("pantile._pickling")?.getattr("command")?.call0()?.extract()?;
    let launch = Launch {
        program: program.into(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        // Strings have the same hash in all workers: what groups by `hash` may do so in any of them.
        environment: match std::env::var_os("PYTHONHASHSEED") {
            Some(_) => Vec::new(),
            None => vec![("PYTHONHASHSEED".into(), "0".into())],
        },
        setup: context.setup.to_vec(),
    };
    let mut worker = py.detach(|| Worker::start(&launch, &|| stop.asked()))?;
    worker.setup = context.number;
    if let Some(initializer) = pool.and_then(|p| p.initializer.as_ref()) {
        let frame = py.detach(|| {
            let parts: Vec<&[u8]> = initializer.parts().collect();
            let message = Message { notes: &[Notes::INITIALIZER], ..Message::new(Kind::Call, &parts) };
            worker.exchange(&message, &|| stop.asked())
        })?;
        if frame.kind == Kind::Failure {
            return Err(ProcessError::Prepare(Box::new(frame)).into());
        }
    }
    Ok(worker)
}

/// The first note of a call, if it has any; the numbers of functions to forget follow.
pub struct Notes;

impl Notes {
    /// The worker has the function.
    pub const KNOWN: u64 = 0;
    /// The function comes with the call.
    pub const FRESH: u64 = 1;
    /// What it changes of the working directory and the module path stays.
    pub const INITIALIZER: u64 = 2;
}

/// Why a call failed: in Python code here, or in the machinery.
enum Failed {
    Python(PyErr),
    Process(ProcessError),
}

impl From<PyErr> for Failed {
    fn from(e: PyErr) -> Failed {
        Failed::Python(e)
    }
}

impl From<ProcessError> for Failed {
    fn from(e: ProcessError) -> Failed {
        Failed::Process(e)
    }
}

/// The caller's reason to stop, and what a signal handler raised.
struct Stop<'a> {
    should_stop: &'a (dyn Fn() -> bool + Sync),
    raised: Mutex<Option<PyErr>>,
}

impl Stop<'_> {
    fn asked(&self) -> bool {
        (self.should_stop)() || self.raised.lock().is_some()
    }

    /// `start` runs Python code, which the machinery in between does not know: what it raised is put aside here.
    fn put_aside(&self, e: Failed) -> ProcessError {
        match e {
            Failed::Process(e) => e,
            Failed::Python(e) => {
                *self.raised.lock() = Some(e);
                ProcessError::Stopped
            }
        }
    }
}

/// Calls a function in a worker process and gives its result, or raises what it raised.
///
/// From any thread that holds the GIL; waits without it. `should_stop` is asked every 20 ms, without the GIL; if it says so, the worker is
/// killed and the error is `KeyboardInterrupt`, or what a signal handler has raised. Within a worker process the function is
/// called directly.
///
/// # Errors
/// What the function raised, with the worker's traceback as its cause; `WorkerDiedError`; `PicklingError`; `OSError` where the system
/// refuses something.
pub fn call(
    py: Python<'_>,
    function: &Bound<'_, PyAny>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    functions: Option<&Functions>,
    workers: Workers<'_>,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> PyResult<Py<PyAny>> {
    if IN_WORKER.load(Ordering::Relaxed) {
        return Ok(function.call(args, kwargs)?.unbind());
    }
    let plain = function.is_instance_of::<PyFunction>();
    let sent = match (plain, functions) {
        (false, _) => None,
        (true, Some(known)) => Some(known.bytes(function)?),
        (true, None) => Some(dumps_function(function)?.into()),
    };
    let none = py.None();
    let kwargs = kwargs.map_or(none.bind(py), |k| k.as_any());
    let body = match sent {
        Some(_) => dumps((args, kwargs).into_pyobject(py)?.as_any(), Role::Arguments, function)?,
        None => dumps((function, args, kwargs).into_pyobject(py)?.as_any(), Role::Arguments, function)?,
    };
    let stop = Stop { should_stop, raised: Mutex::new(None) };
    let pool = match workers.pool {
        Some(pool) => &pool.pool,
        None => {
            close_at_exit(py)?;
            Pool::global()
        }
    };
    let now = Context::now(py)?;
    let answer = py.detach(|| {
        let begin = || Python::attach(|py| start(py, workers.pool, &stop)).map_err(|e| stop.put_aside(e));
        let mut lease = pool.lease(workers.most, &begin, &|| stop.asked())?;
        let outcome = exchange(&mut lease, &now, sent.as_ref(), &body, &|| stop.asked());
        if !matches!(outcome, Ok(_) | Err(ProcessError::Segment { .. })) {
            lease.give_up();
        }
        outcome
    });
    match answer {
        Ok(frame) if frame.kind == Kind::Value => {
            let result = loads(py, frame.parts);
            // What was sent goes back to its owner before the result is looked at.
            drop(body);
            result.map(Bound::unbind).map_err(|e| noted(py, e, function))
        }
        Ok(frame) => Err(failure(py, frame)?),
        Err(e) => {
            let raised = stop.raised.into_inner();
            Err(raised.unwrap_or_else(|| error(py, e, function)))
        }
    }
}

fn exchange(
    worker: &mut Worker,
    now: &Context,
    function: Option<&Arc<[u8]>>,
    body: &Pickled,
    stop: &dyn Fn() -> bool,
) -> Result<pantile_exec::processes::Frame, ProcessError> {
    if worker.setup != now.number {
        worker.tell(&Message::new(Kind::Setup, &[&now.setup]), stop)?;
        worker.setup = now.number;
    }
    let Some(function) = function else {
        let parts: Vec<&[u8]> = body.parts().collect();
        return worker.exchange(&Message::new(Kind::Call, &parts), stop);
    };
    let keep = worker.kept.keep(function);
    // A function that the worker has not got comes before the arguments.
    let parts: Vec<&[u8]> = (!keep.known).then_some(&function[..]).into_iter().chain(body.parts()).collect();
    let first = if keep.known { Notes::KNOWN } else { Notes::FRESH };
    let notes: Vec<u64> = std::iter::once(first).chain(keep.forget).collect();
    let message = Message { tag: keep.number, notes: &notes, ..Message::new(Kind::Call, &parts) };
    let answer = worker.exchange(&message, stop);
    // A worker says with the tag whether it could read the function.
    let unread = match &answer {
        Ok(frame) => frame.kind == Kind::Failure && frame.tag == 1,
        Err(_) => true,
    };
    if !keep.known && unread {
        worker.kept.lose(keep.number);
    }
    answer
}

/// What a function raised in a worker, ready to be raised here.
fn failure(py: Python<'_>, frame: pantile_exec::processes::Frame) -> PyResult<PyErr> {
    let sent = loads(py, frame.parts)?;
    let value = py.import("pantile._pickling")?.getattr("rebuilt")?.call1((sent,))?;
    Ok(PyErr::from_value(value))
}

/// A result that cannot be read here: the error is the reader's own, and a note says what it is about.
fn noted(py: Python<'_>, e: PyErr, function: &Bound<'_, PyAny>) -> PyErr {
    let note = format!("while reading what {} returned from a worker process", name(function));
    let _ = e.value(py).call_method1("add_note", (note,));
    e
}

fn name(function: &Bound<'_, PyAny>) -> String {
    let inner = function.getattr("func").unwrap_or_else(|_| function.clone());
    let named = inner.getattr("__qualname__").and_then(|n| n.extract::<String>());
    named.unwrap_or_else(|_| match inner.get_type().qualname() {
        Ok(class) => format!("an object of class {class}"),
        Err(_) => "a function".to_string(),
    })
}

fn error(py: Python<'_>, e: ProcessError, function: &Bound<'_, PyAny>) -> PyErr {
    let text = e.to_string();
    match e {
        ProcessError::Stopped => match py.check_signals() {
            Err(e) => e,
            Ok(()) => PyKeyboardInterrupt::new_err(()),
        },
        ProcessError::Died { .. } => {
            WorkerDiedError::new_err(format!("{text} while it ran {}", name(function)))
        }
        ProcessError::DiedAtStart { .. } => WorkerDiedError::new_err(text),
        ProcessError::Prepare(frame) => match failure(py, *frame) {
            Ok(cause) => {
                let broken = py
                    .import("concurrent.futures")
                    .and_then(|m| m.getattr("BrokenExecutor"))
                    .and_then(|class| class.call1(("the initializer of a worker process failed",)));
                match broken {
                    Ok(value) => {
                        let e = PyErr::from_value(value);
                        e.set_cause(py, Some(cause));
                        e
                    }
                    Err(e) => e,
                }
            }
            Err(e) => e,
        },
        ProcessError::Start { ref source, .. }
        | ProcessError::Segment { ref source, .. }
        | ProcessError::Socket { ref source, .. } => match source.raw_os_error() {
            Some(libc::ENOMEM) => PyMemoryError::new_err(text),
            Some(number) => PyOSError::new_err((number, text)),
            None => PyOSError::new_err(text),
        },
        ProcessError::Closed | ProcessError::Malformed(_) => InternalError::new_err(text),
        ProcessError::PoolClosed | ProcessError::Forked => PyRuntimeError::new_err(text),
    }
}

/// Registers the closing of the process' own pool, once.
fn close_at_exit(py: Python<'_>) -> PyResult<()> {
    static DONE: PyOnceLock<()> = PyOnceLock::new();
    DONE.get_or_try_init(py, || {
        let close = wrap_pyfunction!(close_processes, py)?;
        py.import("atexit")?.call_method1("register", (close,)).map(|_| ())
    })
    .map(|_| ())
}

/// Ends the workers of the process' own pool, which cannot be used afterwards. For the interpreter's exit.
#[pyfunction]
pub fn close_processes(py: Python<'_>) {
    py.detach(|| Pool::global().close());
}

/// Set by another thread to stop the calls that were given it.
#[pyclass(frozen, module = "pantile._native")]
pub struct StopFlag(AtomicBool);

#[pymethods]
impl StopFlag {
    #[new]
    fn new() -> StopFlag {
        StopFlag(AtomicBool::new(false))
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `Functions` for Python.
#[pyclass(frozen, name = "Functions", module = "pantile._native")]
pub struct PyFunctions(pub Functions);

#[pymethods]
impl PyFunctions {
    #[new]
    fn new() -> PyFunctions {
        PyFunctions(Functions::default())
    }
}

/// Workers of one's own, each of which has run an initializer.
#[pyclass(frozen, module = "pantile._native")]
pub struct WorkerPool {
    pool: Pool,
    initializer: Option<Pickled>,
}

#[pymethods]
impl WorkerPool {
    #[new]
    #[pyo3(signature = (initializer=None, initargs=None))]
    fn new(
        py: Python<'_>,
        initializer: Option<&Bound<'_, PyAny>>,
        initargs: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<WorkerPool> {
        let empty = PyTuple::empty(py);
        let initializer = initializer
            .map(|f| {
                dumps(
                    (f, initargs.unwrap_or(&empty), py.None()).into_pyobject(py)?.as_any(),
                    Role::Arguments,
                    f,
                )
            })
            .transpose()?;
        Ok(WorkerPool { pool: Pool::new(), initializer })
    }

    /// Starts workers until there are `most`, at least one if there is none at rest. Raises what the initializer raises.
    fn prepare(&self, py: Python<'_>, most: usize) -> PyResult<()> {
        let stop = Stop { should_stop: &|| false, raised: Mutex::new(None) };
        let outcome = py.detach(|| {
            let begin = || Python::attach(|py| start(py, Some(self), &stop)).map_err(|e| stop.put_aside(e));
            self.pool.lease(most, &begin, &|| stop.asked()).map(drop)
        });
        outcome.map_err(|e| {
            let raised = stop.raised.into_inner();
            raised.unwrap_or_else(|| error(py, e, py.None().bind(py)))
        })
    }

    #[getter]
    fn pids(&self) -> Vec<u32> {
        self.pool.pids()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.pool.close());
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        // Workers may take a moment to end.
        Python::attach(|py| py.detach(|| self.pool.close()));
    }
}

/// `call`, for Python code. Signals are looked after when this is the main thread.
#[pyfunction]
#[pyo3(signature = (function, args, kwargs, workers, pool=None, functions=None, stop=None))]
#[allow(clippy::too_many_arguments)]
pub fn call_in_process(
    py: Python<'_>,
    function: &Bound<'_, PyAny>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    workers: usize,
    pool: Option<&Bound<'_, WorkerPool>>,
    functions: Option<&Bound<'_, PyFunctions>>,
    stop: Option<&Bound<'_, StopFlag>>,
) -> PyResult<Py<PyAny>> {
    let flag = stop.map(|f| f.get());
    let signal: Mutex<Option<PyErr>> = Mutex::new(None);
    let on_main = is_main_thread(py)?;
    let should_stop = || {
        if flag.is_some_and(|f| f.0.load(Ordering::Relaxed)) {
            return true;
        }
        on_main
            && Python::attach(|py| match py.check_signals() {
                Ok(()) => false,
                Err(e) => {
                    *signal.lock() = Some(e);
                    true
                }
            })
    };
    let workers = Workers { pool: pool.map(|p| p.get()), most: workers };
    let result = call(py, function, args, kwargs, functions.map(|f| &f.get().0), workers, &should_stop);
    match signal.into_inner() {
        Some(raised) if result.is_err() => Err(raised),
        _ => result,
    }
}

/// Whether this is the thread to which Python delivers signals.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    static THREADING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static MAIN: AtomicU64 = AtomicU64::new(0);
    let get_ident = THREADING
        .get_or_try_init(py, || {
            let threading = py.import("threading")?;
            let main = threading.call_method0("main_thread")?.getattr("ident")?;
            MAIN.store(main.extract()?, Ordering::Relaxed);
            Ok::<_, PyErr>(threading.getattr("get_ident")?.unbind())
        })?
        .bind(py);
    Ok(get_ident.call0()?.extract::<u64>()? == MAIN.load(Ordering::Relaxed))
}
