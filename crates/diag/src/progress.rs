//! Counters of a run, updated by its threads, polled by whoever shows them.

use pantile_graph::{Observer, TaskId, TaskRef};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What a run has done so far. All methods may be called from any thread.
#[derive(Default)]
pub struct Progress {
    tasks: AtomicU64,
    done: AtomicU64,
    ended: AtomicBool,
    layers: Mutex<Vec<Layer>>,
}

struct Layer {
    label: String,
    running: u32,
}

impl Progress {
    /// Called before a run, with the labels of its layers.
    pub fn begin(&self, labels: impl IntoIterator<Item = String>) {
        *self.layers.lock() = labels.into_iter().map(|label| Layer { label, running: 0 }).collect();
        self.ended.store(false, Relaxed);
    }

    /// How many tasks there are; 0 before the run begins.
    pub fn tasks(&self) -> u64 {
        self.tasks.load(Relaxed)
    }

    /// How many of them are done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// The labels of the layers of which a task runs now.
    pub fn running(&self) -> Vec<String> {
        self.layers.lock().iter().filter(|l| l.running > 0).map(|l| l.label.clone()).collect()
    }

    fn with_layer(&self, what: TaskRef, f: impl FnOnce(&mut u32)) {
        if let Some(layer) = self.layers.lock().get_mut(what.layer.0 as usize) {
            f(&mut layer.running);
        }
    }
}

impl Observer for Progress {
    fn started(&self, tasks: u64) {
        self.tasks.fetch_add(tasks, Relaxed);
    }
    fn task_started(&self, _task: TaskId, what: TaskRef, _worker: u32, _at_ns: u64) {
        self.with_layer(what, |n| *n += 1);
    }
    fn task_finished(&self, _task: TaskId, what: TaskRef, _worker: u32, _start: u64, _end: u64, _bytes: u64) {
        self.done.fetch_add(1, Relaxed);
        self.with_layer(what, |n| *n = n.saturating_sub(1));
    }
    fn ended(&self, _ok: bool, _at_ns: u64) {
        self.ended.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pantile_graph::LayerId;

    #[test]
    fn counts_follow_a_run() {
        let p = Progress::default();
        p.begin(["read".to_string(), "sum".to_string()]);
        p.started(2);
        let task = |layer| TaskRef { layer: LayerId(layer), index: 0 };
        p.task_started(TaskId(0), task(1), 0, 0);
        assert_eq!((p.tasks(), p.done(), p.running()), (2, 0, vec!["sum".to_string()]));
        p.task_finished(TaskId(0), task(1), 0, 0, 1, 8);
        assert_eq!((p.done(), p.running().len(), p.is_over()), (1, 0, false));
        Observer::ended(&p, true, 2);
        assert!(p.is_over());
    }
}
