//! Random arrays: keys and distributions.

use crate::convert::{chunks_from_py, dtype};
use crate::error::OrRaise;
use crate::expr::{Expr, Here};
use pantile_array::ArrayError;
use pantile_array::chunks::AxisChunks;
use pantile_array::ops::random as sampling;
use pantile_array::random::{Distribution as D, Key};
use pyo3::prelude::*;
use pyo3::types::PyDict;

type Words = (u32, u32, u32);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(random, m)?)?;
    m.add_function(wrap_pyfunction!(random_key, m)?)?;
    m.add_function(wrap_pyfunction!(random_child, m)?)?;
    m.add_function(wrap_pyfunction!(random_spawn, m)?)?;
    m.add_function(wrap_pyfunction!(random_permutation, m)?)?;
    Ok(())
}

fn to_key(w: Words) -> Key {
    Key::from_words([w.0, w.1, w.2])
}

fn from_key(k: Key) -> Words {
    let [a, b, c] = k.to_words();
    (a, b, c)
}

#[pyfunction]
fn random_key(words: Vec<u32>) -> Words {
    from_key(Key::from_seed(&words))
}

#[pyfunction]
fn random_child(key: Words, call: u64) -> Words {
    from_key(to_key(key).child(call))
}

#[pyfunction]
fn random_spawn(key: Words, index: u64) -> Words {
    from_key(to_key(key).spawn(index))
}

#[pyfunction]
fn random_permutation(py: Python<'_>, key: Words, n: u64, chunks: Vec<u64>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let chunks = AxisChunks::new(if chunks.is_empty() { vec![0] } else { chunks });
    Ok(sampling::permutation(to_key(key), n, chunks).or_raise(py)?.into())
}

#[pyfunction]
fn random(
    py: Python<'_>,
    distribution: &str,
    parameters: &Bound<'_, PyDict>,
    dtype: &str,
    key: Words,
    chunks: &Bound<'_, PyAny>,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let missing = |name: &str| {
        pyo3::exceptions::PyTypeError::new_err(format!("{distribution} needs the parameter `{name}`"))
    };
    let get = |name: &str| -> PyResult<Bound<'_, PyAny>> {
        parameters.get_item(name)?.ok_or_else(|| missing(name))
    };
    let f = |name: &str| -> PyResult<f64> { get(name)?.extract() };
    let distribution = match distribution {
        "random" => D::Random,
        "uniform" => D::Uniform { low: f("low")?, high: f("high")? },
        "integers" => D::Integers {
            low: get("low")?.extract()?,
            high: get("high")?.extract()?,
            endpoint: get("endpoint")?.extract()?,
        },
        "standard_normal" => D::StandardNormal,
        "normal" => D::Normal { loc: f("loc")?, scale: f("scale")? },
        "standard_exponential" => D::StandardExponential,
        "exponential" => D::Exponential { scale: f("scale")? },
        "standard_gamma" => D::StandardGamma { shape: f("shape")? },
        "gamma" => D::Gamma { shape: f("shape")?, scale: f("scale")? },
        "poisson" => D::Poisson { lam: f("lam")? },
        "beta" => D::Beta { a: f("a")?, b: f("b")? },
        "binomial" => D::Binomial { n: get("n")?.extract()?, p: f("p")? },
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
        "choice" => D::Choice { p: get("p")?.extract::<Vec<f64>>()?.into() },
        other => return Err(ArrayError::value(format!("there is no distribution `{other}`"))).or_raise(py),
    };
    let dtype = self::dtype(py, dtype)?;
    Ok(sampling::random(distribution, dtype, to_key(key), chunks_from_py(chunks)?).or_raise(py)?.into())
}
