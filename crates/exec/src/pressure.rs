//! What happens when a task does not fit within the memory limit.
//!
//! Tasks that did not fit wait here, and as long as any waits, every worker comes here for its next task. Under one lock
//! it looks at the waiting tasks in the order of their ranks, and
//!
//! 1. begins the first one that fits and lets go of at least as much as it makes, or else the very first if it fits;
//! 2. otherwise, if what is running will let go of enough for the very first, leaves it at that: the worker that
//!    finishes it will look again;
//! 3. otherwise has values spilled, those that are needed last first, and not the very first task's own inputs;
//! 4. and when nothing is running and nothing is being written, begins a task anyway, the one that adds least. Waiting
//!    would be for ever. The ledger then exceeds the limit, which is counted.
//!
//! Tasks without inputs stay in their list until nothing else waits: they never let go of anything.
//!
//! Values are written by a thread of its own, so that a worker is free for other tasks; with `Sync` by the calling
//! thread, so that everything stays in order.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use pantile_graph::{Runner, TaskId};
use parking_lot::Mutex;

use crate::RunError;
use crate::gate::Gate;
use crate::run::{Run, spill_error};
use crate::values::Mark;
use crate::worker::Admitted;

/// How many waiting tasks are looked at for one that fits.
const LOOKED_AT: usize = 256;
/// How many consumers of a value are looked at for the next one; with more, it counts as needed at once.
const CONSUMERS_LOOKED_AT: usize = 256;

#[derive(Default)]
pub(crate) struct Pressure {
    inner: Mutex<Inner>,
    /// The number of waiting tasks.
    waiting: AtomicUsize,
    /// Raised whenever the writer has let go of memory, or has given up doing so.
    epoch: AtomicU64,
    /// Tasks that are running or trying to be let in.
    running: AtomicUsize,
    /// The bytes that running tasks will have let go of when they end.
    freeing: AtomicU64,
    spilled: AtomicBool,
    receiver: Mutex<Option<Receiver<(TaskId, u64)>>>,
}

#[derive(Default)]
struct Inner {
    /// Ranks of the tasks that wait.
    waiting: BTreeSet<u32>,
    /// Values that are to be written or being written, and their bytes.
    writing: usize,
    writing_bytes: u64,
    writer: Option<Sender<(TaskId, u64)>>,
    closed: bool,
}

impl Pressure {
    pub(crate) fn any(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// A task is about to be let in, or has been.
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
    }

