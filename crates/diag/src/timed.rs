//! A runner that is watched: it tells the event log what an observer cannot see.
//!
//! Observers are told that a value was spilled, not how long that took, and they never see values. A `Timed` runner stands
//! in front of the real one, measures writing and reading back, and shows each value to whoever wants to see it before the
//! executor gets it.

use crate::events::EventLog;
use crate::waits::{self, Kind};
use pantile_graph::{Runner, TaskRef};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Is shown the value of each task.
pub type Seen<'a, V> = Box<dyn Fn(TaskRef, &V) + Send + Sync + 'a>;

/// A runner and who watches it.
pub struct Timed<'a, R: Runner> {
    inner: R,
    log: Option<Arc<EventLog>>,
    seen: Option<Seen<'a, R::Value>>,
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether the calling thread runs a task of a `Timed` runner: a run that begins now is inside another one.
pub fn in_task() -> bool {
    DEPTH.get() > 0
}

struct InTask;

impl InTask {
    fn enter() -> InTask {
        DEPTH.set(DEPTH.get() + 1);
        InTask
    }
}

impl Drop for InTask {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl<'a, R: Runner> Timed<'a, R> {
    /// Watches `inner`; without a log and without `seen` nothing is measured.
    pub fn new(inner: R, log: Option<Arc<EventLog>>, seen: Option<Seen<'a, R::Value>>) -> Timed<'a, R> {
        Timed { inner, log, seen }
    }
}

impl<R: Runner> Runner for Timed<'_, R> {
    type Value = R::Value;
    type Error = R::Error;

    fn run(&self, task: TaskRef, inputs: &mut Vec<R::Value>) -> Result<R::Value, R::Error> {
        let value = {
            let _in = InTask::enter();
            self.inner.run(task, inputs)?
        };
        if let Some(seen) = &self.seen {
            seen(task, &value);
        }
        Ok(value)
    }

    fn batches(&self, task: TaskRef) -> bool {
        self.inner.batches(task)
    }

    fn batch(&self, body: &mut dyn FnMut()) {
        self.inner.batch(body);
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn nbytes(&self, value: &R::Value) -> u64 {
        self.inner.nbytes(value)
    }

    fn spill(&self, value: &R::Value, to: &mut dyn io::Write) -> io::Result<bool> {
        let Some(log) = &self.log else { return self.inner.spill(value, to) };
        let start = Instant::now();
        let written = self.inner.spill(value, to)?;
        log.wrote(start, self.inner.nbytes(value));
        Ok(written)
    }

    fn restore(&self, file: File, len: u64) -> io::Result<R::Value> {
        let _wait = waits::wait(Kind::Spill);
        self.inner.restore(file, len)
    }
}
