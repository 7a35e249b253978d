//! What LLVM leaves undefined and the IR defines: shifts, division, conversions, minima, truth values. Each operation runs
//! over all pairs of a type's awkward values in one loop, vectorised where LLVM does so, against plain Rust.

mod common;

use common::{Random, alone, backend, map, run_map};
use pantile_jit::FuncBuilder;
use pantile_types::{BinOp, CmpOp, Emit, LibFn, Scalar, ScalarType, UnOp, Val};

/// Bits of values at which something goes wrong, and some random ones.
fn awkward(t: ScalarType) -> Vec<u128> {
    let mut r = Random(0x9e37_79b9_7f4a_7c15 ^ t as u64);
    let mut out: Vec<u128> = match t {
        ScalarType::Bool => return vec![0, 1],
        ScalarType::F64 => {
            let mut v = vec![
                0.0,
                1.0,
                0.5,
                1.5,
                2.5,
                1e-310,
                5e-324,
                1e300,
                f64::MAX,
                f64::INFINITY,
                f64::NAN,
                65504.0,
                65519.9,
                65520.0,
            ];
            for e in [7, 8, 15, 16, 31, 32, 63, 64] {
                let p = 2f64.powi(e);
                v.extend([p, p - 1.0, p + 1.0, p - 0.5, p + 0.5, p.next_down(), p.next_up()]);
            }
            // Halfway between halves, and a hair off: what rounding twice gets wrong.
            v.extend([
                1.0 + 2f64.powi(-11),
                (1.0 + 2f64.powi(-11)).next_up(),
                2f64.powi(-25),
                2f64.powi(-25).next_up(),
            ]);
            v.iter().flat_map(|x| [x.to_bits() as u128, (-x).to_bits() as u128]).collect()
        }
        ScalarType::F32 => {
            let mut v = vec![0.0f32, 1.0, 0.5, 1.5, 1e-40, 1e30, f32::MAX, f32::INFINITY, f32::NAN, 65519.9];
            for e in [7, 8, 15, 16, 31, 32, 63, 64] {
                let p = 2f32.powi(e);
                v.extend([p, p - 1.0, p + 0.5, p.next_down(), p.next_up()]);
            }
            v.iter().flat_map(|x| [x.to_bits() as u128, (-x).to_bits() as u128]).collect()
        }
        ScalarType::F16 => {
            (0..=u16::MAX).step_by(97).map(u128::from).chain([0x7c00, 0xfc00, 0x8000, 0x7bff]).collect()
        }
        ScalarType::C64 | ScalarType::C128 => {
            let parts = awkward(t.part());
            let shift = t.part().size() * 8;
            return (0..parts.len() * 3)
                .map(|i| parts[i % parts.len()] | parts[(i * 7 + 3) % parts.len()] << shift)
                .collect();
        }
        int => {
            let bits = int.size() as u32 * 8;
            let mask = (1u128 << bits) - 1;
            let mut v: Vec<u128> = vec![0, 1, 2, 3, 7, 10, mask, mask - 1, mask >> 1, (mask >> 1) + 1];
            v.extend([bits - 1, bits, bits + 1, 2 * bits].map(u128::from));
            v
        }
    };
    let mask = (1u128 << (t.size() * 8)) - 1;
    out.extend((0..12).map(|_| r.next() as u128 & mask));
    out
}

fn pairs(t: ScalarType) -> (Vec<u128>, Vec<u128>) {
    let v = awkward(t);
    v.iter().flat_map(|a| v.iter().map(|b| (*a, *b))).unzip()
}

/// Compares a kernel with a function on scalars. NaNs are equal if both are NaN: which one is nobody's promise.
fn check(
    what: &str,
    inputs: &[(ScalarType, Vec<u128>)],
    output: ScalarType,
    build: impl Fn(&mut FuncBuilder, &[Val]) -> Val,
    expect: impl Fn(&[Scalar]) -> Scalar,
) {
    let types: Vec<ScalarType> = inputs.iter().map(|(t, _)| *t).collect();
    let (m, id) = alone(map("checked", &types, output, build));
    let kernel = backend().compile_kernel(&m, id).unwrap_or_else(|e| panic!("{what}: {e}"));
    let got = run_map(&kernel, inputs, output);
    for (i, bits) in got.iter().enumerate() {
        let args: Vec<Scalar> = inputs.iter().map(|(t, v)| Scalar::from_bits(*t, v[i])).collect();
        let (got, expected) = (Scalar::from_bits(output, *bits), expect(&args));
        assert!(same(got, expected), "{what} {args:?}: got {got:?}, expected {expected:?}");
    }
}

