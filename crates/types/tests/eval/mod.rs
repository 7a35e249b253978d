//! An `Emit` that computes: constants in, constants out. It lets each row of the catalogue be tested here, without the
//! compiler. It panics on a type error, since a builder that makes one is our mistake.
//!
//! Elementary and complex functions are the C library's, which is what NumPy calls too.

use pantile_types::prim::{gcd, pow_u64};
use pantile_types::{BinOp, CmpOp, Emit, LibFn, Scalar, ScalarType, UnOp, Val};

/// The values computed so far.
#[derive(Default)]
pub struct Eval {
    values: Vec<Scalar>,
}

impl Eval {
    pub fn push(&mut self, s: Scalar) -> Val {
        self.values.push(s);
        Val(self.values.len() as u32 - 1)
    }

    pub fn get(&self, v: Val) -> Scalar {
        self.values[v.0 as usize]
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

macro_rules! c_functions {
    ($($name:ident: ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        mod c {
            use super::Complex;
            unsafe extern "C" { $(pub fn $name($($arg: $ty),*) -> $ret;)* }
        }
        $(fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: a pure function of the C library; `Complex` is passed as C passes `double _Complex`.
            unsafe { c::$name($($arg),*) }
        })*
    };
}

c_functions! {
    asinh: (x: f64) -> f64; acosh: (x: f64) -> f64; atanh: (x: f64) -> f64;
    asinhf: (x: f32) -> f32; acoshf: (x: f32) -> f32; atanhf: (x: f32) -> f32;
    cexp: (z: Complex) -> Complex; clog: (z: Complex) -> Complex; csqrt: (z: Complex) -> Complex;
    csin: (z: Complex) -> Complex; ccos: (z: Complex) -> Complex; ctan: (z: Complex) -> Complex;
    casin: (z: Complex) -> Complex; cacos: (z: Complex) -> Complex; catan: (z: Complex) -> Complex;
    csinh: (z: Complex) -> Complex; ccosh: (z: Complex) -> Complex; ctanh: (z: Complex) -> Complex;
    casinh: (z: Complex) -> Complex; cacosh: (z: Complex) -> Complex; catanh: (z: Complex) -> Complex;
    cpow: (z: Complex, w: Complex) -> Complex; ldexp: (x: f64, n: i32) -> f64;
}

fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // Subnormals are scaled into the normal range first.
    let (x, bias) = if x.abs() < f64::MIN_POSITIVE { (x * 2f64.powi(64), 64) } else { (x, 0) };
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1022;
    (f64::from_bits((x.to_bits() & !(0x7ff << 52)) | (1022 << 52)), exponent - bias)
}

macro_rules! real_un {
    ($op:expr, $x:expr, $ty:ident, $asinh:ident, $acosh:ident, $atanh:ident) => {{
        let x: $ty = $x;
        match $op {
            UnOp::Neg => -x,
            UnOp::Abs => x.abs(),
            UnOp::Sqrt => x.sqrt(),
            UnOp::Floor => x.floor(),
            UnOp::Ceil => x.ceil(),
            UnOp::Trunc => x.trunc(),
            UnOp::Rint => x.round_ties_even(),
            UnOp::Sin => x.sin(),
            UnOp::Cos => x.cos(),
            UnOp::Tan => x.tan(),
            UnOp::Asin => x.asin(),
            UnOp::Acos => x.acos(),
            UnOp::Atan => x.atan(),
            UnOp::Sinh => x.sinh(),
            UnOp::Cosh => x.cosh(),
            UnOp::Tanh => x.tanh(),
            UnOp::Asinh => $asinh(x),
            UnOp::Acosh => $acosh(x),
            UnOp::Atanh => $atanh(x),
            UnOp::Exp => x.exp(),
            UnOp::Exp2 => x.exp2(),
            UnOp::Expm1 => x.exp_m1(),
            UnOp::Log => x.ln(),
            UnOp::Log2 => x.log2(),
            UnOp::Log10 => x.log10(),
            UnOp::Log1p => x.ln_1p(),
            UnOp::Cbrt => x.cbrt(),
            other => panic!("{other:?} of a float"),
        }
    }};
}

macro_rules! real_bin {
    ($op:expr, $x:expr, $y:expr, $ty:ident) => {{
        let (x, y): ($ty, $ty) = ($x, $y);
        let nan = x.is_nan() || y.is_nan();
        match $op {
            BinOp::Add => x + y,
            BinOp::Sub => x - y,
            BinOp::Mul => x * y,
            BinOp::Div => x / y,
            BinOp::Rem => x % y,
            BinOp::Min if nan => $ty::NAN,
            BinOp::Max if nan => $ty::NAN,
            BinOp::Min if x == y => {
                if x.is_sign_negative() {
                    x
                } else {
                    y
                }
            }
            BinOp::Max if x == y => {
                if x.is_sign_negative() {
                    y
                } else {
                    x
                }
            }
            BinOp::Min => {
                if x < y {
                    x
                } else {
                    y
                }
            }
            BinOp::Max => {
                if x > y {
                    x
                } else {
                    y
                }
            }
            BinOp::Pow => x.powf(y),
            BinOp::Atan2 => x.atan2(y),
            BinOp::Hypot => x.hypot(y),
            BinOp::Copysign => x.copysign(y),
            BinOp::Nextafter if nan => $ty::NAN,
            BinOp::Nextafter if x == y => y,
            BinOp::Nextafter if x < y => x.next_up(),
            BinOp::Nextafter => x.next_down(),
            other => panic!("{other:?} of floats"),
        }
    }};
}

fn int_bin(op: BinOp, ty: ScalarType, x: i128, y: i128) -> i128 {
    let bits = ty.size() as i128 * 8;
    match op {
        BinOp::Add => x + y,
        BinOp::Sub => x - y,
        BinOp::Mul => x.wrapping_mul(y),
        BinOp::Div if y == 0 => 0,
        BinOp::Div => x / y,
        BinOp::Rem if y == 0 => 0,
        BinOp::Rem => x % y,
        BinOp::And => x & y,
        BinOp::Or => x | y,
        BinOp::Xor => x ^ y,
        BinOp::Shl if !(0..bits).contains(&y) => 0,
        BinOp::Shl => x << y,
        BinOp::Shr if !(0..bits).contains(&y) => -i128::from(x < 0),
        BinOp::Shr => x >> y,
        BinOp::Min => x.min(y),
        BinOp::Max => x.max(y),
        other => panic!("{other:?} of integers"),
    }
}

fn wrap(ty: ScalarType, x: i128) -> Scalar {
    Scalar::from_bits(ty, x as u128)
}

fn int(s: Scalar) -> i128 {
    match s {
        Scalar::Int(_, v) => v.into(),
        Scalar::UInt(_, v) => v.into(),
        Scalar::Bool(v) => v.into(),
        other => panic!("{other:?} is not an integer"),
    }
}

/// A float as a double, exactly.
fn double(s: Scalar) -> f64 {
    match s {
        Scalar::F16(bits) => half::f16::from_bits(bits).to_f64(),
        Scalar::F32(v) => v.into(),
        Scalar::F64(v) => v,
        other => panic!("{other:?} is not a float"),
    }
}

fn parts(s: Scalar) -> (f64, f64) {
    match s {
        Scalar::C64(re, im) => (re.into(), im.into()),
        Scalar::C128(re, im) => (re, im),
        other => panic!("{other:?} is not complex"),
    }
}

/// x86-64's conversions: out of range and NaN give the smallest integer, narrower types wrap.
fn float_to_int(x: f64, to: ScalarType) -> Scalar {
    let to_i64 = |x: f64| if (-(2f64.powi(63))..2f64.powi(63)).contains(&x) { x as i64 } else { i64::MIN };
    let to_i32 =
        |x: f64| if x.trunc() >= -(2f64.powi(31)) && x.trunc() < 2f64.powi(31) { x as i32 } else { i32::MIN };
    match to {
        ScalarType::I64 => wrap(to, to_i64(x).into()),
        // Above 2^63 the compiler's sequence subtracts first.
        ScalarType::U64 if x >= 2f64.powi(63) => wrap(to, i128::from(to_i64(x - 2f64.powi(63))) ^ (1 << 63)),
        ScalarType::U64 | ScalarType::U32 => wrap(to, to_i64(x).into()),
        _ => wrap(to, to_i32(x).into()),
    }
}

fn cast(s: Scalar, to: ScalarType) -> Scalar {
    let from = s.ty();
    if from.is_complex() {
        let (re, im) = parts(s);
        return match to {
            ScalarType::C64 => Scalar::C64(re as f32, im as f32),
            ScalarType::C128 => Scalar::C128(re, im),
            ScalarType::Bool => Scalar::Bool(re != 0.0 || im != 0.0),
            _ => cast(if from == ScalarType::C64 { Scalar::F32(re as f32) } else { Scalar::F64(re) }, to),
        };
    }
    if from.is_float() {
        let x = double(s);
        return match to {
            ScalarType::Bool => Scalar::Bool(x != 0.0),
            _ if to.is_int() => float_to_int(x, to),
            _ => Scalar::from_f64(to, x).unwrap(),
        };
    }
    let x = int(s);
    match to {
        ScalarType::Bool => Scalar::Bool(x != 0),
        ScalarType::F16 => Scalar::F16(half::f16::from_f64(x as f64).to_bits()),
        ScalarType::F32 => Scalar::F32(x as f32),
        ScalarType::F64 => Scalar::F64(x as f64),
        ScalarType::C64 => Scalar::C64(x as f32, 0.0),
        ScalarType::C128 => Scalar::C128(x as f64, 0.0),
        _ => wrap(to, x),
    }
}

fn complex_of(ty: ScalarType, re: f64, im: f64) -> Scalar {
    if ty == ScalarType::C64 { Scalar::C64(re as f32, im as f32) } else { Scalar::C128(re, im) }
}

fn complex_bin(op: BinOp, x: Scalar, y: Scalar) -> Scalar {
    if let (Scalar::C64(a, b), Scalar::C64(c, d)) = (x, y) {
        return match op {
            BinOp::Add => Scalar::C64(a + c, b + d),
            BinOp::Sub => Scalar::C64(a - c, b - d),
            BinOp::Mul => Scalar::C64(a * c - b * d, a * d + b * c),
            other => panic!("{other:?} of complex numbers"),
        };
    }
    let ((a, b), (c, d)) = (parts(x), parts(y));
    match op {
        BinOp::Add => Scalar::C128(a + c, b + d),
        BinOp::Sub => Scalar::C128(a - c, b - d),
        BinOp::Mul => Scalar::C128(a * c - b * d, a * d + b * c),
        other => panic!("{other:?} of complex numbers"),
    }
}

impl Emit for Eval {
    fn ty(&self, v: Val) -> ScalarType {
        self.get(v).ty()
    }

