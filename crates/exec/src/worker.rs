//! What a thread does in a run: take the next task, run it, pass on what became ready.
//!
//! # Coming and going, and why no wake-up is lost
//!
//! There is no sleeping in here. A worker that finds nothing to do looks around for some microseconds more and then
//! leaves the run; its thread goes back to rayon, which lets it help kernels or sleep. Whoever sees more work than it can
//! take itself calls a worker in (`wake`), by handing a job to the pool. `active` counts the workers that are in or have
//! been called and not yet left, and never exceeds the number of threads.
//!
//! A worker that makes tasks ready takes one itself and stays. What matters is the surplus: the maker first publishes it
//! (a store of the queue's lowest rank), then reads `active` and calls somebody if it is below the maximum. A worker that
//! leaves first lowers `active` and then reads the queues' lowest ranks, and returns if there is something. All four are
//! sequentially consistent, so it cannot happen that the maker sees the leaver still in and the leaver sees the queue
//! still empty: the surplus is seen by at least one of the two.
//!
//! At the memory limit, tasks wait in `Pressure` instead, and a worker leaves when none may begin. Memory is let go of by
//! a task that ends, whose worker then looks again itself, or by the spill writer, which raises `Pressure::epoch` and
//! calls a worker. The leaver read the epoch before it looked; when it has changed after `active` was lowered, it looks
//! again. So when nobody is in the run, nothing is being written, and something is left, the last one that looked has
//! forced a task in (see `pressure`): a run cannot get stuck.
//!
//! A called worker may come late or, when its thread is waiting inside another task for a part of a kernel, go away again
//! at once: running tasks there would delay that kernel for as long as the run lasts. The caller's look-out every 20 ms
//! covers the case that it was the only one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread;

use pantile_graph::{Runner, TaskId};

use crate::RunError;
use crate::gate::{Crew, Gate};
use crate::run::{Counts, Run};
use crate::values::Hold;

/// A worker's own things, kept from task to task so that a task allocates nothing.
pub(crate) struct Local<V> {
    pub(crate) index: usize,
    inputs: Vec<V>,
    holds: Vec<Hold>,
    ready: Vec<u32>,
    tasks: u64,
    pub(crate) steals: u64,
}

impl<V> Local<V> {
    pub(crate) fn new(index: usize) -> Local<V> {
        Local { index, inputs: Vec::new(), holds: Vec::new(), ready: Vec::new(), tasks: 0, steals: 0 }
    }

    /// Adds what was counted to the run's counts.
    pub(crate) fn report(&mut self, counts: &Counts) {
        counts.tasks.fetch_add(std::mem::take(&mut self.tasks), Ordering::AcqRel);
        counts.steals.fetch_add(std::mem::take(&mut self.steals), Ordering::AcqRel);
    }
}

/// A task that may run, and the bytes that the ledger has set aside for it.
#[derive(Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) id: TaskId,
    pub(crate) reserved: u64,
}

/// Why a worker left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// The run has ended.
    Ended,
    /// There was nothing to do.
    Idle,
    /// It was told to.
    Asked,
}

