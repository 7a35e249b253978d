//! Who gets which worker. A pool grows up to the number that its callers ask for, and keeps what it has until it is closed.
//!
//! Workers in hand are lent last-in, first-out: the one that worked last has warm caches and warm segments. Callers that find none
//! wait in the order in which they came. Ended workers are noticed when they are about to be lent, and replaced.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::error::ProcessError;
use super::launch::Worker;
use super::sys;

/// How often a waiting caller asks whether to stop.
const ASK: Duration = Duration::from_millis(20);
/// How long workers may take to end when the pool is closed; then they are killed.
const CLOSING: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    idle: Vec<Worker>,
    /// All that live, are being started, or are lent.
    live: usize,
    /// Processes that have not been waited for.
    pids: HashSet<u32>,
    /// Who waits for a worker, in order.
    queue: VecDeque<u64>,
    tickets: u64,
    closed: bool,
}

impl State {
    /// Takes a worker off the books; it ends when it is dropped.
    fn strike(&mut self, worker: &Worker) {
        self.live -= 1;
        self.pids.remove(&worker.pid());
    }
}

/// Worker processes.
pub struct Pool {
    /// A forked child must not use its parent's sockets.
    pid: u32,
    state: Mutex<State>,
    changed: Condvar,
}

static GLOBAL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

impl Default for Pool {
    fn default() -> Pool {
        Pool::new()
    }
}

