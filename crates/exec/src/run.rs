//! A run from beginning to end: sets up, lets the calling thread take part, waits, collects the outputs, cleans up.
//!
//! The calling thread is worker 0. It works at first, so that a small graph runs without waking anybody. After a
//! millisecond it hands over to the pool and only waits, asking for interrupts every 20 ms: Ctrl-C then does not have to
//! wait for a long task. It comes back to work only when no thread of the pool is in the run although there is something
//! to do, which happens when the pool is busy with another run. Under `Sync`, and when the calling thread is itself a
//! thread of the pool (a task that computes), it never hands over: the pool's other threads may all be waiting likewise.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pantile_graph::{Graph, Observer, Order, Runner, TaskId};
use parking_lot::{Condvar, Mutex};

use crate::gate::{Gate, GateKeeper};
use crate::ledger::Ledger;
use crate::pressure::Pressure;
use crate::queue::Queues;
use crate::spill::{SpillError, SpillFolder};
use crate::values::{Input, Values};
use crate::worker::{Left, Local};
use crate::{CancelToken, Executor, Options, Pool, RunError, Stats};

/// How often the calling thread looks for interrupts.
const CHECK_EVERY: Duration = Duration::from_millis(20);
/// How often a waiting calling thread that must not hand over looks for work.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long the calling thread works before it hands over.
const HAND_OVER_AFTER: Duration = Duration::from_millis(1);
/// With values of this size on average, tasks take longer than that, and the calling thread does not even begin.
const LONG_TASK_BYTES: u64 = 1 << 20;

/// The values of the outputs, in the order in which they were asked for.
pub type RunResult<R> = Result<Vec<<R as Runner>::Value>, RunError<<R as Runner>::Error>>;

/// Runs the graph and gives the values of its outputs, in their order.
///
/// # Errors
/// See `RunError`. Nothing of the run is left then, in memory or on disk.
pub fn run<R: Runner>(graph: &Graph, order: &Order, runner: &R, options: &Options<'_>) -> RunResult<R> {
    run_with_stats(graph, order, runner, options).0
}

/// As `run`, and tells what was done, also when it failed.
pub fn run_with_stats<R: Runner>(
    graph: &Graph,
    order: &Order,
    runner: &R,
    options: &Options<'_>,
) -> (RunResult<R>, Stats) {
    assert_eq!(graph.len(), order.len(), "the order belongs to another graph");
    let mut run = Run::new(graph, order, runner, options);
    for observer in run.observers {
        observer.started(graph.len() as u64);
    }
    {
        // SAFETY: the keeper is dropped at the end of this block, where `run` is alive.
        let keeper = unsafe { GateKeeper::new(&run) };
        let _closing = Closing(&run);
        run.drive(keeper.gate(), options.check_interrupt);
    }
    let result = run.finish();
    let at_ns = run.now_ns();
    for observer in run.observers {
        observer.ended(result.is_ok(), at_ns);
    }
    (result, run.stats())
}

/// Everything that the threads in a run share.
pub(crate) struct Run<'a, R: Runner> {
    pub(crate) graph: &'a Graph,
    pub(crate) order: &'a Order,
    pub(crate) runner: &'a R,
    pub(crate) observers: &'a [Arc<dyn Observer>],
    pub(crate) cancel: Option<CancelToken>,
    pub(crate) pool: Option<&'a Pool>,
    pub(crate) values: Values<R::Value>,
    pub(crate) queues: Queues,
    pub(crate) ledger: Ledger,
    pub(crate) pressure: Pressure,
    pub(crate) folder: Option<SpillFolder>,
    /// Inputs, as often as they are named, that a task still waits for.
    pub(crate) missing: Vec<AtomicU32>,
    pub(crate) unfinished: AtomicUsize,
    /// Workers that are in the run or have been asked to come, and how many there may be.
    pub(crate) active: AtomicUsize,
    pub(crate) max_active: usize,
    /// Threads of the pool that are in the run.
    pub(crate) started: AtomicUsize,
    /// Set by the first failure, by cancelling, or at the end: no task is begun any more.
    pub(crate) stop: AtomicBool,
    failure: Mutex<Option<RunError<R::Error>>>,
    signal_lock: Mutex<()>,
    signal: Condvar,
    began: Instant,
    pub(crate) counts: Counts,
}

