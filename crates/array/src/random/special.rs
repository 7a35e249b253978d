//! Exact distribution functions for the tests: slow, plain, and independent of the samplers.

/// ln Γ(x), by Stirling's series after shifting x above 20.
pub(super) fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut shift = 0.0;
    while x < 20.0 {
        shift += x.ln();
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() - shift
        + (1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z / 1680.0))) / x
}

/// The lower regularised incomplete gamma function P(a, x): series or continued fraction (Lentz).
pub(super) fn gamma_p(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return front * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..100_000 {
        let an = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 - front * h
}

/// The regularised incomplete beta function I(x; a, b), by its continued fraction (Lentz).
pub(super) fn beta_i(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_i(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let (mut c, mut d) = (1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for i in 1..10_000 {
        let m = f64::from(i);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / (1.0 + even * d);
        c = 1.0 + even / c;
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / (1.0 + odd * d);
        c = 1.0 + odd / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * h
}

/// Φ(x).
pub(super) fn normal_cdf(x: f64) -> f64 {
    let half = 0.5 * gamma_p(0.5, 0.5 * x * x);
    if x < 0.0 { 0.5 - half } else { 0.5 + half }
}

/// Student's t.
pub(super) fn student_cdf(df: f64, t: f64) -> f64 {
    let half = 0.5 * beta_i(0.5 * df, 0.5, df / (df + t * t));
    if t < 0.0 { half } else { 1.0 - half }
}

/// Von Mises on [-π, π], by Simpson's rule.
pub(super) fn von_mises_cdf(kappa: f64, x: f64) -> f64 {
    let integral = |end: f64| {
        let start = -std::f64::consts::PI;
        let n = 400;
        let h = (end - start) / f64::from(n);
        let f = |i: i32| (kappa * ((start + h * f64::from(i)).cos() - 1.0)).exp();
        let inner: f64 = (1..n).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (f(0) + f(n) + inner) * h / 3.0
    };
    integral(x) / integral(std::f64::consts::PI)
}

/// Wald's distribution.
pub(super) fn wald_cdf(mean: f64, scale: f64, x: f64) -> f64 {
    let root = (scale / x).sqrt();
    normal_cdf(root * (x / mean - 1.0)) + (2.0 * scale / mean).exp() * normal_cdf(-root * (x / mean + 1.0))
}

#[test]
fn known_values() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    close(ln_gamma(0.5), 0.5 * std::f64::consts::PI.ln());
    close(gamma_p(1.0, 2.0), 1.0 - (-2f64).exp());
    close(gamma_p(1.0, 0.5), 1.0 - (-0.5f64).exp());
    close(normal_cdf(1.0), 0.841_344_746_068_542_9);
    close(normal_cdf(-3.0), 0.001_349_898_031_630_094_6);
    close(beta_i(2.0, 3.0, 0.4), 0.5248);
    close(student_cdf(1.0, 1.0), 0.75);
    close(von_mises_cdf(1.0, 0.0), 0.5);
}
