//! Each scalar operation as a function on bits.
//!
//! A value of up to 64 bits is its bits, zero-extended, in one slot; a complex number is two slots, one a part.
//! The tables here give `None` for operand types that `typing.rs` refuses.

use pantile_types::{BinOp, CmpOp, LibFn, ScalarType, UnOp};

/// One slot to one slot.
pub type F1 = fn(u64) -> u64;
/// Two values of one slot to one slot.
pub type F2 = fn(u64, u64) -> u64;
/// A complex number, as its two slots.
pub type Pair = [u64; 2];

/// A real scalar type, as far as its bits go.
trait Real: Copy {
    fn get(bits: u64) -> Self;
    fn put(self) -> u64;
    fn widen(self) -> Wide;
    fn narrow(wide: Wide) -> Self;
}

/// Any real value, exactly.
#[derive(Clone, Copy)]
enum Wide {
    Int(i64),
    UInt(u64),
    Float(f64),
}

/// What `cvttsd2si` with a 32-bit destination gives.
fn to_i32(v: f64) -> i32 {
    if v > -2147483649.0 && v < 2147483648.0 { v as i32 } else { i32::MIN }
}

/// What `cvttsd2si` with a 64-bit destination gives.
fn to_i64(v: f64) -> i64 {
    if (-9223372036854775808.0..9223372036854775808.0).contains(&v) { v as i64 } else { i64::MIN }
}

/// What compilers make of a conversion to u64 from the signed one: values from 2^63 on are shifted down before it, and
/// the top bit is flipped after. In range it is exact; 2^64 and more give 0; NaN and less than -2^63 give 2^63; negative
/// values wrap.
fn to_u64(v: f64) -> u64 {
    const TOP: f64 = 9223372036854775808.0;
    if v >= TOP { to_i64(v - TOP) as u64 ^ (1 << 63) } else { to_i64(v) as u64 }
}

impl Real for bool {
    fn get(bits: u64) -> bool {
        bits != 0
    }
    fn put(self) -> u64 {
        self as u64
    }
    fn widen(self) -> Wide {
        Wide::UInt(self as u64)
    }
    fn narrow(wide: Wide) -> bool {
        match wide {
            Wide::Int(v) => v != 0,
            Wide::UInt(v) => v != 0,
            Wide::Float(v) => v != 0.0,
        }
    }
}

macro_rules! real_int {
    ($($t:ty, $unsigned:ty, $wide:ident as $w:ty, $from_float:expr;)*) => {$(
        impl Real for $t {
            fn get(bits: u64) -> $t {
                bits as $t
            }
            fn put(self) -> u64 {
                self as $unsigned as u64
            }
            fn widen(self) -> Wide {
                Wide::$wide(self as $w)
            }
            fn narrow(wide: Wide) -> $t {
                match wide {
                    Wide::Int(v) => v as $t,
                    Wide::UInt(v) => v as $t,
                    Wide::Float(v) => $from_float(v) as $t,
                }
            }
        }
    )*};
}

real_int! {
    i8, u8, Int as i64, to_i32;
    i16, u16, Int as i64, to_i32;
    i32, u32, Int as i64, to_i32;
    i64, u64, Int as i64, to_i64;
    u8, u8, UInt as u64, to_i32;
    u16, u16, UInt as u64, to_i32;
    u32, u32, UInt as u64, to_i64;
    u64, u64, UInt as u64, to_u64;
}

impl Real for half::f16 {
    fn get(bits: u64) -> half::f16 {
        half::f16::from_bits(bits as u16)
    }
    fn put(self) -> u64 {
        self.to_bits() as u64
    }
    fn widen(self) -> Wide {
        Wide::Float(self.to_f64())
    }
    fn narrow(wide: Wide) -> half::f16 {
        // Integers that f64 rounds are far beyond the largest half, so two roundings are as good as one.
        pantile_types::prim::half_from_f64(match wide {
            Wide::Int(v) => v as f64,
            Wide::UInt(v) => v as f64,
            Wide::Float(v) => v,
        })
    }
}