fn same(a: Scalar, b: Scalar) -> bool {
    let float = |x: f64, y: f64| (x.is_nan() && y.is_nan()) || x.to_bits() == y.to_bits();
    match (a, b) {
        (Scalar::F64(x), Scalar::F64(y)) => float(x, y),
        (Scalar::F32(x), Scalar::F32(y)) => float(x.into(), y.into()),
        (Scalar::F16(x), Scalar::F16(y)) => {
            float(half::f16::from_bits(x).to_f64(), half::f16::from_bits(y).to_f64())
        }
        (Scalar::C64(x, p), Scalar::C64(y, q)) => float(x.into(), y.into()) && float(p.into(), q.into()),
        (Scalar::C128(x, p), Scalar::C128(y, q)) => float(x, y) && float(p, q),
        _ => a == b,
    }
}

fn integer(s: Scalar) -> i128 {
    match s {
        Scalar::Int(_, v) => v.into(),
        Scalar::UInt(_, v) => v.into(),
        Scalar::Bool(b) => b.into(),
        other => panic!("{other:?} is not an integer"),
    }
}

fn wrap(t: ScalarType, v: i128) -> Scalar {
    Scalar::from_bits(t, v as u128 & ((1 << (t.size() * 8)) - 1))
}

fn ints() -> impl Iterator<Item = ScalarType> {
    ScalarType::ALL.into_iter().filter(|t| t.is_int())
}

#[test]
fn integers() {
    for t in ints() {
        let (a, b) = pairs(t);
        let bits = t.size() as i128 * 8;
        for op in
            [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Rem, BinOp::And, BinOp::Or, BinOp::Xor]
                .into_iter()
                .chain([BinOp::Shl, BinOp::Shr, BinOp::Min, BinOp::Max])
        {
            let inputs = [(t, a.clone()), (t, b.clone())];
            check(
                &format!("{op:?} {t:?}"),
                &inputs,
                t,
                |f, v| f.bin(op, v[0], v[1]),
                |v| {
                    let (x, y) = (integer(v[0]), integer(v[1]));
                    wrap(
                        t,
                        match op {
                            BinOp::Add => x + y,
                            BinOp::Sub => x - y,
                            BinOp::Mul => x.wrapping_mul(y),
                            BinOp::Div => {
                                if y == 0 {
                                    0
                                } else {
                                    x / y
                                }
                            }
                            BinOp::Rem => {
                                if y == 0 {
                                    0
                                } else {
                                    x % y
                                }
                            }
                            BinOp::And => x & y,
                            BinOp::Or => x | y,
                            BinOp::Xor => x ^ y,
                            BinOp::Shl => {
                                if (0..bits).contains(&y) {
                                    x << y
                                } else {
                                    0
                                }
                            }
                            BinOp::Shr => {
                                if (0..bits).contains(&y) {
                                    x >> y
                                } else if x < 0 {
                                    -1
                                } else {
                                    0
                                }
                            }
                            BinOp::Min => x.min(y),
                            _ => x.max(y),
                        },
                    )
                },
            );
        }
        for op in CmpOp::ALL {
            let inputs = [(t, a.clone()), (t, b.clone())];
            check(
                &format!("{op:?} {t:?}"),
                &inputs,
                ScalarType::Bool,
                |f, v| f.cmp(*op, v[0], v[1]),
                |v| {
                    let (x, y) = (integer(v[0]), integer(v[1]));
                    Scalar::Bool(match op {
                        CmpOp::Eq => x == y,
                        CmpOp::Ne => x != y,
                        CmpOp::Lt => x < y,
                        CmpOp::Le => x <= y,
                        CmpOp::Gt => x > y,
                        CmpOp::Ge => x >= y,
                    })
                },
            );
        }
        for op in [UnOp::Neg, UnOp::Not, UnOp::Abs, UnOp::Popcount] {
            check(
                &format!("{op:?} {t:?}"),
                &[(t, awkward(t))],
                t,
                |f, v| f.un(op, v[0]),
                |v| {
                    let x = integer(v[0]);
                    wrap(
                        t,
                        match op {
                            UnOp::Neg => -x,
                            UnOp::Not => !x,
                            UnOp::Abs => x.abs(),
                            _ => v[0].bits().count_ones().into(),
                        },
                    )
                },
            );
        }
    }
}