/// What `Stats` is made from.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) tasks: AtomicU64,
    pub(crate) steals: AtomicU64,
    pub(crate) spilled_bytes: AtomicU64,
    pub(crate) restored_bytes: AtomicU64,
    pub(crate) forced_tasks: AtomicU64,
}

/// Makes the spill writer end, also when the calling thread panics.
struct Closing<'r, 'a, R: Runner>(&'r Run<'a, R>);

impl<R: Runner> Drop for Closing<'_, '_, R> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.pressure.close();
    }
}

impl<'a, R: Runner> Run<'a, R> {
    fn new(graph: &'a Graph, order: &'a Order, runner: &'a R, options: &Options<'a>) -> Run<'a, R> {
        let pool = match options.executor {
            Executor::Sync => None,
            Executor::Threads(pool) => Some(pool),
        };
        let max_active = pool.map_or(1, Pool::threads);
        let spills = options.limit_bytes.is_some() && options.spill_dir.is_some();
        let mut sources: Vec<u32> =
            graph.ids().filter(|&id| graph.inputs(id).is_empty()).map(|id| order.rank(id)).collect();
        sources.sort_unstable();
        let missing = graph.ids().map(|id| (graph.inputs(id).len() as u32).into()).collect();
        Run {
            graph,
            order,
            runner,
            observers: options.observers,
            cancel: options.cancel.clone(),
            pool,
            values: Values::new(graph, spills),
            // One queue for the calling thread and one for each of the pool's.
            queues: Queues::new(sources, pool.map_or(1, |pool| pool.threads() + 1)),
            ledger: Ledger::new(options.limit_bytes),
            pressure: Pressure::default(),
            folder: options.spill_dir.clone().filter(|_| spills).map(SpillFolder::new),
            missing,
            unfinished: AtomicUsize::new(graph.len()),
            active: AtomicUsize::new(0),
            max_active,
            started: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            signal_lock: Mutex::new(()),
            signal: Condvar::new(),
            began: Instant::now(),
            counts: Counts::default(),
        }
    }

    /// The calling thread's part.
    fn drive(&self, gate: &Arc<Gate>, check_interrupt: Option<&dyn Fn() -> bool>) {
        let stays = self.pool.is_none_or(Pool::is_current);
        let mut local = Local::new(0);
        let mut checked = self.began;
        let mut check = |now: Instant| {
            if now - checked >= CHECK_EVERY {
                checked = now;
                if check_interrupt.is_some_and(|interrupted| interrupted()) {
                    self.fail(RunError::Interrupted);
                }
            }
        };
        let mut handed_over = false;
        if !stays && self.tasks_look_long() {
            handed_over = true;
            for _ in 0..self.max_active.min(self.queues.sources()) {
                self.wake(gate);
            }
        }
        let mut works = !handed_over && self.join();
        while !self.ended() {
            if works {
                let left = self.work(&mut local, gate, || {
                    let now = Instant::now();
                    check(now);
                    let hand_over = !stays
                        && now - self.began >= HAND_OVER_AFTER
                        && (!handed_over || self.started.load(Ordering::SeqCst) > 0);
                    handed_over |= hand_over;
                    hand_over
                });
                if matches!(left, Left::Ended) {
                    break;
                }
                // Whoever leaves once is replaced by the pool and stays away; see `resumes` below.
                handed_over = true;
            }
            let waited = {
                let mut lock = self.signal_lock.lock();
                // Signals are sent under the lock after the change that they tell of, so none is missed here.
                if self.ended() {
                    break;
                }
                self.signal.wait_for(&mut lock, if stays { LOOK_EVERY } else { CHECK_EVERY })
            };
            check(Instant::now());
            if self.cancelled() {
                break;
            }
            let resumes = stays || (waited.timed_out() && self.started.load(Ordering::SeqCst) == 0);
            works = resumes && self.has_work();
            if works {
                // Beyond the maximum if need be: the workers that are counted have been called but have not come, and
                // when their threads are waiting for this very run, they never will.
                self.active.fetch_add(1, Ordering::SeqCst);
            }
        }
        local.report(&self.counts);
    }

    /// Collects the outputs, or the failure, and lets go of everything else.
    fn finish(&mut self) -> RunResult<R> {
        let mut result = match self.failure.get_mut().take() {
            Some(failure) => Err(failure),
            None => Ok(Vec::with_capacity(self.graph.outputs().len())),
        };
        let mut held = 0;
        let mut holds = Vec::new();
        for &output in self.graph.outputs() {
            let Ok(values) = &mut result else { break };
            match self.take(output) {
                Ok(input) => {
                    self.ledger.add(input.restored_bytes);
                    values.push(input.value);
                    holds.push(input.hold);
                }
                Err(error) => result = Err(error),
            }
        }
        for hold in holds {
            held += self.values.release(hold);
        }
        self.ledger.sub(held);
        self.ledger.sub(self.values.clear());
        debug_assert_eq!(self.ledger.used(), 0, "the ledger must be empty after a run");
        // Removes the folder, now that no value is on disk any more.
        self.folder = None;
        result
    }

    fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Acquire);
        Stats {
            tasks: read(&self.counts.tasks),
            peak_bytes: self.ledger.peak(),
            spilled_bytes: read(&self.counts.spilled_bytes),
            restored_bytes: read(&self.counts.restored_bytes),
            steals: read(&self.counts.steals),
            forced_tasks: read(&self.counts.forced_tasks),
            overshoot_bytes: self.ledger.limit().map_or(0, |limit| self.ledger.peak().saturating_sub(limit)),
        }
    }

    fn tasks_look_long(&self) -> bool {
        let bytes = self.graph.ids().fold(0u64, |sum, id| sum.saturating_add(self.graph.bytes(id)));
        bytes / (self.graph.len().max(1) as u64) >= LONG_TASK_BYTES
    }

    /// Takes a value for one use, from disk if need be. The bytes that come back are the caller's to count.
    pub(crate) fn take(&self, id: TaskId) -> Result<Input<R::Value>, RunError<R::Error>> {
        let input = self.values.take(id, |file| {
            let opened = file.open().map_err(spill_error)?;
            self.runner.restore(opened, file.len()).map_err(|source| {
                let path = file.path().to_owned();
                RunError::Spill { doing: "read", path, source }
            })
        })?;
        if input.restored_bytes > 0 {
            self.counts.restored_bytes.fetch_add(input.restored_bytes, Ordering::Relaxed);
            self.observe_spill(id, input.restored_bytes, false);
        }
        Ok(input)
    }

    pub(crate) fn observe_spill(&self, id: TaskId, bytes: u64, out: bool) {
        if !self.observers.is_empty() {
            let at_ns = self.now_ns();
            for observer in self.observers {
                observer.spilled(id, bytes, out, at_ns);
            }
        }
    }

    /// Keeps the first failure and stops the run.
    pub(crate) fn fail(&self, failure: RunError<R::Error>) {
        {
            let mut first = self.failure.lock();
            if first.is_none() {
                *first = Some(failure);
            }
        }
        self.stop.store(true, Ordering::SeqCst);
        self.runner.stop();
        self.tell_caller();
    }

    /// The failure that a panic while `id` was run or spilled is.
    pub(crate) fn panicked(&self, id: TaskId, payload: &(dyn Any + Send)) -> RunError<R::Error> {
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(message), _) => (*message).to_string(),
            (_, Some(message)) => message.clone(),
            _ => "(no message)".to_string(),
        };
        RunError::Panic { task: self.graph.task(id), label: self.graph.label(id).into(), message }
    }

    /// Whether there is nothing to begin any more.
    pub(crate) fn ended(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.unfinished.load(Ordering::Acquire) == 0 || self.cancelled()
    }

    fn cancelled(&self) -> bool {
        let cancelled = self.cancel.as_ref().is_some_and(CancelToken::is_cancelled);
        // A token that is set after the last task changes nothing.
        if cancelled && self.unfinished.load(Ordering::Acquire) > 0 && !self.stop.load(Ordering::Acquire) {
            self.fail(RunError::Cancelled);
        }
        cancelled
    }

    /// Wakes the calling thread if it waits.
    pub(crate) fn tell_caller(&self) {
        drop(self.signal_lock.lock());
        self.signal.notify_all();
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

pub(crate) fn spill_error<E>(error: SpillError) -> RunError<E> {
    RunError::Spill { doing: error.doing, path: error.path, source: error.source }
}
