//! What is promised of every distribution: chunks do not matter, instruction sets do not matter, samples follow the exact
//! distribution function, and bad parameters are refused by name.

use std::f64::consts::PI;

use pantile_types::ScalarType as T;

use super::engine::Isa;
use super::philox::words;
use super::special::*;
use super::{Distribution as D, Key, RandomError, Sampler};

const KEY_SEED: [u32; 1] = [20_260_101];

fn key() -> Key {
    Key::from_seed(&KEY_SEED)
}

/// Every distribution, in the parameter ranges where its method changes.
fn all() -> Vec<(D, T)> {
    let int = |low, high, endpoint| D::Integers { low, high, endpoint };
    vec![
        (D::Random, T::F64),
        (D::Random, T::F32),
        (D::Uniform { low: -2.0, high: 5.0 }, T::F64),
        (D::StandardNormal, T::F64),
        (D::StandardNormal, T::F32),
        (D::Normal { loc: 3.0, scale: 0.5 }, T::F64),
        (D::StandardExponential, T::F64),
        (D::StandardExponential, T::F32),
        (D::Exponential { scale: 2.0 }, T::F64),
        (D::StandardGamma { shape: 0.3 }, T::F64),
        (D::StandardGamma { shape: 1.0 }, T::F32),
        (D::Gamma { shape: 7.5, scale: 3.0 }, T::F64),
        (D::Chisquare { df: 3.0 }, T::F64),
        (D::Beta { a: 0.2, b: 0.4 }, T::F64),
        (D::Beta { a: 2.0, b: 5.0 }, T::F64),
        (D::F { dfnum: 3.0, dfden: 7.0 }, T::F64),
        (D::Gumbel { loc: 1.0, scale: 2.0 }, T::F64),
        (D::Laplace { loc: 1.0, scale: 2.0 }, T::F64),
        (D::Logistic { loc: 1.0, scale: 2.0 }, T::F64),
        (D::Lognormal { mean: 0.5, sigma: 0.8 }, T::F64),
        (D::Pareto { a: 3.0 }, T::F64),
        (D::Power { a: 2.5 }, T::F64),
        (D::Rayleigh { scale: 2.0 }, T::F64),
        (D::StandardCauchy, T::F64),
        (D::StandardT { df: 4.0 }, T::F64),
        (D::Triangular { left: -1.0, mode: 0.0, right: 3.0 }, T::F64),
        (D::Vonmises { mu: 0.0, kappa: 2.0 }, T::F64),
        (D::Vonmises { mu: 0.0, kappa: 1e-9 }, T::F64),
        (D::Wald { mean: 2.0, scale: 3.0 }, T::F64),
        (D::Weibull { a: 1.7 }, T::F64),
        (D::Poisson { lam: 0.0 }, T::I64),
        (D::Poisson { lam: 0.1 }, T::I64),
        (D::Poisson { lam: 40.0 }, T::I64),
        (D::Poisson { lam: 20_000.0 }, T::I64),
        (D::Binomial { n: 12, p: 0.3 }, T::I64),
        (D::Binomial { n: 900, p: 0.97 }, T::I64),
        (D::Binomial { n: 200_000, p: 0.8 }, T::I64),
        (D::Geometric { p: 0.2 }, T::I64),
        (D::NegativeBinomial { n: 2.5, p: 0.3 }, T::I64),
        (D::NegativeBinomial { n: 40.0, p: 0.2 }, T::I64),
        (D::Choice { p: vec![0.1, 0.0, 0.6, 0.3].into() }, T::I64),
        (int(0, 2, false), T::Bool),
        (int(-7, 3, false), T::I8),
        (int(0, 255, true), T::U8),
        (int(-300, 300, false), T::I16),
        (int(0, 65_535, true), T::U16),
        (int(0, 3_000_000_000, false), T::U32),
        (int(-5, 1_000_000, false), T::I32),
        (int(i128::from(i64::MIN), i128::from(i64::MAX), true), T::I64),
        (int(0, (1 << 63) + 12_345, false), T::U64),
    ]
}

