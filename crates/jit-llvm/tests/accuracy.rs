//! Elementary functions: within 4 ulp, and right at the special values, both one at a time and in vector loops.
//!
//! The reference is the C library's `long double` function, whose 64-bit mantissa leaves eleven bits to judge a double by.
//! Rust has no such type: a few lines of assembly make the call and split the result into two doubles.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use common::{Random, alone, map, run_map};
use pantile_jit_llvm::{Dump, LlvmBackend, LlvmOptions};
use pantile_types::{BinOp, Emit, ScalarType, UnOp};

std::arch::global_asm!(
    "pantile_test_long:",
    "push rbx",
    "sub rsp, 48",
    "mov rbx, rsi",
    "movsd qword ptr [rsp + 32], xmm0",
    "movsd qword ptr [rsp + 40], xmm1",
    "fld qword ptr [rsp + 32]",
    "fstp tbyte ptr [rsp]",
    "fld qword ptr [rsp + 40]",
    "fstp tbyte ptr [rsp + 16]",
    "call rdi",
    "fst qword ptr [rbx]",
    "fsub qword ptr [rbx]",
    "fstp qword ptr [rbx + 8]",
    "add rsp, 48",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    /// Calls a function of one or two `long double`s; writes the result as the sum of two doubles.
    fn pantile_test_long(function: *const libc::c_void, out: *mut [f64; 2], x: f64, y: f64);
}

/// An operation under test.
#[derive(Clone, Copy, Debug)]
enum Op {
    One(UnOp),
    Two(BinOp),
}

const OPS: [Op; 23] = [
    Op::One(UnOp::Sin),
    Op::One(UnOp::Cos),
    Op::One(UnOp::Tan),
    Op::One(UnOp::Asin),
    Op::One(UnOp::Acos),
    Op::One(UnOp::Atan),
    Op::One(UnOp::Sinh),
    Op::One(UnOp::Cosh),
    Op::One(UnOp::Tanh),
    Op::One(UnOp::Asinh),
    Op::One(UnOp::Acosh),
    Op::One(UnOp::Atanh),
    Op::One(UnOp::Exp),
    Op::One(UnOp::Exp2),
    Op::One(UnOp::Expm1),
    Op::One(UnOp::Log),
    Op::One(UnOp::Log2),
    Op::One(UnOp::Log10),
    Op::One(UnOp::Log1p),
    Op::One(UnOp::Cbrt),
    Op::Two(BinOp::Pow),
    Op::Two(BinOp::Atan2),
    Op::Two(BinOp::Hypot),
];

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::One(op) => op.name(),
            Op::Two(op) => op.name(),
        }
    }

    /// The function's value as the sum of two doubles.
    fn reference(self) -> impl Fn(f64, f64) -> [f64; 2] {
        let name = std::ffi::CString::new(format!("{}l", self.name())).expect("no zero byte");
        // SAFETY: searches the process for one of libm's functions, which std links.
        let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        assert!(!function.is_null(), "libm has {name:?}");
        move |x, y| {
            let mut out = [0.0; 2];
            // SAFETY: the function takes one or two long doubles, on the stack, and returns one.
            unsafe { pantile_test_long(function.cast_const(), &mut out, x, y) };
            out
        }
    }
}

