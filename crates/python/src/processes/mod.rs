//! Python functions in worker processes: `pantile_exec::processes` with pickles in its messages.
//!
//! Reading order: `pickled` (objects to bytes and back), `view` (received memory, for NumPy), `call` (the caller's side),
//! `serve` (the worker's side, driven by `python/pantile/_worker.py`).

mod call;
mod pickled;
mod serve;
mod view;

pub use call::{Functions, Workers, call};

use pyo3::prelude::*;
use pyo3::types::PyDict;

pyo3::create_exception!(
    pantile,
    WorkerDiedError,
    pyo3::exceptions::PyRuntimeError,
    "A worker process ended while it ran a function."
);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("WorkerDiedError", m.py().get_type::<WorkerDiedError>())?;
    m.add_class::<call::PyFunctions>()?;
    m.add_class::<call::StopFlag>()?;
    m.add_class::<call::WorkerPool>()?;
    m.add_class::<serve::WorkerEnd>()?;
    m.add_class::<view::Segment>()?;
    m.add_function(wrap_pyfunction!(call::call_in_process, m)?)?;
    m.add_function(wrap_pyfunction!(call::close_processes, m)?)?;
    m.add_function(wrap_pyfunction!(process_stats, m)?)
}

/// What the tests and diagnostics look at: the process' own pool, and what went between processes.
#[pyfunction]
fn process_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let traffic = pantile_exec::processes::traffic();
    let stats = PyDict::new(py);
    stats.set_item("pids", pantile_exec::processes::Pool::global().pids())?;
    stats.set_item("socket_bytes", traffic.socket_bytes)?;
    stats.set_item("shared_bytes", traffic.shared_bytes)?;
    stats.set_item("segments_made", traffic.made)?;
    stats.set_item("segments_reused", traffic.reused)?;
    stats.set_item("segments_mapped", traffic.mapped)?;
    stats.set_item("cached_bytes", traffic.cached_bytes)?;
    Ok(stats)
}