macro_rules! real_float {
    ($($t:ty)*) => {$(
        impl Real for $t {
            fn get(bits: u64) -> $t {
                <$t>::from_bits(bits as _)
            }
            fn put(self) -> u64 {
                self.to_bits() as u64
            }
            fn widen(self) -> Wide {
                Wide::Float(self as f64)
            }
            fn narrow(wide: Wide) -> $t {
                match wide {
                    Wide::Int(v) => v as $t,
                    Wide::UInt(v) => v as $t,
                    Wide::Float(v) => v as $t,
                }
            }
        }
    )*};
}

real_float! { f32 f64 }

/// Calls a generic function for the Rust type behind a real scalar type; `None` for complex ones.
macro_rules! for_real {
    ($t:expr, $f:ident $(, $first:ty)?) => {
        match $t {
            ScalarType::Bool => Some($f::<$($first,)? bool> as F1),
            ScalarType::I8 => Some($f::<$($first,)? i8>),
            ScalarType::I16 => Some($f::<$($first,)? i16>),
            ScalarType::I32 => Some($f::<$($first,)? i32>),
            ScalarType::I64 => Some($f::<$($first,)? i64>),
            ScalarType::U8 => Some($f::<$($first,)? u8>),
            ScalarType::U16 => Some($f::<$($first,)? u16>),
            ScalarType::U32 => Some($f::<$($first,)? u32>),
            ScalarType::U64 => Some($f::<$($first,)? u64>),
            ScalarType::F16 => Some($f::<$($first,)? half::f16>),
            ScalarType::F32 => Some($f::<$($first,)? f32>),
            ScalarType::F64 => Some($f::<$($first,)? f64>),
            ScalarType::C64 | ScalarType::C128 => None,
        }
    };
}

fn convert<A: Real, B: Real>(bits: u64) -> u64 {
    B::narrow(A::get(bits).widen()).put()
}

/// Conversion between real types.
pub fn cast(from: ScalarType, to: ScalarType) -> Option<F1> {
    match from {
        ScalarType::Bool => for_real!(to, convert, bool),
        ScalarType::I8 => for_real!(to, convert, i8),
        ScalarType::I16 => for_real!(to, convert, i16),
        ScalarType::I32 => for_real!(to, convert, i32),
        ScalarType::I64 => for_real!(to, convert, i64),
        ScalarType::U8 => for_real!(to, convert, u8),
        ScalarType::U16 => for_real!(to, convert, u16),
        ScalarType::U32 => for_real!(to, convert, u32),
        ScalarType::U64 => for_real!(to, convert, u64),
        ScalarType::F16 => for_real!(to, convert, half::f16),
        ScalarType::F32 => for_real!(to, convert, f32),
        ScalarType::F64 => for_real!(to, convert, f64),
        ScalarType::C64 | ScalarType::C128 => None,
    }
}

// ---- integers ----