impl Pool {
    /// A pool without workers.
    pub fn new() -> Pool {
        Pool { pid: std::process::id(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// The pool of this process. In a process that was forked it is a new one.
    ///
    /// A pool that is not this process' is left where it is: its lock may have been held at the time of the fork.
    pub fn global() -> &'static Pool {
        loop {
            let at = GLOBAL.load(Ordering::Acquire);
            // SAFETY: pools that were put there are never freed.
            if let Some(pool) = unsafe { at.as_ref() }
                && pool.pid == std::process::id()
            {
                return pool;
            }
            let new = Box::into_raw(Box::new(Pool::new()));
            if GLOBAL.compare_exchange(at, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    /// Lends a worker: one in hand, or a new one if there are fewer than `most`; otherwise waits for one. `stop` is asked every
    /// 20 ms while it waits, and passed to nobody else.
    ///
    /// # Errors
    /// What `start` says; `Stopped`, `PoolClosed`, `Forked`.
    pub fn lease(
        &self,
        most: usize,
        start: &dyn Fn() -> Result<Worker, ProcessError>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Lease<'_>, ProcessError> {
        if self.pid != std::process::id() {
            return Err(ProcessError::Forked);
        }
        let mut ticket = None;
        // Waiting for the end of a process that had much memory takes its time: not under the lock.
        let mut ended = Vec::new();
        let mut state = self.state.lock();
        let outcome = loop {
            if state.closed {
                break Err(ProcessError::PoolClosed);
            }
            let first = match ticket {
                None => state.queue.is_empty(),
                Some(ticket) => state.queue.front() == Some(&ticket),
            };
            if first && let Some(worker) = state.idle.pop() {
                if worker.is_good() {
                    worker.set_idle(false);
                    break Ok(Some(worker));
                }
                state.strike(&worker);
                ended.push(worker);
                continue;
            }
            if state.idle.is_empty() && state.live < most.max(1) {
                state.live += 1;
                break Ok(None);
            }
            let number = *ticket.get_or_insert_with(|| state.tickets);
            if number == state.tickets {
                state.tickets += 1;
                state.queue.push_back(number);
            }
            if self.changed.wait_for(&mut state, ASK).timed_out() {
                let stopped = parking_lot::MutexGuard::unlocked(&mut state, stop);
                if stopped {
                    break Err(ProcessError::Stopped);
                }
            }
        };
        if let Some(ticket) = ticket {
            state.queue.retain(|t| *t != ticket);
            // Who is first now may find a worker in hand.
            self.changed.notify_all();
        }
        drop(state);
        drop(ended);
        match outcome? {
            Some(worker) => Ok(Lease { pool: self, worker: Some(worker), broken: false }),
            None => {
                // Given back if `start` fails or panics.
                let mut lease = Lease { pool: self, worker: None, broken: false };
                let worker = start()?;
                let mut state = self.state.lock();
                state.pids.insert(worker.pid());
                if state.closed {
                    lease.broken = true;
                }
                drop(state);
                lease.worker = Some(worker);
                if lease.broken { Err(ProcessError::PoolClosed) } else { Ok(lease) }
            }
        }
    }

    /// The process ids of its workers.
    pub fn pids(&self) -> Vec<u32> {
        if self.pid != std::process::id() {
            return Vec::new();
        }
        let mut pids: Vec<u32> = self.state.lock().pids.iter().copied().collect();
        pids.sort_unstable();
        pids
    }

    /// Ends all workers: idle ones are asked and then killed, those at work are killed, and their callers get an error. Nobody gets
    /// a worker any more.
    pub fn close(&self) {
        if self.pid != std::process::id() {
            return;
        }
        let mut state = self.state.lock();
        state.closed = true;
        let mut idle = std::mem::take(&mut state.idle);
        let at_rest: HashSet<u32> = idle.iter().map(Worker::pid).collect();
        // One of these may have been waited for a moment ago by whoever has leased it; the system does not give its number to another
        // process so soon.
        state.pids.iter().filter(|pid| !at_rest.contains(pid)).for_each(|pid| sys::kill(*pid));
        self.changed.notify_all();
        drop(state);
        idle.iter_mut().for_each(Worker::dismiss);
        let deadline = Instant::now() + CLOSING;
        idle.iter_mut().for_each(|worker| worker.join(deadline));
        let mut state = self.state.lock();
        idle.iter().for_each(|worker| state.strike(worker));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// A worker in use. Goes back to its pool when dropped, or ends if it is broken.
pub struct Lease<'p> {
    pool: &'p Pool,
    worker: Option<Worker>,
    broken: bool,
}

impl Lease<'_> {
    /// The worker will be killed and not lent again.
    pub fn give_up(&mut self) {
        self.broken = true;
    }
}

impl Deref for Lease<'_> {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        self.worker.as_ref().expect("a lease has its worker until it is dropped")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("a lease has its worker until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut ended = None;
        let mut state = self.pool.state.lock();
        match self.worker.take() {
            None => state.live -= 1,
            Some(worker) if self.broken || state.closed => {
                state.strike(&worker);
                ended = Some(worker);
            }
            Some(worker) => {
                worker.set_idle(true);
                state.idle.push(worker);
            }
        }
        drop(state);
        self.pool.changed.notify_all();
        drop(ended);
    }
}

/// What a worker keeps for its callers, so that the same bytes are sent once: functions, in practice. The parent decides what is kept;
/// the worker does as it is told.
#[derive(Default)]
pub struct Kept {
    numbers: HashMap<Arc<[u8]>, u64>,
    /// From the least recently used on.
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
    last: u64,
}

/// What to tell a worker about something that it should keep.
pub struct Keep {
    /// Its number, never zero.
    pub number: u64,
    /// Whether the worker has it.
    pub known: bool,
    /// What it should no longer keep.
    pub forget: Vec<u64>,
}

impl Kept {
    const MOST: usize = 64;
    const MOST_BYTES: usize = 32 << 20;

    /// Keeps some bytes, perhaps instead of others.
    pub fn keep(&mut self, bytes: &Arc<[u8]>) -> Keep {
        if let Some(&number) = self.numbers.get(bytes) {
            if self.order.back() != Some(bytes) {
                self.order.retain(|b| b != bytes);
                self.order.push_back(Arc::clone(bytes));
            }
            return Keep { number, known: true, forget: Vec::new() };
        }
        let mut forget = Vec::new();
        while self.order.len() >= Self::MOST
            || (self.bytes + bytes.len() > Self::MOST_BYTES && !self.order.is_empty())
        {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= oldest.len();
            forget.extend(self.numbers.remove(&oldest));
        }
        self.last += 1;
        self.bytes += bytes.len();
        self.numbers.insert(Arc::clone(bytes), self.last);
        self.order.push_back(Arc::clone(bytes));
        Keep { number: self.last, known: false, forget }
    }

    /// The worker could not make sense of it.
    pub fn lose(&mut self, number: u64) {
        let lost: Vec<Arc<[u8]>> =
            self.numbers.iter().filter(|(_, n)| **n == number).map(|(b, _)| Arc::clone(b)).collect();
        for bytes in lost {
            self.numbers.remove(&bytes);
            self.order.retain(|b| *b != bytes);
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_is_forgotten_first() {
        let mut kept = Kept::default();
        let name = |i: usize| Arc::<[u8]>::from(i.to_string().as_bytes());
        for i in 0..Kept::MOST {
            let keep = kept.keep(&name(i));
            assert!(!keep.known && keep.forget.is_empty());
        }
        let first = kept.keep(&name(0));
        assert!(first.known);
        let second = kept.keep(&name(1)).number;
        kept.keep(&name(0));
        // 2 is the oldest now.
        let keep = kept.keep(&name(1000));
        assert_eq!((keep.known, keep.forget.len()), (false, 1));
        assert!(kept.keep(&name(0)).known && kept.keep(&name(1)).number == second);
        assert!(!kept.keep(&name(2)).known);
    }

    #[test]
    fn bytes_are_limited_as_well() {
        let mut kept = Kept::default();
        let large = Arc::<[u8]>::from(vec![1; Kept::MOST_BYTES - 10]);
        let number = kept.keep(&large).number;
        assert_eq!(kept.keep(&Arc::from(vec![2; 20])).forget, [number]);
    }
}
