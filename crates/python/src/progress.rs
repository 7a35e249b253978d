//! The counters of a run, for Python to poll.

use pantile_array::leaf::bytes_read;
use pantile_diag::progress::Progress as Counters;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a run.
#[pyclass(frozen, module = "pantile._native")]
#[derive(Default)]
pub struct Progress {
    pub counters: Arc<Counters>,
    bytes_before: AtomicU64,
}

impl Progress {
    /// Called before a run, with the labels of its layers.
    pub fn begin(&self, labels: impl IntoIterator<Item = String>) {
        self.bytes_before.store(bytes_read(), Relaxed);
        self.counters.begin(labels);
    }
}

#[pymethods]
impl Progress {
    #[new]
    fn new() -> Progress {
        Progress::default()
    }
    #[getter]
    fn tasks(&self) -> u64 {
        self.counters.tasks()
    }
    #[getter]
    fn done(&self) -> u64 {
        self.counters.done()
    }
    #[getter]
    fn bytes(&self) -> u64 {
        bytes_read().saturating_sub(self.bytes_before.load(Relaxed))
    }
    #[getter]
    fn running(&self) -> Vec<String> {
        self.counters.running()
    }
    #[getter]
    fn ended(&self) -> bool {
        self.counters.is_over()
    }
}
