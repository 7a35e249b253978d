//! Counters that a run updates and Python polls.

use pantile_graph::{Observer, TaskId, TaskRef};
use parking_lot::Mutex;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What the observer and the Python object share.
#[derive(Default)]
pub struct Counters {
    tasks: AtomicU64,
    done: AtomicU64,
    bytes_before: AtomicU64,
    ended: AtomicBool,
    labels: Mutex<Vec<String>>,
    /// How many tasks of each layer run now.
    running: Mutex<Vec<u32>>,
}

impl Counters {
    /// Called before a run: the labels of its layers.
    pub fn begin(&self, labels: Vec<String>) {
        *self.running.lock() = vec![0; labels.len()];
        *self.labels.lock() = labels;
        self.bytes_before.store(pantile_array::leaf::bytes_read(), Relaxed);
    }
}

impl Observer for Counters {
    fn started(&self, tasks: u64) {
        self.tasks.fetch_add(tasks, Relaxed);
    }
    fn task_started(&self, _task: TaskId, what: TaskRef, _worker: u32, _at_ns: u64) {
        if let Some(n) = self.running.lock().get_mut(what.layer.0 as usize) {
            *n += 1;
        }
    }
    fn task_finished(
        &self,
        _task: TaskId,
        what: TaskRef,
        _worker: u32,
        _start_ns: u64,
        _end_ns: u64,
        _bytes: u64,
    ) {
        self.done.fetch_add(1, Relaxed);
        if let Some(n) = self.running.lock().get_mut(what.layer.0 as usize) {
            *n = n.saturating_sub(1);
        }
    }
    fn ended(&self, _ok: bool, _at_ns: u64) {
        self.ended.store(true, Relaxed);
    }
}

/// Counters of a run.
#[pyclass(frozen, module = "pantile._native")]
#[derive(Default)]
pub struct Progress {
    pub counters: Arc<Counters>,
}

#[pymethods]
impl Progress {
    #[new]
    fn new() -> Progress {
        Progress::default()
    }
    #[getter]
    fn tasks(&self) -> u64 {
        self.counters.tasks.load(Relaxed)
    }
    #[getter]
    fn done(&self) -> u64 {
        self.counters.done.load(Relaxed)
    }
    #[getter]
    fn bytes(&self) -> u64 {
        pantile_array::leaf::bytes_read().saturating_sub(self.counters.bytes_before.load(Relaxed))
    }
    #[getter]
    fn running(&self) -> Vec<String> {
        let running = self.counters.running.lock();
        let labels = self.counters.labels.lock();
        running.iter().zip(labels.iter()).filter(|(n, _)| **n > 0).map(|(_, l)| l.clone()).collect()
    }
    #[getter]
    fn ended(&self) -> bool {
        self.counters.ended.load(Relaxed)
    }
}