fn draw(distribution: &D, dtype: T, shape: &[u64], start: &[u64], count: &[u64]) -> Vec<u8> {
    let sampler = Sampler::new(distribution.clone(), dtype).unwrap();
    let mut out = vec![0xAB; count.iter().product::<u64>() as usize * dtype.size()];
    sampler.fill_bytes(key(), shape, start, count, &mut out).unwrap();
    out
}

fn doubles(distribution: &D, n: u64) -> Vec<f64> {
    draw(distribution, T::F64, &[n], &[0], &[n])
        .chunks(8)
        .map(|b| f64::from_ne_bytes(b.try_into().unwrap()))
        .collect()
}

fn longs(distribution: &D, n: u64) -> Vec<i64> {
    draw(distribution, T::I64, &[n], &[0], &[n])
        .chunks(8)
        .map(|b| i64::from_ne_bytes(b.try_into().unwrap()))
        .collect()
}

/// Small numbers for test cases, reproducible by the case's number.
fn case_numbers(case: u64) -> impl FnMut(u64) -> u64 {
    let mut at = 0;
    move |below| {
        at += 1;
        words(Key::from_seed(&[77]), case << 8 | at, 0)[0] % below
    }
}

/// A box of an array has the samples that the whole array has there, for random shapes and boxes. The failing case's
/// number is printed and replays it.
#[test]
fn samples_do_not_depend_on_chunks() {
    for (at, (distribution, dtype)) in all().iter().enumerate() {
        for case in 0..12 {
            let mut below = case_numbers(at as u64 * 1000 + case);
            let ndim = below(4) as usize;
            let shape: Vec<u64> =
                (0..ndim).map(|axis| 1 + below(if axis + 1 == ndim { 150 } else { 7 })).collect();
            let start: Vec<u64> = shape.iter().map(|&n| below(n)).collect();
            let count: Vec<u64> = shape.iter().zip(&start).map(|(&n, &s)| below(n - s + 1)).collect();
            let zeros = vec![0; ndim];
            let whole = draw(distribution, *dtype, &shape, &zeros, &shape);
            let part = draw(distribution, *dtype, &shape, &start, &count);
            let size = dtype.size();
            let mut expected = Vec::new();
            let total: u64 = count.iter().product();
            for i in 0..total {
                let (mut rest, mut linear, mut stride) = (i, 0, 1);
                for axis in (0..ndim).rev() {
                    linear += (start[axis] + rest % count[axis]) * stride;
                    rest /= count[axis];
                    stride *= shape[axis];
                }
                expected.extend_from_slice(&whole[linear as usize * size..][..size]);
            }
            assert_eq!(
                part, expected,
                "{distribution:?} {dtype:?} case {case}: {shape:?} {start:?} {count:?}"
            );
        }
    }
}

/// Every instruction set that this machine has gives the same bits.
#[test]
fn samples_do_not_depend_on_the_instruction_set() {
    for (distribution, dtype) in all() {
        let sampler = Sampler::new(distribution.clone(), dtype).unwrap();
        let n = 20_003;
        let mut expected = vec![0; n * dtype.size()];
        let mut got = expected.clone();
        sampler.fill_bytes_with(Isa::Baseline, key(), &[n as u64], &[0], &[n as u64], &mut expected).unwrap();
        for isa in Isa::available() {
            sampler.fill_bytes_with(isa, key(), &[n as u64], &[0], &[n as u64], &mut got).unwrap();
            assert!(got == expected, "{distribution:?} differs on {isa:?}");
        }
    }
}

/// Seeds keep their numbers from version to version: a change here is a change for users.
#[test]
fn numbers_are_stable() {
    let normal = doubles(&D::StandardNormal, 3);
    let integers = longs(&D::Integers { low: 0, high: 100, endpoint: false }, 5);
    let gamma = doubles(&D::StandardGamma { shape: 0.5 }, 2);
    let poisson = longs(&D::Poisson { lam: 20_000.0 }, 2);
    assert_eq!(format!("{normal:?} {integers:?} {gamma:?} {poisson:?}"), STABLE);
}