macro_rules! int_tables {
    ($($t:ty, $un:ident, $bin:ident;)*) => {$(
        fn $un(op: UnOp) -> Option<F1> {
            type T = $t;
            fn lift(v: T) -> u64 {
                v.put()
            }
            Some(match op {
                UnOp::Neg => |a| lift(T::get(a).wrapping_neg()),
                UnOp::Not => |a| lift(!T::get(a)),
                #[allow(unused_comparisons)]
                UnOp::Abs => |a| lift(if T::get(a) < 0 { T::get(a).wrapping_neg() } else { T::get(a) }),
                UnOp::Popcount => |a| lift(T::get(a).count_ones() as T),
                _ => return None,
            })
        }

        fn $bin(op: BinOp) -> Option<F2> {
            type T = $t;
            fn lift(v: T) -> u64 {
                v.put()
            }
            /// The shift count, if it is in `0 .. bits`.
            fn count(b: u64) -> Option<u32> {
                // A negative count is a huge one as bits.
                if b < T::BITS as u64 { Some(b as u32) } else { None }
            }
            Some(match op {
                BinOp::Add => |a, b| lift(T::get(a).wrapping_add(T::get(b))),
                BinOp::Sub => |a, b| lift(T::get(a).wrapping_sub(T::get(b))),
                BinOp::Mul => |a, b| lift(T::get(a).wrapping_mul(T::get(b))),
                BinOp::Div => |a, b| lift(if T::get(b) == 0 { 0 } else { T::get(a).wrapping_div(T::get(b)) }),
                BinOp::Rem => |a, b| lift(if T::get(b) == 0 { 0 } else { T::get(a).wrapping_rem(T::get(b)) }),
                BinOp::And => |a, b| a & b,
                BinOp::Or => |a, b| a | b,
                BinOp::Xor => |a, b| a ^ b,
                BinOp::Shl => |a, b| lift(count(b).map_or(0, |n| T::get(a) << n)),
                #[allow(unused_comparisons)]
                BinOp::Shr => |a, b| {
                    let a = T::get(a);
                    lift(count(b).map_or(if a < 0 { !0 } else { 0 }, |n| a >> n))
                },
                BinOp::Min => |a, b| lift(T::get(a).min(T::get(b))),
                BinOp::Max => |a, b| lift(T::get(a).max(T::get(b))),
                _ => return None,
            })
        }
    )*};
}

int_tables! {
    i8, un_i8, bin_i8;
    i16, un_i16, bin_i16;
    i32, un_i32, bin_i32;
    i64, un_i64, bin_i64;
    u8, un_u8, bin_u8;
    u16, un_u16, bin_u16;
    u32, un_u32, bin_u32;
    u64, un_u64, bin_u64;
}

// ---- floats ----

/// The platform's math library: the same functions that NumPy and compiled code call.
mod c {
    #[link(name = "m")]
    unsafe extern "C" {
        pub safe fn sinf(x: f32) -> f32;
        pub safe fn cosf(x: f32) -> f32;
        pub safe fn tanf(x: f32) -> f32;
        pub safe fn asinf(x: f32) -> f32;
        pub safe fn acosf(x: f32) -> f32;
        pub safe fn atanf(x: f32) -> f32;
        pub safe fn sinhf(x: f32) -> f32;
        pub safe fn coshf(x: f32) -> f32;
        pub safe fn tanhf(x: f32) -> f32;
        pub safe fn asinhf(x: f32) -> f32;
        pub safe fn acoshf(x: f32) -> f32;
        pub safe fn atanhf(x: f32) -> f32;
        pub safe fn expf(x: f32) -> f32;
        pub safe fn exp2f(x: f32) -> f32;
        pub safe fn expm1f(x: f32) -> f32;
        pub safe fn logf(x: f32) -> f32;
        pub safe fn log2f(x: f32) -> f32;
        pub safe fn log10f(x: f32) -> f32;
        pub safe fn log1pf(x: f32) -> f32;
        pub safe fn cbrtf(x: f32) -> f32;
        pub safe fn powf(x: f32, y: f32) -> f32;
        pub safe fn atan2f(x: f32, y: f32) -> f32;
        pub safe fn hypotf(x: f32, y: f32) -> f32;
        pub safe fn nextafterf(x: f32, y: f32) -> f32;
        pub safe fn sin(x: f64) -> f64;
        pub safe fn cos(x: f64) -> f64;
        pub safe fn tan(x: f64) -> f64;
        pub safe fn asin(x: f64) -> f64;
        pub safe fn acos(x: f64) -> f64;
        pub safe fn atan(x: f64) -> f64;
        pub safe fn sinh(x: f64) -> f64;
        pub safe fn cosh(x: f64) -> f64;
        pub safe fn tanh(x: f64) -> f64;
        pub safe fn asinh(x: f64) -> f64;
        pub safe fn acosh(x: f64) -> f64;
        pub safe fn atanh(x: f64) -> f64;
        pub safe fn exp(x: f64) -> f64;
        pub safe fn exp2(x: f64) -> f64;
        pub safe fn expm1(x: f64) -> f64;
        pub safe fn log(x: f64) -> f64;
        pub safe fn log2(x: f64) -> f64;
        pub safe fn log10(x: f64) -> f64;
        pub safe fn log1p(x: f64) -> f64;
        pub safe fn cbrt(x: f64) -> f64;
        pub safe fn pow(x: f64, y: f64) -> f64;
        pub safe fn atan2(x: f64, y: f64) -> f64;
        pub safe fn hypot(x: f64, y: f64) -> f64;
        pub safe fn nextafter(x: f64, y: f64) -> f64;
        pub safe fn ldexp(x: f64, n: i32) -> f64;
        pub fn frexp(x: f64, n: *mut i32) -> f64;
    }

