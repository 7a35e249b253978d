//! Ctrl-C for Python functions that run on the pool's threads.
//!
//! Python delivers signals to its main thread alone, and a run must wait for its running tasks. So that it does not wait for a
//! user's long function, whoever sees the signal asks the interpreter to raise `KeyboardInterrupt` in the functions of that run as
//! well. A function that is inside C code (`time.sleep`, a NumPy call) notices when it comes back from there.
//!
//! The list of calls changes only under the GIL, as do the interpreter's requests, so a request never reaches code that runs
//! after the function: whoever leaves withdraws what has not been delivered.

use parking_lot::Mutex;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_long;
use std::marker::PhantomData;

/// A function that runs: of which run, on which of Python's threads, and whether it was asked to stop.
struct Call {
    run: usize,
    thread: c_long,
    asked: bool,
}

struct State {
    calls: Vec<Call>,
    /// The runs whose functions were asked to stop: a function that has waited for a lock meanwhile does not begin.
    interrupted: Vec<usize>,
}

static STATE: Mutex<State> = Mutex::new(State { calls: Vec::new(), interrupted: Vec::new() });

/// Runs a user's function (or a method of a user's object) in a task of a plan, so that Ctrl-C reaches it on whatever thread it runs.
pub fn interruptible<T>(py: Python<'_>, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let run = pantile_array::plan::current();
    if is_interrupted(run) {
        return Err(PyKeyboardInterrupt::new_err(()));
    }
    let called = InCall::begin(py, run);
    let result = work();
    drop(called);
    if let Err(e) = &result
        && e.is_instance_of::<PyKeyboardInterrupt>(py)
    {
        // Ctrl-C reached this function, on Python's main thread: the other threads' functions do not hear of it otherwise.
        interrupt(py, run);
    }
    result
}

/// Whether a run's functions were asked to stop.
pub fn is_interrupted(run: usize) -> bool {
    STATE.lock().interrupted.contains(&run)
}

/// The interrupts of a run's functions, while it lasts.
pub struct Interrupts {
    run: usize,
}

impl Interrupts {
    /// Those of the run with this number, which no other run has meanwhile: a plan's, or an address.
    pub fn of(run: usize) -> Interrupts {
        Interrupts { run }
    }

    /// Raises `KeyboardInterrupt` in the functions that run now, and in those that would begin.
    pub fn raise(&self, py: Python<'_>) {
        interrupt(py, self.run);
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // Another run may get the same number.
        STATE.lock().interrupted.retain(|&r| r != self.run);
    }
}

/// Marks the calling thread as being in a user's function, until it is dropped.
pub struct InCall<'py> {
    thread: c_long,
    _gil: PhantomData<Python<'py>>,
}

impl<'py> InCall<'py> {
    /// Begins calls of a run.
    pub fn begin(_py: Python<'py>, run: usize) -> InCall<'py> {
        // SAFETY: the function only asks for this thread's number.
        let thread = unsafe { ffi::PyThread_get_thread_ident() } as c_long;
        STATE.lock().calls.push(Call { run, thread, asked: false });
        InCall { thread, _gil: PhantomData }
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        let calls = &mut STATE.lock().calls;
        // The last one of this thread: calls are nested where a function computes.
        let Some(at) = calls.iter().rposition(|c| c.thread == self.thread) else { return };
        if calls.swap_remove(at).asked {
            // SAFETY: the GIL is held, as `_gil` shows; null withdraws the request.
            unsafe { ffi::PyThreadState_SetAsyncExc(self.thread, std::ptr::null_mut()) };
        }
    }
}

/// Raises `KeyboardInterrupt` in the functions of a run that are being called now, and in those that would begin.
pub fn interrupt(py: Python<'_>, run: usize) {
    let class = py.get_type::<PyKeyboardInterrupt>();
    let mut state = STATE.lock();
    // Outside a run (0) no function begins.
    if run != 0 && !state.interrupted.contains(&run) {
        state.interrupted.push(run);
    }
    for call in state.calls.iter_mut().filter(|c| c.run == run && !c.asked) {
        call.asked = true;
        // SAFETY: the GIL is held, as `py` shows, and the class lives as long as the interpreter.
        unsafe { ffi::PyThreadState_SetAsyncExc(call.thread, class.as_ptr()) };
    }
}
