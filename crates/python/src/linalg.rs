//! Linear algebra on two-dimensional arrays.

use crate::error::OrRaise;
use crate::expr::{Expr, Here};
use pantile_array::ops::linalg::{self, Limits};
use pantile_linalg::Trans;
use pyo3::prelude::*;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(qr, m)?)?;
    m.add_function(wrap_pyfunction!(svd, m)?)?;
    m.add_function(wrap_pyfunction!(svdvals, m)?)?;
    m.add_function(wrap_pyfunction!(cholesky, m)?)?;
    m.add_function(wrap_pyfunction!(solve, m)?)?;
    m.add_function(wrap_pyfunction!(solve_triangular, m)?)?;
    m.add_function(wrap_pyfunction!(inv, m)?)?;
    m.add_function(wrap_pyfunction!(det, m)?)?;
    m.add_function(wrap_pyfunction!(slogdet, m)?)?;
    m.add_function(wrap_pyfunction!(lstsq, m)?)?;
    Ok(())
}

/// What dense tasks may use: half of the memory limit in one task, which a run has for blocks whatever else the process holds, and
/// all threads of the pool.
fn limits(memory_limit: u64) -> Limits {
    let threads = pantile_exec::default_threads();
    Limits { max_dense_bytes: memory_limit / 2, threads, ..Limits::default() }
}

#[pyfunction]
fn qr(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<(Expr, Expr)> {
    let _here = Here::new(py);
    let (q, r) = linalg::qr(&a.node, &limits(memory_limit)).or_raise(py)?;
    Ok((q.into(), r.into()))
}

#[pyfunction]
fn svd(py: Python<'_>, a: &Expr, full_matrices: bool, memory_limit: u64) -> PyResult<(Expr, Expr, Expr)> {
    let _here = Here::new(py);
    let (u, s, vh) = linalg::svd(&a.node, full_matrices, &limits(memory_limit)).or_raise(py)?;
    Ok((u.into(), s.into(), vh.into()))
}

#[pyfunction]
fn svdvals(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(linalg::svdvals(&a.node, &limits(memory_limit)).or_raise(py)?.into())
}

#[pyfunction]
fn cholesky(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(linalg::cholesky(&a.node, &limits(memory_limit)).or_raise(py)?.into())
}

#[pyfunction]
fn solve(py: Python<'_>, a: &Expr, b: &Expr, memory_limit: u64) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(linalg::solve(&a.node, &b.node, &limits(memory_limit)).or_raise(py)?.into())
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn solve_triangular(
    py: Python<'_>,
    a: &Expr,
    b: &Expr,
    lower: bool,
    trans: u8,
    unit_diagonal: bool,
    memory_limit: u64,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let trans = match trans {
        0 => Trans::No,
        1 => Trans::Transpose,
        2 => Trans::Adjoint,
        other => {
            let text =
                format!("trans must be 0 (A), 1 (its transpose) or 2 (its conjugate transpose), not {other}");
            return Err(pyo3::exceptions::PyValueError::new_err(text));
        }
    };
    Ok(linalg::solve_triangular(&a.node, &b.node, lower, trans, unit_diagonal, &limits(memory_limit))
        .or_raise(py)?
        .into())
}

#[pyfunction]
fn inv(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(linalg::inv(&a.node, &limits(memory_limit)).or_raise(py)?.into())
}

#[pyfunction]
fn det(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<Expr> {
    let _here = Here::new(py);
    Ok(linalg::det(&a.node, &limits(memory_limit)).or_raise(py)?.into())
}

#[pyfunction]
fn slogdet(py: Python<'_>, a: &Expr, memory_limit: u64) -> PyResult<(Expr, Expr)> {
    let _here = Here::new(py);
    let (sign, log) = linalg::slogdet(&a.node, &limits(memory_limit)).or_raise(py)?;
    Ok((sign.into(), log.into()))
}

#[pyfunction]
fn lstsq(
    py: Python<'_>,
    a: &Expr,
    b: &Expr,
    rcond: Option<f64>,
    memory_limit: u64,
) -> PyResult<(Expr, Expr, Expr, Expr)> {
    let _here = Here::new(py);
    let out = linalg::lstsq(&a.node, &b.node, rcond, &limits(memory_limit)).or_raise(py)?;
    Ok((out.x.into(), out.residuals.into(), out.rank.into(), out.s.into()))
}
