//! Distributions by rejection: gamma, Poisson and binomial with a large mean, von Mises, and what is made of them.
//!
//! Each element owns a substream, one or two Philox blocks an attempt, so retries of one element never move another.

use super::continuous::normal_pair;
use super::engine::{Attempt, BATCH, Isa, Rejection, Source};
use super::key::Key;
use super::math::{
    HALF_LN_TAU, acos, exp, ln, ln_1p, ln_factorial, open_unit, positive_unit, random_cos_sin, tail_unit,
};
use super::philox::words;

/// What a gamma kernel gives: the sample, or its logarithm (which a small shape parameter does not underflow).
#[derive(Clone, Copy, PartialEq)]
pub(super) enum GammaForm {
    Sample,
    Logarithm,
}

/// Marsaglia and Tsang (ACM TOMS 26, 2000): the cube of a shifted normal, squeezed. A shape below 1 is raised by one
/// and the sample multiplied by U^(1/shape).
pub(super) struct Gamma {
    d: f64,
    c: f64,
    boost: f64,
    scale: f64,
    form: GammaForm,
}

impl Gamma {
    /// For shape > 0.
    pub(super) fn new(shape: f64, scale: f64, form: GammaForm) -> Gamma {
        let boosted = shape < 1.0;
        let d = (if boosted { shape + 1.0 } else { shape }) - 1.0 / 3.0;
        Gamma { d, c: 1.0 / (9.0 * d).sqrt(), boost: if boosted { 1.0 / shape } else { 0.0 }, scale, form }
    }

    #[inline(always)]
    fn value(&self, v: f64, b: [u64; 4]) -> f64 {
        let sample = self.d * v;
        // A product of two tests that never change inside a loop: the compiler makes separate loops of them.
        let exponent = if self.boost > 0.0 { self.boost * ln(tail_unit(b[2], b[3])) } else { 0.0 };
        match self.form {
            // A rejected candidate may have no logarithm: any value does for it.
            GammaForm::Logarithm => ln(sample.max(f64::MIN_POSITIVE)) + exponent,
            GammaForm::Sample if self.boost > 0.0 => self.scale * (sample * exp(exponent)),
            GammaForm::Sample => self.scale * sample,
        }
    }
}

impl Attempt for Gamma {
    type Item = f64;
    const BLANK: f64 = 0.0;
    const BLOCKS: u32 = 2;

    #[inline(always)]
    fn quick(&self, a: [u64; 4], b: [u64; 4]) -> (f64, bool) {
        let (x, _) = normal_pair(a);
        let t = 1.0 + self.c * x;
        let x2 = x * x;
        let accepted = (t > 0.0) & (positive_unit(b[0], b[1]) < 1.0 - 0.0331 * (x2 * x2));
        (self.value(t * t * t, b), accepted)
    }

    fn settle(&self, a: [u64; 4], b: [u64; 4]) -> Option<f64> {
        let (x, _) = normal_pair(a);
        let t = 1.0 + self.c * x;
        if t <= 0.0 {
            return None;
        }
        let v = t * t * t;
        let accepted = ln(positive_unit(b[0], b[1])) < 0.5 * x * x + self.d * (1.0 - v + ln(v));
        accepted.then(|| self.value(v, b))
    }
}

/// ln P(X = k) for Poisson with a large mean, in Loader's form: the leading terms, which are as large as k·ln k, cancel
/// on paper instead of in floating point.
fn ln_poisson(k: f64, lam: f64) -> f64 {
    if k == 0.0 {
        return -lam;
    }
    -stirling_error(k) - deviance(k, lam) - HALF_LN_TAU - 0.5 * ln(k)
}

/// ln k! minus Stirling's leading terms.
fn stirling_error(k: f64) -> f64 {
    if k < 16.0 {
        return ln_factorial(k) - (k + 0.5) * ln(k) + k - HALF_LN_TAU;
    }
    let z = 1.0 / (k * k);
    (1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z * (1.0 / 1680.0 - z / 1188.0)))) / k
}

