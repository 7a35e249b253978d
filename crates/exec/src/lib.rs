//! Runs task graphs: on the calling thread, or on one pool of threads, within a memory limit.
//!
//! Reading order: `options` (what a caller chooses and gets told), `pool` (the threads), `run` (a run from beginning to
//! end), `worker` (what a thread does in it), `queue` (which task is next), `pressure` (what happens at the memory
//! limit), `values` and `ledger` (what is alive and what it weighs), `spill` (the files), `fits` (what can be said
//! before a run), `gate` (how threads of a pool may borrow from a run), `error`. Beside them `processes/`: workers in processes
//! of their own, which a task may call.
//!
//! Promises: values are dropped when their last consumer has them; a run ends, whatever the limit; nothing of it is left
//! running or on disk afterwards, whether it succeeded, failed, was cancelled or panicked.

pub mod error;
pub mod fits;
mod gate;
mod ledger;
pub mod options;
pub mod pool;
mod pressure;
pub mod processes;
mod queue;
mod run;
mod spill;
mod values;
mod worker;

pub use error::{Family, RunError, size_text};
pub use fits::check_fits;
pub use options::{CancelToken, Executor, Options, Stats};
pub use pool::{Pool, default_threads};
pub use run::{RunResult, run, run_with_stats};
