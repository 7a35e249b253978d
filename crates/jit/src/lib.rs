//! The typed IR, and everything that reads or writes it without machine code.
//!
//! Reading order: `ir` (the data), `typing` (which types each operation takes), `builder` (how functions are made),
//! `backend` (what runs them, and how it is called), `canonical` (numbering, operands, block order).

pub mod backend;
pub mod builder;
pub mod canonical;
pub mod ir;
pub mod typing;

pub use backend::{Backend, CompileError, Executable};
pub use builder::{FuncBuilder, ParFor};
