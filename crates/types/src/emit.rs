//! How a catalogue row says what its operation computes, without knowing who listens.
//!
//! A row's builder is a function over `Emit`. The JIT's function builder implements it and appends instructions.

use crate::prim::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp};

/// A value inside the function under construction. Only the `Emit` that made it knows what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Val(pub u32);

/// Receives the primitive operations that make up one evaluation of a catalogue operation.
///
/// Straight-line code only: a choice is a `select` of two computed values, so that loops around it vectorise.
pub trait Emit {
    /// The type of a value.
    fn ty(&self, v: Val) -> ScalarType;
    /// A constant.
    fn constant(&mut self, s: Scalar) -> Val;
    /// An operation on one value.
    fn un(&mut self, op: UnOp, a: Val) -> Val;
    /// An operation on two values of one type.
    fn bin(&mut self, op: BinOp, a: Val, b: Val) -> Val;
    /// A comparison of two values of one type.
    fn cmp(&mut self, op: CmpOp, a: Val, b: Val) -> Val;
    /// `if condition { a } else { b }`, with both computed. `a` and `b` have one type.
    fn select(&mut self, condition: Val, a: Val, b: Val) -> Val;
    /// Conversion as NumPy's `astype` on x86-64: floats to integers truncate; integers wrap; to `Bool` is `!= 0`; complex
    /// to real drops the imaginary part. Out-of-range floats give the type's "integer indefinite" where the machine
    /// does: float to i32/i64 gives MIN; narrower and unsigned types wrap the i64 (i32 for 8 and 16 bits) result.
    /// To `U64`, values of 2^63 and more are converted less 2^63, and the top bit is flipped after: exact below 2^64,
    /// 0 from there on.
    fn cast(&mut self, v: Val, to: ScalarType) -> Val;
    /// The same bits as another type of the same size.
    fn bitcast(&mut self, v: Val, to: ScalarType) -> Val;
    /// A complex number from its parts.
    fn complex(&mut self, re: Val, im: Val) -> Val;
    /// A call of a library function.
    fn lib(&mut self, f: LibFn, args: &[Val]) -> Val;
}