const STABLE: &str = "[-0.6626196449922127, -1.2220033811789286, 0.997224246701867] [25, 38, 21, 79, 81] \
     [0.23159030211492904, 1.7779797686580352] [19952, 20030]";

/// Kolmogorov–Smirnov: √n times the largest distance is below 1.95 in 999 cases of 1000.
fn kolmogorov_smirnov(distribution: &D, n: u64, cdf: impl Fn(f64) -> f64) {
    let mut samples = doubles(distribution, n);
    samples.sort_unstable_by(f64::total_cmp);
    let n_f64 = n as f64;
    let distance = samples.iter().enumerate().fold(0.0f64, |d, (i, &x)| {
        let p = cdf(x);
        d.max((p - i as f64 / n_f64).abs()).max(((i + 1) as f64 / n_f64 - p).abs())
    });
    assert!(distance * n_f64.sqrt() < 1.95, "{distribution:?}: D·√n = {}", distance * n_f64.sqrt());
}

const MILLION: u64 = 1_000_000;

#[test]
fn simple_continuous_distributions_follow_their_cdf() {
    let check = |distribution: &D, n, cdf: fn(f64) -> f64| kolmogorov_smirnov(distribution, n, cdf);
    check(&D::Random, MILLION, |x| x);
    check(&D::Uniform { low: -2.0, high: 5.0 }, MILLION, |x| (x + 2.0) / 7.0);
    check(&D::StandardExponential, MILLION, |x| -(-x).exp_m1());
    check(&D::Exponential { scale: 2.0 }, MILLION, |x| -(-0.5 * x).exp_m1());
    check(&D::Gumbel { loc: 1.0, scale: 2.0 }, MILLION, |x| (-(-(x - 1.0) / 2.0).exp()).exp());
    check(&D::Laplace { loc: 1.0, scale: 2.0 }, MILLION, |x| {
        let tail = 0.5 * (-(x - 1.0).abs() / 2.0).exp();
        if x < 1.0 { tail } else { 1.0 - tail }
    });
    check(&D::Logistic { loc: 1.0, scale: 2.0 }, MILLION, |x| 1.0 / (1.0 + (-(x - 1.0) / 2.0).exp()));
    check(&D::Pareto { a: 3.0 }, MILLION, |x| 1.0 - (1.0 + x).powi(-3));
    check(&D::Power { a: 2.5 }, MILLION, |x| x.powf(2.5));
    check(&D::Rayleigh { scale: 2.0 }, MILLION, |x| -(-x * x / 8.0).exp_m1());
    check(&D::StandardCauchy, MILLION, |x| 0.5 + x.atan() / PI);
    check(&D::Weibull { a: 1.7 }, MILLION, |x| -(-x.powf(1.7)).exp_m1());
    check(&D::Triangular { left: -1.0, mode: 0.0, right: 3.0 }, MILLION, |x| {
        if x < 0.0 { (x + 1.0) * (x + 1.0) / 4.0 } else { 1.0 - (3.0 - x) * (3.0 - x) / 12.0 }
    });
}

#[test]
fn normal_distributions_follow_their_cdf() {
    kolmogorov_smirnov(&D::StandardNormal, MILLION, normal_cdf);
    kolmogorov_smirnov(&D::Normal { loc: 3.0, scale: 0.5 }, MILLION, |x| normal_cdf((x - 3.0) / 0.5));
    kolmogorov_smirnov(&D::Lognormal { mean: 0.5, sigma: 0.8 }, MILLION, |x| {
        normal_cdf((x.ln() - 0.5) / 0.8)
    });
}

