//! The typed IR, and everything that reads or writes it without machine code.
//!
//! Reading order: `ir` (the data), `typing` (which types each operation takes), `builder` (how functions are made),
//! `verify` (the rules they keep), `text` (how they are read and written), `backend` (what runs them, and how it is called),
//! `interp` (what they mean), `canonical` (numbering, operands, block order).

pub mod backend;
pub mod builder;
pub mod canonical;
pub mod interp;
pub mod ir;
pub mod testing;
pub mod text;
pub mod typing;
pub mod verify;

pub use backend::{Backend, CompileError, Executable};
pub use builder::{FuncBuilder, ParFor};
pub use interp::Interpreter;
pub use text::{ParseError, parse_module, print_module};
pub use verify::{VerifyError, verify};
