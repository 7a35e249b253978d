//! Random arrays: keys and distributions.

use crate::convert::{chunks_from_py, dtype};
use crate::error::OrRaise;
use crate::expr::{Expr, Here};
use pantile_array::ArrayError;
use pantile_array::chunks::AxisChunks;
use pantile_array::ops::random as sampling;
use pantile_array::ops::sampled::{Parameter, not_negative, sampled};
use pantile_array::random::{Distribution as D, Key, Number};
use pyo3::prelude::*;
use pyo3::types::PyDict;

type Words = (u32, u32, u32);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(random, m)?)?;
    m.add_function(wrap_pyfunction!(random_key, m)?)?;
    m.add_function(wrap_pyfunction!(random_child, m)?)?;
    m.add_function(wrap_pyfunction!(random_spawn, m)?)?;
    m.add_function(wrap_pyfunction!(random_permutation, m)?)?;
    m.add_function(wrap_pyfunction!(random_not_negative, m)?)?;
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

/// The same array, whose elements must not be negative; else computing it is an error with this text.
#[pyfunction]
fn random_not_negative(py: Python<'_>, e: &Expr, message: &str) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(not_negative(&e.node, message).or_raise(py)?.into())
}

/// A parameter: exact where Python has a whole number.
fn number(value: &Bound<'_, PyAny>) -> PyResult<Number> {
    match value.extract::<i128>() {
        Ok(whole) => Ok(Number::Int(whole)),
        Err(_) => Ok(Number::Float(value.extract()?)),
    }
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
    let known = |found: Option<D>| {
        found
            .ok_or_else(|| ArrayError::value(format!("there is no distribution `{distribution}`")))
            .or_raise(py)
    };
    let dtype = self::dtype(py, dtype)?;
    let (key, chunks) = (to_key(key), chunks_from_py(chunks)?);
    let mut given = Vec::new();
    let mut arrays = false;
    for (name, value) in parameters.iter() {
        let parameter = match value.cast::<Expr>() {
            Ok(e) => Parameter::Array(e.get().node.clone()),
            Err(_) => continue,
        };
        arrays = true;
        given.push((name.extract::<String>()?, parameter));
    }
    if arrays {
        for (name, value) in parameters.iter() {
            if value.cast::<Expr>().is_err() {
                given.push((name.extract()?, Parameter::Number(number(&value)?)));
            }
        }
        return Ok(sampled(distribution, &given, dtype, key, chunks).or_raise(py)?.into());
    }
    let chosen = if distribution == "choice" {
        D::Choice { p: get("p")?.extract::<Vec<f64>>()?.into() }
    } else {
        known(D::named(distribution, |name| number(&get(name)?))?)?
    };
    Ok(sampling::random(chosen, dtype, key, chunks).or_raise(py)?.into())
}
