//! The machine's vocabulary: scalar types and the primitive operations on them.
//!
//! The operation catalogue says what `floor_divide` means in terms of these; the typed IR has them as instructions; the
//! interpreter and the LLVM backend are the only two places that carry them out. An operation is primitive when a
//! compiler can do something with it that a composition would hide (one instruction, a vectorised library call).
//!
//! Semantics hold on every backend. Integer arithmetic wraps. Nothing here traps and nothing is undefined.

/// A type that fits in a register (or two, for complex numbers).
///
/// `f16` is a storage type: arithmetic on it is written as casts to `F32` and back, which is what NumPy computes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ScalarType {
    /// One byte in memory, 0 or 1.
    Bool,
    /// Signed integers.
    I8,
    /// See `I8`.
    I16,
    /// See `I8`.
    I32,
    /// See `I8`.
    I64,
    /// Unsigned integers.
    U8,
    /// See `U8`.
    U16,
    /// See `U8`.
    U32,
    /// See `U8`.
    U64,
    /// IEEE 754 half precision; storage only.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Two `F32`: real and imaginary part.
    C64,
    /// Two `F64`: real and imaginary part.
    C128,
}

impl ScalarType {
    /// All scalar types, in declaration order.
    pub const ALL: [ScalarType; 14] = [
        ScalarType::Bool,
        ScalarType::I8,
        ScalarType::I16,
        ScalarType::I32,
        ScalarType::I64,
        ScalarType::U8,
        ScalarType::U16,
        ScalarType::U32,
        ScalarType::U64,
        ScalarType::F16,
        ScalarType::F32,
        ScalarType::F64,
        ScalarType::C64,
        ScalarType::C128,
    ];

    /// Size in memory, in bytes.
    pub const fn size(self) -> usize {
        match self {
            ScalarType::Bool | ScalarType::I8 | ScalarType::U8 => 1,
            ScalarType::I16 | ScalarType::U16 | ScalarType::F16 => 2,
            ScalarType::I32 | ScalarType::U32 | ScalarType::F32 => 4,
            ScalarType::I64 | ScalarType::U64 | ScalarType::F64 | ScalarType::C64 => 8,
            ScalarType::C128 => 16,
        }
    }

    /// Signed integers (not `Bool`).
    pub const fn is_signed(self) -> bool {
        matches!(self, ScalarType::I8 | ScalarType::I16 | ScalarType::I32 | ScalarType::I64)
    }

    /// Unsigned integers (not `Bool`).
    pub const fn is_unsigned(self) -> bool {
        matches!(self, ScalarType::U8 | ScalarType::U16 | ScalarType::U32 | ScalarType::U64)
    }

    /// Signed or unsigned integers (not `Bool`).
    pub const fn is_int(self) -> bool {
        self.is_signed() || self.is_unsigned()
    }

    /// Floating point, half precision included.
    pub const fn is_float(self) -> bool {
        matches!(self, ScalarType::F16 | ScalarType::F32 | ScalarType::F64)
    }

    /// Complex numbers.
    pub const fn is_complex(self) -> bool {
        matches!(self, ScalarType::C64 | ScalarType::C128)
    }

    /// The type of a complex number's parts; any other type itself.
    pub const fn part(self) -> ScalarType {
        match self {
            ScalarType::C64 => ScalarType::F32,
            ScalarType::C128 => ScalarType::F64,
            other => other,
        }
    }

    /// The name in the IR's text format: `bool`, `i32`, `f64`, `c128`...
    pub const fn name(self) -> &'static str {
        match self {
            ScalarType::Bool => "bool",
            ScalarType::I8 => "i8",
            ScalarType::I16 => "i16",
            ScalarType::I32 => "i32",
            ScalarType::I64 => "i64",
            ScalarType::U8 => "u8",
            ScalarType::U16 => "u16",
            ScalarType::U32 => "u32",
            ScalarType::U64 => "u64",
            ScalarType::F16 => "f16",
            ScalarType::F32 => "f32",
            ScalarType::F64 => "f64",
            ScalarType::C64 => "c64",
            ScalarType::C128 => "c128",
        }
    }

    /// The inverse of `name`.
    pub fn from_name(name: &str) -> Option<ScalarType> {
        ScalarType::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// One value of a scalar type. Equality and hashing are by bits, so that NaN equals itself and 0.0 differs from -0.0.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A signed integer of the given type, sign-extended.
    Int(ScalarType, i64),
    /// An unsigned integer of the given type, zero-extended.
    UInt(ScalarType, u64),
    /// A half, held as its bits.
    F16(u16),
    /// A single.
    F32(f32),
    /// A double.
    F64(f64),
    /// A complex of singles.
    C64(f32, f32),
    /// A complex of doubles.
    C128(f64, f64),
}