    fn constant(&mut self, s: Scalar) -> Val {
        self.push(s)
    }

    fn un(&mut self, op: UnOp, a: Val) -> Val {
        let s = self.get(a);
        let ty = s.ty();
        let result = match (op, s) {
            (UnOp::Not, Scalar::Bool(v)) => Scalar::Bool(!v),
            (UnOp::SignBit, Scalar::F32(_) | Scalar::F64(_)) => Scalar::Bool(double(s).is_sign_negative()),
            (UnOp::Re, Scalar::C64(re, _)) => Scalar::F32(re),
            (UnOp::Im, Scalar::C64(_, im)) => Scalar::F32(im),
            (UnOp::Re, Scalar::C128(re, _)) => Scalar::F64(re),
            (UnOp::Im, Scalar::C128(_, im)) => Scalar::F64(im),
            (UnOp::Neg, Scalar::C64(..) | Scalar::C128(..)) => complex_of(ty, -parts(s).0, -parts(s).1),
            (_, Scalar::F32(x)) => Scalar::F32(real_un!(op, x, f32, asinhf, acoshf, atanhf)),
            (_, Scalar::F64(x)) => Scalar::F64(real_un!(op, x, f64, asinh, acosh, atanh)),
            (UnOp::Neg, Scalar::Int(..) | Scalar::UInt(..)) => wrap(ty, -int(s)),
            (UnOp::Not, Scalar::Int(..) | Scalar::UInt(..)) => wrap(ty, !int(s)),
            (UnOp::Abs, Scalar::Int(..) | Scalar::UInt(..)) => wrap(ty, int(s).abs()),
            (UnOp::Popcount, Scalar::Int(..) | Scalar::UInt(..)) => wrap(ty, s.bits().count_ones().into()),
            other => panic!("{other:?}"),
        };
        self.push(result)
    }

