//! Functions of ours that compiled code calls.
//!
//! The one that matters is `run_pieces`: a parallel loop hands it its pieces, and it hands them to the thread pool that
//! the composition root installed. Without one, pieces run in order on the calling thread, with the same results.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Runs one piece of a parallel loop: the loop's context, the number of the piece.
pub type RunPiece = extern "C" fn(context: *mut c_void, piece: u64);

/// Runs `run_piece(context, i)` once for each `i` in `0 .. pieces`, in any order, on any threads, and returns when all are
/// done.
pub type ParallelRuntime = unsafe extern "C" fn(pieces: u64, context: *mut c_void, run_piece: RunPiece);

static RUNTIME: AtomicPtr<()> = AtomicPtr::new(in_order as *mut ());

/// Installs what runs the pieces of parallel loops, for the whole process.
pub fn set_parallel_runtime(runtime: ParallelRuntime) {
    RUNTIME.store(runtime as *mut (), Ordering::Release);
}

unsafe extern "C" fn in_order(pieces: u64, context: *mut c_void, run_piece: RunPiece) {
    for piece in 0..pieces {
        run_piece(context, piece);
    }
}

/// What compiled code calls.
pub(crate) extern "C" fn run_pieces(pieces: u64, context: *mut c_void, run_piece: RunPiece) {
    // One piece needs no other thread, nor the cost of asking for one.
    if pieces == 1 {
        return run_piece(context, 0);
    }
    let runtime = RUNTIME.load(Ordering::Acquire);
    // SAFETY: only values of type `ParallelRuntime` are ever stored.
    let runtime = unsafe { std::mem::transmute::<*mut (), ParallelRuntime>(runtime) };
    // SAFETY: the context and the function come from one compiled loop and outlive this call.
    unsafe { runtime(pieces, context, run_piece) }
}

unsafe extern "C" {
    fn frexp(x: f64, exponent: *mut i32) -> f64;
}

/// The fraction of `frexp`.
pub(crate) extern "C" fn frexp_fraction(x: f64) -> f64 {
    let mut exponent = 0;
    // SAFETY: the exponent is written to a local.
    unsafe { frexp(x, &mut exponent) }
}

/// Greatest common divisor.
pub(crate) extern "C" fn gcd(x: u64, y: u64) -> u64 {
    pantile_types::prim::gcd(x, y)
}

/// An integer power, wrapping.
pub(crate) extern "C" fn pow_u64(base: u64, exponent: u64) -> u64 {
    pantile_types::prim::pow_u64(base, exponent)
}

/// The exponent of `frexp`; 0 for zero, infinities and NaN.
pub(crate) extern "C" fn frexp_exponent(x: f64) -> i32 {
    if !x.is_finite() {
        return 0;
    }
    let mut exponent = 0;
    // SAFETY: the exponent is written to a local.
    unsafe { frexp(x, &mut exponent) };
    exponent
}

/// How much stack is left to what is called from compiled code: libm, the thread pool, and frames that are not checked.
const STACK_RESERVE_BYTES: usize = 256 << 10;

/// The address below which a recursive function traps instead of going deeper; 0 where the system does not say.
pub(crate) extern "C" fn stack_limit() -> usize {
    thread_local! {
        static LIMIT: usize = find_stack_limit();
    }
    LIMIT.with(|limit| *limit)
}

fn find_stack_limit() -> usize {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are filled by the first call, read by the second, and freed by the third.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0;
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    // A small stack keeps half of itself.
    lowest as usize + STACK_RESERVE_BYTES.min(size / 2)
}