#[test]
fn gamma_and_its_relatives_follow_their_cdf() {
    let n = 300_000;
    for shape in [0.05, 0.3, 0.999, 1.0, 1.5, 7.5, 400.0] {
        kolmogorov_smirnov(&D::Gamma { shape, scale: 3.0 }, n, |x| gamma_p(shape, x / 3.0));
    }
    kolmogorov_smirnov(&D::Chisquare { df: 3.0 }, n, |x| gamma_p(1.5, 0.5 * x));
    for (a, b) in [(0.2, 0.4), (0.5, 3.0), (2.0, 5.0), (30.0, 1.0)] {
        kolmogorov_smirnov(&D::Beta { a, b }, n, |x| beta_i(a, b, x));
    }
    kolmogorov_smirnov(&D::F { dfnum: 3.0, dfden: 7.0 }, n, |x| beta_i(1.5, 3.5, 3.0 * x / (3.0 * x + 7.0)));
    for df in [0.7, 4.0, 60.0] {
        kolmogorov_smirnov(&D::StandardT { df }, n, |x| student_cdf(df, x));
    }
}

#[test]
fn von_mises_and_wald_follow_their_cdf() {
    for kappa in [1e-9, 1e-6, 0.5, 4.0] {
        kolmogorov_smirnov(&D::Vonmises { mu: 0.0, kappa }, 60_000, |x| von_mises_cdf(kappa, x));
    }
    for kappa in [3e3, 1e7] {
        // So concentrated, it is normal to the test's resolution.
        let variance = 1.0 / kappa + 0.5 / (kappa * kappa);
        kolmogorov_smirnov(&D::Vonmises { mu: 0.0, kappa }, 60_000, |x| normal_cdf(x / variance.sqrt()));
    }
    let shifted = doubles(&D::Vonmises { mu: 3.0, kappa: 4.0 }, 10_000);
    assert!(shifted.iter().all(|x| (-PI..=PI).contains(x)) && shifted.iter().any(|&x| x < 0.0));
    for (mean, scale) in [(2.0, 3.0), (0.5, 0.1)] {
        kolmogorov_smirnov(&D::Wald { mean, scale }, 300_000, |x| wald_cdf(mean, scale, x));
    }
}

/// Neither variance nor the independence of a pair's two halves, nor of neighbours, shows in the other tests.
#[test]
fn normals_have_the_right_moments_and_no_correlation() {
    let x = doubles(&D::StandardNormal, MILLION);
    let n = MILLION as f64;
    let moment = |power: i32| x.iter().map(|v| v.powi(power)).sum::<f64>() / n;
    // Standard errors of the first four moments: 1, √2, √15, √96 over √n.
    for (power, expected, error) in
        [(1, 0.0, 1.0), (2, 1.0, 2f64.sqrt()), (3, 0.0, 15f64.sqrt()), (4, 3.0, 96f64.sqrt())]
    {
        assert!(
            (moment(power) - expected).abs() < 3.3 * error / n.sqrt(),
            "moment {power}: {}",
            moment(power)
        );
    }
    for lag in [1, 2, 3, 64] {
        let correlation = x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
        assert!(correlation.abs() < 3.3 / n.sqrt(), "lag {lag}: {correlation}");
        let squares = x.iter().zip(&x[lag..]).map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)).sum::<f64>() / n;
        assert!(squares.abs() < 3.3 * 2.0 / n.sqrt(), "lag {lag}, squares: {squares}");
    }
}

/// The most extreme words give the most extreme samples, beyond nine deviations.
#[test]
fn normal_tails_reach_beyond_nine_deviations() {
    let (a, b) = super::continuous::normal_pair([0, 0, 0, 1 << 29]);
    assert!((a * a + b * b).sqrt() > 9.4);
    let (a, _) = super::continuous::normal_pair([u64::from(u32::MAX), u64::from(u32::MAX), 0, 0]);
    assert_eq!(a, 0.0);
}