/// k·ln(k/mean) + mean - k, for k > 0.
fn deviance(k: f64, mean: f64) -> f64 {
    let difference = k - mean;
    if difference.abs() >= 0.1 * (k + mean) {
        return k * ln(k / mean) - difference;
    }
    let v = difference / (k + mean);
    let mut sum = difference * v;
    let mut term = 2.0 * k * v;
    for j in 1..1000 {
        term *= v * v;
        let next = sum + term / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// Candidates of Hörmann's transformed rejection: an almost fitting quotient of two uniforms.
struct Transformed {
    a: f64,
    b: f64,
    centre: f64,
    sure: f64,
}

impl Transformed {
    /// The candidate, its distance |½ - |U|| and the second uniform.
    #[inline(always)]
    fn candidate(&self, w: [u64; 4]) -> (f64, f64, f64) {
        let u = open_unit(w[0], w[1]) - 0.5;
        let v = positive_unit(w[2], w[3]);
        let near = 0.5 - u.abs();
        (((2.0 * self.a / near + self.b) * u + self.centre).floor(), near, v)
    }

    #[inline(always)]
    fn surely(&self, near: f64, v: f64) -> bool {
        (near >= 0.07) & (v <= self.sure)
    }
}

/// Poisson with a mean of at least 10: PTRS of Hörmann (Insurance: Mathematics and Economics 12, 1993).
pub(super) struct Poisson {
    lam: f64,
    shape: Transformed,
    ln_inverse_alpha: f64,
}

impl Poisson {
    /// For lam ≥ 10.
    pub(super) fn new(lam: f64) -> Poisson {
        let b = 0.931 + 2.53 * lam.sqrt();
        let a = -0.059 + 0.02483 * b;
        let shape = Transformed { a, b, centre: lam + 0.43, sure: 0.9277 - 3.6224 / (b - 2.0) };
        Poisson { lam, shape, ln_inverse_alpha: ln(1.1239 + 1.1328 / (b - 3.4)) }
    }
}

impl Attempt for Poisson {
    type Item = i64;
    const BLANK: i64 = 0;
    const BLOCKS: u32 = 1;

    #[inline(always)]
    fn quick(&self, w: [u64; 4], _: [u64; 4]) -> (i64, bool) {
        let (k, near, v) = self.shape.candidate(w);
        (k as i64, (k >= 0.0) & self.shape.surely(near, v))
    }

    fn settle(&self, w: [u64; 4], _: [u64; 4]) -> Option<i64> {
        let (k, near, v) = self.shape.candidate(w);
        if k < 0.0 || (near < 0.013 && v > near) {
            return None;
        }
        let height = ln(v) + self.ln_inverse_alpha - ln(self.shape.a / (near * near) + self.shape.b);
        (height <= ln_poisson(k, self.lam)).then_some(k as i64)
    }
}

/// Binomial with n·p ≥ 10 and p ≤ ½: BTRS of Hörmann (J. Statist. Comput. Simul. 46, 1993).
pub(super) struct Binomial {
    n: f64,
    p: f64,
    shape: Transformed,
    alpha: f64,
    ln_mode: f64,
    mirror: Option<i64>,
}

impl Binomial {
    /// `mirror` is n where the failures are counted because p > ½.
    pub(super) fn new(n: f64, p: f64, mirror: Option<i64>) -> Binomial {
        let spread = (n * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let shape = Transformed { a, b, centre: n * p + 0.5, sure: 0.92 - 4.2 / b };
        let ln_mode = ln_binomial(((n + 1.0) * p).floor(), n, p);
        Binomial { n, p, shape, alpha: (2.83 + 5.1 / b) * spread, ln_mode, mirror }
    }

    #[inline(always)]
    fn value(&self, k: f64) -> i64 {
        match self.mirror {
            Some(n) => n - k as i64,
            None => k as i64,
        }
    }
}

/// ln P(X = k) for the binomial distribution, in Loader's form as [`ln_poisson`].
fn ln_binomial(k: f64, n: f64, p: f64) -> f64 {
    if k == 0.0 {
        return n * ln_1p(-p);
    }
    if k == n {
        return n * ln(p);
    }
    let failures = n - k;
    let errors = stirling_error(n) - stirling_error(k) - stirling_error(failures);
    let deviances = deviance(k, n * p) + deviance(failures, n * (1.0 - p));
    errors - deviances - HALF_LN_TAU + 0.5 * (ln(n) - ln(k) - ln(failures))
}

impl Attempt for Binomial {
    type Item = i64;
    const BLANK: i64 = 0;
    const BLOCKS: u32 = 1;

    #[inline(always)]
    fn quick(&self, w: [u64; 4], _: [u64; 4]) -> (i64, bool) {
        let (k, near, v) = self.shape.candidate(w);
        (self.value(k), (k >= 0.0) & (k <= self.n) & self.shape.surely(near, v))
    }

    fn settle(&self, w: [u64; 4], _: [u64; 4]) -> Option<i64> {
        let (k, near, v) = self.shape.candidate(w);
        if k < 0.0 || k > self.n {
            return None;
        }
        let height = ln(v * self.alpha / (self.shape.a / (near * near) + self.shape.b));
        (height <= ln_binomial(k, self.n, self.p) - self.ln_mode).then(|| self.value(k))
    }
}

/// Von Mises for kappa in (1e-8, 1e6): Best and Fisher (Applied Statistics 28, 1979).
pub(super) struct VonMises {
    mu: f64,
    kappa: f64,
    s: f64,
}

impl VonMises {
    pub(super) fn new(mu: f64, kappa: f64) -> VonMises {
        let s = if kappa < 1e-5 {
            // The formula below cancels; this is its expansion.
            1.0 / kappa + kappa
        } else {
            let r = 1.0 + (1.0 + 4.0 * kappa * kappa).sqrt();
            let rho = (r - (2.0 * r).sqrt()) / (2.0 * kappa);
            (1.0 + rho * rho) / (2.0 * rho)
        };
        VonMises { mu, kappa, s }
    }

    /// The angle, and what the test compares.
    #[inline(always)]
    fn candidate(&self, a: [u64; 4], b: [u64; 4]) -> (f64, f64, f64) {
        let (z, _) = random_cos_sin(a[0], a[1]);
        let w = ((1.0 + self.s * z) / (self.s + z)).clamp(-1.0, 1.0);
        let sign = (b[0] & 1) << 63;
        let angle = f64::from_bits(acos(w).to_bits() ^ sign);
        (wrapped(self.mu + angle), self.kappa * (self.s - w), positive_unit(a[2], a[3]))
    }
}

/// An angle brought into [-π, π].
#[inline(always)]
pub(super) fn wrapped(angle: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    let turns = ((angle + PI) / TAU).floor();
    (angle - turns * TAU).clamp(-PI, PI)
}

impl Attempt for VonMises {
    type Item = f64;
    const BLANK: f64 = 0.0;
    const BLOCKS: u32 = 2;

    #[inline(always)]
    fn quick(&self, a: [u64; 4], b: [u64; 4]) -> (f64, bool) {
        let (angle, y, v) = self.candidate(a, b);
        (angle, y * (2.0 - y) >= v)
    }

    fn settle(&self, a: [u64; 4], b: [u64; 4]) -> Option<f64> {
        let (angle, y, v) = self.candidate(a, b);
        (y * (2.0 - y) >= v || ln(y / v) + 1.0 - y >= 0.0).then_some(angle)
    }
}

/// Inverse Gaussian: Michael, Schucany and Haas (The American Statistician 30, 1976). Nothing is ever rejected.
pub(super) struct Wald {
    pub(super) mean: f64,
    pub(super) scale: f64,
}

impl Attempt for Wald {
    type Item = f64;
    const BLANK: f64 = 0.0;
    const BLOCKS: u32 = 2;

    #[inline(always)]
    fn quick(&self, a: [u64; 4], b: [u64; 4]) -> (f64, bool) {
        let (x, _) = normal_pair(a);
        let y = self.mean * x * x / (2.0 * self.scale);
        // The smaller root of the quadratic in the form that does not cancel: mean / (1 + y + √(y² + 2y)).
        let root = self.mean / (1.0 + y + (y * y + 2.0 * y).sqrt());
        let larger = self.mean * (self.mean / root);
        let first = open_unit(b[0], b[1]) * (self.mean + root) <= self.mean;
        (if first { root } else { larger }, true)
    }

    fn settle(&self, a: [u64; 4], b: [u64; 4]) -> Option<f64> {
        Some(self.quick(a, b).0)
    }
}

/// A ratio a / (a + b), or quotient (a/m) / (b/n), of two gamma variates from unrelated streams.
pub(super) enum GammaPair {
    /// Beta.
    Share { a: Rejection<Gamma>, b: Rejection<Gamma> },
    /// F: the factor is n/m.
    Quotient { a: Rejection<Gamma>, b: Rejection<Gamma>, factor: f64 },
}

impl GammaPair {
    pub(super) fn beta(a: f64, b: f64) -> GammaPair {
        let ln_gamma = |shape| Rejection(Gamma::new(shape, 1.0, GammaForm::Logarithm));
        GammaPair::Share { a: ln_gamma(a), b: ln_gamma(b) }
    }

    pub(super) fn f(numerator: f64, denominator: f64) -> GammaPair {
        let gamma = |df: f64| Rejection(Gamma::new(0.5 * df, 1.0, GammaForm::Sample));
        GammaPair::Quotient { a: gamma(numerator), b: gamma(denominator), factor: denominator / numerator }
    }
}

impl Source for GammaPair {
    type Item = f64;
    const BLANK: f64 = 0.0;

    fn draw(&self, isa: Isa, key: Key, elements: &[u64; BATCH], out: &mut [f64; BATCH]) {
        let mut other = [0.0; BATCH];
        let (GammaPair::Share { a, b } | GammaPair::Quotient { a, b, .. }) = self;
        a.draw(isa, key.component(0), elements, out);
        b.draw(isa, key.component(1), elements, &mut other);
        for (x, y) in out.iter_mut().zip(other) {
            *x = match self {
                // From logarithms, because both variates underflow when a and b are small, but not their ratio.
                GammaPair::Share { .. } => 1.0 / (1.0 + exp(y - *x)),
                GammaPair::Quotient { factor, .. } => *x / y * factor,
            };
        }
    }
}

/// A standard normal an element, where elements come in any order.
struct NormalElement;

impl Attempt for NormalElement {
    type Item = f64;
    const BLANK: f64 = 0.0;
    const BLOCKS: u32 = 1;

    #[inline(always)]
    fn quick(&self, w: [u64; 4], _: [u64; 4]) -> (f64, bool) {
        (normal_pair(w).0, true)
    }

    fn settle(&self, w: [u64; 4], _: [u64; 4]) -> Option<f64> {
        Some(normal_pair(w).0)
    }
}

/// Student's t: a normal over the root of a scaled chi-square.
pub(super) struct StudentT {
    df: f64,
    half_chisquare: Rejection<Gamma>,
}

impl StudentT {
    pub(super) fn new(df: f64) -> StudentT {
        StudentT { df, half_chisquare: Rejection(Gamma::new(0.5 * df, 1.0, GammaForm::Sample)) }
    }
}

impl Source for StudentT {
    type Item = f64;
    const BLANK: f64 = 0.0;

    fn draw(&self, isa: Isa, key: Key, elements: &[u64; BATCH], out: &mut [f64; BATCH]) {
        self.half_chisquare.draw(isa, key.component(0), elements, out);
        let mut normals = [0.0; BATCH];
        Rejection(NormalElement).draw(isa, key.component(1), elements, &mut normals);
        for (x, normal) in out.iter_mut().zip(normals) {
            *x = normal * (0.5 * self.df / *x).sqrt();
        }
    }
}

/// Failures before the n-th success: Poisson with a gamma-distributed mean.
pub(super) struct NegativeBinomial {
    mean: Rejection<Gamma>,
}

impl NegativeBinomial {
    pub(super) fn new(n: f64, p: f64) -> NegativeBinomial {
        NegativeBinomial { mean: Rejection(Gamma::new(n, (1.0 - p) / p, GammaForm::Sample)) }
    }
}

impl Source for NegativeBinomial {
    type Item = i64;
    const BLANK: i64 = 0;

    fn draw(&self, isa: Isa, key: Key, elements: &[u64; BATCH], out: &mut [i64; BATCH]) {
        let mut means = [0.0; BATCH];
        self.mean.draw(isa, key.component(0), elements, &mut means);
        let counts = key.component(1);
        for ((x, &element), mean) in out.iter_mut().zip(elements).zip(means) {
            *x = poisson_once(mean, counts, element);
        }
    }
}

/// One Poisson sample with a mean of its own.
fn poisson_once(lam: f64, key: Key, element: u64) -> i64 {
    if lam < 10.0 {
        // The table would cost more than the search: probabilities are added until they pass the uniform.
        let w = words(key, element, 0);
        let u = positive_unit(w[0], w[1]);
        let mut term = exp(-lam);
        // u is compared with P(X > k). Rounding makes that tail end near 1e-16, which nobody can observe.
        let mut tail = 1.0 - term;
        let mut k = 0;
        while u <= tail && k < 200 {
            k += 1;
            term *= lam / k as f64;
            tail -= term;
        }
        return k;
    }
    // Validation bounds the mean's mean; only the gamma's far tail can pass the limit.
    let kernel = Poisson::new(lam.min(MAX_POISSON));
    let mut attempt = 0;
    loop {
        let w = words(key, element, attempt);
        if let Some(k) = kernel.settle(w, [0; 4]) {
            return k;
        }
        attempt += 1;
    }
}

/// The largest Poisson mean whose samples fit an `i64`: ten standard deviations below its end.
pub(super) const MAX_POISSON: f64 = 9.223_372_006_484_771e18;