    /// `double _Complex`, which every ABI that we run on passes like this structure.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Complex {
        pub re: f64,
        pub im: f64,
    }

    #[link(name = "m")]
    unsafe extern "C" {
        pub safe fn cexp(z: Complex) -> Complex;
        pub safe fn clog(z: Complex) -> Complex;
        pub safe fn csqrt(z: Complex) -> Complex;
        pub safe fn cpow(z: Complex, w: Complex) -> Complex;
        pub safe fn csin(z: Complex) -> Complex;
        pub safe fn ccos(z: Complex) -> Complex;
        pub safe fn ctan(z: Complex) -> Complex;
        pub safe fn casin(z: Complex) -> Complex;
        pub safe fn cacos(z: Complex) -> Complex;
        pub safe fn catan(z: Complex) -> Complex;
        pub safe fn csinh(z: Complex) -> Complex;
        pub safe fn ccosh(z: Complex) -> Complex;
        pub safe fn ctanh(z: Complex) -> Complex;
        pub safe fn casinh(z: Complex) -> Complex;
        pub safe fn cacosh(z: Complex) -> Complex;
        pub safe fn catanh(z: Complex) -> Complex;
    }
}

/// IEEE 754-2019 `minimum` and `maximum`: unlike Rust's `min` and `max`, NaN wins and zeros are ordered by sign.
macro_rules! minmax {
    ($min:ident, $max:ident, $t:ty) => {
        fn $min(a: $t, b: $t) -> $t {
            if a.is_nan() || b.is_nan() {
                a + b
            } else if a == b {
                if a.is_sign_negative() { a } else { b }
            } else if a < b {
                a
            } else {
                b
            }
        }

        fn $max(a: $t, b: $t) -> $t {
            if a.is_nan() || b.is_nan() {
                a + b
            } else if a == b {
                if a.is_sign_negative() { b } else { a }
            } else if a > b {
                a
            } else {
                b
            }
        }
    };
}

minmax!(min_f32, max_f32, f32);
minmax!(min_f64, max_f64, f64);

