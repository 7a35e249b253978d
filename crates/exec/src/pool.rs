//! The threads. There is one pool in a process, and it is also rayon's global pool, so that a kernel that splits its work
//! with rayon (a matrix product, say) uses the threads that run the tasks instead of as many again.
//!
//! Idle threads belong to rayon: they look for work of any run or kernel for a moment and then sleep. The tests make
//! pools of their own.

use std::num::NonZero;
use std::sync::OnceLock;

use rayon_core::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Threads that run tasks.
pub struct Pool {
    threads: usize,
    kind: Kind,
}

enum Kind {
    /// Rayon's global pool. Its handle is not to be had; its functions are.
    Global,
    Own(ThreadPool),
}

static GLOBAL: OnceLock<Pool> = OnceLock::new();

/// How many threads this process may use: the CPUs in its affinity mask, or fewer where a cgroup (v1 or v2) gives it a
/// smaller share of time. At least one.
pub fn default_threads() -> usize {
    // The standard library asks `sched_getaffinity` and reads the cgroup quotas of both versions.
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Pool {
    /// A pool of its own, for tests and benchmarks. Kernels inside its tasks use it as well.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: usize) -> Result<Pool, ThreadPoolBuildError> {
        let threads = threads.max(1);
        Ok(Pool { threads, kind: Kind::Own(builder(threads).build()?) })
    }

    /// The pool of the process, with `default_threads()` threads unless `init_global` was called before.
    pub fn global() -> &'static Pool {
        // Counting the CPUs reads the files of the control groups: once is enough.
        GLOBAL.get().unwrap_or_else(|| Pool::init_global(default_threads()))
    }

    /// The pool of the process, with `threads` threads if this is the first call; the number cannot be changed later.
    ///
    /// `threads()` of the answer tells the number that holds.
    pub fn init_global(threads: usize) -> &'static Pool {
        GLOBAL.get_or_init(|| {
            // When rayon's global pool was started by somebody else, that one is used: two pools would be worse than
            // another number of threads.
            let _ = builder(threads.max(1)).build_global();
            let threads = match rayon_core::current_thread_index() {
                // A thread of some other pool asks, whose size `current_num_threads` would tell.
                Some(_) => threads.max(1),
                None => rayon_core::current_num_threads(),
            };
            Pool { threads, kind: Kind::Global }
        })
    }

    /// How many threads the pool has.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `f` on one of the pool's threads, or directly when this is one of them.
    ///
    /// For parallel kernels outside of a run: from here, rayon's functions use this pool.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.kind {
            Kind::Global => f(),
            Kind::Own(pool) => pool.install(f),
        }
    }

    /// Whether the calling thread is one of the pool's.
    pub(crate) fn is_current(&self) -> bool {
        match &self.kind {
            Kind::Global => rayon_core::current_thread_index().is_some(),
            Kind::Own(pool) => pool.current_thread_index().is_some(),
        }
    }

    pub(crate) fn spawner(&self) -> Spawner<'_> {
        Spawner(self)
    }
}

fn builder(threads: usize) -> ThreadPoolBuilder {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        // As much as a main thread has: tasks compile code and call into Python.
        .stack_size(8 << 20)
        .thread_name(|index| format!("pantile-{index}"))
}

/// Hands work to a pool.
#[derive(Clone, Copy)]
pub(crate) struct Spawner<'p>(&'p Pool);

impl Spawner<'_> {
    pub(crate) fn spawn(self, job: impl FnOnce() + Send + 'static) {
        match &self.0.kind {
            Kind::Global => rayon_core::spawn(job),
            Kind::Own(pool) => pool.spawn(job),
        }
    }
}