/// Chi-square of counts against exact probabilities, with cells of at least 20 expected. Wilson and Hilferty's cube root
/// makes it normal: below 3.3 in 999 cases of 1000.
fn chi_square(distribution: &D, n: u64, probability: impl Fn(i64) -> f64) {
    let mut counts = std::collections::BTreeMap::new();
    for x in longs(distribution, n) {
        *counts.entry(x).or_insert(0u64) += 1;
    }
    let (least, most) = (*counts.keys().next().unwrap(), *counts.keys().next_back().unwrap());
    let (mut sum, mut cells, mut expected, mut observed, mut seen) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for k in least..=most {
        expected += n as f64 * probability(k);
        observed += counts.get(&k).copied().unwrap_or(0) as f64;
        if expected >= 20.0 {
            sum += (observed - expected) * (observed - expected) / expected;
            cells += 1.0;
            seen += expected;
            (expected, observed) = (0.0, 0.0);
        }
    }
    assert!(
        seen > 0.999 * n as f64,
        "{distribution:?}: probabilities do not cover the samples ({seen} of {n})"
    );
    let df: f64 = cells - 1.0;
    let z = ((sum / df).cbrt() - (1.0 - 2.0 / (9.0 * df))) / (2.0 / (9.0 * df)).sqrt();
    assert!(z < 3.3, "{distribution:?}: chi-square {sum} with {df} degrees of freedom");
}

#[test]
fn discrete_distributions_follow_their_probabilities() {
    for lam in [0.1, 1.0, 9.9, 40.0, 2000.0, 20_000.0] {
        chi_square(&D::Poisson { lam }, MILLION, |k| {
            (k as f64 * f64::ln(lam) - lam - ln_gamma(k as f64 + 1.0)).exp()
        });
    }
    for (n, p) in [(12i64, 0.3f64), (12, 0.9), (900, 0.97), (5000, 0.4), (200_000, 0.8), (200_000, 0.3)] {
        chi_square(&D::Binomial { n, p }, MILLION, |k| {
            let (n, k) = (n as f64, k as f64);
            let choose = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
            (choose + k * p.ln() + (n - k) * (-p).ln_1p()).exp()
        });
    }
    for p in [0.02, 0.2, 0.9] {
        chi_square(&D::Geometric { p }, MILLION, |k| p * (1.0 - p).powi(k as i32 - 1));
    }
    for (n, p) in [(0.5, 0.3), (2.5, 0.3), (40.0, 0.2)] {
        chi_square(&D::NegativeBinomial { n, p }, MILLION, |k| {
            let k = k as f64;
            (ln_gamma(k + n) - ln_gamma(k + 1.0) - ln_gamma(n) + n * f64::ln(p) + k * (-p).ln_1p()).exp()
        });
    }
    let p = [0.1, 0.0, 0.6, 0.3];
    chi_square(&D::Choice { p: p.into() }, MILLION, |k| p[k as usize]);
    let many: Vec<f64> = (1..=3000).map(|k| f64::from(k) / 4_501_500.0).collect();
    chi_square(&D::Choice { p: many.clone().into() }, MILLION, |k| many[k as usize]);
}

/// The rejection methods far beyond what a table could hold: mean and variance.
#[test]
fn huge_means_keep_mean_and_variance() {
    let check = |distribution: D, mean: f64, variance: f64| {
        let n = 200_000;
        let samples = longs(&distribution, n);
        let deviations: Vec<f64> = samples.iter().map(|&x| (x as f64 - mean) / variance.sqrt()).collect();
        let m = deviations.iter().sum::<f64>() / n as f64;
        let v = deviations.iter().map(|d| d * d).sum::<f64>() / n as f64;
        assert!(m.abs() < 3.3 / (n as f64).sqrt(), "{distribution:?}: mean off by {m} deviations");
        assert!(
            (v - 1.0).abs() < 3.3 * (2.0 / n as f64).sqrt(),
            "{distribution:?}: variance {v} of what it should be"
        );
    };
    for lam in [1e6, 1e12, 9e18] {
        check(D::Poisson { lam }, lam, lam);
    }
    check(D::Binomial { n: 1 << 40, p: 0.25 }, 2f64.powi(38), 2f64.powi(38) * 0.75);
    check(D::Binomial { n: i64::MAX, p: 0.75 }, i64::MAX as f64 * 0.75, i64::MAX as f64 * 0.1875);
}

