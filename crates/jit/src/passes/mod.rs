//! Transformations of functions, one idea a file. None changes what a program does; tests run the verifier after each
//! and compare random programs before and after.
//!
//! LLVM repeats all of this on its own form. What is here makes that form smaller before it is paid for, and serves the
//! interpreter, which optimises nothing.

mod dce;
mod inline;

pub use dce::remove_dead_code;
pub use inline::inline_small_calls;
