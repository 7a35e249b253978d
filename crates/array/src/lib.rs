//! Chunked arrays: expressions, their fusion into kernels, and their lowering to a task graph.
//!
//! Reading order. Memory: `pool`, `block`, `copy`, `value`. Meaning: `chunks`, `view`, `expr`, `op`, `source`, and `ops/`, where
//! NumPy's vocabulary is composed from them. Execution: `lower` (expressions to layers), `rechunk` (other chunks in steps), `leaf` (how a task gets at its elements),
//! `layers/`, `program`, `reduce` and `kernel/` (what a fused group computes, and its machine code), `plan` (the whole,
//! ready to run).
//!
//! The crate starts no thread, opens no file (a `Source` may) and reads no clock.

pub mod block;
pub mod chunks;
pub mod copy;
pub mod error;
pub mod expr;
pub mod kernel;
pub mod layers;
pub mod leaf;
pub mod lower;
pub mod op;
pub mod ops;
pub mod plan;
pub mod pool;
pub mod program;
pub mod random;
pub mod rechunk;
pub mod reduce;
pub mod source;
pub mod value;
pub mod view;

pub use block::Block;
pub use error::{ArrayError, Result};
pub use expr::{Expr, Kind};
pub use value::Value;
