//! What the tests of every backend share: values as data, file tests, random modules.
//!
//! Not for production code. It is in the library, and not among its tests, so that another crate's backend is held to the
//! same files and the same random programs as the interpreter.

pub mod filetest;
pub mod generate;
pub mod value;

pub use filetest::run_file;
pub use generate::random_module;
pub use value::{Layout, Outcome, Value, call};