#[test]
fn floats() {
    let t = ScalarType::F64;
    let (a, b) = pairs(t);
    let f = |s: Scalar| match s {
        Scalar::F64(x) => x,
        other => panic!("{other:?}"),
    };
    unsafe extern "C" {
        fn fmod(x: f64, y: f64) -> f64;
        fn nextafter(x: f64, y: f64) -> f64;
    }
    for op in [BinOp::Add, BinOp::Div, BinOp::Rem, BinOp::Min, BinOp::Max, BinOp::Copysign, BinOp::Nextafter]
    {
        let inputs = [(t, a.clone()), (t, b.clone())];
        check(
            &format!("{op:?}"),
            &inputs,
            t,
            |e, v| e.bin(op, v[0], v[1]),
            |v| {
                let (x, y) = (f(v[0]), f(v[1]));
                // Equal values differ in sign at most: the bits tell -0 from +0.
                let (low, high) = if x == y && x.is_sign_negative() || x < y { (x, y) } else { (y, x) };
                let nan = x.is_nan() || y.is_nan();
                Scalar::F64(match op {
                    BinOp::Add => x + y,
                    BinOp::Div => x / y,
                    // SAFETY: pure functions of libm.
                    BinOp::Rem => unsafe { fmod(x, y) },
                    BinOp::Min => {
                        if nan {
                            f64::NAN
                        } else {
                            low
                        }
                    }
                    BinOp::Max => {
                        if nan {
                            f64::NAN
                        } else {
                            high
                        }
                    }
                    BinOp::Copysign => x.copysign(y),
                    // SAFETY: as above.
                    _ => unsafe { nextafter(x, y) },
                })
            },
        );
    }
    for op in CmpOp::ALL {
        let inputs = [(t, a.clone()), (t, b.clone())];
        check(
            &format!("{op:?}"),
            &inputs,
            ScalarType::Bool,
            |e, v| e.cmp(*op, v[0], v[1]),
            |v| {
                let (x, y) = (f(v[0]), f(v[1]));
                Scalar::Bool(match op {
                    CmpOp::Eq => x == y,
                    CmpOp::Ne => x != y,
                    CmpOp::Lt => x < y,
                    CmpOp::Le => x <= y,
                    CmpOp::Gt => x > y,
                    CmpOp::Ge => x >= y,
                })
            },
        );
    }
    for op in [UnOp::Neg, UnOp::Abs, UnOp::Sqrt, UnOp::Floor, UnOp::Ceil, UnOp::Trunc, UnOp::Rint] {
        check(
            &format!("{op:?}"),
            &[(t, awkward(t))],
            t,
            |e, v| e.un(op, v[0]),
            |v| {
                let x = f(v[0]);
                Scalar::F64(match op {
                    UnOp::Neg => -x,
                    UnOp::Abs => x.abs(),
                    UnOp::Sqrt => x.sqrt(),
                    UnOp::Floor => x.floor(),
                    UnOp::Ceil => x.ceil(),
                    UnOp::Trunc => x.trunc(),
                    _ => x.round_ties_even(),
                })
            },
        );
    }
    let sign = |v: &[Scalar]| Scalar::Bool(f(v[0]).is_sign_negative());
    check("signbit", &[(t, awkward(t))], ScalarType::Bool, |e, v| e.un(UnOp::SignBit, v[0]), sign);
}

/// The half nearest to a double, by looking for it among all of them. (`half::f16::from_f64` ignores the low bits of its
/// argument, and so breaks ties that are none.)
fn nearest_half(x: f64) -> u16 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let size = x.abs();
    if size.is_nan() {
        return sign | 0x7e00;
    }
    let value = |bits: u16| half::f16::from_bits(bits).to_f64();
    let below = (0..0x7c00u16).collect::<Vec<_>>().partition_point(|b| value(*b) <= size) as u16 - 1;
    // Past the greatest finite half, rounding goes on as if there were a next one; what reaches it is infinite.
    let next = if below == 0x7bff { 65536.0 } else { value(below + 1) };
    let (down, up) = (size - value(below), next - size);
    sign | if down < up || (down == up && below.is_multiple_of(2)) { below } else { below + 1 }
}

