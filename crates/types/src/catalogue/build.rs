//! A short hand for writing builders: each method appends one or a few primitive operations.
//!
//! Everything is straight-line. A builder states what NumPy computes, not how a loop around it looks.

use crate::emit::{Emit, Val};
use crate::prim::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp};

/// The integer that stands for "not a time".
pub(crate) const NAT: i64 = i64::MIN;

/// Appends operations to an `Emit`.
pub struct Builder<'a> {
    emit: &'a mut dyn Emit,
}

#[allow(clippy::should_implement_trait, reason = "the operands are values under construction, not numbers")]
impl<'a> Builder<'a> {
    /// Appends to this `Emit`.
    pub fn new(emit: &'a mut dyn Emit) -> Builder<'a> {
        Builder { emit }
    }

    pub(crate) fn ty(&self, v: Val) -> ScalarType {
        self.emit.ty(v)
    }

    pub(crate) fn constant(&mut self, s: Scalar) -> Val {
        self.emit.constant(s)
    }

    /// An integer-valued constant of the type of `like`.
    pub(crate) fn int(&mut self, like: Val, value: i64) -> Val {
        let s = Scalar::from_i64(self.ty(like), value);
        self.emit.constant(s)
    }

    /// A constant of the floating (or complex) type of `like`.
    pub(crate) fn float(&mut self, like: Val, value: f64) -> Val {
        let ty = self.ty(like);
        // An integer type here would be a mistake in the catalogue; the typed IR's verifier names it.
        let s = Scalar::from_f64(ty, value).unwrap_or(Scalar::F64(value));
        self.emit.constant(s)
    }

    pub(crate) fn bool(&mut self, value: bool) -> Val {
        self.emit.constant(Scalar::Bool(value))
    }

    pub(crate) fn un(&mut self, op: UnOp, a: Val) -> Val {
        self.emit.un(op, a)
    }

    pub(crate) fn bin(&mut self, op: BinOp, a: Val, b: Val) -> Val {
        self.emit.bin(op, a, b)
    }

    pub(crate) fn cmp(&mut self, op: CmpOp, a: Val, b: Val) -> Val {
        self.emit.cmp(op, a, b)
    }

    pub(crate) fn select(&mut self, c: Val, a: Val, b: Val) -> Val {
        self.emit.select(c, a, b)
    }

    pub(crate) fn cast(&mut self, v: Val, to: ScalarType) -> Val {
        if self.ty(v) == to { v } else { self.emit.cast(v, to) }
    }

    pub(crate) fn bitcast(&mut self, v: Val, to: ScalarType) -> Val {
        self.emit.bitcast(v, to)
    }

    pub(crate) fn complex(&mut self, re: Val, im: Val) -> Val {
        self.emit.complex(re, im)
    }

    pub(crate) fn lib(&mut self, f: LibFn, args: &[Val]) -> Val {
        self.emit.lib(f, args)
    }

    pub(crate) fn add(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Add, a, b)
    }

    pub(crate) fn sub(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Sub, a, b)
    }

    pub(crate) fn mul(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Mul, a, b)
    }

    pub(crate) fn div(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Div, a, b)
    }

    pub(crate) fn rem(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Rem, a, b)
    }

    pub(crate) fn and(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::And, a, b)
    }

    pub(crate) fn or(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Or, a, b)
    }

    pub(crate) fn xor(&mut self, a: Val, b: Val) -> Val {
        self.bin(BinOp::Xor, a, b)
    }

    pub(crate) fn not(&mut self, a: Val) -> Val {
        self.un(UnOp::Not, a)
    }

    pub(crate) fn neg(&mut self, a: Val) -> Val {
        self.un(UnOp::Neg, a)
    }

    pub(crate) fn abs(&mut self, a: Val) -> Val {
        self.un(UnOp::Abs, a)
    }

    pub(crate) fn floor(&mut self, a: Val) -> Val {
        self.un(UnOp::Floor, a)
    }

    pub(crate) fn re(&mut self, a: Val) -> Val {
        self.un(UnOp::Re, a)
    }

    pub(crate) fn im(&mut self, a: Val) -> Val {
        self.un(UnOp::Im, a)
    }

    pub(crate) fn eq(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Eq, a, b)
    }

    pub(crate) fn ne(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Ne, a, b)
    }

    pub(crate) fn lt(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Lt, a, b)
    }

    pub(crate) fn le(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Le, a, b)
    }

    pub(crate) fn gt(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Gt, a, b)
    }

    pub(crate) fn ge(&mut self, a: Val, b: Val) -> Val {
        self.cmp(CmpOp::Ge, a, b)
    }

    pub(crate) fn is_zero(&mut self, a: Val) -> Val {
        let zero = self.int(a, 0);
        self.eq(a, zero)
    }

    pub(crate) fn is_negative(&mut self, a: Val) -> Val {
        let zero = self.int(a, 0);
        self.lt(a, zero)
    }

    /// NaN is the one value that differs from itself; a complex number is NaN when either part is.
    pub(crate) fn is_nan(&mut self, a: Val) -> Val {
        self.ne(a, a)
    }

    /// An infinity, for floats.
    pub(crate) fn is_inf(&mut self, a: Val) -> Val {
        let magnitude = self.abs(a);
        let inf = self.float(a, f64::INFINITY);
        self.eq(magnitude, inf)
    }

    pub(crate) fn is_nat(&mut self, a: Val) -> Val {
        let nat = self.int(a, NAT);
        self.eq(a, nat)
    }

    pub(crate) fn nat(&mut self) -> Val {
        self.constant(Scalar::Int(ScalarType::I64, NAT))
    }
}
