//! Lets threads of a pool borrow a run that lives on its caller's stack.
//!
//! A job in the pool's queues outlives the run when the pool is busy with something else; waiting for it to start just to
//! find nothing to do would tie one run's end to another run's length. So a job holds a gate, not the run. It may enter
//! while the gate is open; the run closes the gate at its end and waits only for those inside. Later jobs find it closed.
//!
//! The unsafe code of the crate is here, and in the one call in `run.rs` that opens a gate.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

/// What threads do in a run.
pub(crate) trait Crew: Sync {
    /// One pool thread's part, from beginning to end. `gate` is for making jobs for others.
    fn work(&self, gate: &Arc<Gate>);
    /// The spill writer's part.
    fn write(&self, gate: &Arc<Gate>);
}

const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts who is inside, and whether anybody may still enter.
pub(crate) struct Gate {
    /// The number inside, and the `CLOSED` bit.
    state: AtomicUsize,
    crew: *const (dyn Crew + 'static),
    lock: Mutex<()>,
    left: Condvar,
}

// SAFETY: `crew` points to a `Crew`, which is `Sync`, and is only read through `enter`, whose condition keeps it alive.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

impl Gate {
    /// Calls `part` with the run, unless the gate is closed.
    pub(crate) fn enter(self: &Arc<Gate>, part: impl FnOnce(&dyn Crew, &Arc<Gate>)) {
        let open = |state: usize| (state & CLOSED == 0).then_some(state + 1);
        if self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, open).is_err() {
            return;
        }
        let _inside = Inside(self);
        // SAFETY: this thread is counted in `state`, and `GateKeeper::drop` returns only when nobody is; until then the
        // crew, which the keeper borrows, is alive.
        part(unsafe { &*self.crew }, self);
    }
}

/// Leaves also when `part` panics.
struct Inside<'g>(&'g Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(1, Ordering::Release) == CLOSED | 1 {
            // Taking the lock orders this after the keeper's check of `state`, so that it cannot miss the call.
            drop(self.0.lock.lock());
            self.0.left.notify_all();
        }
    }
}

/// The run's side: closes the gate when dropped, and waits for those inside.
pub(crate) struct GateKeeper<'r> {
    gate: Arc<Gate>,
    _borrows: PhantomData<&'r dyn Crew>,
}

impl<'r> GateKeeper<'r> {
    /// # Safety
    /// The keeper must be dropped (not forgotten) before `crew`'s borrow ends.
    pub(crate) unsafe fn new(crew: &'r (dyn Crew + 'r)) -> GateKeeper<'r> {
        let crew: *const (dyn Crew + 'r) = crew;
        // SAFETY: only the lifetime changes. The pointer is followed only by those who are inside the gate, and dropping
        // the keeper, which the caller promises, waits for them.
        let crew =
            unsafe { std::mem::transmute::<*const (dyn Crew + 'r), *const (dyn Crew + 'static)>(crew) };
        let gate = Gate { state: AtomicUsize::new(0), crew, lock: Mutex::new(()), left: Condvar::new() };
        GateKeeper { gate: Arc::new(gate), _borrows: PhantomData }
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

impl Drop for GateKeeper<'_> {
    fn drop(&mut self) {
        self.gate.state.fetch_or(CLOSED, Ordering::AcqRel);
        let mut lock = self.gate.lock.lock();
        while self.gate.state.load(Ordering::Acquire) != CLOSED {
            self.gate.left.wait(&mut lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Visits {
        begun: AtomicUsize,
        done: AtomicBool,
    }

    impl Crew for Visits {
        fn work(&self, _gate: &Arc<Gate>) {
            self.begun.fetch_add(1, Ordering::SeqCst);
        }
        fn write(&self, _gate: &Arc<Gate>) {
            self.begun.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(30));
            self.done.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn closing_waits_for_those_inside_and_keeps_others_out() {
        let visits = Visits::default();
        // SAFETY: dropped below, before `visits`.
        let keeper = unsafe { GateKeeper::new(&visits) };
        let late = Arc::clone(keeper.gate());
        let (inside, entered) = mpsc::channel();
        let visitor = {
            let gate = Arc::clone(keeper.gate());
            thread::spawn(move || {
                gate.enter(|crew, gate| {
                    inside.send(()).unwrap();
                    crew.write(gate);
                });
            })
        };
        entered.recv().unwrap();
        drop(keeper);
        assert!(visits.done.load(Ordering::SeqCst), "closed while somebody was inside");
        late.enter(|crew, gate| crew.work(gate));
        assert_eq!(visits.begun.load(Ordering::SeqCst), 1);
        visitor.join().unwrap();
    }

    #[test]
    fn who_panics_inside_leaves_as_well() {
        let visits = Visits::default();
        // SAFETY: dropped below, before `visits`.
        let keeper = unsafe { GateKeeper::new(&visits) };
        let gate = Arc::clone(keeper.gate());
        assert!(thread::spawn(move || gate.enter(|_, _| panic!("inside"))).join().is_err());
        drop(keeper);
    }
}
