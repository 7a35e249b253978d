//! The two traits through which an executor meets the rest of the world: what runs a task, and what watches.
//!
//! The graph crate reads no clock and knows no thread; times are handed in by the executor.

use std::io;

use crate::{TaskId, TaskRef};

/// Runs tasks. The executor decides when and where, the runner what.
///
/// A runner is shared by all threads of the executor. It never waits for another task.
pub trait Runner: Send + Sync {
    /// What a task makes. Cloning must be cheap (a reference count).
    type Value: Clone + Send + Sync + 'static;
    /// Why a task failed.
    type Error: Send + 'static;

    /// Runs one task. `inputs` holds the values in the order in which the layer named them.
    ///
    /// The executor has already dropped its own reference to an input that no later task needs, so a runner that finds
    /// itself the sole owner of a value may write into it.
    fn run(&self, task: TaskRef, inputs: &mut Vec<Self::Value>) -> Result<Self::Value, Self::Error>;

    /// Whether tasks like this one gain from being run several at a time inside `batch`: Python functions do, which need the
    /// interpreter's lock.
    fn batches(&self, _task: TaskRef) -> bool {
        false
    }

    /// Calls `body` where such tasks run fast. The executor takes, runs and finishes tasks in `body` until the next one that it
    /// would take does not batch, or there is none.
    fn batch(&self, body: &mut dyn FnMut()) {
        body();
    }

    /// The run has been stopped, by a failure or from outside: tasks that are running may give up, as what they return is
    /// dropped. Called from any thread, perhaps more than once.
    fn stop(&self) {}

    /// The memory that `value` holds on to, in bytes. Memory that somebody else owns (a user's array) counts as zero.
    fn nbytes(&self, value: &Self::Value) -> u64;

    /// Writes `value` so that `restore` can read it back. `Ok(false)` declines: the value then stays in memory.
    fn spill(&self, value: &Self::Value, to: &mut dyn io::Write) -> io::Result<bool>;

    /// Reads back what `spill` wrote: `len` bytes at the start of `file`.
    ///
    /// The file is private to the value, and removed afterwards.
    fn restore(&self, file: std::fs::File, len: u64) -> io::Result<Self::Value>;
}

/// Watches a run. Every method has an empty default; an executor without observers does no work for them.
///
/// Methods are called from the threads that run the tasks; times are nanoseconds since the run began.
pub trait Observer: Send + Sync {
    /// The run begins; `tasks` is the number of tasks in it.
    fn started(&self, _tasks: u64) {}
    /// A task begins on `worker`.
    fn task_started(&self, _task: TaskId, _what: TaskRef, _worker: u32, _at_ns: u64) {}
    /// A task ended well; `bytes` is the size of its value.
    fn task_finished(
        &self,
        _task: TaskId,
        _what: TaskRef,
        _worker: u32,
        _start_ns: u64,
        _end_ns: u64,
        _bytes: u64,
    ) {
    }
    /// A value of `bytes` bytes was written to disk (`true`) or read back (`false`).
    fn spilled(&self, _task: TaskId, _bytes: u64, _out: bool, _at_ns: u64) {}
    /// The run is over; `ok` tells whether it succeeded.
    fn ended(&self, _ok: bool, _at_ns: u64) {}
}
