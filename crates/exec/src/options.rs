//! What a caller chooses for a run, and what the run tells afterwards.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pantile_graph::Observer;

use crate::Pool;

/// Where tasks run.
#[derive(Clone, Copy, Default)]
pub enum Executor<'a> {
    /// On the calling thread, one after the other, exactly in the order's ranks (unless the memory limit forces others
    /// first). For debugging.
    #[default]
    Sync,
    /// On the calling thread at first and on the pool's threads.
    Threads(&'a Pool),
}

/// What a caller chooses for a run. The default runs on the calling thread, without a limit.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// Where tasks run.
    pub executor: Executor<'a>,
    /// The most memory that values and running tasks may take, in bytes. Values are spilled only when it is reached.
    pub limit_bytes: Option<u64>,
    /// An existing folder in which a private folder for spilled values is made when the first one is spilled.
    pub spill_dir: Option<PathBuf>,
    /// Lets another thread stop the run.
    pub cancel: Option<CancelToken>,
    /// Asked on the calling thread at least every 20 ms, or after each task that the calling thread runs itself; true
    /// stops the run.
    pub check_interrupt: Option<&'a dyn Fn() -> bool>,
    /// Who watches. An empty list costs nothing.
    pub observers: &'a [Arc<dyn Observer>],
}

/// Stops the runs that were given it. Clones are the same token.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Stops the runs: no task is begun any more, and those that run are told (`Runner::stop`) and waited for.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelToken({})", self.is_cancelled())
    }
}

/// What a run did, also when it failed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Tasks that ended well.
    pub tasks: u64,
    /// The most that the ledger held: values, and estimates of what running tasks make and need.
    pub peak_bytes: u64,
    /// Bytes of memory that were let go by writing values to disk.
    pub spilled_bytes: u64,
    /// Bytes of memory that were taken by reading values back.
    pub restored_bytes: u64,
    /// Tasks that a thread took from another thread's queue.
    pub steals: u64,
    /// Tasks that were let in beyond the limit because nothing else could go on.
    pub forced_tasks: u64,
    /// By how much the ledger exceeded the limit at most.
    pub overshoot_bytes: u64,
}
