//! Functions that build expressions.

use crate::convert::{
    Ints, arg, chunk_specs, chunks_from_py, chunks_to_py, dtype, indices, memory, node, weak,
};
use crate::error::OrRaise;
use crate::expr::{Expr, Here, checked};
use pantile_array::chunks::{AxisChunks, normalize};
use pantile_array::error::ArrayError;
use pantile_array::ops::elementwise::{self, Arg};
use pantile_array::ops::{
    assign as assignment, contract, index as indexing, join, reduction, scan as scanning, shape,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(normalize_chunks, m)?)?;
    m.add_function(wrap_pyfunction!(rechunk, m)?)?;
    m.add_function(wrap_pyfunction!(from_numpy, m)?)?;
    m.add_function(wrap_pyfunction!(fill, m)?)?;
    m.add_function(wrap_pyfunction!(coord, m)?)?;
    m.add_function(wrap_pyfunction!(map, m)?)?;
    m.add_function(wrap_pyfunction!(operations, m)?)?;
    m.add_function(wrap_pyfunction!(operations_table, m)?)?;
    m.add_function(wrap_pyfunction!(result_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(astype, m)?)?;
    m.add_function(wrap_pyfunction!(broadcast_to, m)?)?;
    m.add_function(wrap_pyfunction!(unify, m)?)?;
    m.add_function(wrap_pyfunction!(reduce, m)?)?;
    m.add_function(wrap_pyfunction!(scan, m)?)?;
    m.add_function(wrap_pyfunction!(index, m)?)?;
    m.add_function(wrap_pyfunction!(assign, m)?)?;
    m.add_function(wrap_pyfunction!(take, m)?)?;
    m.add_function(wrap_pyfunction!(transpose, m)?)?;
    m.add_function(wrap_pyfunction!(expand_dims, m)?)?;
    m.add_function(wrap_pyfunction!(squeeze, m)?)?;
    m.add_function(wrap_pyfunction!(reshape, m)?)?;
    m.add_function(wrap_pyfunction!(concatenate, m)?)?;
    m.add_function(wrap_pyfunction!(matmul, m)?)?;
    m.add_function(wrap_pyfunction!(tensordot, m)?)?;
    Ok(())
}

#[pyfunction]
fn normalize_chunks<'py>(
    py: Python<'py>,
    specs: &Bound<'py, PyAny>,
    shape: Vec<u64>,
    itemsize: u64,
    auto_bytes: u64,
    preferred: Option<Vec<u64>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let specs = chunk_specs(specs)?;
    let chunks = normalize(&specs, &shape, itemsize, auto_bytes, preferred.as_deref()).or_raise(py)?;
    chunks_to_py(py, &chunks)
}

#[pyfunction]
fn rechunk(py: Python<'_>, e: &Expr, chunks: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let chunks = chunks_from_py(chunks)?;
    let same = chunks.len() == e.node.ndim()
        && chunks.iter().zip(e.node.chunks()).all(|(a, b)| a == b || (a.is_known() && a.len() == b.len()));
    if !same {
        let text = format!(
            "cannot rechunk an array of shape {} to chunks {chunks:?}: the lengths must be known and add up",
            elementwise::shape_text(&e.node.shape())
        );
        return Err(ArrayError::value(text)).or_raise(py);
    }
    checked(py, Ok(e.node.rechunk(chunks)))
}

#[pyfunction]
fn from_numpy(py: Python<'_>, array: &Bound<'_, PyAny>, chunks: Option<&Bound<'_, PyAny>>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let chunks = chunks.map(chunks_from_py).transpose()?;
    Ok(memory(array, chunks)?.into())
}

#[pyfunction]
fn fill(py: Python<'_>, value: &Bound<'_, PyAny>, dtype: &str, chunks: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let dtype = crate::convert::dtype(py, dtype)?;
    let chunks = chunks_from_py(chunks)?;
    let value = match weak(value)? {
        Some(w) => Arg::Weak(w),
        None => Arg::Array(memory(value, None)?),
    };
    let constant = value.to_expr(dtype).or_raise(py)?;
    checked(py, Ok(elementwise::broadcast_to_chunks(&constant, &chunks)))
}

#[pyfunction]
fn coord(chunks: Vec<u64>) -> Expr {
    elementwise::coord(AxisChunks::new(if chunks.is_empty() { vec![0] } else { chunks })).into()
}

#[pyfunction]
fn map<'py>(py: Python<'py>, name: &str, args: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
    let _here = Here::new(py);
    let args: Vec<Arg> = args.iter().map(arg).collect::<PyResult<_>>()?;
    let op = elementwise::find(name).or_raise(py)?;
    let out = elementwise::map(op, &args).or_raise(py)?;
    let out = out.into_iter().map(|e| checked(py, Ok(e))).collect::<PyResult<Vec<Expr>>>()?;
    PyTuple::new(py, out)
}

#[pyfunction]
fn operations<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for op in pantile_types::catalogue::all() {
        let d = PyDict::new(py);
        d.set_item("name", op.name)?;
        d.set_item("aliases", op.aliases.to_vec())?;
        d.set_item("symbol", op.symbol)?;
        d.set_item("nin", op.nin)?;
        d.set_item("nout", op.nout)?;
        d.set_item("is_ufunc", op.is_ufunc)?;
        d.set_item("doc", op.doc)?;
        d.set_item("chapter", op.chapter.title())?;
        d.set_item("accuracy", format!("{:?}", op.accuracy))?;
        list.append(d)?;
    }
    Ok(list)
}