    /// It has ended, or was not let in.
    pub(crate) fn end(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn will_free(&self, bytes: u64) {
        self.freeing.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn freed(&self, bytes: u64) {
        self.freeing.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Whether any value was ever spilled.
    pub(crate) fn has_spilled(&self) -> bool {
        self.spilled.load(Ordering::Acquire)
    }

    pub(crate) fn defer(&self, rank: u32) {
        let mut inner = self.inner.lock();
        inner.waiting.insert(rank);
        self.waiting.store(inner.waiting.len(), Ordering::SeqCst);
    }

    /// Ends the writer.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.writer = None;
    }
}

impl<R: Runner> Run<'_, R> {
    pub(crate) fn next_under_pressure(&self, gate: &Arc<Gate>) -> Option<Admitted> {
        loop {
            let mut inner = self.pressure.inner.lock();
            self.queues.drain(|rank| {
                inner.waiting.insert(rank);
            });
            if inner.waiting.is_empty()
                && let Some(source) = self.queues.take_source()
            {
                inner.waiting.insert(source);
            }
            let chosen = self.choose(&inner);
            if let Some((rank, _)) = chosen {
                inner.waiting.remove(&rank);
                self.pressure.begin();
            }
            self.pressure.waiting.store(inner.waiting.len(), Ordering::SeqCst);
            if let Some((_, task)) = chosen {
                let more = match inner.waiting.first() {
                    Some(&rank) => self.ledger.fits(self.needs(self.order.sequence()[rank as usize])),
                    None => self.queues.any(),
                };
                drop(inner);
                if more {
                    self.wake(gate);
                }
                return Some(task);
            }
            // Read after `waiting` was stored: a worker that ends a task lowers `running` and then reads `waiting`, so
            // either it is seen here as running, and will look again, or all that it let go of is seen below.
            let running = self.pressure.running.load(Ordering::SeqCst);
            let &first = inner.waiting.first()?;
            let first = self.order.sequence()[first as usize];
            let needs = self.needs(first);
            let limit = self.ledger.limit().unwrap_or(u64::MAX);
            let used = self.ledger.used().saturating_add(needs);
            let soon = self.pressure.freeing.load(Ordering::SeqCst).saturating_add(inner.writing_bytes);
            let mut victims = Vec::new();
            if used.saturating_sub(soon) > limit && self.folder.is_some() && !inner.closed {
                // A little more than needed, so that the next tasks need not wait likewise.
                let shortage = used.saturating_sub(soon) - limit;
                victims = self.victims(first, shortage, shortage.saturating_add(limit / 8));
                inner.writing += victims.len();
                inner.writing_bytes += victims.iter().map(|&(_, bytes)| bytes).sum::<u64>();
            }
            if victims.is_empty() {
                if inner.writing > 0 || running > 0 {
                    return None;
                }
                if used <= limit {
                    // The last task ended while the others were looked at, and now there is room.
                    continue;
                }
                let rank = self.least_harmful(&inner);
                let task = self.order.sequence()[rank as usize];
                let reserved = self.needs(task);
                inner.waiting.remove(&rank);
                self.pressure.waiting.store(inner.waiting.len(), Ordering::SeqCst);
                self.pressure.begin();
                self.ledger.add(reserved);
                self.counts.forced_tasks.fetch_add(1, Ordering::Relaxed);
                return Some(Admitted { id: task, reserved });
            }
            if self.pool.is_none() {
                drop(inner);
                for (id, bytes) in victims {
                    self.write_spill(id, bytes);
                }
                if self.ended() {
                    return None;
                }
            } else {
                if let Err(error) = self.send(&mut inner, gate, victims) {
                    drop(inner);
                    self.fail(RunError::Thread(error));
                }
                return None;
            }
        }
    }

    /// The waiting task to begin, if one fits; it has been added to the ledger.
    fn choose(&self, inner: &Inner) -> Option<(u32, Admitted)> {
        let mut first = None;
        for &rank in inner.waiting.iter().take(LOOKED_AT) {
            let id = self.order.sequence()[rank as usize];
            let needs = self.needs(id);
            if !self.ledger.fits(needs) {
                continue;
            }
            if inner.waiting.first() == Some(&rank) {
                first = Some((rank, id, needs));
            }
            if self.frees(id) >= self.graph.bytes(id) && self.ledger.try_add(needs) {
                return Some((rank, Admitted { id, reserved: needs }));
            }
        }
        let (rank, id, reserved) = first?;
        self.ledger.try_add(reserved).then_some((rank, Admitted { id, reserved }))
    }

    /// The waiting task that adds least to what is alive.
    fn least_harmful(&self, inner: &Inner) -> u32 {
        let adds = |&&rank: &&u32| {
            let id = self.order.sequence()[rank as usize];
            i128::from(self.needs(id)) - i128::from(self.frees(id))
        };
        *inner.waiting.iter().take(LOOKED_AT).min_by_key(adds).expect("somebody waits")
    }

    /// What the task lets go of when it runs.
    fn frees(&self, id: TaskId) -> u64 {
        let inputs = self.graph.inputs(id);
        inputs.iter().fold(0u64, |sum, &i| sum.saturating_add(self.values.bytes_freed_by_next_use(i)))
    }

    /// Values to spill, about `wanted` bytes of them, those needed last first; marks them as on their way. The inputs of
    /// `first` are left out: it is what room is made for.
    fn victims(&self, first: TaskId, shortage: u64, wanted: u64) -> Vec<(TaskId, u64)> {
        let mut candidates: Vec<(bool, u32, TaskId, u64)> = Vec::new();
        for id in self.values.here() {
            let Some(bytes) = self.values.spillable_bytes(id).filter(|&bytes| bytes > 0) else { continue };
            if self.graph.inputs(first).contains(&id) {
                continue;
            }
            // A file for every few bytes would cost more than it frees: small values only when there is nothing else.
            candidates.push((bytes.saturating_mul(64) >= shortage, self.next_use(id), id, bytes));
        }
        candidates.sort_unstable_by_key(|&(large, next_use, id, _)| Reverse((large, next_use, id)));
        let mut sum = 0u64;
        let mut victims = Vec::new();
        for (large, _, id, bytes) in candidates {
            if sum >= if large { wanted } else { shortage } {
                break;
            }
            self.values.set_mark(id, Mark::Away);
            sum = sum.saturating_add(bytes);
            victims.push((id, bytes));
        }
        victims
    }

    /// The rank of the value's next consumer; the highest for one that only waits to be handed out.
    fn next_use(&self, id: TaskId) -> u32 {
        let consumers = self.graph.dependents(id);
        if consumers.len() > CONSUMERS_LOOKED_AT {
            return 0;
        }
        let unmade = consumers.iter().filter(|&&consumer| self.values.mark(consumer) == Mark::NotMade);
        unmade.map(|&consumer| self.order.rank(consumer)).min().unwrap_or(u32::MAX)
    }

    /// Hands values to the writer, which is started when there is none.
    fn send(
        &self,
        inner: &mut Inner,
        gate: &Arc<Gate>,
        victims: Vec<(TaskId, u64)>,
    ) -> Result<(), std::io::Error> {
        if inner.writer.is_none() {
            let (sender, receiver) = channel();
            *self.pressure.receiver.lock() = Some(receiver);
            let gate = Arc::clone(gate);
            thread::Builder::new()
                .name("pantile-spill".to_string())
                .spawn(move || gate.enter(|crew, gate| crew.write(gate)))?;
            inner.writer = Some(sender);
        }
        if let Some(writer) = &inner.writer {
            for victim in victims {
                // The receiver lives until the sender is dropped, so this cannot fail while the run is on.
                let _ = writer.send(victim);
            }
        }
        Ok(())
    }

    /// The writer thread: writes until there is nobody to ask it any more.
    pub(crate) fn write_spills(&self, gate: &Arc<Gate>) {
        let Some(receiver) = self.pressure.receiver.lock().take() else { return };
        while let Ok((id, bytes)) = receiver.recv() {
            self.write_spill(id, bytes);
            if !self.ended() {
                self.wake(gate);
                self.tell_caller();
            }
        }
    }

    /// Writes one value and lets go of it, unless somebody has begun to use it.
    fn write_spill(&self, id: TaskId, bytes: u64) {
        if let Some(folder) = &self.folder
            && !self.ended()
            && let Some(value) = self.values.begin_spill(id)
        {
            let written = catch_unwind(AssertUnwindSafe(|| folder.write(|to| self.runner.spill(&value, to))));
            // Before the slot drops its own reference: after that, the memory must really be gone.
            drop(value);
            let mut declined = false;
            let file = match written {
                Ok(Ok(file)) => {
                    declined = file.is_none();
                    file
                }
                Ok(Err(error)) => {
                    self.fail(spill_error(error));
                    None
                }
                Err(payload) => {
                    self.fail(self.panicked(id, &*payload));
                    None
                }
            };
            // Consumers must look for files from the moment that one is there.
            self.pressure.spilled.store(true, Ordering::Release);
            let freed = self.values.end_spill(id, file, declined);
            if freed > 0 {
                self.ledger.sub(freed);
                self.counts.spilled_bytes.fetch_add(freed, Ordering::Relaxed);
                // The writer must live on, or the run would wait for it for ever.
                let observed = catch_unwind(AssertUnwindSafe(|| self.observe_spill(id, freed, true)));
                if let Err(payload) = observed {
                    self.fail(self.panicked(id, &*payload));
                }
            }
        }
        let mut inner = self.pressure.inner.lock();
        inner.writing -= 1;
        inner.writing_bytes -= bytes;
        self.pressure.epoch.fetch_add(1, Ordering::SeqCst);
    }
}