macro_rules! float_tables {
    ($t:ty, $un:ident, $bin:ident, $min:ident, $max:ident,
     $($elementary:ident => $c:ident),*; $($two:ident => $c2:ident),*) => {
        fn $un(op: UnOp) -> Option<F1> {
            type T = $t;
            Some(match op {
                UnOp::Neg => |a| (-T::get(a)).put(),
                UnOp::Abs => |a| T::get(a).abs().put(),
                UnOp::Sqrt => |a| T::get(a).sqrt().put(),
                UnOp::Floor => |a| T::get(a).floor().put(),
                UnOp::Ceil => |a| T::get(a).ceil().put(),
                UnOp::Trunc => |a| T::get(a).trunc().put(),
                UnOp::Rint => |a| T::get(a).round_ties_even().put(),
                UnOp::SignBit => |a| T::get(a).is_sign_negative() as u64,
                $(UnOp::$elementary => |a| c::$c(T::get(a)).put(),)*
                UnOp::Not | UnOp::Popcount | UnOp::Re | UnOp::Im => return None,
            })
        }

        fn $bin(op: BinOp) -> Option<F2> {
            type T = $t;
            Some(match op {
                BinOp::Add => |a, b| (T::get(a) + T::get(b)).put(),
                BinOp::Sub => |a, b| (T::get(a) - T::get(b)).put(),
                BinOp::Mul => |a, b| (T::get(a) * T::get(b)).put(),
                BinOp::Div => |a, b| (T::get(a) / T::get(b)).put(),
                BinOp::Rem => |a, b| (T::get(a) % T::get(b)).put(),
                BinOp::Min => |a, b| $min(T::get(a), T::get(b)).put(),
                BinOp::Max => |a, b| $max(T::get(a), T::get(b)).put(),
                BinOp::Copysign => |a, b| T::get(a).copysign(T::get(b)).put(),
                $(BinOp::$two => |a, b| c::$c2(T::get(a), T::get(b)).put(),)*
                BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr => return None,
            })
        }
    };
}

float_tables! { f32, un_f32, bin_f32, min_f32, max_f32,
Sin => sinf, Cos => cosf, Tan => tanf, Asin => asinf, Acos => acosf, Atan => atanf,
Sinh => sinhf, Cosh => coshf, Tanh => tanhf, Asinh => asinhf, Acosh => acoshf, Atanh => atanhf,
Exp => expf, Exp2 => exp2f, Expm1 => expm1f, Log => logf, Log2 => log2f, Log10 => log10f, Log1p => log1pf,
Cbrt => cbrtf; Pow => powf, Atan2 => atan2f, Hypot => hypotf, Nextafter => nextafterf }
float_tables! { f64, un_f64, bin_f64, min_f64, max_f64,
Sin => sin, Cos => cos, Tan => tan, Asin => asin, Acos => acos, Atan => atan,
Sinh => sinh, Cosh => cosh, Tanh => tanh, Asinh => asinh, Acosh => acosh, Atanh => atanh,
Exp => exp, Exp2 => exp2, Expm1 => expm1, Log => log, Log2 => log2, Log10 => log10, Log1p => log1p,
Cbrt => cbrt; Pow => pow, Atan2 => atan2, Hypot => hypot, Nextafter => nextafter }

// ---- tables over all types ----

/// An operation on one real value.
pub fn un(op: UnOp, t: ScalarType) -> Option<F1> {
    match t {
        ScalarType::Bool => (op == UnOp::Not).then_some(|a| a ^ 1),
        ScalarType::I8 => un_i8(op),
        ScalarType::I16 => un_i16(op),
        ScalarType::I32 => un_i32(op),
        ScalarType::I64 => un_i64(op),
        ScalarType::U8 => un_u8(op),
        ScalarType::U16 => un_u16(op),
        ScalarType::U32 => un_u32(op),
        ScalarType::U64 => un_u64(op),
        ScalarType::F32 => un_f32(op),
        ScalarType::F64 => un_f64(op),
        ScalarType::F16 | ScalarType::C64 | ScalarType::C128 => None,
    }
}

/// An operation on two real values.
pub fn bin(op: BinOp, t: ScalarType) -> Option<F2> {
    match t {
        ScalarType::Bool => match op {
            BinOp::And | BinOp::Or | BinOp::Xor => bin_u8(op),
            _ => None,
        },
        ScalarType::I8 => bin_i8(op),
        ScalarType::I16 => bin_i16(op),
        ScalarType::I32 => bin_i32(op),
        ScalarType::I64 => bin_i64(op),
        ScalarType::U8 => bin_u8(op),
        ScalarType::U16 => bin_u16(op),
        ScalarType::U32 => bin_u32(op),
        ScalarType::U64 => bin_u64(op),
        ScalarType::F32 => bin_f32(op),
        ScalarType::F64 => bin_f64(op),
        ScalarType::F16 | ScalarType::C64 | ScalarType::C128 => None,
    }
}