    fn bin(&mut self, op: BinOp, a: Val, b: Val) -> Val {
        let (x, y) = (self.get(a), self.get(b));
        assert_eq!(x.ty(), y.ty(), "{op:?}");
        let result = match (x, y) {
            (Scalar::F32(x), Scalar::F32(y)) => Scalar::F32(real_bin!(op, x, y, f32)),
            (Scalar::F64(x), Scalar::F64(y)) => Scalar::F64(real_bin!(op, x, y, f64)),
            (Scalar::C64(..) | Scalar::C128(..), _) => complex_bin(op, x, y),
            (Scalar::Bool(x), Scalar::Bool(y)) => Scalar::Bool(match op {
                BinOp::And => x & y,
                BinOp::Or => x | y,
                BinOp::Xor => x ^ y,
                other => panic!("{other:?} of truth values"),
            }),
            (Scalar::Int(ty, _) | Scalar::UInt(ty, _), _) => wrap(ty, int_bin(op, ty, int(x), int(y))),
            other => panic!("{op:?} {other:?}"),
        };
        self.push(result)
    }

    fn cmp(&mut self, op: CmpOp, a: Val, b: Val) -> Val {
        let (x, y) = (self.get(a), self.get(b));
        assert_eq!(x.ty(), y.ty(), "{op:?}");
        let ordering = match x {
            Scalar::C64(..) | Scalar::C128(..) => {
                assert!(matches!(op, CmpOp::Eq | CmpOp::Ne), "{op:?} of complex numbers");
                let equal = parts(x) == parts(y);
                return self.push(Scalar::Bool(equal == (op == CmpOp::Eq)));
            }
            Scalar::F32(_) | Scalar::F64(_) => double(x).partial_cmp(&double(y)),
            Scalar::F16(_) => panic!("{op:?} of halves"),
            _ => Some(int(x).cmp(&int(y))),
        };
        let result = match op {
            CmpOp::Eq => ordering.is_some_and(|o| o.is_eq()),
            CmpOp::Ne => ordering.is_none_or(|o| o.is_ne()),
            CmpOp::Lt => ordering.is_some_and(|o| o.is_lt()),
            CmpOp::Le => ordering.is_some_and(|o| o.is_le()),
            CmpOp::Gt => ordering.is_some_and(|o| o.is_gt()),
            CmpOp::Ge => ordering.is_some_and(|o| o.is_ge()),
        };
        self.push(Scalar::Bool(result))
    }