#[test]
fn integers_are_uniform_and_bounded() {
    for values in [2i128, 3, 7, 100, 1000] {
        let (low, high) = (-5, -5 + values);
        chi_square(&D::Integers { low, high, endpoint: false }, MILLION, |_| 1.0 / values as f64);
    }
    // Ranges whose rejection is as frequent as it gets: thirds of the range must be equally likely.
    for values in [(1i128 << 22) - 1, 3 << 30, (1 << 63) + (1 << 62), (1i128 << 63) + 1] {
        let distribution = D::Integers { low: 0, high: values, endpoint: false };
        let n = 300_000u64;
        let bytes = draw(&distribution, T::U64, &[n], &[0], &[n]);
        let mut thirds = [0f64; 3];
        for sample in bytes.chunks(8).map(|b| u64::from_ne_bytes(b.try_into().unwrap())) {
            assert!(i128::from(sample) < values);
            thirds[(i128::from(sample) * 3 / values) as usize] += 1.0;
        }
        let chi2: f64 = thirds.iter().map(|t| (t - 1e5) * (t - 1e5) / 1e5).sum();
        assert!(chi2 < 13.8, "{values} values: thirds {thirds:?}");
    }
    let bytes = |low, high, dtype| {
        draw(&D::Integers { low, high, endpoint: true }, dtype, &[10_000], &[0], &[10_000])
    };
    let signed: Vec<i8> = bytes(-128, 127, T::I8).into_iter().map(|b| b as i8).collect();
    assert_eq!((signed.iter().min(), signed.iter().max()), (Some(&-128), Some(&127)));
    assert!(bytes(0, 1, T::Bool).iter().all(|&b| b < 2));
    assert!(bytes(7, 7, T::U8).iter().all(|&b| b == 7));
}

#[test]
fn single_precision_stays_below_one_and_agrees_with_double() {
    let singles = |distribution: &D, n: u64| -> Vec<f32> {
        draw(distribution, T::F32, &[n], &[0], &[n])
            .chunks(4)
            .map(|b| f32::from_ne_bytes(b.try_into().unwrap()))
            .collect()
    };
    let x = singles(&D::Random, 4 * MILLION);
    assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
    assert!((mean - 0.5).abs() < 3.3 / (12.0 * x.len() as f64).sqrt());
    for distribution in [D::StandardNormal, D::StandardExponential, D::StandardGamma { shape: 0.3 }] {
        let rounded: Vec<f32> = doubles(&distribution, 1000).into_iter().map(|x| x as f32).collect();
        assert_eq!(singles(&distribution, 1000), rounded);
    }
}

