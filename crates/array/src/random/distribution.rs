//! The distributions that can be asked for, what their parameters mean, and what is wrong with bad ones.
//!
//! Names, parameters and their domains are those of NumPy's `Generator`. Parameters are scalars: where they are
//! arrays, the caller has a distribution for each element (`ops::sampled`), or moves and scales a standard sample.

use std::sync::Arc;

use pantile_types::ScalarType;

use super::error::{RandomError, numpy_name};
use super::rejection::MAX_POISSON;

/// A distribution and its parameters, as NumPy's `Generator` method of that name takes them.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are NumPy's parameters, under NumPy's names.
#[non_exhaustive]
pub enum Distribution {
    /// Uniform in [0, 1).
    Random,
    /// Uniform in [low, high).
    Uniform { low: f64, high: f64 },
    /// Integers from `low` to `high`, which belongs to the range when `endpoint` is set.
    Integers { low: i128, high: i128, endpoint: bool },
    /// Normal with mean 0 and deviation 1.
    StandardNormal,
    /// Normal.
    Normal { loc: f64, scale: f64 },
    /// Exponential with mean 1.
    StandardExponential,
    /// Exponential with mean `scale`.
    Exponential { scale: f64 },
    /// Gamma with scale 1.
    StandardGamma { shape: f64 },
    /// Gamma.
    Gamma { shape: f64, scale: f64 },
    /// Poisson.
    Poisson { lam: f64 },
    /// Beta.
    Beta { a: f64, b: f64 },
    /// Successes among `n` trials.
    Binomial { n: i64, p: f64 },
    /// Chi-square.
    Chisquare { df: f64 },
    /// Fisher's F.
    F { dfnum: f64, dfden: f64 },
    /// Trials until the first success.
    Geometric { p: f64 },
    /// Gumbel (extreme value, type I).
    Gumbel { loc: f64, scale: f64 },
    /// Laplace (double exponential).
    Laplace { loc: f64, scale: f64 },
    /// Logistic.
    Logistic { loc: f64, scale: f64 },
    /// The exponential of a normal.
    Lognormal { mean: f64, sigma: f64 },
    /// Failures before the `n`-th success.
    NegativeBinomial { n: f64, p: f64 },
    /// Pareto II (Lomax).
    Pareto { a: f64 },
    /// The power distribution on [0, 1].
    Power { a: f64 },
    /// Rayleigh.
    Rayleigh { scale: f64 },
    /// Cauchy.
    StandardCauchy,
    /// Student's t.
    StandardT { df: f64 },
    /// Triangular.
    Triangular { left: f64, mode: f64, right: f64 },
    /// Von Mises, on [-π, π].
    Vonmises { mu: f64, kappa: f64 },
    /// Wald (inverse Gaussian).
    Wald { mean: f64, scale: f64 },
    /// Weibull.
    Weibull { a: f64 },
    /// Positions 0 .. p.len() with these probabilities: `choice` with replacement.
    Choice { p: Arc<[f64]> },
}

use Distribution as D;

/// A parameter's value as callers have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A number.
    Float(f64),
    /// A whole number, which stays exact.
    Int(i128),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Float(x) => x,
            Number::Int(x) => x as f64,
        }
    }
    fn int(self) -> i128 {
        match self {
            Number::Float(x) => x as i128,
            Number::Int(x) => x,
        }
    }
}

const FLOATS: &[ScalarType] = &[ScalarType::F64, ScalarType::F32];
const DOUBLE: &[ScalarType] = &[ScalarType::F64];
const INDEX: &[ScalarType] = &[ScalarType::I64];
const INTEGERS: &[ScalarType] = &[
    ScalarType::Bool,
    ScalarType::I8,
    ScalarType::I16,
    ScalarType::I32,
    ScalarType::I64,
    ScalarType::U8,
    ScalarType::U16,
    ScalarType::U32,
    ScalarType::U64,
];

