//! What a backend is, and how the outside calls what it made.
//!
//! # The calling convention at the boundary
//! Arguments and results are arrays of 64-bit slots, parameters one after the other:
//! a scalar of up to 64 bits is zero-extended bits in one slot; a complex number takes two (real, imaginary, each as the
//! bits of its part type); a tuple is its elements in order; a view is its pointer, then its lengths, then its strides
//! in bytes (also for axes whose stride the type fixes; those slots are ignored).

use crate::ir::{FuncId, Module, TrapCode};
use std::sync::Arc;

/// Turns functions into something that can be called.
pub trait Backend: Send + Sync {
    /// The name that diagnostics show: `"interpreter"`, `"llvm"`.
    fn name(&self) -> &'static str;

    /// Compiles `entry` and what it calls. The module has passed the verifier.
    fn compile(&self, module: &Module, entry: FuncId) -> Result<Arc<dyn Executable>, CompileError>;
}

/// A function ready to run, from any thread, several at once.
pub trait Executable: Send + Sync {
    /// Calls the function.
    ///
    /// # Safety
    /// `args` and `results` have as many slots as the function's signature needs; pointers in `args` are valid for the
    /// lengths and strides beside them, and what `ParamAttrs` promises holds.
    unsafe fn call(&self, args: &[u64], results: &mut [u64]) -> Result<(), TrapCode>;
}

/// A backend could not compile a module.
#[derive(Debug, thiserror::Error)]
#[error("the {backend} backend could not compile `{function}`: {reason}. This is a bug in Pantile")]
pub struct CompileError {
    /// Which backend.
    pub backend: &'static str,
    /// Which function.
    pub function: String,
    /// Why.
    pub reason: String,
}