/// Arguments: special ones, all magnitudes, and the ranges in which these functions do something.
fn arguments(t: ScalarType) -> Vec<f64> {
    let mut r = Random(7);
    let specials =
        [0.0, 1.0, 0.5, 2.0, 3.0, 1e-5, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-40, 1e300, f64::MAX];
    let more =
        [709.78, 710.5, 745.2, 750.0, 88.7, 88.8, 103.9, 104.1, 128.0, 1023.9, 1024.0, 1074.5, f64::INFINITY];
    let single =
        [f32::MAX as f64, f32::MIN_POSITIVE as f64, 1e-45, 1.0 + 1e-7, 1.0 - 1e-7, 1.0 + 3e-16, 1.0 - 2e-16];
    let mut out: Vec<f64> = specials.iter().chain(&more).chain(&single).flat_map(|x| [*x, -x]).collect();
    out.push(f64::NAN);
    let unit = |r: &mut Random| (r.next() >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0;
    for _ in 0..6000 {
        let bits = r.next();
        out.push(if t == ScalarType::F32 {
            f32::from_bits(bits as u32).into()
        } else {
            f64::from_bits(bits)
        });
        for scale in [1.0, 10.0, 100.0, 750.0] {
            out.push(unit(&mut r) * scale);
        }
        out.push(1.0 + unit(&mut r) * 2f64.powi(-(bits as i32 & 31)));
    }
    match t {
        ScalarType::F32 => out.iter().map(|x| f64::from(*x as f32)).collect(),
        _ => out,
    }
}

/// The distance of a result from the exact one in units of the last place; infinite where one is special and the other
/// something else.
fn ulps(t: ScalarType, got: f64, exact: [f64; 2]) -> f64 {
    let [high, low] = exact;
    let (digits, least, greatest) =
        if t == ScalarType::F32 { (23, -149, f64::from(f32::MAX)) } else { (52, -1074, f64::MAX) };
    if high.is_nan() || got.is_nan() {
        return if high.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // An exact zero keeps its sign.
    if high == 0.0 && low == 0.0 {
        return if got == 0.0 && got.is_sign_negative() == high.is_sign_negative() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if high.abs() > greatest || got.is_infinite() {
        let near = |x: f64| x.abs() >= greatest * (1.0 - 4.0 * 2f64.powi(-digits));
        return if near(high) && near(got) && (high > 0.0) == (got > 0.0) { 0.0 } else { f64::INFINITY };
    }
    let exponent =
        if high == 0.0 { -1074 } else { ((high.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(-1022) };
    let unit = (exponent - digits).max(least);
    // Scaled in two steps, since the unit may be the least double there is.
    let error = (got - high) - low;
    (error * 2f64.powi(-unit / 2) * 2f64.powi(-(unit - unit / 2))).abs()
}

/// The worst error of an operation over all arguments, and where.
fn worst(backend: &LlvmBackend, op: Op, t: ScalarType) -> (f64, f64, f64, f64, bool) {
    let (types, x) = match op {
        Op::One(_) => (vec![t], arguments(t)),
        Op::Two(_) => (vec![t, t], arguments(t)),
    };
    // Pairs of everything special with everything special, then of anything with something unrelated.
    let (x, y): (Vec<f64>, Vec<f64>) = match op {
        Op::One(_) => x.iter().map(|x| (*x, 0.0)).unzip(),
        Op::Two(_) => {
            let few = &x[..65];
            let special = few.iter().flat_map(|a| few.iter().map(|b| (*a, *b)));
            special.chain(x.iter().zip(x[65..].iter().rev()).map(|(a, b)| (*a, *b))).unzip()
        }
    };
    let f = map("function", &types, t, |e, v| match op {
        Op::One(op) => e.un(op, v[0]),
        Op::Two(op) => e.bin(op, v[0], v[1]),
    });
    let (m, id) = alone(f);
    let vector = backend.dump(&m, id, Dump::LlvmIr).expect("compiles").contains("@_ZGV");
    let kernel = backend.compile_kernel(&m, id).expect("compiles");
    let bits = |v: &[f64]| -> Vec<u128> {
        let of =
            |x: &f64| if t == ScalarType::F32 { (*x as f32).to_bits().into() } else { x.to_bits().into() };
        v.iter().map(of).collect()
    };
    let inputs: Vec<(ScalarType, Vec<u128>)> =
        types.iter().zip([&x, &y]).map(|(t, v)| (*t, bits(v))).collect();
    let exact = op.reference();
    let mut worst = (0.0, 0.0, 0.0, 0.0, vector);
    for (i, got) in run_map(&kernel, &inputs, t).iter().enumerate() {
        let got = if t == ScalarType::F32 {
            f32::from_bits(*got as u32).into()
        } else {
            f64::from_bits(*got as u64)
        };
        let error = ulps(t, got, exact(x[i], y[i]));
        if error > worst.0 {
            worst = (error, x[i], y[i], got, vector);
        }
    }
    worst
}

fn check(options: LlvmOptions) {
    let backend = LlvmBackend::new(options).expect("supported");
    let mut failures = Vec::new();
    for t in [ScalarType::F64, ScalarType::F32] {
        for op in OPS {
            let (error, x, y, got, vector) = worst(&backend, op, t);
            let line = format!(
                "{:6} {} {error:8.3} ulp at ({x:e}, {y:e}) = {got:e}, vector: {vector}",
                op.name(),
                t.name()
            );
            println!("{line}");
            if error > 4.0 {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "more than 4 ulp:\n{}", failures.join("\n"));
}

#[test]
fn one_at_a_time() {
    check(LlvmOptions { vector_math: false, ..LlvmOptions::default() });
}

#[test]
fn vectors_of_128_bits() {
    check(LlvmOptions { vector_bits: Some(128), ..LlvmOptions::default() });
}

#[test]
fn vectors_of_256_bits() {
    check(LlvmOptions { vector_bits: Some(256), ..LlvmOptions::default() });
}

#[test]
fn vectors_of_512_bits() {
    check(LlvmOptions { vector_bits: Some(512), ..LlvmOptions::default() });
}
