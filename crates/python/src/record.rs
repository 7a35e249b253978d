//! What is kept of runs: recorders, the runs they have seen, and samples of memory and processor time.
//!
//! Columns of numbers cross to Python as bytes, for `numpy.frombuffer`. Nothing is drawn or judged here.

use crate::watch::Names;
use pantile_diag::events::{EventLog, Recording, releases};
use pantile_diag::resources::Sampler as Resources;
use pantile_diag::threads;
use pantile_diag::timed;
use pantile_diag::waits::{KINDS, Kind};
use pantile_graph::{Graph, TaskRef};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Recorder>()?;
    m.add_class::<RecordedRun>()?;
    m.add_class::<Sampler>()
}

/// Keeps what it is told of runs. `watch` makes it one that is told.
#[pyclass(frozen, module = "pantile._native")]
#[derive(Default)]
pub struct Recorder {
    runs: Mutex<Vec<Py<RecordedRun>>>,
}

impl Recorder {
    pub fn add(&self, run: Py<RecordedRun>) {
        self.runs.lock().push(run);
    }
}

#[pymethods]
impl Recorder {
    #[new]
    fn new() -> Recorder {
        Recorder::default()
    }
    /// The runs that have ended since the last call.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let runs = std::mem::take(&mut *self.runs.lock());
        PyList::new(py, runs)
    }
}

/// A layer as `explain` and reports show it.
pub struct LayerRow {
    pub label: String,
    pub tasks: u64,
    pub bytes: u64,
    pub python: bool,
    pub describe: String,
    pub origin: Option<(String, u32, String)>,
}

impl LayerRow {
    pub fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let d = PyDict::new(py);
        d.set_item("label", &self.label)?;
        d.set_item("tasks", self.tasks)?;
        d.set_item("bytes", self.bytes)?;
        d.set_item("python", self.python)?;
        d.set_item("describe", &self.describe)?;
        d.set_item("origin", self.origin.clone())?;
        Ok(d)
    }
}

/// A run that is over.
#[pyclass(frozen, module = "pantile._native")]
pub struct RecordedRun {
    recording: Recording,
    released: Vec<u64>,
    began: Instant,
    threads: usize,
    nested: bool,
    labels: Vec<String>,
    layers: Vec<LayerRow>,
    names: Names,
}

impl RecordedRun {
    pub fn new(
        graph: &Graph,
        log: &EventLog,
        names: Names,
        threads: usize,
        mut layers: Vec<LayerRow>,
    ) -> RecordedRun {
        let recording = log.take();
        let labels: Vec<String> = graph.labels().iter().map(ToString::to_string).collect();
        if layers.is_empty() {
            let row = |label: &String| LayerRow {
                label: label.clone(),
                tasks: 0,
                bytes: 0,
                python: true,
                describe: String::new(),
                origin: None,
            };
            layers = labels.iter().map(row).collect();
            for id in graph.ids() {
                let row = &mut layers[graph.task(id).layer.0 as usize];
                row.tasks += 1;
                row.bytes += graph.bytes(id);
            }
        }
        RecordedRun {
            released: releases(graph, &recording),
            began: log.began(),
            recording,
            threads,
            nested: timed::in_task(),
            labels,
            layers,
            names,
        }
    }

    /// What a task does, for grouping: its layer, unless the name says something else. Keys such as `inc-3f2a…` or `load-7[2]` are
    /// called by what comes before the token.
    fn operation(&self, task: TaskRef) -> String {
        let label = &self.labels[task.layer.0 as usize];
        let name = (self.names)(task);
        if name.starts_with(label.as_str()) {
            return label.clone();
        }
        let name = name.split('[').next().unwrap_or(&name);
        match name.rsplit_once('-') {
            Some((operation, token)) if is_token(token) && !operation.is_empty() => operation.to_string(),
            _ => name.to_string(),
        }
    }
}

/// Whether a part of a key is a number or a hash.
fn is_token(text: &str) -> bool {
    let number = text.bytes().all(|b| b.is_ascii_digit());
    let hash = text.len() >= 8 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    !text.is_empty() && (number || hash)
}

/// `time.perf_counter()` at that time: both count from the same clock.
fn perf_counter(py: Python<'_>, at: Instant) -> PyResult<f64> {
    static ZERO: OnceLock<(Instant, f64)> = OnceLock::new();
    let (instant, seconds) = match ZERO.get() {
        Some(zero) => *zero,
        None => {
            let seconds = py.import("time")?.call_method0("perf_counter")?.extract()?;
            *ZERO.get_or_init(|| (Instant::now(), seconds))
        }
    };
    Ok(match at.checked_duration_since(instant) {
        Some(later) => seconds + later.as_secs_f64(),
        None => seconds - instant.duration_since(at).as_secs_f64(),
    })
}

fn bytes_of<'py, const N: usize>(
    py: Python<'py>,
    values: impl ExactSizeIterator<Item = [u8; N]>,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, values.len() * N, |out| {
        for (to, value) in out.chunks_exact_mut(N).zip(values) {
            to.copy_from_slice(&value);
        }
        Ok(())
    })
}

