//! The typed IR, and everything that reads or writes it without machine code.
//!
//! Reading order: `ir` (the data), `typing` (which types each operation takes), `builder` (how functions are made),
//! `verify` (the rules they keep), `text` (how they are read and written), `backend` (what runs them, and how it is called),
//! `interp` (what they mean), `passes` (how they get better), `canonical` (numbering, operands, block order), `error`,
//! `testing` (what the tests of all backends share).

pub mod backend;
pub mod builder;
pub mod canonical;
pub mod error;
pub mod interp;
pub mod ir;
pub mod passes;
pub mod testing;
pub mod text;
pub mod typing;
pub mod verify;

pub use backend::{Backend, CompileError, Executable};
pub use builder::{FuncBuilder, ParFor};
pub use error::{Error, Family};
pub use interp::Interpreter;
pub use text::{ParseError, parse_module, print_module};
pub use verify::{VerifyError, verify};