/// `Emit::cast` in plain Rust.
fn cast(s: Scalar, to: ScalarType) -> Scalar {
    let real = match s {
        Scalar::F16(b) => Some(half::f16::from_bits(b).to_f64()),
        Scalar::F32(x) | Scalar::C64(x, _) => Some(f64::from(x)),
        Scalar::F64(x) | Scalar::C128(x, _) => Some(x),
        _ => None,
    };
    if to == ScalarType::Bool {
        return Scalar::Bool(match s {
            Scalar::C64(re, im) => re != 0.0 || im != 0.0,
            Scalar::C128(re, im) => re != 0.0 || im != 0.0,
            _ => real.map_or_else(|| integer(s) != 0, |x| x != 0.0),
        });
    }
    if to.is_int() {
        let Some(x) = real else { return wrap(to, integer(s)) };
        let wide = if to.size() <= 2 || to == ScalarType::I32 { 32 } else { 64 };
        let (least, x) = (-(1i128 << (wide - 1)), x.trunc());
        if to == ScalarType::U64 && x >= 2f64.powi(63) {
            return wrap(to, if x < 2f64.powi(64) { x as i128 } else { 0 });
        }
        let fits = x >= least as f64 && x < -(least as f64);
        return wrap(to, if fits { x as i128 } else { least });
    }
    let imaginary = match s {
        Scalar::C64(_, im) => f64::from(im),
        Scalar::C128(_, im) => im,
        _ => 0.0,
    };
    let narrow = |x: f64| x as f32;
    match (to, real) {
        (ScalarType::F16, Some(x)) => Scalar::F16(nearest_half(x)),
        (ScalarType::F32, Some(x)) => Scalar::F32(narrow(x)),
        (ScalarType::F64, Some(x)) => Scalar::F64(x),
        (ScalarType::C64, Some(x)) => Scalar::C64(narrow(x), narrow(imaginary)),
        (ScalarType::C128, Some(x)) => Scalar::C128(x, imaginary),
        (ScalarType::F16, None) => Scalar::F16(nearest_half(integer(s) as f64)),
        (ScalarType::F32, None) => Scalar::F32(integer(s) as f32),
        (ScalarType::F64, None) => Scalar::F64(integer(s) as f64),
        (ScalarType::C64, None) => Scalar::C64(integer(s) as f32, 0.0),
        _ => Scalar::C128(integer(s) as f64, 0.0),
    }
}

#[test]
fn casts() {
    for from in ScalarType::ALL {
        for to in ScalarType::ALL {
            check(
                &format!("{} to {}", from.name(), to.name()),
                &[(from, awkward(from))],
                to,
                |f, v| f.cast(v[0], to),
                |v| cast(v[0], to),
            );
        }
    }
}

