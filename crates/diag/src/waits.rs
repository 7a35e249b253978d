//! What a task waits for, counted where it waits and attributed to the task that runs on the thread.
//!
//! Whoever may wait (a reader of files, a Python function that needs the GIL, a compiler) holds a `Wait` meanwhile. While nobody watches
//! that costs one relaxed load. While somebody does, the time goes to a counter of the thread, and the event log takes what a task has
//! added when it ends. Waits may be nested: the outer one does not count what the inner one does, so the kinds add up.
//!
//! A task may itself run tasks (a function that computes). What these wait for is theirs, and the time that they take is told apart
//! from the outer task's own (`Taken::inner_ns`).

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Kind {
    /// The interpreter's lock.
    Gil,
    /// Reading and writing files, decoding included.
    Io,
    /// Turning kernels into machine code.
    Compile,
    /// Reading back what was spilled.
    Spill,
}

/// How many kinds there are.
pub const KINDS: usize = 4;

static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Whether anybody wants to know.
#[inline]
pub fn is_on() -> bool {
    WATCHERS.load(Relaxed) > 0
}

/// Keeps the counting on while it lives.
#[derive(Debug)]
pub struct On(());

impl On {
    /// Turns the counting on.
    #[allow(clippy::new_without_default)] // Making one has an effect.
    pub fn new() -> On {
        WATCHERS.fetch_add(1, Relaxed);
        On(())
    }
}

impl Drop for On {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Relaxed);
    }
}

/// What a thread has counted so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Taken {
    /// Nanoseconds by `Kind`.
    pub ns: [u64; KINDS],
    /// Nanoseconds of tasks that ran inside.
    pub inner_ns: u64,
}

impl Taken {
    const NONE: Taken = Taken { ns: [0; KINDS], inner_ns: 0 };

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Taken::NONE
    }

    fn total(&self) -> u64 {
        self.ns.iter().sum::<u64>() + self.inner_ns
    }
}

thread_local! {
    static COUNTED: Cell<Taken> = const { Cell::new(Taken::NONE) };
}

/// Adds to what the running task has waited for.
pub fn add(kind: Kind, ns: u64) {
    if is_on() {
        let mut counted = COUNTED.get();
        counted.ns[kind as usize] += ns;
        COUNTED.set(counted);
    }
}

/// A task begins: gives what `task_ended` wants back.
#[inline]
pub(crate) fn task_began() -> Taken {
    COUNTED.get()
}

/// A task that took `ns` has ended: what was counted since it began.
#[inline]
pub(crate) fn task_ended(before: Taken, ns: u64) -> Taken {
    let mut taken = COUNTED.get();
    for (now, before) in taken.ns.iter_mut().zip(before.ns) {
        *now = now.saturating_sub(before);
    }
    taken.inner_ns = taken.inner_ns.saturating_sub(before.inner_ns);
    COUNTED.set(Taken { inner_ns: before.inner_ns + ns, ..before });
    taken
}

/// A wait that is going on. It ends when this is dropped, on the same thread.
pub struct Wait {
    began: Option<(Instant, u64)>,
    kind: Kind,
    _thread: PhantomData<*const ()>,
}

/// Begins to wait.
#[inline]
pub fn wait(kind: Kind) -> Wait {
    let began = is_on().then(|| (Instant::now(), COUNTED.get().total()));
    Wait { began, kind, _thread: PhantomData }
}

impl Drop for Wait {
    #[inline]
    fn drop(&mut self) {
        if let Some((began, counted)) = self.began {
            let others = COUNTED.get().total().saturating_sub(counted);
            add(self.kind, (began.elapsed().as_nanos() as u64).saturating_sub(others));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn waits_are_exclusive_and_only_counted_when_on() {
        drop(wait(Kind::Io));
        add(Kind::Gil, 5);
        assert!(task_began().is_empty());
        let on = On::new();
        let before = task_began();
        let began = Instant::now();
        {
            let _io = wait(Kind::Io);
            {
                let _gil = wait(Kind::Gil);
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let all = began.elapsed().as_nanos() as u64;
        let taken = task_ended(before, all);
        assert!(taken.ns[Kind::Gil as usize] >= 5_000_000);
        assert!(taken.ns[Kind::Io as usize] >= 2_000_000);
        assert!(taken.total() <= all, "the kinds must not overlap: {taken:?} of {all}");
        // The thread is as it was but for the time of a finished task.
        assert_eq!(task_began(), Taken { inner_ns: all, ..Taken::NONE });
        drop(on);
        assert!(!is_on());
    }

    #[test]
    fn a_task_inside_a_task_keeps_its_own_waits() {
        std::thread::spawn(|| {
            let _on = On::new();
            let outer = task_began();
            add(Kind::Io, 10);
            let inner = task_began();
            add(Kind::Gil, 7);
            assert_eq!(task_ended(inner, 100), Taken { ns: [7, 0, 0, 0], inner_ns: 0 });
            add(Kind::Compile, 1);
            assert_eq!(task_ended(outer, 300), Taken { ns: [0, 10, 1, 0], inner_ns: 100 });
        })
        .join()
        .unwrap();
    }
}
