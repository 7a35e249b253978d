//! Many short parallel steps, one after the other, on the threads of a pool: thousands a second, where waking a
//! sleeping thread for each would cost more than the step.
//!
//! The threads that help spin between the steps. A step consists of *portions* that whoever is free claims by
//! compare-and-swap on one word, which holds the number of the step (upper half), the count of its portions and the
//! next unclaimed one. The leader claims too, and waits only for portions that somebody has claimed and is computing:
//! if no helper ever comes, because the pool is busy, the leader does all of the work and loses nothing. A helper that
//! sees no work for a while leaves and gives its thread back to the pool.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The step's word when the leader has finished: no portions, and the signal to leave.
const CLOSED: u64 = u64::MAX << 32;
/// Looks at the word before a helper begins to yield its processor.
const SPINS: u32 = 4_000;
/// Yields before it leaves.
const YIELDS: u32 = 500;

struct Shared<'a> {
    word: AtomicU64,
    done: AtomicUsize,
    job: &'a (dyn Fn(usize) + Sync),
}

/// Counts a portion as done even if it panics, so that the leader does not wait for ever; the scope passes the panic on.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // Release: the leader reads what the portion wrote after it sees the count.
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Shared<'_> {
    /// Takes a portion of the present step. The step's number is part of the word, so that a slow claim of an earlier
    /// step cannot succeed in a later one.
    fn claim(&self) -> Option<usize> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let (count, next) = ((word >> 16) & 0xffff, word & 0xffff);
            if next >= count {
                return None;
            }
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next as usize),
                Err(now) => word = now,
            }
        }
    }

    fn work(&self) -> bool {
        let mut worked = false;
        while let Some(portion) = self.claim() {
            let _done = Done(&self.done);
            (self.job)(portion);
            worked = true;
        }
        worked
    }

    fn help(&self) {
        let mut idle = 0;
        while self.word.load(Ordering::Acquire) != CLOSED && idle < SPINS + YIELDS {
            idle = if self.work() { 0 } else { idle + 1 };
            pause(idle);
        }
    }
}

fn pause(idle: u32) {
    if idle < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// The leader's side of a team.
pub(crate) struct Team<'a> {
    shared: Shared<'a>,
    step: Cell<u64>,
    alone: bool,
}

impl Team<'_> {
    /// Runs the job once for each of the portions `0..count` and returns when all are done. With `small`, or when
    /// nobody can help, they run here one after the other.
    pub fn run(&self, count: usize, small: bool) {
        if self.alone || small {
            (0..count).for_each(self.shared.job);
            return;
        }
        self.step.set(self.step.get() + 1);
        self.shared.done.store(0, Ordering::Relaxed);
        // Release: who claims a portion sees everything that the leader wrote before.
        self.shared.word.store(self.step.get() << 32 | (count as u64) << 16, Ordering::Release);
        self.shared.work();
        let mut idle = 0;
        while self.shared.done.load(Ordering::Acquire) < count {
            idle += 1;
            pause(idle);
        }
    }
}

/// Closes the team when the leader's part ends, also by a panic: the scope would otherwise wait for idle helpers.
struct Close<'a, 'b>(&'a Team<'b>);

impl Drop for Close<'_, '_> {
    fn drop(&mut self) {
        self.0.shared.word.store(CLOSED, Ordering::Release);
    }
}

/// Calls `lead` with a team of at most `threads` threads, the calling one included. `job` is what the team runs; a
/// portion must not depend on another of the same step, nor touch what another writes.
pub(crate) fn with_team<R>(
    threads: usize,
    job: &(dyn Fn(usize) + Sync),
    lead: impl FnOnce(&Team<'_>) -> R,
) -> R {
    let shared = Shared { word: AtomicU64::new(0), done: AtomicUsize::new(0), job };
    let team = Team { shared, step: Cell::new(0), alone: threads <= 1 };
    if team.alone {
        return lead(&team);
    }
    // In place: the leader's part stays on this thread, which the cell in `team` requires.
    rayon_core::in_place_scope(|s| {
        for _ in 1..threads {
            let shared = &team.shared;
            s.spawn(move |_| shared.help());
        }
        let _close = Close(&team);
        lead(&team)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// Each portion of each of many steps runs exactly once.
    fn check(threads: usize) {
        let counts: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        let job = |p: usize| {
            counts[p].fetch_add(1, Ordering::Relaxed);
        };
        with_team(threads, &job, |team| {
            for step in 0..2000 {
                team.run(5, step % 7 == 0);
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == step + 1));
            }
        });
    }

    fn pool() -> rayon_core::ThreadPool {
        rayon_core::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool")
    }

    #[test]
    fn portions_run_once() {
        pool().install(|| [1, 2, 3].into_iter().for_each(check));
    }

    #[test]
    fn a_busy_pool_does_not_stop_the_leader() {
        let (busy, release) = (AtomicBool::new(false), AtomicBool::new(false));
        pool().install(|| {
            rayon_core::scope(|s| {
                s.spawn(|_| {
                    busy.store(true, Ordering::Release);
                    while !release.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                });
                while !busy.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                // The other thread is now taken for as long as the team works.
                check(2);
                release.store(true, Ordering::Release);
            });
        });
    }

    #[test]
    fn a_panic_in_a_portion_reaches_the_leader() {
        let outcome = std::panic::catch_unwind(|| {
            pool().install(|| {
                let job = |p: usize| assert!(p != 3, "portion three");
                with_team(2, &job, |team| (0..100).for_each(|_| team.run(5, false)));
            });
        });
        assert!(outcome.is_err());
    }
}
