//! Accuracy of reductions: sums, means and variances of many elements against exact integers, and the values that are no
//! numbers.
//!
//! The elements are whole numbers times a power of two, so that the exact result is a matter of integer arithmetic. Blocks
//! are large enough for kernels to be compiled, so that this is about what users run.

mod common;
mod support;

use common::{block_of, source};
use pantile_array::block::Dims;
use pantile_array::chunks::{AxisChunks, Chunks};
use pantile_array::kernel::{Call, Mode, cache, finish_states, merge_states, run};
use pantile_array::ops::elementwise::fill;
use pantile_array::program::{Program, Step};
use pantile_array::reduce::{ReduceKind, Reducer};
use pantile_array::{Block, Expr};
use pantile_jit_llvm::{LlvmBackend, LlvmOptions};
use pantile_types::{DType, Scalar, ScalarType};
use std::sync::{Arc, Once};
use support::{blocks, f64s, fold, line, number};

const MANY: usize = 10_000_000;

fn compiled() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let backend = LlvmBackend::new(LlvmOptions::default()).expect("this machine is supported");
        cache::set_backend(Arc::new(backend));
    });
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Uneven chunks of about a megabyte.
fn uneven(n: usize) -> Chunks {
    let mut sizes = Vec::new();
    let mut rest = n as u64;
    while rest > 0 {
        let size = (100_003 + 7919 * (sizes.len() as u64 % 5)).min(rest);
        sizes.push(size);
        rest -= size;
    }
    [AxisChunks::new(sizes)].into_iter().collect()
}

fn doubles(data: &[f64]) -> Expr {
    source(block_of(DType::F64, &[data.len()], data), uneven(data.len()))
}

fn singles(data: &[f32]) -> Expr {
    source(block_of(DType::F32, &[data.len()], data), uneven(data.len()))
}

/// How far apart two doubles are, in units in the last place.
fn ulps(a: f64, b: f64) -> u64 {
    assert!(a.is_finite() && b.is_finite() && a.is_sign_positive() == b.is_sign_positive(), "{a} and {b}");
    a.abs().to_bits().abs_diff(b.abs().to_bits())
}

#[test]
fn a_sum_of_ten_million_doubles() {
    compiled();
    let mut random = Random(1);
    let whole: Vec<u64> = (0..MANY).map(|_| random.next() >> 11).collect();
    let data: Vec<f64> = whole.iter().map(|&k| k as f64 / (1u64 << 53) as f64).collect();
    let exact: u128 = whole.iter().map(|&k| u128::from(k)).sum();
    // The integer has 77 bits; its conversion is rounded once, and the division is exact.
    let exact = exact as f64 / (1u64 << 53) as f64;
    let x = doubles(&data);
    assert!(ulps(number(&fold("sum", &x, None)), exact) <= 2);
    assert!(ulps(number(&fold("mean", &x, None)), exact / MANY as f64) <= 2);
}

#[test]
fn a_sum_of_ten_million_singles() {
    compiled();
    let mut random = Random(2);
    let whole: Vec<u64> = (0..MANY).map(|_| random.next() >> 40).collect();
    let data: Vec<f32> = whole.iter().map(|&k| k as f32 / (1u32 << 24) as f32).collect();
    let exact = whole.iter().sum::<u64>() as f64 / f64::from(1u32 << 24);
    let x = singles(&data);
    let sum = f64::from(line::<f32>(&fold("sum", &x, None))[0]);
    let error = (sum - exact).abs() / exact;
    assert!(error <= 2.0 * f64::from(f32::EPSILON), "{error:e}");
    let mean = f64::from(line::<f32>(&fold("mean", &x, None))[0]);
    let error = (mean - exact / MANY as f64).abs() / mean;
    assert!(error <= 2.0 * f64::from(f32::EPSILON), "{error:e}");
}

#[test]
fn a_sum_that_cancels() {
    compiled();
    let mut random = Random(3);
    // Every number and its opposite, far apart, with magnitudes over twelve decades; what is left is small.
    let mut whole: Vec<i128> = Vec::new();
    for _ in 0..1_000_000 {
        let k = i128::from(random.next() >> 11) << (random.next() % 40);
        whole.extend([k, -k]);
    }
    for k in (1..whole.len()).rev() {
        whole.swap(k, (random.next() % (k as u64 + 1)) as usize);
    }
    whole.extend((0..1000).map(|_| i128::from(random.next() >> 30)));
    let data: Vec<f64> = whole.iter().map(|&k| k as f64).collect();
    let exact = whole.iter().sum::<i128>() as f64;
    let magnitude: f64 = data.iter().map(|v| v.abs()).sum();
    let sum = number(&fold("sum", &doubles(&data), None));
    // A pairwise sum is within log2(n) = 21 times this.
    assert!((sum - exact).abs() <= f64::EPSILON * magnitude, "{:e}", (sum - exact).abs() / magnitude);
    // NumPy's own way, for comparison: ours must be no worse than a few times that.
    let pairwise = (pairwise(&data) - exact).abs();
    assert!((sum - exact).abs() <= 4.0 * pairwise.max(f64::EPSILON * magnitude / 1000.0));
}

