//! The LLVM backend: functions of the typed IR become machine code of the processor that this runs on.
//!
//! It promises: the semantics of `pantile_types::prim` to the bit, except that elementary functions are within 4 ulp;
//! compiling from several threads at once; code memory that is freed with its last user; and that compiled code calls
//! nothing but libm, libmvec and this crate's runtime. It does not verify modules (`pantile_jit` does), and it keeps no
//! table of compiled kernels: whoever asks for a kernel twice gets it twice.
//!
//! Reading order: `backend` (the public face), `lower` (IR to LLVM text), `math` (which functions have vector forms),
//! `llvm` (text to object file), `engine` (object file to code in memory), `cache` (object files on disk), `runtime`
//! (what compiled code calls).

mod backend;
mod cache;
mod engine;
mod error;
mod host;
mod llvm;
mod lower;
mod math;
mod runtime;
mod symbols;

pub use backend::{Dump, LlvmBackend, LlvmKernel, LlvmOptions, Pipeline};
pub use cache::CacheCounts;
pub use engine::live_kernels;
pub use error::LlvmError;
pub use runtime::{ParallelRuntime, RunPiece, set_parallel_runtime};
