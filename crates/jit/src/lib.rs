//! The typed IR, and everything that reads or writes it without machine code.
//!
//! Reading order: `ir` (the data), `backend` (what runs it, and how it is called).

pub mod backend;
pub mod ir;