/// NumPy's pairwise sum: blocks of 128 in eight accumulators.
fn pairwise(data: &[f64]) -> f64 {
    if data.len() <= 128 {
        let mut lanes = [0.0; 8];
        for (i, v) in data.iter().enumerate() {
            lanes[i % 8] += v;
        }
        return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
            + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }
    let middle = data.len() / 2 / 8 * 8;
    pairwise(&data[..middle]) + pairwise(&data[middle..])
}

#[test]
fn the_variance_of_small_noise_on_a_large_offset() {
    compiled();
    let mut random = Random(4);
    let n = 2_000_000u64;
    let noise: Vec<u64> = (0..n).map(|_| random.next() >> 42).collect();
    let unit = f64::from(1u32 << 22);
    let data: Vec<f64> = noise.iter().map(|&k| 1e9 + k as f64 / unit).collect();
    let sum: u128 = noise.iter().map(|&k| u128::from(k)).sum();
    let squares: u128 = noise.iter().map(|&k| u128::from(k) * u128::from(k)).sum();
    let exact = (u128::from(n) * squares - sum * sum) as f64 / (n as f64 * n as f64) / (unit * unit);
    let variance = number(&fold("var", &doubles(&data), None));
    let error = (variance - exact).abs() / exact;
    assert!(error < 1e-12, "{error:e}");
    // Neighbouring elements of different results: sixteen columns.
    let rows = n / 16;
    let table = source(
        block_of(DType::F64, &[rows as usize, 16], &data[..(rows * 16) as usize]),
        [AxisChunks::uniform(rows, 10_007), AxisChunks::whole(16)].into_iter().collect(),
    );
    for (column, got) in line::<f64>(&fold("var", &table, Some(&[0]))).into_iter().enumerate() {
        let own = || noise[..(rows * 16) as usize].iter().skip(column).step_by(16).map(|&k| u128::from(k));
        let (sum, squares) = (own().sum::<u128>(), own().map(|k| k * k).sum::<u128>());
        let exact =
            (u128::from(rows) * squares - sum * sum) as f64 / (rows as f64 * rows as f64) / (unit * unit);
        let error = (got - exact).abs() / exact;
        assert!(error < 1e-11, "column {column}: {error:e}");
    }
}

#[test]
fn the_mean_of_a_constant_is_the_constant() {
    compiled();
    for value in [0.1, 1.0 / 3.0, 1e150, -7.0] {
        let x = fill(Scalar::F64(value), DType::F64, uneven(3_000_000));
        let off = ulps(number(&fold("mean", &x, None)), value);
        // Equal numbers are rounded the same way each time, so that errors add up inside a piece; NumPy is 3 ulp off at 0.1.
        assert!(off <= 6, "{value}: {off} ulp");
        let deviation = number(&fold("std", &x, None));
        assert!(deviation <= value.abs() * 4.0 * f64::EPSILON, "{value}: {deviation:e}");
    }
    let x = fill(Scalar::F32(0.1), DType::F32, uneven(3_000_000));
    let mean = line::<f32>(&fold("mean", &x, None))[0];
    assert!(mean.to_bits().abs_diff(0.1f32.to_bits()) <= 8, "{mean}");
}

#[test]
fn whatever_the_chunks_the_result_is_nearly_the_same() {
    compiled();
    let mut random = Random(5);
    let data: Vec<f64> =
        (0..100_000).map(|_| 100.0 + (random.next() >> 11) as f64 / (1u64 << 53) as f64).collect();
    let whole = f64s(&data, &[&[100_000]]);
    for name in ["sum", "mean", "var"] {
        let reference = number(&fold(name, &whole, None));
        for size in [1u64, 7, 1000, 1023, 1025, 33_333, 99_999] {
            let cut: Chunks = [AxisChunks::uniform(100_000, size)].into_iter().collect();
            let got = number(&fold(name, &whole.rechunk(cut), None));
            let limit = if name == "var" { 100_000 } else { 4 };
            assert!(ulps(got, reference) <= limit, "{name} in chunks of {size}: {got} and {reference}");
        }
    }
}

/// The state of some elements.
fn state(r: Reducer, data: &[f64]) -> Vec<Block> {
    let mut program = Program { leaves: vec![r.ty], ..Program::default() };
    let out = program.push(Step::Leaf(0), r.ty);
    program.outputs.push(out);
    let plain: Vec<Block> = r
        .state()
        .into_iter()
        .zip(r.identity())
        .map(|(t, v)| Block::full(DType::from_scalar(t), &[], v).expect("memory"))
        .collect();
    let spread: Vec<Block> = plain
        .iter()
        // SAFETY: the axis repeats the state's one element.
        .map(|s| unsafe { s.restride(0, Dims::from_slice(&[data.len()]), [0isize].into_iter().collect()) })
        .collect();
    run(&Call {
        program: &Arc::new(program),
        mode: Mode::Reduce(r),
        shape: &[data.len()],
        reduced: &[true],
        leaves: &[block_of(DType::F64, &[data.len()], data)],
        coords: &[],
        consts: &[],
        outputs: &spread,
    })
    .expect("it runs");
    plain
}