impl Scalar {
    /// The scalar's type.
    pub const fn ty(self) -> ScalarType {
        match self {
            Scalar::Bool(_) => ScalarType::Bool,
            Scalar::Int(t, _) | Scalar::UInt(t, _) => t,
            Scalar::F16(_) => ScalarType::F16,
            Scalar::F32(_) => ScalarType::F32,
            Scalar::F64(_) => ScalarType::F64,
            Scalar::C64(..) => ScalarType::C64,
            Scalar::C128(..) => ScalarType::C128,
        }
    }

    /// The value's bits, zero-extended to 128: what is stored in memory, little-endian.
    pub fn bits(self) -> u128 {
        match self {
            Scalar::Bool(b) => b as u128,
            Scalar::Int(t, v) => (v as u64 as u128) & mask(t),
            Scalar::UInt(t, v) => (v as u128) & mask(t),
            Scalar::F16(b) => b as u128,
            Scalar::F32(v) => v.to_bits() as u128,
            Scalar::F64(v) => v.to_bits() as u128,
            Scalar::C64(re, im) => re.to_bits() as u128 | (im.to_bits() as u128) << 32,
            Scalar::C128(re, im) => re.to_bits() as u128 | (im.to_bits() as u128) << 64,
        }
    }

    /// The inverse of `bits`; bits beyond the type's size are ignored.
    pub fn from_bits(ty: ScalarType, bits: u128) -> Scalar {
        let low = bits as u64;
        match ty {
            ScalarType::Bool => Scalar::Bool(low & 0xff != 0),
            ScalarType::I8 => Scalar::Int(ty, low as i8 as i64),
            ScalarType::I16 => Scalar::Int(ty, low as i16 as i64),
            ScalarType::I32 => Scalar::Int(ty, low as i32 as i64),
            ScalarType::I64 => Scalar::Int(ty, low as i64),
            ScalarType::U8 => Scalar::UInt(ty, low as u8 as u64),
            ScalarType::U16 => Scalar::UInt(ty, low as u16 as u64),
            ScalarType::U32 => Scalar::UInt(ty, low as u32 as u64),
            ScalarType::U64 => Scalar::UInt(ty, low),
            ScalarType::F16 => Scalar::F16(low as u16),
            ScalarType::F32 => Scalar::F32(f32::from_bits(low as u32)),
            ScalarType::F64 => Scalar::F64(f64::from_bits(low)),
            ScalarType::C64 => Scalar::C64(f32::from_bits(low as u32), f32::from_bits((low >> 32) as u32)),
            ScalarType::C128 => Scalar::C128(f64::from_bits(low), f64::from_bits((bits >> 64) as u64)),
        }
    }

    /// An integer-valued scalar of any type; wraps for integers, rounds for floats, `v != 0` for `Bool`.
    pub fn from_i64(ty: ScalarType, v: i64) -> Scalar {
        match ty {
            ScalarType::Bool => Scalar::Bool(v != 0),
            ScalarType::F16 => Scalar::F16(half_from_f64(v as f64).to_bits()),
            ScalarType::F32 => Scalar::F32(v as f32),
            ScalarType::F64 => Scalar::F64(v as f64),
            ScalarType::C64 => Scalar::C64(v as f32, 0.0),
            ScalarType::C128 => Scalar::C128(v as f64, 0.0),
            int => Scalar::from_bits(int, v as u64 as u128),
        }
    }

    /// A float-valued scalar of a floating or complex type. `None` for `Bool` and integers.
    pub fn from_f64(ty: ScalarType, v: f64) -> Option<Scalar> {
        Some(match ty {
            ScalarType::F16 => Scalar::F16(half_from_f64(v).to_bits()),
            ScalarType::F32 => Scalar::F32(v as f32),
            ScalarType::F64 => Scalar::F64(v),
            ScalarType::C64 => Scalar::C64(v as f32, 0.0),
            ScalarType::C128 => Scalar::C128(v, 0.0),
            _ => return None,
        })
    }
}