    fn select(&mut self, condition: Val, a: Val, b: Val) -> Val {
        assert_eq!(self.ty(a), self.ty(b));
        match self.get(condition) {
            Scalar::Bool(true) => a,
            Scalar::Bool(false) => b,
            other => panic!("a condition of type {:?}", other.ty()),
        }
    }

    fn cast(&mut self, v: Val, to: ScalarType) -> Val {
        let result = cast(self.get(v), to);
        self.push(result)
    }

    fn bitcast(&mut self, v: Val, to: ScalarType) -> Val {
        let s = self.get(v);
        assert_eq!(s.ty().size(), to.size());
        assert!(!s.ty().is_complex() && !to.is_complex() && to != ScalarType::Bool);
        self.push(Scalar::from_bits(to, s.bits()))
    }

    fn complex(&mut self, re: Val, im: Val) -> Val {
        let result = match (self.get(re), self.get(im)) {
            (Scalar::F32(re), Scalar::F32(im)) => Scalar::C64(re, im),
            (Scalar::F64(re), Scalar::F64(im)) => Scalar::C128(re, im),
            other => panic!("a complex number of {other:?}"),
        };
        self.push(result)
    }

    fn lib(&mut self, f: LibFn, args: &[Val]) -> Val {
        let values: Vec<Scalar> = args.iter().map(|v| self.get(*v)).collect();
        let types: Vec<ScalarType> = values.iter().map(|s| s.ty()).collect();
        assert_eq!(types, f.signature().0, "{f:?}");
        let z = |i: usize| {
            let (re, im) = parts(values[i]);
            Complex { re, im }
        };
        let complex = match f {
            LibFn::Ldexp => return self.push(Scalar::F64(ldexp(double(values[0]), int(values[1]) as i32))),
            LibFn::FrexpFraction => return self.push(Scalar::F64(frexp(double(values[0])).0)),
            LibFn::FrexpExponent => {
                return self.push(wrap(ScalarType::I32, frexp(double(values[0])).1.into()));
            }
            LibFn::Gcd => {
                return self
                    .push(wrap(ScalarType::U64, gcd(int(values[0]) as u64, int(values[1]) as u64).into()));
            }
            LibFn::PowU64 => {
                return self.push(wrap(
                    ScalarType::U64,
                    pow_u64(int(values[0]) as u64, int(values[1]) as u64).into(),
                ));
            }
            LibFn::Cexp => cexp(z(0)),
            LibFn::Clog => clog(z(0)),
            LibFn::Csqrt => csqrt(z(0)),
            LibFn::Cpow => cpow(z(0), z(1)),
            LibFn::Csin => csin(z(0)),
            LibFn::Ccos => ccos(z(0)),
            LibFn::Ctan => ctan(z(0)),
            LibFn::Casin => casin(z(0)),
            LibFn::Cacos => cacos(z(0)),
            LibFn::Catan => catan(z(0)),
            LibFn::Csinh => csinh(z(0)),
            LibFn::Ccosh => ccosh(z(0)),
            LibFn::Ctanh => ctanh(z(0)),
            LibFn::Casinh => casinh(z(0)),
            LibFn::Cacosh => cacosh(z(0)),
            LibFn::Catanh => catanh(z(0)),
        };
        self.push(Scalar::C128(complex.re, complex.im))
    }
}
