//! The interpreter: what every instruction means.
//!
//! It runs any verified module with exactly the semantics stated in `ir.rs`, `pantile_types::prim` and `pantile_types::emit`,
//! on values kept as the slots of the calling convention (`backend.rs`). It is the oracle that the compiler is compared
//! with, and it runs what is too small to be worth compiling, so functions are decoded once into a compact register
//! form (`decode.rs`) that a loop executes (`run.rs`); the meaning of each scalar operation is a function on
//! bits (`scalar.rs`). It uses no floating-point permission: sums run in order, nothing is fused.
//!
//! Where the documents leave room, this is what happens here:
//! - *Parallel loops* run their pieces one after the other, ascending, and stop at the first that traps.
//! - *Local arrays* start filled with the byte 0xA5, so that a program that reads before it writes is found out.
//! - *Stack*: calls nested deeper than `MAX_STACK_BYTES` of frames trap with `TrapCode::StackOverflow`. Parallel loops
//!   have a stack of their own.
//! - *NaN*: which NaN an operation gives (sign, payload) is not specified.
//!
//! It does not check `noalias`, nor `Bounds::Known` (except in a debug build), nor does it end loops that do not end.

mod decode;
mod run;
pub mod scalar;

use crate::backend::{Backend, CompileError, Executable};
use crate::ir::{FuncId, Module, TrapCode};
use std::sync::Arc;

/// The most memory for frames and local arrays of one chain of calls.
pub const MAX_STACK_BYTES: usize = 64 << 20;

/// The backend without machine code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter;

impl Backend for Interpreter {
    fn name(&self) -> &'static str {
        "interpreter"
    }

    fn compile(&self, module: &Module, entry: FuncId) -> Result<Arc<dyn Executable>, CompileError> {
        Ok(Arc::new(decode::decode(module, entry)))
    }
}

impl Executable for decode::Program {
    unsafe fn call(&self, args: &[u64], results: &mut [u64]) -> Result<(), TrapCode> {
        let mut args = args.to_vec();
        decode::fix_strides(&self.params, &mut args);
        // SAFETY: the caller vouches for the pointers in `args`, as `Executable::call` demands.
        unsafe { run::Machine::new(self).call(0, &args, results) }
    }
}