const fn mask(t: ScalarType) -> u128 {
    (1u128 << (t.size() * 8)) - 1
}

/// The nearest half, ties to even.
///
/// `half::f16::from_f64` goes through f32 where the machine converts from that, and so rounds twice. Rounding to odd on
/// the way (truncate, and set the last bit if anything was lost) keeps what the second rounding needs to know.
pub fn half_from_f64(v: f64) -> half::f16 {
    let near = v as f32;
    let back = near as f64;
    if back == v || v.is_nan() {
        return half::f16::from_f32(near);
    }
    let towards_zero = near.to_bits() - u32::from(back.abs() > v.abs());
    half::f16::from_f32(f32::from_bits(towards_zero | 1))
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.ty() == other.ty() && self.bits() == other.bits()
    }
}
impl Eq for Scalar {}
impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty().hash(state);
        self.bits().hash(state);
    }
}

macro_rules! named_ops {
    ($(#[$m:meta])* $name:ident { $($(#[$vm:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$vm])* $variant,)* }

        impl $name {
            /// Every operation, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name in the IR's text format.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The inverse of `name`.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }
    };
}

named_ops! {
    /// Operations on one value. Unless stated otherwise the result has the argument's type, and the argument is an
    /// integer, `F32` or `F64`; the elementary functions take `F32` and `F64` only and are accurate to 4 ulp.
    UnOp {
        /// Arithmetic negation; also complex. Integers wrap.
        Neg = "neg",
        /// Bitwise complement of integers; logical not of `Bool`.
        Not = "not",
        /// Absolute value of integers (wraps at the minimum) and floats (clears the sign bit).
        Abs = "abs",
        /// Correctly rounded square root; NaN for negative arguments, -0 for -0.
        Sqrt = "sqrt",
        /// Round towards minus infinity (floats).
        Floor = "floor",
        /// Round towards plus infinity (floats).
        Ceil = "ceil",
        /// Round towards zero (floats).
        Trunc = "trunc",
        /// Round to nearest, ties to even (floats).
        Rint = "rint",
        /// Whether the sign bit is set (floats); gives `Bool`.
        SignBit = "signbit",
        /// The number of one bits (integers); same type.
        Popcount = "popcount",
        /// The real part of a complex value; gives its part type.
        Re = "re",
        /// The imaginary part of a complex value; gives its part type.
        Im = "im",
        /// Sine.
        Sin = "sin",
        /// Cosine.
        Cos = "cos",
        /// Tangent.
        Tan = "tan",
        /// Inverse sine.
        Asin = "asin",
        /// Inverse cosine.
        Acos = "acos",
        /// Inverse tangent.
        Atan = "atan",
        /// Hyperbolic sine.
        Sinh = "sinh",
        /// Hyperbolic cosine.
        Cosh = "cosh",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Inverse hyperbolic sine.
        Asinh = "asinh",
        /// Inverse hyperbolic cosine.
        Acosh = "acosh",
        /// Inverse hyperbolic tangent.
        Atanh = "atanh",
        /// e to the power.
        Exp = "exp",
        /// 2 to the power.
        Exp2 = "exp2",
        /// exp(x) - 1, accurate near zero.
        Expm1 = "expm1",
        /// Natural logarithm.
        Log = "log",
        /// Logarithm to base 2.
        Log2 = "log2",
        /// Logarithm to base 10.
        Log10 = "log10",
        /// log(1 + x), accurate near zero.
        Log1p = "log1p",
        /// Cube root.
        Cbrt = "cbrt",
    }
}

named_ops! {
    /// Operations on two values of one type, which is also the result's.
    BinOp {
        /// Sum: integers (wrapping), floats, complex.
        Add = "add",
        /// Difference: integers (wrapping), floats, complex.
        Sub = "sub",
        /// Product: integers (wrapping), floats, complex (schoolbook formula, no infinity recovery, as NumPy).
        Mul = "mul",
        /// Quotient. Floats: IEEE. Integers: truncated; x / 0 is 0 and MIN / -1 is MIN. Not for complex.
        Div = "div",
        /// Remainder with the dividend's sign. Floats: C `fmod`. Integers: truncated; x % 0 is 0, MIN % -1 is 0.
        Rem = "rem",
        /// Bitwise and (integers), logical and (`Bool`).
        And = "and",
        /// Bitwise or (integers), logical or (`Bool`).
        Or = "or",
        /// Bitwise exclusive or (integers), inequality (`Bool`).
        Xor = "xor",
        /// Left shift of integers; a shift count outside `0 .. bits` gives 0.
        Shl = "shl",
        /// Right shift of integers, arithmetic when signed; a count outside `0 .. bits` gives 0, or -1 for a negative
        /// left operand.
        Shr = "shr",
        /// The smaller. Floats: IEEE 754-2019 `minimum` (NaN if either is, -0 below +0).
        Min = "min",
        /// The larger. Floats: IEEE 754-2019 `maximum` (NaN if either is, +0 above -0).
        Max = "max",
        /// Power of floats: C `pow`, accurate to 4 ulp.
        Pow = "pow",
        /// Angle of the vector (second, first): C `atan2` (floats).
        Atan2 = "atan2",
        /// Length of the vector without undue overflow (floats).
        Hypot = "hypot",
        /// The first's magnitude with the second's sign (floats).
        Copysign = "copysign",
        /// The next representable value from the first towards the second (floats).
        Nextafter = "nextafter",
    }
}

named_ops! {
    /// Comparisons of two values of one type; the result is `Bool`. Comparisons with NaN are false, except `Ne`.
    /// Complex values compare for `Eq` and `Ne` only.
    CmpOp {
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
        /// Less.
        Lt = "lt",
        /// Less or equal.
        Le = "le",
        /// Greater.
        Gt = "gt",
        /// Greater or equal.
        Ge = "ge",
    }
}

named_ops! {
    /// Functions of the C library that the catalogue calls one value at a time, because no vector form exists.
    ///
    /// The signature is in `signature`; a backend binds each name to code of its own.
    LibFn {
        /// Complex exponential.
        Cexp = "cexp",
        /// Complex logarithm.
        Clog = "clog",
        /// Complex square root.
        Csqrt = "csqrt",
        /// Complex power.
        Cpow = "cpow",
        /// Complex sine.
        Csin = "csin",
        /// Complex cosine.
        Ccos = "ccos",
        /// Complex tangent.
        Ctan = "ctan",
        /// Complex inverse sine.
        Casin = "casin",
        /// Complex inverse cosine.
        Cacos = "cacos",
        /// Complex inverse tangent.
        Catan = "catan",
        /// Complex hyperbolic sine.
        Csinh = "csinh",
        /// Complex hyperbolic cosine.
        Ccosh = "ccosh",
        /// Complex hyperbolic tangent.
        Ctanh = "ctanh",
        /// Complex inverse hyperbolic sine.
        Casinh = "casinh",
        /// Complex inverse hyperbolic cosine.
        Cacosh = "cacosh",
        /// Complex inverse hyperbolic tangent.
        Catanh = "catanh",
        /// `ldexp(f64, i32) -> f64`.
        Ldexp = "ldexp",
        /// The fraction of `frexp(f64)`.
        FrexpFraction = "frexp_fraction",
        /// The exponent of `frexp(f64)`, as `I32`; 0 for zero, infinities and NaN.
        FrexpExponent = "frexp_exponent",
        /// Greatest common divisor of two `U64`; the other one when one is zero. Computed by [`gcd`].
        Gcd = "gcd",
        /// `U64` to the power of a `U64`, wrapping; anything to the power of zero is 1. Computed by [`pow_u64`].
        PowU64 = "pow_u64",
    }
}

impl LibFn {
    /// Argument types and result type. Complex functions work on `C128`; a `C64` caller casts, and gains accuracy.
    pub const fn signature(self) -> (&'static [ScalarType], ScalarType) {
        use ScalarType::{C128, F64, I32, U64};
        match self {
            LibFn::Cpow => (&[C128, C128], C128),
            LibFn::Ldexp => (&[F64, I32], F64),
            LibFn::FrexpFraction => (&[F64], F64),
            LibFn::FrexpExponent => (&[F64], I32),
            LibFn::Gcd | LibFn::PowU64 => (&[U64, U64], U64),
            _ => (&[C128], C128),
        }
    }
}

/// What `LibFn::Gcd` computes; backends bind it or do the same.
pub fn gcd(x: u64, y: u64) -> u64 {
    let (mut x, mut y) = (x, y);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    x
}

/// What `LibFn::PowU64` computes; backends bind it or do the same.
pub fn pow_u64(base: u64, exponent: u64) -> u64 {
    let (mut base, mut exponent, mut result) = (base, exponent, 1u64);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}
