//! Who watches runs: one list for the process, asked when a run begins.
//!
//! Everything that runs a graph calls `begin` before and `end` after, and hands `Watching::observers` to the executor. While nobody
//! watches, that is one load. There are three kinds of watchers: recorders (`record`), which are told by the run's own threads without
//! the GIL; callbacks, Python functions that are called for each task, under the GIL and one at a time; and progress bars.
//!
//! A run inside a task of another run is recorded, but neither callbacks nor bars hear of it: to them it is a part of the task. Nor
//! do they hear of a run that a callback makes.

use crate::progress::Progress;
use crate::record::{LayerRow, RecordedRun, Recorder};
use pantile_diag::events::EventLog;
use pantile_diag::threads;
use pantile_diag::timed::{self, Timed};
use pantile_diag::waits;
use pantile_exec::CancelToken;
use pantile_graph::{Graph, Observer, Runner, TaskId, TaskRef};
use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyRange, PyTuple};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<RunGraph>()?;
    m.add_class::<RunState>()?;
    m.add_function(wrap_pyfunction!(watch, m)?)?;
    m.add_function(wrap_pyfunction!(unwatch, m)?)
}

/// What a task is called, for people: unique within its run.
pub type Names = Arc<dyn Fn(TaskRef) -> String + Send + Sync>;

enum Watcher {
    Recorder(Py<Recorder>),
    /// `start`, `start_state`, `pretask`, `posttask`, `finish`, or None.
    Callbacks(Py<PyTuple>),
    /// `begin() -> Progress`, `end(progress, error)`.
    Bar(Py<PyAny>),
}

struct Entry {
    id: u64,
    watcher: Watcher,
    _waits: Option<waits::On>,
}

/// Changed and read under the GIL, or attached to a free-threaded interpreter; no Python code runs while it is locked.
static WATCHERS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Adds a watcher: a `Recorder`, a tuple of five callbacks, or a progress bar. Gives what `unwatch` takes.
#[pyfunction]
fn watch(watcher: &Bound<'_, PyAny>) -> PyResult<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut waits = None;
    let watcher = if let Ok(recorder) = watcher.cast::<Recorder>() {
        waits = Some(waits::On::new());
        Watcher::Recorder(recorder.clone().unbind())
    } else if let Ok(functions) = watcher.cast::<PyTuple>() {
        if functions.len() != 5 {
            return Err(PyTypeError::new_err("a callback is five functions or None"));
        }
        Watcher::Callbacks(functions.clone().unbind())
    } else {
        Watcher::Bar(watcher.clone().unbind())
    };
    let id = NEXT.fetch_add(1, Relaxed);
    WATCHERS.lock().push(Entry { id, watcher, _waits: waits });
    COUNT.fetch_add(1, Relaxed);
    Ok(id)
}

/// Removes a watcher. Runs that have begun still tell it.
#[pyfunction]
fn unwatch(id: u64) -> bool {
    let removed = {
        let mut watchers = WATCHERS.lock();
        watchers.iter().position(|e| e.id == id).map(|at| watchers.remove(at))
    };
    if removed.is_some() {
        COUNT.fetch_sub(1, Relaxed);
    }
    removed.is_some()
}

/// One run and who watches it.
#[derive(Default)]
pub struct Watching {
    /// For the executor; empty when nobody watches.
    pub observers: Vec<Arc<dyn Observer>>,
    /// For the executor: a callback that fails stops the run.
    pub cancel: CancelToken,
    recorders: Vec<Py<Recorder>>,
    log: Option<Arc<EventLog>>,
    calls: Option<Arc<Calls>>,
    bars: Vec<(Py<PyAny>, Py<Progress>)>,
    names: Option<Names>,
    threads: usize,
    layers: Vec<LayerRow>,
}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
    /// The value of the task that has just run on this thread, for `posttask`.
    static VALUE: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// A run on `threads` threads begins. Where this fails, a callback has failed and the run must not begin.
pub fn begin(
    py: Python<'_>,
    graph: &Graph,
    threads: usize,
    names: impl FnOnce() -> Names,
) -> PyResult<Watching> {
    let mut watching = Watching { threads, ..Watching::default() };
    if COUNT.load(Relaxed) == 0 {
        return Ok(watching);
    }
    let outermost = !timed::in_task() && !IN_CALLBACK.get();
    let mut callbacks = Vec::new();
    let mut bars = Vec::new();
    for entry in WATCHERS.lock().iter() {
        match &entry.watcher {
            Watcher::Recorder(recorder) => watching.recorders.push(recorder.clone_ref(py)),
            Watcher::Callbacks(functions) if outermost => callbacks.push(functions.clone_ref(py)),
            Watcher::Bar(bar) if outermost => bars.push(bar.clone_ref(py)),
            Watcher::Callbacks(_) | Watcher::Bar(_) => {}
        }
    }
    if watching.recorders.is_empty() && callbacks.is_empty() && bars.is_empty() {
        return Ok(watching);
    }
    let names = names();
    watching.names = Some(names.clone());
    if !watching.recorders.is_empty() {
        // The calling thread has a buffer, and each of the pool's.
        let log = Arc::new(EventLog::new(threads + 1));
        watching.observers.push(log.clone());
        watching.log = Some(log);
    }
    for bar in bars {
        let progress: Py<Progress> = bar.call_method0(py, "begin")?.extract(py)?;
        progress.get().begin(graph.labels().iter().map(ToString::to_string));
        watching.observers.push(progress.get().counters.clone());
        watching.bars.push((bar, progress));
    }
    if !callbacks.is_empty() {
        let calls = Arc::new(Calls::new(py, graph, names, callbacks, watching.cancel.clone())?);
        watching.calls = Some(calls.clone());
        watching.observers.push(calls.clone());
        if let Err(e) = calls.start(py) {
            watching.end(py, graph, Some(&e))?;
            return Err(e);
        }
    }
    Ok(watching)
}

