//! Stopping a kernel whose result nobody waits for any more.
//!
//! A caller runs kernels under [`stoppable`] with a question. They ask it between steps of some milliseconds: pieces of a
//! product, columns of a reduction to bidiagonal form, panels, joins of the divide and conquer. When the answer is yes, they
//! unwind to the `stoppable` that they run under. Unwinding, and not a result that every function passes on, because a kernel
//! may be several joins deep on several threads when it is stopped, rayon carries unwinding across threads, and what a stopped
//! kernel leaves in its memory is nobody's. No panic hook runs, so nothing is printed.
//!
//! The question belongs to the thread; [`join`] hands it to the thread that takes the other half.
//!
//! Not here: clocks and signals, which are the question's; steps inside faer. Products and triangular systems reach faer in
//! pieces, but the eigenvalues of one matrix are a single call, which nothing stops.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Whether to stop. Asked often and from any thread; it must be quick and must not run a kernel itself.
pub type Question = Arc<dyn Fn() -> bool + Send + Sync>;

/// The question was answered with yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the computation was stopped")]
pub struct Stopped;

/// What a kernel that stops unwinds with.
struct Unwinding;

thread_local! {
    static QUESTION: RefCell<Option<Question>> = const { RefCell::new(None) };
}

/// Sets the thread's question back to what it was, also when `work` unwinds.
struct Restore(Option<Question>);

impl Drop for Restore {
    fn drop(&mut self) {
        QUESTION.set(self.0.take());
    }
}

fn with<R>(question: Option<Question>, work: impl FnOnce() -> R) -> R {
    let _restore = Restore(QUESTION.replace(question));
    work()
}

/// Runs `work`, whose kernels ask `question` now and then and stop at the first yes.
///
/// # Errors
/// A kernel was stopped. What it was to write is undefined then.
pub fn stoppable<R>(question: &Question, work: impl FnOnce() -> R) -> Result<R, Stopped> {
    let question = Some(Arc::clone(question));
    catch_unwind(AssertUnwindSafe(|| with(question, work))).map_err(|payload: Box<dyn Any + Send>| {
        if payload.is::<Unwinding>() { Stopped } else { resume_unwind(payload) }
    })
}

/// Asks the thread's question, if it has one, and unwinds if the answer is yes.
pub(crate) fn ask() {
    if QUESTION.with_borrow(|question| question.as_ref().is_some_and(|stopped| stopped())) {
        resume_unwind(Box::new(Unwinding));
    }
}

/// Both of two pieces of work, on two threads if there is a free one. Both ask this thread's question.
pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let question = QUESTION.with_borrow(Clone::clone);
    rayon_core::join(a, || with(question, b))
}