impl Distribution {
    /// The distribution with this name, which asks for its parameters by NumPy's names, in NumPy's order; `None` if there
    /// is none. `choice` is not among them.
    pub fn named<E>(
        name: &str,
        mut get: impl FnMut(&'static str) -> Result<Number, E>,
    ) -> Result<Option<Distribution>, E> {
        let mut f = |name| get(name).map(Number::float);
        Ok(Some(match name {
            "random" => D::Random,
            "uniform" => D::Uniform { low: f("low")?, high: f("high")? },
            "integers" => D::Integers {
                low: get("low")?.int(),
                high: get("high")?.int(),
                endpoint: get("endpoint")?.int() != 0,
            },
            "standard_normal" => D::StandardNormal,
            "normal" => D::Normal { loc: f("loc")?, scale: f("scale")? },
            "standard_exponential" => D::StandardExponential,
            "exponential" => D::Exponential { scale: f("scale")? },
            "standard_gamma" => D::StandardGamma { shape: f("shape")? },
            "gamma" => D::Gamma { shape: f("shape")?, scale: f("scale")? },
            "poisson" => D::Poisson { lam: f("lam")? },
            "beta" => D::Beta { a: f("a")?, b: f("b")? },
            "binomial" => D::Binomial { n: get("n")?.int() as i64, p: get("p")?.float() },
            "chisquare" => D::Chisquare { df: f("df")? },
            "f" => D::F { dfnum: f("dfnum")?, dfden: f("dfden")? },
            "geometric" => D::Geometric { p: f("p")? },
            "gumbel" => D::Gumbel { loc: f("loc")?, scale: f("scale")? },
            "laplace" => D::Laplace { loc: f("loc")?, scale: f("scale")? },
            "logistic" => D::Logistic { loc: f("loc")?, scale: f("scale")? },
            "lognormal" => D::Lognormal { mean: f("mean")?, sigma: f("sigma")? },
            "negative_binomial" => D::NegativeBinomial { n: f("n")?, p: f("p")? },
            "pareto" => D::Pareto { a: f("a")? },
            "power" => D::Power { a: f("a")? },
            "rayleigh" => D::Rayleigh { scale: f("scale")? },
            "standard_cauchy" => D::StandardCauchy,
            "standard_t" => D::StandardT { df: f("df")? },
            "triangular" => D::Triangular { left: f("left")?, mode: f("mode")?, right: f("right")? },
            "vonmises" => D::Vonmises { mu: f("mu")?, kappa: f("kappa")? },
            "wald" => D::Wald { mean: f("mean")?, scale: f("scale")? },
            "weibull" => D::Weibull { a: f("a")? },
            _ => return Ok(None),
        }))
    }

    /// The `Generator` method's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            D::Random => "random",
            D::Uniform { .. } => "uniform",
            D::Integers { .. } => "integers",
            D::StandardNormal => "standard_normal",
            D::Normal { .. } => "normal",
            D::StandardExponential => "standard_exponential",
            D::Exponential { .. } => "exponential",
            D::StandardGamma { .. } => "standard_gamma",
            D::Gamma { .. } => "gamma",
            D::Poisson { .. } => "poisson",
            D::Beta { .. } => "beta",
            D::Binomial { .. } => "binomial",
            D::Chisquare { .. } => "chisquare",
            D::F { .. } => "f",
            D::Geometric { .. } => "geometric",
            D::Gumbel { .. } => "gumbel",
            D::Laplace { .. } => "laplace",
            D::Logistic { .. } => "logistic",
            D::Lognormal { .. } => "lognormal",
            D::NegativeBinomial { .. } => "negative_binomial",
            D::Pareto { .. } => "pareto",
            D::Power { .. } => "power",
            D::Rayleigh { .. } => "rayleigh",
            D::StandardCauchy => "standard_cauchy",
            D::StandardT { .. } => "standard_t",
            D::Triangular { .. } => "triangular",
            D::Vonmises { .. } => "vonmises",
            D::Wald { .. } => "wald",
            D::Weibull { .. } => "weibull",
            D::Choice { .. } => "choice",
        }
    }

    /// The dtypes the samples can have, the default first (for `integers`, NumPy's default is `int64`).
    pub fn dtypes(&self) -> &'static [ScalarType] {
        match self {
            D::Random | D::StandardNormal | D::StandardExponential | D::StandardGamma { .. } => FLOATS,
            D::Integers { .. } => INTEGERS,
            D::Poisson { .. }
            | D::Binomial { .. }
            | D::Geometric { .. }
            | D::NegativeBinomial { .. }
            | D::Choice { .. } => INDEX,
            _ => DOUBLE,
        }
    }

    /// Checks dtype and parameters.
    pub fn validate(&self, dtype: ScalarType) -> Result<(), RandomError> {
        if !self.dtypes().contains(&dtype) {
            return Err(RandomError::Dtype { distribution: self.name(), dtype, valid: self.dtypes() });
        }
        match *self {
            D::Random | D::StandardNormal | D::StandardExponential | D::StandardCauchy => Ok(()),
            D::Uniform { low, high } => {
                if !(high - low).is_finite() {
                    let problem = format!("high - low exceeds the range of float64 (low={low}, high={high})");
                    return Err(RandomError::Overflow { distribution: self.name(), problem });
                }
                self.require(high >= low, || format!("high < low (low={low}, high={high})"))
            }
            D::Integers { low, high, endpoint } => self.validate_integers(low, high, endpoint, dtype),
            // A location may be anything: NaN gives NaN, as in NumPy.
            D::Normal { scale, .. }
            | D::Gumbel { scale, .. }
            | D::Laplace { scale, .. }
            | D::Logistic { scale, .. } => self.not_negative("scale", scale),
            D::Exponential { scale } | D::Rayleigh { scale } => self.not_negative("scale", scale),
            D::StandardGamma { shape } => self.not_negative("shape", shape),
            D::Gamma { shape, scale } => {
                self.not_negative("shape", shape)?;
                self.not_negative("scale", scale)
            }
            D::Poisson { lam } => {
                self.not_negative("lam", lam)?;
                self.require(lam <= MAX_POISSON, || {
                    format!("lam is too large (it is {lam}, at most {MAX_POISSON})")
                })
            }
            D::Beta { a, b } => {
                self.positive("a", a)?;
                self.positive("b", b)
            }
            D::Binomial { n, p } => {
                self.require(n >= 0, || format!("n < 0 (it is {n})"))?;
                self.probability("p", p)
            }
            D::Chisquare { df } | D::StandardT { df } => self.positive("df", df),
            D::F { dfnum, dfden } => {
                self.positive("dfnum", dfnum)?;
                self.positive("dfden", dfden)
            }
            D::Geometric { p } => {
                self.require(p > 0.0 && p <= 1.0, || format!("p must be in (0, 1] (it is {p})"))
            }
            D::Lognormal { sigma, .. } => self.not_negative("sigma", sigma),
            D::NegativeBinomial { n, p } => {
                self.positive("n", n)?;
                self.require(p > 0.0 && p <= 1.0, || format!("p must be in (0, 1] (it is {p})"))?;
                // Ten standard deviations of the gamma-distributed mean must fit an i64.
                let mean = (1.0 - p) / p * (n + 10.0 * n.sqrt());
                self.require(mean <= MAX_POISSON, || format!("n too large or p too small (n={n}, p={p})"))
            }
            D::Pareto { a } | D::Power { a } => self.positive("a", a),
            D::Weibull { a } => self.not_negative("a", a),
            D::Triangular { left, mode, right } => {
                self.require(left <= mode, || format!("left > mode (left={left}, mode={mode})"))?;
                self.require(mode <= right, || format!("mode > right (mode={mode}, right={right})"))?;
                self.require(left < right, || format!("left == right (both are {left})"))?;
                self.require((right - left).is_finite(), || {
                    format!("right - left is not finite ({left}, {right})")
                })
            }
            D::Vonmises { mu, kappa } => {
                self.require(mu.is_finite(), || format!("mu is not finite (it is {mu})"))?;
                self.not_negative("kappa", kappa)
            }
            D::Wald { mean, scale } => {
                self.positive("mean", mean)?;
                self.positive("scale", scale)
            }
            D::Choice { ref p } => {
                self.require(!p.is_empty(), || "a cannot be empty unless no samples are taken".into())?;
                if let Some(at) = p.iter().position(|p| !(*p >= 0.0 && p.is_finite())) {
                    return self.require(false, || {
                        format!("probabilities are not non-negative (p[{at}] is {})", p[at])
                    });
                }
                let sum: f64 = p.iter().sum();
                // NumPy's tolerance: the square root of f64's precision.
                self.require((sum - 1.0).abs() <= 1.5e-8, || {
                    format!("probabilities do not sum to 1 (their sum is {sum})")
                })
            }
        }
    }

    /// The smallest value and the number of values (0 for 2⁶⁴) of a validated `Integers`.
    pub(super) fn integer_range(low: i128, high: i128, endpoint: bool) -> (u64, u64) {
        (low as u64, (high - low + i128::from(endpoint)) as u64)
    }

    fn validate_integers(
        &self,
        low: i128,
        high: i128,
        endpoint: bool,
        dtype: ScalarType,
    ) -> Result<(), RandomError> {
        let (least, greatest) = bounds(dtype);
        let name = numpy_name(dtype);
        // The end is checked as what it is: exclusive ends may be one past the greatest value.
        self.require((least..=greatest).contains(&low), || {
            format!("low is out of bounds for {name} (it is {low})")
        })?;
        let last = if endpoint { high } else { high.saturating_sub(1) };
        self.require(last <= greatest, || format!("high is out of bounds for {name} (it is {high})"))?;
        self.require(low <= last, || {
            if endpoint {
                format!("low > high (low={low}, high={high})")
            } else {
                format!("low >= high (low={low}, high={high})")
            }
        })
    }

    fn require(&self, holds: bool, problem: impl FnOnce() -> String) -> Result<(), RandomError> {
        if holds {
            Ok(())
        } else {
            Err(RandomError::Parameter { distribution: self.name(), problem: problem() })
        }
    }

    fn not_negative(&self, name: &str, value: f64) -> Result<(), RandomError> {
        // The sign bit is looked at, so that -0.0 is refused as NumPy refuses it.
        self.require(!value.is_nan(), || format!("{name} is NaN"))?;
        self.require(!value.is_sign_negative(), || format!("{name} < 0 (it is {value})"))
    }

    fn positive(&self, name: &str, value: f64) -> Result<(), RandomError> {
        self.require(value > 0.0, || format!("{name} <= 0 (it is {value})"))
    }

    fn probability(&self, name: &str, value: f64) -> Result<(), RandomError> {
        self.require((0.0..=1.0).contains(&value), || {
            format!("{name} < 0, {name} > 1 or {name} is NaN (it is {value})")
        })
    }
}

fn bounds(dtype: ScalarType) -> (i128, i128) {
    match dtype {
        ScalarType::Bool => (0, 1),
        t if t.is_signed() => (-(1i128 << (8 * t.size() - 1)), (1i128 << (8 * t.size() - 1)) - 1),
        t => (0, (1i128 << (8 * t.size())) - 1),
    }
}