thread_local! {
    /// Whether this thread of a pool is in a run already.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Leaves the run's counts and the thread's mark as they were, also when something panics.
struct Visit<'r, 'a, R: Runner>(&'r Run<'a, R>);

impl<R: Runner> Drop for Visit<'_, '_, R> {
    fn drop(&mut self) {
        BUSY.set(false);
        self.0.started.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<R: Runner> Crew for Run<'_, R> {
    fn work(&self, gate: &Arc<Gate>) {
        let index = rayon_core::current_thread_index().map_or(usize::MAX, |index| index + 1);
        if index > self.max_active || BUSY.get() {
            self.active.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        BUSY.set(true);
        self.started.fetch_add(1, Ordering::SeqCst);
        let _visit = Visit(self);
        let mut local = Local::new(index);
        self.work(&mut local, gate, || false);
        local.report(&self.counts);
    }

    fn write(&self, gate: &Arc<Gate>) {
        self.write_spills(gate);
    }
}

impl<R: Runner> Run<'_, R> {
    /// Runs tasks until there are none, the run ends, or `leave`, asked before each task, says so. The worker has joined
    /// (`join`) before; it has left when this returns.
    pub(crate) fn work(
        &self,
        local: &mut Local<R::Value>,
        gate: &Arc<Gate>,
        mut leave: impl FnMut() -> bool,
    ) -> Left {
        let mut asked = false;
        loop {
            if self.ended() {
                self.active.fetch_sub(1, Ordering::SeqCst);
                return Left::Ended;
            }
            if asked || leave() {
                self.active.fetch_sub(1, Ordering::SeqCst);
                if self.has_work() {
                    self.wake(gate);
                }
                return Left::Asked;
            }
            let epoch = self.pressure.epoch();
            if let Some(task) = self.next(local, gate) {
                asked = self.run_from(local, gate, task, &mut leave);
                continue;
            }
            if self.look_around(epoch) {
                continue;
            }
            self.active.fetch_sub(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if !(self.worth_a_look(epoch) && self.join()) {
                return Left::Idle;
            }
        }
    }

    /// Runs a task that was taken, and if it batches, what follows it in the same batch. The answer is whether the worker was
    /// told to leave.
    fn run_from(
        &self,
        local: &mut Local<R::Value>,
        gate: &Arc<Gate>,
        task: Admitted,
        leave: &mut dyn FnMut() -> bool,
    ) -> bool {
        let mut taken = Some(task);
        let mut asked = false;
        while let Some(task) = taken.take() {
            if !self.runner.batches(self.graph.task(task.id)) {
                self.run_task(local, task);
                break;
            }
            let mut next = Some(task);
            self.runner.batch(&mut || {
                while let Some(task) = next.take_if(|task| self.runner.batches(self.graph.task(task.id))) {
                    self.run_task(local, task);
                    asked = leave();
                    if asked || self.ended() {
                        return;
                    }
                    next = self.next(local, gate);
                }
            });
            taken = next;
        }
        asked
    }

    /// Counts the calling thread among the workers, unless there are enough.
    pub(crate) fn join(&self) -> bool {
        let room = |active: usize| (active < self.max_active).then_some(active + 1);
        self.active.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_ok()
    }

    /// Calls a worker in, unless all are.
    pub(crate) fn wake(&self, gate: &Arc<Gate>) {
        let Some(pool) = self.pool else { return };
        if self.active.load(Ordering::SeqCst) < self.max_active && self.join() {
            let gate = Arc::clone(gate);
            pool.spawner().spawn(move || gate.enter(|crew, gate| crew.work(gate)));
        }
    }

    /// Whether there may be something to do for a worker that comes in.
    pub(crate) fn has_work(&self) -> bool {
        self.pressure.any() || self.queues.any()
    }

    /// Whether something has changed for a worker that found nothing.
    fn worth_a_look(&self, epoch: u64) -> bool {
        // At the limit, ready tasks alone are no reason: they were looked at and must wait for memory.
        if self.pressure.any() { self.pressure.epoch() != epoch } else { self.queues.any() }
    }

    /// Waits some microseconds for something to do: cheaper than leaving and being called back.
    fn look_around(&self, epoch: u64) -> bool {
        if self.max_active == 1 {
            return false;
        }
        for round in 0..48 {
            if self.ended() {
                return false;
            }
            if self.worth_a_look(epoch) {
                return true;
            }
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            if round % 16 == 15 {
                // Where there are more threads than processors, the one that makes the work may need this one.
                thread::yield_now();
            }
        }
        false
    }

    fn next(&self, local: &mut Local<R::Value>, gate: &Arc<Gate>) -> Option<Admitted> {
        if self.pressure.any() {
            return self.next_under_pressure(gate);
        }
        let taken = self.queues.take(local.index)?;
        if taken.stolen {
            local.steals += 1;
        }
        if taken.more {
            self.wake(gate);
        }
        let id = self.order.sequence()[taken.rank as usize];
        let reserved = self.needs(id);
        if self.ledger.limit().is_none() {
            self.ledger.add(reserved);
            return Some(Admitted { id, reserved });
        }
        // Counted before it is let in, so that nobody takes the run for idle meanwhile.
        self.pressure.begin();
        if self.ledger.try_add(reserved) {
            return Some(Admitted { id, reserved });
        }
        self.pressure.end();
        self.pressure.defer(taken.rank);
        self.next_under_pressure(gate)
    }

    fn run_task(&self, local: &mut Local<R::Value>, task: Admitted) {
        let Admitted { id, mut reserved } = task;
        let limited = self.ledger.limit().is_some();
        let what = self.graph.task(id);
        let mut freeing = 0;
        let start_ns = if self.observers.is_empty() { 0 } else { self.now_ns() };
        // Observers are called in here too: a panic of theirs must not bring the thread down, nor the process with it.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            for observer in self.observers {
                observer.task_started(id, what, local.index as u32, start_ns);
            }
            let mut owned_bytes = 0;
            for &input in self.graph.inputs(id) {
                let taken = self.take(input)?;
                if taken.restored_bytes > 0 {
                    // The value's bytes were set aside with the task's own; from now on they are the value's. When it
                    // was spilled after that, nothing was set aside for it.
                    if reserved >= self.own_needs(id).saturating_add(taken.restored_bytes) {
                        reserved -= taken.restored_bytes;
                    } else {
                        self.ledger.add(taken.restored_bytes);
                    }
                }
                if let Hold::Owned(bytes) = taken.hold {
                    owned_bytes += bytes;
                }
                local.holds.push(taken.hold);
                local.inputs.push(taken.value);
            }
            if limited {
                freeing = self.graph.scratch_bytes(id).saturating_add(owned_bytes);
                self.pressure.will_free(freeing);
            }
            let value = self.runner.run(what, &mut local.inputs).map_err(|error| {
                let label = self.graph.label(id).into();
                RunError::Task { task: what, label, error }
            })?;
            let bytes = self.runner.nbytes(&value);
            if !self.observers.is_empty() {
                let end_ns = self.now_ns();
                for observer in self.observers {
                    observer.task_finished(id, what, local.index as u32, start_ns, end_ns, bytes);
                }
            }
            Ok((value, bytes))
        }));
        local.inputs.clear();
        let mut released = 0;
        for hold in local.holds.drain(..) {
            released += self.values.release(hold);
        }
        let failure = match ran {
            Ok(Ok((value, bytes))) => {
                // The ledger first: a consumer may take the value and let it go as soon as it is there.
                let kept = if self.values.wanted(id) { bytes } else { 0 };
                self.ledger.exchange(reserved + released, kept);
                self.values.put(id, value, bytes);
                self.pass_on(local, id);
                None
            }
            Ok(Err(failure)) => Some(failure),
            Err(payload) => Some(self.panicked(id, &*payload)),
        };
        if limited {
            self.pressure.freed(freeing);
        }
        if let Some(failure) = failure {
            self.ledger.sub(reserved + released);
            self.fail(failure);
        }
        if limited {
            self.pressure.end();
        }
    }

    /// Tells the consumers that an input is there.
    fn pass_on(&self, local: &mut Local<R::Value>, id: TaskId) {
        for &consumer in self.graph.dependents(id) {
            if self.missing[consumer.0 as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                local.ready.push(self.order.rank(consumer));
            }
        }
        self.queues.push(local.index, &mut local.ready);
        local.tasks += 1;
        if self.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 && local.index != 0 {
            self.tell_caller();
        }
    }

    /// What the task adds to the ledger, inputs on disk included.
    pub(crate) fn needs(&self, id: TaskId) -> u64 {
        let mut needs = self.own_needs(id);
        if self.pressure.has_spilled() {
            for &input in self.graph.inputs(id) {
                needs = needs.saturating_add(self.values.bytes_on_disk(input));
            }
        }
        needs
    }

    fn own_needs(&self, id: TaskId) -> u64 {
        self.graph.bytes(id).saturating_add(self.graph.scratch_bytes(id))
    }
}
