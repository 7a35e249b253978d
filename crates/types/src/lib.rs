//! What numbers are: data types, scalars, promotion, and the catalogue of operations on them.
//!
//! Reading order: `prim` (scalar types and primitive operations), `emit` (how an operation is spelt in primitives),
//! `dtype` (what the elements of an array are), `promote` (which data type holds several), `catalogue` (the operations),
//! `reduce` (the reductions), `cast` (conversions).

pub mod cast;
pub mod catalogue;
pub mod dtype;
pub mod emit;
pub mod error;
pub mod prim;
pub mod promote;
pub mod reduce;

pub use dtype::{DType, Foreign, TimeBase, TimeUnit};
pub use emit::{Emit, Val};
pub use error::{Family, PythonKind, TypeError};
pub use prim::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp};
pub use promote::{Casting, Operand, can_cast, promote, result_type};
