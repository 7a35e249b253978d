//! What numbers are: data types, scalars, promotion, and the catalogue of operations on them.
//!
//! Reading order: `prim` (scalar types and primitive operations), `emit` (how an operation is spelt in primitives).

pub mod emit;
pub mod prim;

pub use emit::{Emit, Val};
pub use prim::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp};
