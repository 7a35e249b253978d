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

static CALLS: Mutex<Vec<Call>> = Mutex::new(Vec::new());

/// Marks the calling thread as being in a user's function, until it is dropped.
pub struct InCall<'py> {
    thread: c_long,
    _gil: PhantomData<Python<'py>>,
}

impl<'py> InCall<'py> {
    /// Begins calls of a run: of the plan that this thread runs a task of, or another number that no other run has.
    pub fn begin(_py: Python<'py>, run: usize) -> InCall<'py> {
        // SAFETY: the function only asks for this thread's number.
        let thread = unsafe { ffi::PyThread_get_thread_ident() } as c_long;
        CALLS.lock().push(Call { run, thread, asked: false });
        InCall { thread, _gil: PhantomData }
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        let mut calls = CALLS.lock();
        // The last one of this thread: calls are nested where a function computes.
        let Some(at) = calls.iter().rposition(|c| c.thread == self.thread) else { return };
        if calls.swap_remove(at).asked {
            // SAFETY: the GIL is held, as `_gil` shows; null withdraws the request.
            unsafe { ffi::PyThreadState_SetAsyncExc(self.thread, std::ptr::null_mut()) };
        }
    }
}

/// Raises `KeyboardInterrupt` in the functions of a run that are being called now.
pub fn interrupt(py: Python<'_>, run: usize) {
    let class = py.get_type::<PyKeyboardInterrupt>();
    for call in CALLS.lock().iter_mut().filter(|c| c.run == run && !c.asked) {
        call.asked = true;
        // SAFETY: the GIL is held, as `py` shows, and the class lives as long as the interpreter.
        unsafe { ffi::PyThreadState_SetAsyncExc(call.thread, class.as_ptr()) };
    }
}