fn compare<T: Real + PartialOrd>(op: CmpOp) -> F2 {
    match op {
        CmpOp::Eq => |a, b| (T::get(a) == T::get(b)) as u64,
        CmpOp::Ne => |a, b| (T::get(a) != T::get(b)) as u64,
        CmpOp::Lt => |a, b| (T::get(a) < T::get(b)) as u64,
        CmpOp::Le => |a, b| (T::get(a) <= T::get(b)) as u64,
        CmpOp::Gt => |a, b| (T::get(a) > T::get(b)) as u64,
        CmpOp::Ge => |a, b| (T::get(a) >= T::get(b)) as u64,
    }
}

/// A comparison of two real values.
pub fn cmp(op: CmpOp, t: ScalarType) -> Option<F2> {
    Some(match t {
        ScalarType::Bool => compare::<bool>(op),
        ScalarType::I8 => compare::<i8>(op),
        ScalarType::I16 => compare::<i16>(op),
        ScalarType::I32 => compare::<i32>(op),
        ScalarType::I64 => compare::<i64>(op),
        ScalarType::U8 => compare::<u8>(op),
        ScalarType::U16 => compare::<u16>(op),
        ScalarType::U32 => compare::<u32>(op),
        ScalarType::U64 => compare::<u64>(op),
        ScalarType::F32 => compare::<f32>(op),
        ScalarType::F64 => compare::<f64>(op),
        ScalarType::F16 | ScalarType::C64 | ScalarType::C128 => return None,
    })
}

// ---- complex ----

/// Negation of a complex value.
pub fn complex_neg(t: ScalarType) -> Option<fn(Pair) -> Pair> {
    match t {
        ScalarType::C64 => Some(|[re, im]| [(-f32::get(re)).put(), (-f32::get(im)).put()]),
        ScalarType::C128 => Some(|[re, im]| [(-f64::get(re)).put(), (-f64::get(im)).put()]),
        _ => None,
    }
}

fn complex_arith<T>(op: BinOp) -> Option<fn(Pair, Pair) -> Pair>
where
    T: Real + std::ops::Add<Output = T> + std::ops::Sub<Output = T> + std::ops::Mul<Output = T>,
{
    Some(match op {
        BinOp::Add => |a, b| [(T::get(a[0]) + T::get(b[0])).put(), (T::get(a[1]) + T::get(b[1])).put()],
        BinOp::Sub => |a, b| [(T::get(a[0]) - T::get(b[0])).put(), (T::get(a[1]) - T::get(b[1])).put()],
        BinOp::Mul => |a, b| {
            let (ar, ai, br, bi) = (T::get(a[0]), T::get(a[1]), T::get(b[0]), T::get(b[1]));
            [(ar * br - ai * bi).put(), (ar * bi + ai * br).put()]
        },
        _ => return None,
    })
}

/// Arithmetic of complex values.
pub fn complex_bin(op: BinOp, t: ScalarType) -> Option<fn(Pair, Pair) -> Pair> {
    match t {
        ScalarType::C64 => complex_arith::<f32>(op),
        ScalarType::C128 => complex_arith::<f64>(op),
        _ => None,
    }
}

fn complex_equal<T: Real + PartialEq>(op: CmpOp) -> Option<fn(Pair, Pair) -> u64> {
    match op {
        CmpOp::Eq => Some(|a, b| (T::get(a[0]) == T::get(b[0]) && T::get(a[1]) == T::get(b[1])) as u64),
        CmpOp::Ne => Some(|a, b| (T::get(a[0]) != T::get(b[0]) || T::get(a[1]) != T::get(b[1])) as u64),
        CmpOp::Lt | CmpOp::Le | CmpOp::Gt | CmpOp::Ge => None,
    }
}