#[test]
fn extreme_parameters_give_their_limits() {
    assert!(doubles(&D::StandardGamma { shape: 0.0 }, 100).iter().all(|&x| x == 0.0));
    assert!(doubles(&D::StandardGamma { shape: 1e-300 }, 100).iter().all(|&x| x == 0.0));
    assert!(doubles(&D::StandardGamma { shape: 1e15 }, 100).iter().all(|&x| (x / 1e15 - 1.0).abs() < 1e-6));
    assert!(doubles(&D::Beta { a: 1e-3, b: 1e-3 }, 1000).iter().all(|&x| (0.0..=1.0).contains(&x)));
    assert!(doubles(&D::Normal { loc: 2.0, scale: 0.0 }, 100).iter().all(|&x| x == 2.0));
    assert!(doubles(&D::Weibull { a: 0.0 }, 100).iter().all(|&x| x == 0.0));
    assert!(doubles(&D::Pareto { a: 1e-4 }, 1000).iter().all(|&x| x >= 0.0));
    assert!(
        doubles(&D::Triangular { left: 1.0, mode: 1.0, right: 2.0 }, 1000)
            .iter()
            .all(|x| (1.0..=2.0).contains(x))
    );
    assert!(longs(&D::Poisson { lam: 0.0 }, 100).iter().all(|&x| x == 0));
    assert!(longs(&D::Binomial { n: 0, p: 0.5 }, 100).iter().all(|&x| x == 0));
    assert!(longs(&D::Binomial { n: 9, p: 0.0 }, 100).iter().all(|&x| x == 0));
    assert!(longs(&D::Binomial { n: 9, p: 1.0 }, 100).iter().all(|&x| x == 9));
    assert!(longs(&D::Geometric { p: 1.0 }, 100).iter().all(|&x| x == 1));
    assert!(longs(&D::Geometric { p: 1e-300 }, 100).iter().all(|&x| x == i64::MAX));
    assert!(longs(&D::NegativeBinomial { n: 3.0, p: 1.0 }, 100).iter().all(|&x| x == 0));
    assert_eq!(draw(&D::Random, T::F64, &[3, 0], &[0, 0], &[3, 0]), [0u8; 0]);
    assert_eq!(draw(&D::Random, T::F64, &[], &[], &[]).len(), 8);
}

#[test]
fn bad_requests_are_refused_by_name() {
    let message = |distribution: D, dtype| Sampler::new(distribution, dtype).unwrap_err().to_string();
    let int = |low, high| D::Integers { low, high, endpoint: false };
    assert_eq!(message(D::Normal { loc: 0.0, scale: -1.0 }, T::F64), "normal: scale < 0 (it is -1)");
    assert_eq!(message(D::Exponential { scale: f64::NAN }, T::F64), "exponential: scale is NaN");
    assert_eq!(message(D::StandardGamma { shape: -0.5 }, T::F32), "standard_gamma: shape < 0 (it is -0.5)");
    assert_eq!(message(D::Poisson { lam: -1.0 }, T::I64), "poisson: lam < 0 (it is -1)");
    assert!(message(D::Poisson { lam: 1e19 }, T::I64).starts_with("poisson: lam is too large"));
    assert_eq!(message(D::Binomial { n: -2, p: 0.5 }, T::I64), "binomial: n < 0 (it is -2)");
    assert_eq!(
        message(D::Binomial { n: 2, p: 1.5 }, T::I64),
        "binomial: p < 0, p > 1 or p is NaN (it is 1.5)"
    );
    assert_eq!(message(D::Beta { a: 0.0, b: 1.0 }, T::F64), "beta: a <= 0 (it is 0)");
    assert_eq!(message(int(5, 5), T::I64), "integers: low >= high (low=5, high=5)");
    assert_eq!(message(int(0, 300), T::U8), "integers: high is out of bounds for uint8 (it is 300)");
    assert_eq!(message(int(-1, 3), T::U8), "integers: low is out of bounds for uint8 (it is -1)");
    assert_eq!(message(D::Uniform { low: 2.0, high: 1.0 }, T::F64), "uniform: high < low (low=2, high=1)");
    assert!(matches!(
        Sampler::new(D::Uniform { low: f64::MIN, high: f64::MAX }, T::F64),
        Err(RandomError::Overflow { .. })
    ));
    assert_eq!(message(D::Random, T::I64), "random: unsupported dtype int64; it has float64, float32");
    let choice = |p: &[f64]| message(D::Choice { p: p.into() }, T::I64);
    assert_eq!(choice(&[0.5, 0.4]), "choice: probabilities do not sum to 1 (their sum is 0.9)");
    assert_eq!(choice(&[1.5, -0.5]), "choice: probabilities are not non-negative (p[1] is -0.5)");
    let sampler = Sampler::new(D::Random, T::F64).unwrap();
    assert!(matches!(sampler.fill_bytes(key(), &[4], &[0], &[4], &mut [0; 31]), Err(RandomError::Bug(_))));
}