#[pyfunction]
fn operations_table() -> String {
    pantile_types::catalogue::docs_table()
}

#[pyfunction]
fn result_dtype(py: Python<'_>, name: &str, args: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
    let args: Vec<Arg> = args.iter().map(arg).collect::<PyResult<_>>()?;
    let op = elementwise::find(name).or_raise(py)?;
    Ok(elementwise::map(op, &args).or_raise(py)?.iter().map(|e| e.dtype().descr()).collect())
}

#[pyfunction]
fn astype(py: Python<'_>, e: &Expr, dtype: &str) -> PyResult<Expr> {
    let _here = Here::new(py);
    let dtype = crate::convert::dtype(py, dtype)?;
    checked(py, elementwise::astype(&e.node, dtype))
}

#[pyfunction]
fn broadcast_to(py: Python<'_>, e: &Expr, chunks: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    checked(py, elementwise::broadcast_to(&e.node, chunks_from_py(chunks)?))
}

#[pyfunction]
fn unify(py: Python<'_>, arrays: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<Expr>> {
    let nodes = arrays.iter().map(node).collect::<PyResult<Vec<_>>>()?;
    let (_, out) = elementwise::unify(&nodes).or_raise(py)?;
    Ok(out.into_iter().map(Expr::from).collect())
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn reduce(
    py: Python<'_>,
    name: &str,
    e: &Expr,
    axes: Option<Vec<usize>>,
    keepdims: bool,
    dtype: Option<&str>,
    ddof: f64,
    r#where: Option<&Expr>,
    initial: Option<&Bound<'_, PyAny>>,
    skip_nan: bool,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let initial = match initial {
        None => None,
        Some(v) => Some(
            weak(v)?
                .ok_or_else(|| pyo3::exceptions::PyTypeError::new_err("initial must be a Python number"))?,
        ),
    };
    let params = reduction::Params {
        axes: axes.map(|a| a.into_iter().collect()),
        keepdims,
        dtype: dtype.map(|d| crate::convert::dtype(py, d)).transpose()?,
        ddof,
        mask: r#where.map(|m| m.node.clone()),
        initial,
        skip_nan,
    };
    checked(py, reduction::reduce(name, &e.node, &params))
}

#[pyfunction]
fn scan(py: Python<'_>, e: &Expr, axis: usize, product: bool, dtype: Option<&str>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let dtype = dtype.map(|d| crate::convert::dtype(py, d)).transpose()?;
    checked(py, scanning::scan(&e.node, axis, product, dtype))
}

#[pyfunction]
fn index(py: Python<'_>, e: &Expr, key: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let key = indices(key)?;
    checked(py, indexing::index(&e.node, &key))
}

#[pyfunction]
fn assign(py: Python<'_>, e: &Expr, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let key = indices(key)?;
    checked(py, assignment::assign(&e.node, &key, &arg(value)?))
}

#[pyfunction]
fn take(py: Python<'_>, e: &Expr, positions: Vec<i64>, axis: usize) -> PyResult<Expr> {
    let _here = Here::new(py);
    checked(py, indexing::take(&e.node, &positions, axis, axis))
}

#[pyfunction]
fn transpose(py: Python<'_>, e: &Expr, axes: Vec<usize>) -> Expr {
    let _here = Here::new(py);
    shape::transpose(&e.node, &axes).into()
}

#[pyfunction]
fn expand_dims(py: Python<'_>, e: &Expr, axes: Vec<usize>) -> Expr {
    let _here = Here::new(py);
    shape::expand_dims(&e.node, &axes).into()
}

#[pyfunction]
fn squeeze(py: Python<'_>, e: &Expr, axes: Vec<usize>) -> PyResult<Expr> {
    let _here = Here::new(py);
    checked(py, shape::squeeze(&e.node, &axes))
}

#[pyfunction]
fn reshape(py: Python<'_>, e: &Expr, shape: Vec<i64>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let to: Ints = shape.into_iter().collect();
    checked(py, pantile_array::ops::shape::reshape(&e.node, &to))
}

#[pyfunction]
fn concatenate(
    py: Python<'_>,
    arrays: Vec<Bound<'_, PyAny>>,
    axis: usize,
    dtype: Option<&str>,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let nodes = arrays.iter().map(node).collect::<PyResult<Vec<_>>>()?;
    let dtype = dtype.map(|d| self::dtype(py, d)).transpose()?;
    checked(py, join::concatenate(&nodes, axis, dtype))
}

#[pyfunction]
fn matmul(py: Python<'_>, a: &Expr, b: &Expr) -> PyResult<Expr> {
    let _here = Here::new(py);
    checked(py, contract::matmul(&a.node, &b.node))
}

#[pyfunction]
fn tensordot(py: Python<'_>, a: &Expr, b: &Expr, a_axes: Vec<usize>, b_axes: Vec<usize>) -> PyResult<Expr> {
    let _here = Here::new(py);
    checked(py, contract::tensordot(&a.node, &b.node, &a_axes, &b_axes))
}