/// Equality of complex values.
pub fn complex_cmp(op: CmpOp, t: ScalarType) -> Option<fn(Pair, Pair) -> u64> {
    match t {
        ScalarType::C64 => complex_equal::<f32>(op),
        ScalarType::C128 => complex_equal::<f64>(op),
        _ => None,
    }
}

/// Whether a complex value differs from zero.
pub fn complex_to_bool(t: ScalarType) -> Option<fn(Pair) -> u64> {
    match t {
        ScalarType::C64 => Some(|[re, im]| (f32::get(re) != 0.0 || f32::get(im) != 0.0) as u64),
        ScalarType::C128 => Some(|[re, im]| (f64::get(re) != 0.0 || f64::get(im) != 0.0) as u64),
        _ => None,
    }
}

/// A library function, by the shape of its signature.
#[derive(Clone, Copy)]
pub enum LibCall {
    /// One real argument.
    One(F1),
    /// Two real arguments.
    Two(F2),
    /// One complex argument, complex result.
    Complex(fn(Pair) -> Pair),
    /// Two complex arguments, complex result.
    Complex2(fn(Pair, Pair) -> Pair),
}

fn frexp(v: f64) -> (f64, i32) {
    let mut exponent = 0;
    // SAFETY: `exponent` is a valid place for the one `int` that `frexp` writes.
    let fraction = unsafe { c::frexp(v, &mut exponent) };
    (fraction, exponent)
}

/// What a library function is.
pub fn lib(f: LibFn) -> LibCall {
    fn get(z: Pair) -> c::Complex {
        c::Complex { re: f64::get(z[0]), im: f64::get(z[1]) }
    }
    fn put(z: c::Complex) -> Pair {
        [z.re.put(), z.im.put()]
    }
    LibCall::Complex(match f {
        LibFn::Cpow => return LibCall::Complex2(|z, w| put(c::cpow(get(z), get(w)))),
        LibFn::Ldexp => return LibCall::Two(|x, n| c::ldexp(f64::get(x), i32::get(n)).put()),
        LibFn::Gcd => {
            return LibCall::Two(|mut a, mut b| {
                while b != 0 {
                    (a, b) = (b, a % b);
                }
                a
            });
        }
        LibFn::PowU64 => {
            return LibCall::Two(|mut base, mut exponent| {
                let mut result = 1u64;
                while exponent != 0 {
                    if exponent & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    exponent >>= 1;
                }
                result
            });
        }
        LibFn::FrexpFraction => return LibCall::One(|x| frexp(f64::get(x)).0.put()),
        LibFn::FrexpExponent => {
            return LibCall::One(|x| {
                let v = f64::get(x);
                // C leaves the exponent of infinities and NaN open; here it is 0.
                if v.is_finite() { frexp(v).1.put() } else { 0 }
            });
        }
        LibFn::Cexp => |z| put(c::cexp(get(z))),
        LibFn::Clog => |z| put(c::clog(get(z))),
        LibFn::Csqrt => |z| put(c::csqrt(get(z))),
        LibFn::Csin => |z| put(c::csin(get(z))),
        LibFn::Ccos => |z| put(c::ccos(get(z))),
        LibFn::Ctan => |z| put(c::ctan(get(z))),
        LibFn::Casin => |z| put(c::casin(get(z))),
        LibFn::Cacos => |z| put(c::cacos(get(z))),
        LibFn::Catan => |z| put(c::catan(get(z))),
        LibFn::Csinh => |z| put(c::csinh(get(z))),
        LibFn::Ccosh => |z| put(c::ccosh(get(z))),
        LibFn::Ctanh => |z| put(c::ctanh(get(z))),
        LibFn::Casinh => |z| put(c::casinh(get(z))),
        LibFn::Cacosh => |z| put(c::cacosh(get(z))),
        LibFn::Catanh => |z| put(c::catanh(get(z))),
    })
}