fn finished(r: Reducer, states: &[Block]) -> f64 {
    let out = Block::alloc(DType::F64, &[]).expect("memory");
    finish_states(r, states, &out).expect("it runs");
    match out.item() {
        Scalar::F64(v) => v,
        other => panic!("{other:?}"),
    }
}

#[test]
fn states_may_be_merged_in_any_tree() {
    let mut random = Random(6);
    let data: Vec<f64> =
        (0..5_000).map(|_| 10.0 + (random.next() >> 11) as f64 / (1u64 << 53) as f64).collect();
    for kind in [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Var(0), ReduceKind::Min, ReduceKind::Max] {
        let r = Reducer { kind, ty: ScalarType::F64 };
        let reference = finished(r, &state(r, &data));
        for _ in 0..20 {
            let mut states: Vec<Vec<Block>> = Vec::new();
            let mut rest = &data[..];
            while !rest.is_empty() {
                let n = (random.next() as usize % 400).min(rest.len());
                states.push(state(r, &rest[..n]));
                rest = &rest[n..];
            }
            while states.len() > 1 {
                let k = random.next() as usize % (states.len() - 1);
                let other = states.remove(k + 1);
                merge_states(r, &states[k], &other).expect("it runs");
            }
            let got = finished(r, &states[0]);
            let limit = if matches!(kind, ReduceKind::Var(_)) { 2000 } else { 2 };
            assert!(ulps(got, reference) <= limit, "{kind:?}: {got:e} and {reference:e}");
        }
    }
}

#[test]
fn infinities_nan_and_signed_zeros_are_as_in_numpy() {
    compiled();
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    // Alone, and at the ends of pieces and blocks among many ones.
    let cases: [(&[f64], f64, f64, f64, f64); 8] = [
        (&[inf], inf, inf, 0.0, inf),
        (&[-inf], -inf, -inf, -inf, 0.0),
        (&[inf, -inf], nan, nan, -inf, inf),
        (&[nan], nan, nan, nan, nan),
        (&[nan, inf], nan, nan, nan, nan),
        (&[1e308, 1e308], inf, inf, 0.0, 1e308),
        (&[-0.0, -0.0], 0.0, 0.0, -0.0, 0.0),
        (&[-1e308, -1e308, 1e308], -1e308, f64::NAN, -1e308, 1e308),
    ];
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    for (special, sum, mean, min, max) in cases {
        for (before, after) in [(0, 1), (1, 0), (1023, 1), (1024, 1024), (3000, 17)] {
            let mut data = vec![0.0; before];
            data.extend(special);
            data.extend(vec![0.0; after]);
            let n = data.len() as u64;
            for cuts in [vec![n], vec![1, n - 1], vec![n / 2, n - n / 2]] {
                let x = f64s(&data, &[&cuts]);
                let got = number(&fold("sum", &x, None));
                // What overflows on the way depends on the order; NumPy's does as well.
                let overflow = special.len() == 3;
                assert!(same(got, sum) || (overflow && got == -inf), "sum of {special:?} among zeros: {got}");
                let got = number(&fold("mean", &x, None));
                assert!(same(got, mean) || overflow, "mean of {special:?}: {got}");
                let got = number(&fold("min", &x, None));
                assert!(same(got, min), "min of {special:?}: {got}");
                let got = number(&fold("max", &x, None));
                assert!(same(got, max), "max of {special:?}: {got}");
                let positions = line::<i64>(&fold("argmax", &x, None));
                let first_nan = data.iter().position(|v| v.is_nan());
                let first = first_nan.or(data.iter().position(|v| *v == max));
                assert_eq!(positions, [first.expect("there is one") as i64], "argmax of {special:?}");
                if special.iter().any(|v| !v.is_finite()) {
                    assert!(number(&fold("var", &x, None)).is_nan());
                }
            }
        }
    }
    assert!(same(number(&fold("sum", &f64s(&[-0.0], &[&[1]]), None)), 0.0));
    assert!(same(number(&fold("prod", &f64s(&[-0.0, 2.0], &[&[1, 1]]), None)), -0.0));
}

#[test]
fn complex_sums_keep_their_parts_apart() {
    let data = [f64::INFINITY, 1.0, 2.0, f64::NAN, 0.5, -0.25];
    let x = source(
        block_of(DType::C128, &[3], &[[data[0], data[1]], [data[2], data[4]], [1.0, data[5]]]),
        uneven(3),
    );
    let sum = line::<[f64; 2]>(&fold("sum", &x, None))[0];
    assert_eq!(sum, [f64::INFINITY, 1.25]);
    let x = source(block_of(DType::C128, &[2], &[[data[3], 1.0], [2.0, 3.0]]), uneven(2));
    let mean = blocks(&fold("mean", &x, None)).unwrap()[0].item();
    assert!(matches!(mean, Scalar::C128(re, 2.0) if re.is_nan()), "{mean:?}");
}