#[test]
fn complex() {
    let t = ScalarType::C128;
    let a = awkward(t);
    let b: Vec<u128> = a.iter().rev().copied().collect();
    let c = |s: Scalar| match s {
        Scalar::C128(re, im) => num_complex::Complex64::new(re, im),
        other => panic!("{other:?}"),
    };
    for op in [BinOp::Add, BinOp::Sub, BinOp::Mul] {
        let inputs = [(t, a.clone()), (t, b.clone())];
        check(
            &format!("{op:?}"),
            &inputs,
            t,
            |f, v| f.bin(op, v[0], v[1]),
            |v| {
                let (x, y) = (c(v[0]), c(v[1]));
                let z = match op {
                    BinOp::Add => x + y,
                    BinOp::Sub => x - y,
                    _ => x * y,
                };
                Scalar::C128(z.re, z.im)
            },
        );
    }
    for (op, want) in [(CmpOp::Eq, true), (CmpOp::Ne, false)] {
        let inputs = [(t, a.clone()), (t, a.clone())];
        let equal = |v: &[Scalar]| Scalar::Bool((c(v[0]) == c(v[1])) == want);
        check(op.name(), &inputs, ScalarType::Bool, |f, v| f.cmp(op, v[0], v[1]), equal);
    }
    let swap = |v: &[Scalar]| Scalar::C128(c(v[0]).im, -c(v[0]).re);
    let build = |f: &mut FuncBuilder, v: &[Val]| {
        let (re, im) = (f.un(UnOp::Re, v[0]), f.un(UnOp::Im, v[0]));
        let minus = f.un(UnOp::Neg, re);
        f.complex(im, minus)
    };
    check("swap parts", &[(t, a.clone())], t, build, swap);
    // The C ABI of complex arguments and results, against values known without it.
    let points: Vec<u128> = [(0.0, 0.0), (0.0, std::f64::consts::PI), (1.0, 0.0), (-1.0, 2.0)]
        .map(|(re, im)| Scalar::C128(re, im).bits())
        .to_vec();
    let close =
        |got: Scalar, want: num_complex::Complex64| (c(got) - want).norm() <= 1e-14 * want.norm().max(1.0);
    for f in [LibFn::Cexp, LibFn::Csqrt, LibFn::Csin, LibFn::Cpow] {
        let inputs = [(t, points.clone()), (t, points.clone())];
        let n = f.signature().0.len();
        let (m, id) = alone(map("lib", &[t, t], t, |e, v| e.lib(f, &v[..n])));
        let kernel = backend().compile_kernel(&m, id).expect("compiles");
        for (bits, point) in run_map(&kernel, &inputs, t).iter().zip(&points) {
            let z = c(Scalar::from_bits(t, *point));
            let want = match f {
                LibFn::Cexp => z.exp(),
                LibFn::Csqrt => z.sqrt(),
                LibFn::Csin => z.sin(),
                _ if z.norm() == 0.0 => continue,
                _ => z.powc(z),
            };
            assert!(
                close(Scalar::from_bits(t, *bits), want),
                "{f:?} {z}: {:?}, {want}",
                Scalar::from_bits(t, *bits)
            );
        }
    }
}

#[test]
fn booleans_and_choices() {
    let t = ScalarType::Bool;
    let (a, b) = pairs(t);
    for op in [BinOp::And, BinOp::Or, BinOp::Xor] {
        let inputs = [(t, a.clone()), (t, b.clone())];
        check(
            op.name(),
            &inputs,
            t,
            |f, v| f.bin(op, v[0], v[1]),
            |v| {
                let (x, y) = (integer(v[0]) != 0, integer(v[1]) != 0);
                Scalar::Bool(match op {
                    BinOp::And => x & y,
                    BinOp::Or => x | y,
                    _ => x ^ y,
                })
            },
        );
    }
    check("not", &[(t, a)], t, |f, v| f.un(UnOp::Not, v[0]), |v| Scalar::Bool(integer(v[0]) == 0));
    let f = ScalarType::F64;
    let (x, y) = pairs(f);
    check(
        "select",
        &[(f, x), (f, y)],
        f,
        |e, v| {
            let less = e.cmp(CmpOp::Lt, v[0], v[1]);
            e.select(less, v[1], v[0])
        },
        |v| if matches!((v[0], v[1]), (Scalar::F64(x), Scalar::F64(y)) if x < y) { v[1] } else { v[0] },
    );
    let bits = |v: &[Scalar]| Scalar::from_bits(ScalarType::I64, v[0].bits());
    check("bitcast", &[(f, awkward(f))], ScalarType::I64, |e, v| e.bitcast(v[0], ScalarType::I64), bits);
    let exponent = |v: &[Scalar]| {
        let Scalar::F64(x) = v[0] else { panic!() };
        let parts = num_parts(x);
        Scalar::Int(ScalarType::I32, parts.into())
    };
    check(
        "frexp",
        &[(f, awkward(f))],
        ScalarType::I32,
        |e, v| e.lib(LibFn::FrexpExponent, &[v[0]]),
        exponent,
    );
}

/// The exponent for which `x = fraction * 2^exponent` with a fraction in `0.5 .. 1`.
fn num_parts(x: f64) -> i32 {
    if x == 0.0 || !x.is_finite() {
        return 0;
    }
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    if biased == 0 { num_parts(x * 2f64.powi(64)) - 64 } else { biased - 1022 }
}