#[pymethods]
impl RecordedRun {
    /// When the run began, on `time.perf_counter`'s clock.
    #[getter]
    fn began(&self, py: Python<'_>) -> PyResult<f64> {
        perf_counter(py, self.began)
    }
    #[getter]
    fn wall_ns(&self) -> u64 {
        self.recording.wall_ns
    }
    #[getter]
    fn ok(&self) -> bool {
        self.recording.ok
    }
    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }
    #[getter]
    fn nested(&self) -> bool {
        self.nested
    }
    #[getter]
    fn tasks(&self) -> u64 {
        self.recording.tasks
    }
    #[getter]
    fn layers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.layers.iter().map(|l| l.to_dict(py)).collect::<PyResult<Vec<_>>>()?)
    }
    /// Columns, one entry a task that ended, by their beginning: `task`, `layer`, `index`, `worker`, `thread` (u32), `start`, `end`,
    /// `bytes`, `released`, `gil`, `io`, `compile`, `spill`, `inner` (u64, times in ns).
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (events, waits) = (&self.recording.events, &self.recording.waits);
        let d = PyDict::new(py);
        d.set_item("task", bytes_of(py, events.iter().map(|e| e.task.0.to_ne_bytes()))?)?;
        d.set_item("layer", bytes_of(py, events.iter().map(|e| e.what.layer.0.to_ne_bytes()))?)?;
        d.set_item("index", bytes_of(py, events.iter().map(|e| e.what.index.to_ne_bytes()))?)?;
        d.set_item("worker", bytes_of(py, events.iter().map(|e| e.worker.to_ne_bytes()))?)?;
        d.set_item("thread", bytes_of(py, events.iter().map(|e| e.thread.to_ne_bytes()))?)?;
        d.set_item("start", bytes_of(py, events.iter().map(|e| e.start_ns.to_ne_bytes()))?)?;
        d.set_item("end", bytes_of(py, events.iter().map(|e| e.end_ns.to_ne_bytes()))?)?;
        d.set_item("bytes", bytes_of(py, events.iter().map(|e| e.bytes.to_ne_bytes()))?)?;
        d.set_item("released", bytes_of(py, self.released.iter().map(|ns| ns.to_ne_bytes()))?)?;
        const NAMES: [(&str, Kind); KINDS] =
            [("gil", Kind::Gil), ("io", Kind::Io), ("compile", Kind::Compile), ("spill", Kind::Spill)];
        for (name, kind) in NAMES {
            d.set_item(name, bytes_of(py, waits.iter().map(|w| w.ns[kind as usize].to_ne_bytes()))?)?;
        }
        d.set_item("inner", bytes_of(py, waits.iter().map(|w| w.inner_ns.to_ne_bytes()))?)?;
        Ok(d)
    }
    /// The names of the tasks that ended, by their beginning.
    fn names(&self) -> Vec<String> {
        self.recording.events.iter().map(|e| (self.names)(e.what)).collect()
    }
    /// The operations, and for each task that ended which of them it was (u32).
    fn operations<'py>(&self, py: Python<'py>) -> PyResult<(Vec<String>, Bound<'py, PyBytes>)> {
        let mut operations: Vec<String> = Vec::new();
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut number = |task: TaskRef| {
            let operation = self.operation(task);
            *known.entry(operation).or_insert_with_key(|operation| {
                operations.push(operation.clone());
                operations.len() as u32 - 1
            })
        };
        let which: Vec<u32> = self.recording.events.iter().map(|e| number(e.what)).collect();
        Ok((operations, bytes_of(py, which.iter().map(|n| n.to_ne_bytes()))?))
    }
    /// The names of tasks that began and did not end well, with the nanosecond at which they began.
    #[getter]
    fn failed(&self) -> Vec<(String, u64)> {
        self.recording.failed.iter().map(|&(_, what, at)| ((self.names)(what), at)).collect()
    }
    /// (task, bytes, whether out, ns) for each value that went to disk or came back.
    #[getter]
    fn spills(&self) -> Vec<(u32, u64, bool, u64)> {
        self.recording.spills.iter().map(|s| (s.task.0, s.bytes, s.out, s.at_ns)).collect()
    }
    /// (thread, start ns, end ns, bytes) for each time that a thread wrote a spilled value.
    #[getter]
    fn written(&self) -> Vec<(u32, u64, u64, u64)> {
        self.recording.written.iter().map(|w| (w.thread, w.start_ns, w.end_ns, w.bytes)).collect()
    }
    /// (thread, its name, ns of its first task, ns on a processor, ns waiting for one) for each thread that ran tasks; the last two are
    /// None where the kernel does not tell.
    #[getter]
    fn parts(&self) -> Vec<PartRow> {
        let part = |p: &pantile_diag::events::Part| {
            let name = threads::get(p.thread).map_or_else(String::new, |t| t.name);
            (p.thread, name, p.first_ns, p.account.map(|a| a.ran_ns), p.account.map(|a| a.queued_ns))
        };
        self.recording.parts.iter().map(part).collect()
    }
}

/// Memory and processor time of this process and its children, seen by a thread without the GIL.
#[pyclass(frozen, module = "pantile._native")]
pub struct Sampler {
    sampler: Mutex<Resources>,
}

type Samples = Vec<(f64, u64, f64)>;
type PartRow = (u32, String, u64, Option<u64>, Option<u64>);

fn rows(py: Python<'_>, samples: &[pantile_diag::resources::Sample]) -> PyResult<Samples> {
    samples.iter().map(|s| Ok((perf_counter(py, s.at)?, s.bytes, s.cpu))).collect()
}

#[pymethods]
impl Sampler {
    #[new]
    fn new(seconds: f64) -> PyResult<Sampler> {
        let every = Duration::try_from_secs_f64(seconds)
            .map_err(|e| pyo3::exceptions::PyValueError::new_err(format!("dt: {e}")))?;
        Ok(Sampler { sampler: Mutex::new(Resources::start(every)?) })
    }
    /// (`time.perf_counter()`, bytes, share of one processor) for each look so far.
    fn samples(&self, py: Python<'_>) -> PyResult<Samples> {
        let samples = py.detach(|| self.sampler.lock().samples());
        rows(py, &samples)
    }
    /// Looks once more, ends, and gives everything.
    fn stop(&self, py: Python<'_>) -> PyResult<Samples> {
        let samples = py.detach(|| self.sampler.lock().stop());
        rows(py, &samples)
    }
}