impl Watching {
    /// Whether the run is recorded, so that `describe` is worth its work.
    pub fn is_recorded(&self) -> bool {
        self.log.is_some()
    }

    /// Tells recorders what the layers are.
    pub fn describe(&mut self, layers: Vec<LayerRow>) {
        self.layers = layers;
    }

    /// The runner for the executor. `show` makes Python's view of a value; it is called only where somebody looks at values.
    pub fn runner<'a, R: Runner>(
        &self,
        inner: R,
        show: impl Fn(Python<'_>, &R::Value) -> PyResult<Py<PyAny>> + Send + Sync + 'a,
    ) -> Timed<'a, R> {
        let seen = self.calls.as_ref().filter(|calls| calls.wants_values()).map(|calls| {
            let calls = calls.clone();
            Box::new(move |_: TaskRef, value: &R::Value| {
                Python::attach(|py| match show(py, value) {
                    Ok(object) => VALUE.set(Some(object)),
                    Err(e) => calls.fail(e),
                });
            }) as timed::Seen<'a, R::Value>
        });
        Timed::new(inner, self.log.clone(), seen)
    }

    /// The run is over. An error from here, which a callback has raised, takes the place of the run's own.
    pub fn end(mut self, py: Python<'_>, graph: &Graph, error: Option<&PyErr>) -> PyResult<()> {
        if let (Some(log), Some(names)) = (self.log.take(), self.names.take()) {
            let layers = std::mem::take(&mut self.layers);
            let run = Py::new(py, RecordedRun::new(graph, &log, names, self.threads, layers))?;
            for recorder in &self.recorders {
                recorder.get().add(run.clone_ref(py));
            }
        }
        let mut first = None;
        if let Some(calls) = self.calls.take() {
            first = calls.finish(py, error.is_some()).err();
        }
        for (bar, progress) in self.bars.drain(..) {
            let reason = first.as_ref().or(error).map(|e| e.value(py).clone());
            if let Err(e) = bar.call_method1(py, "end", (progress, reason)) {
                first.get_or_insert(e);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// What a run has done, as callbacks see it.
#[derive(Default)]
struct Counts {
    tasks: u64,
    started: AtomicU64,
    done: AtomicU64,
}

/// Calls Python functions for each task.
struct Calls {
    start: Vec<Py<PyAny>>,
    start_state: Vec<Py<PyAny>>,
    pretask: Vec<Py<PyAny>>,
    posttask: Vec<Py<PyAny>>,
    finish: Vec<Py<PyAny>>,
    graph: Py<RunGraph>,
    state: Py<RunState>,
    counts: Arc<Counts>,
    names: Names,
    /// Functions that were written for Dask expect to be called one at a time.
    turn: std::sync::Mutex<()>,
    error: Mutex<Option<PyErr>>,
    cancel: CancelToken,
}

struct InCallback;

impl InCallback {
    fn enter() -> InCallback {
        IN_CALLBACK.set(true);
        InCallback
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        IN_CALLBACK.set(false);
    }
}

impl Calls {
    fn new(
        py: Python<'_>,
        graph: &Graph,
        names: Names,
        callbacks: Vec<Py<PyTuple>>,
        cancel: CancelToken,
    ) -> PyResult<Calls> {
        let mut by_kind: [Vec<Py<PyAny>>; 5] = Default::default();
        for functions in &callbacks {
            for (list, function) in by_kind.iter_mut().zip(functions.bind(py).iter()) {
                if !function.is_none() {
                    list.push(function.unbind());
                }
            }
        }
        let [start, start_state, pretask, posttask, finish] = by_kind;
        let counts = Arc::new(Counts { tasks: graph.len() as u64, ..Counts::default() });
        let tasks = graph.ids().map(|id| graph.task(id)).collect();
        let labels = graph.labels().iter().map(ToString::to_string).collect();
        let graph = RunGraph { tasks, labels, names: names.clone(), index: OnceLock::new() };
        Ok(Calls {
            start,
            start_state,
            pretask,
            posttask,
            finish,
            graph: Py::new(py, graph)?,
            state: Py::new(py, RunState { counts: counts.clone() })?,
            counts,
            names,
            turn: std::sync::Mutex::new(()),
            error: Mutex::new(None),
            cancel,
        })
    }

    fn wants_values(&self) -> bool {
        !self.posttask.is_empty()
    }

    /// Keeps the first error and stops the run.
    fn fail(&self, e: PyErr) {
        // The later ones are dropped after the lock: dropping an exception may run Python code.
        let later = {
            let mut first = self.error.lock();
            if first.is_none() {
                *first = Some(e);
                None
            } else {
                Some(e)
            }
        };
        drop(later);
        self.cancel.cancel();
    }

    /// Calls functions, one run's after the other. The GIL is given up while waiting for the turn.
    fn call<'py>(
        &self,
        py: Python<'py>,
        functions: &[Py<PyAny>],
        args: impl Fn() -> PyResult<Bound<'py, PyTuple>>,
    ) -> PyResult<()> {
        let _turn = self.turn.lock_py_attached(py).unwrap_or_else(std::sync::PoisonError::into_inner);
        let _in = InCallback::enter();
        for function in functions {
            function.bind(py).call1(args()?)?;
        }
        Ok(())
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, &self.start, || (self.graph.clone_ref(py),).into_pyobject(py))?;
        self.call(py, &self.start_state, || {
            (self.graph.clone_ref(py), self.state.clone_ref(py)).into_pyobject(py)
        })
    }

    fn finish(&self, py: Python<'_>, failed: bool) -> PyResult<()> {
        let error = self.error.lock().take();
        let failed = failed || error.is_some();
        let finished = self.call(py, &self.finish, || {
            (self.graph.clone_ref(py), self.state.clone_ref(py), failed).into_pyobject(py)
        });
        match error {
            Some(e) => Err(e),
            None => finished,
        }
    }

    /// Whether a callback has failed: then no more are called.
    fn stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl Observer for Calls {
    fn task_started(&self, _task: TaskId, what: TaskRef, _worker: u32, _at_ns: u64) {
        self.counts.started.fetch_add(1, Relaxed);
        if self.pretask.is_empty() || self.stopped() {
            return;
        }
        Python::attach(|py| {
            let key = (self.names)(what);
            let called = self.call(py, &self.pretask, || {
                (&key, self.graph.clone_ref(py), self.state.clone_ref(py)).into_pyobject(py)
            });
            if let Err(e) = called {
                self.fail(e);
            }
        });
    }

    fn task_finished(&self, _task: TaskId, what: TaskRef, _worker: u32, _start: u64, _end: u64, _bytes: u64) {
        self.counts.done.fetch_add(1, Relaxed);
        if self.posttask.is_empty() {
            return;
        }
        Python::attach(|py| {
            let value = VALUE.take().unwrap_or_else(|| py.None());
            if self.stopped() {
                return;
            }
            let key = (self.names)(what);
            let called = self.call(py, &self.posttask, || {
                let graph = self.graph.clone_ref(py);
                (&key, value.clone_ref(py), graph, self.state.clone_ref(py), threads::number())
                    .into_pyobject(py)
            });
            if let Err(e) = called {
                self.fail(e);
            }
        });
    }
}

/// The tasks of a run: a mapping of names to operations. What callbacks get as `dsk`.
#[pyclass(frozen, mapping, module = "pantile._native")]
pub struct RunGraph {
    tasks: Vec<TaskRef>,
    labels: Vec<String>,
    names: Names,
    index: OnceLock<HashMap<String, u32>>,
}

impl RunGraph {
    fn index(&self) -> &HashMap<String, u32> {
        self.index.get_or_init(|| self.tasks.iter().map(|&t| ((self.names)(t), t.layer.0)).collect())
    }
}

#[pymethods]
impl RunGraph {
    fn __len__(&self) -> usize {
        self.tasks.len()
    }
    fn keys(&self) -> Vec<String> {
        self.tasks.iter().map(|&t| (self.names)(t)).collect()
    }
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.keys().into_pyobject(py)?.try_iter()?.into_any())
    }
    fn __contains__(&self, key: &str) -> bool {
        self.index().contains_key(key)
    }
    fn __getitem__(&self, key: &str) -> PyResult<String> {
        match self.index().get(key) {
            Some(&layer) => Ok(self.labels[layer as usize].clone()),
            None => Err(PyKeyError::new_err(key.to_string())),
        }
    }
}

/// How far a run is, in Dask's words: what callbacks get as `state`.
#[pyclass(frozen, module = "pantile._native")]
pub struct RunState {
    counts: Arc<Counts>,
}

#[pymethods]
impl RunState {
    /// `finished`, `running`, `waiting` and `ready`, each with the length that Dask's sets of keys have.
    fn __getitem__<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyRange>> {
        let done = self.counts.done.load(Relaxed);
        let started = self.counts.started.load(Relaxed).max(done);
        let count = match key {
            "finished" => done,
            "running" => started - done,
            "waiting" => self.counts.tasks.saturating_sub(started),
            // A task that may run is not told apart from one that waits for others.
            "ready" => 0,
            _ => return Err(PyKeyError::new_err(key.to_string())),
        };
        PyRange::new(py, 0, count as isize)
    }
    #[getter]
    fn tasks(&self) -> u64 {
        self.counts.tasks
    }
    #[getter]
    fn done(&self) -> u64 {
        self.counts.done.load(Relaxed)
    }
}
