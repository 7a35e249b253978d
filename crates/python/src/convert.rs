//! Arguments: Python objects as dtypes, numbers, indices and chunks.

use crate::block::from_numpy;
use crate::error::OrRaise;
use crate::expr::Expr;
use pantile_array::chunks::{AxisChunks, ChunkSpec, Chunks, UNKNOWN};
use pantile_array::ops::elementwise::{Arg, Weak, fill};
use pantile_array::ops::index::Index;
use pantile_array::source::MemorySource;
use pantile_array::{Expr as Node, Kind};
use pantile_types::DType;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyComplex, PyEllipsis, PyFloat, PyInt, PyList, PySlice, PyString, PyTuple};
use smallvec::SmallVec;
use std::sync::Arc;

/// The module `numpy`.
pub fn numpy(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    Ok(NUMPY.get_or_try_init(py, || PyResult::Ok(py.import("numpy")?.unbind()))?.bind(py).clone())
}

/// A dtype from NumPy's spelling, and whether its bytes are swapped.
pub fn parse_dtype(py: Python<'_>, text: &str) -> PyResult<(DType, bool)> {
    DType::parse_descr(text).or_raise(py)
}

/// A native-order dtype from NumPy's spelling.
pub fn dtype(py: Python<'_>, text: &str) -> PyResult<DType> {
    Ok(parse_dtype(py, text)?.0)
}

/// A Python number; `None` if it is none.
pub fn weak(v: &Bound<'_, PyAny>) -> PyResult<Option<Weak>> {
    if v.is_exact_instance_of::<PyBool>() {
        return Ok(Some(Weak::Bool(v.extract()?)));
    }
    if v.is_exact_instance_of::<PyInt>() {
        if let Ok(v) = v.extract::<i128>() {
            return Ok(Some(Weak::Int(v)));
        }
        let infinite = || PyResult::Ok(if v.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY });
        return Ok(Some(Weak::Huge(v.extract::<f64>().or_else(|_| infinite())?)));
    }
    if v.is_exact_instance_of::<PyFloat>() {
        return Ok(Some(Weak::Float(v.extract()?)));
    }
    if let Ok(c) = v.cast_exact::<PyComplex>() {
        use pyo3::types::PyComplexMethods;
        return Ok(Some(Weak::Complex(c.real(), c.imag())));
    }
    Ok(None)
}

/// An array in memory as an expression. Without axes it is a constant.
pub fn memory(array: &Bound<'_, PyAny>, chunks: Option<Chunks>) -> PyResult<Node> {
    let block = from_numpy(array, false)?;
    if block.ndim() == 0 {
        return Ok(fill(block.item(), block.dtype(), Chunks::new()));
    }
    let chunks =
        chunks.unwrap_or_else(|| block.shape().iter().map(|&n| AxisChunks::whole(n as u64)).collect());
    let dtype = block.dtype();
    Ok(Node::new(Kind::Source(Arc::new(MemorySource::new(block))), dtype, chunks))
}

/// An argument of an elementwise operation: an expression, a Python number, or anything NumPy sees as an array.
pub fn arg(v: &Bound<'_, PyAny>) -> PyResult<Arg> {
    if let Ok(e) = v.cast::<Expr>() {
        return Ok(Arg::Array(e.get().node.clone()));
    }
    if let Some(w) = weak(v)? {
        return Ok(Arg::Weak(w));
    }
    Ok(Arg::Array(memory(v, None)?))
}

/// An expression.
pub fn node(v: &Bound<'_, PyAny>) -> PyResult<Node> {
    match v.cast::<Expr>() {
        Ok(e) => Ok(e.get().node.clone()),
        Err(_) => Err(PyTypeError::new_err(format!("expected an expression, not {}", v.get_type().name()?))),
    }
}

/// A list of axes or lengths.
pub type Ints = SmallVec<[i64; 4]>;

/// The entries of a subscript.
pub fn indices(key: &Bound<'_, PyAny>) -> PyResult<Vec<Index>> {
    match key.cast::<PyTuple>() {
        Ok(entries) => {
            let mut out = Vec::with_capacity(entries.len());
            for k in entries.iter() {
                index_entry(&k, &mut out)?;
            }
            Ok(out)
        }
        Err(_) => {
            let mut out = Vec::with_capacity(1);
            index_entry(key, &mut out)?;
            Ok(out)
        }
    }
}

fn optional_int(v: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if v.is_none() {
        return Ok(None);
    }
    let v = v.call_method0(intern!(v.py(), "__index__")).map_err(|_| {
        PyTypeError::new_err("slice indices must be integers or None or have an __index__ method")
    })?;
    // Beyond 64 bits every bound means the end.
    Ok(Some(
        v.extract::<i64>()
            .unwrap_or_else(|_| if v.lt(0).unwrap_or(false) { i64::MIN / 2 } else { i64::MAX / 2 }),
    ))
}

fn index_entry(k: &Bound<'_, PyAny>, out: &mut Vec<Index>) -> PyResult<()> {
    let py = k.py();
    if k.is_none() {
        out.push(Index::NewAxis);
    } else if k.is_instance_of::<PyEllipsis>() {
        out.push(Index::Ellipsis);
    } else if let Ok(s) = k.cast::<PySlice>() {
        let part = |name| -> PyResult<Option<i64>> { optional_int(&s.getattr(name)?) };
        out.push(Index::Slice(
            part(intern!(py, "start"))?,
            part(intern!(py, "stop"))?,
            part(intern!(py, "step"))?,
        ));
    } else if let Ok(e) = k.cast::<Expr>() {
        let e = &e.get().node;
        if e.dtype() != DType::Bool {
            return Err(PyIndexError::new_err(
                "a lazy index array must be boolean; compute integer indices first, with .compute()",
            ));
        }
        out.push(Index::Mask(e.clone()));
    } else if k.is_instance_of::<PyBool>() || k.is_instance_of::<PyString>() {
        return Err(PyIndexError::new_err(
            "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid indices",
        ));
    } else if !k.is_instance_of::<PyList>() && k.hasattr(intern!(py, "__index__"))? && !is_array(k)? {
        let i = k.call_method0(intern!(py, "__index__"))?;
        let position =
            i.extract().map_err(|_| PyIndexError::new_err("cannot fit 'int' into an index-sized integer"))?;
        out.push(Index::Int(position));
    } else {
        out.push(array_entry(k)?);
    }
    Ok(())
}

fn is_array(k: &Bound<'_, PyAny>) -> PyResult<bool> {
    match k.getattr_opt(intern!(k.py(), "ndim"))? {
        Some(n) => Ok(n.extract::<usize>().unwrap_or(0) > 0),
        None => Ok(false),
    }
}

/// A list or a NumPy array as an index.
fn array_entry(k: &Bound<'_, PyAny>) -> PyResult<Index> {
    let py = k.py();
    let np = numpy(py)?;
    let array = np.call_method1(intern!(py, "asarray"), (k,))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let ndim: usize = array.getattr("ndim")?.extract()?;
    let size: usize = array.getattr("size")?.extract()?;
    match kind.as_str() {
        "b" if ndim == 1 => {
            let positions = np.call_method1("flatnonzero", (array.clone(),))?;
            // The length is checked against the axis where it is known: as a lazy mask would be.
            let positions: Vec<i64> = positions.call_method0("tolist")?.extract()?;
            Ok(Index::Flags(size as u64, positions.into()))
        }
        "b" => Ok(Index::Mask(memory(&array, None)?)),
        "i" | "u" if ndim == 1 => {
            let array = array.call_method1("astype", ("int64",))?;
            let positions: Vec<i64> = array.call_method0("tolist")?.extract()?;
            Ok(Index::Take(positions.into()))
        }
        "f" if size == 0 && ndim == 1 => Ok(Index::Take(Vec::new().into())),
        "i" | "u" if ndim == 0 => Ok(Index::Int(array.extract()?)),
        "i" | "u" => Err(PyIndexError::new_err(
            "index arrays with several dimensions are not supported; use ravel() and reshape() around a one-dimensional index",
        )),
        _ => Err(PyIndexError::new_err("arrays used as indices must be of integer (or boolean) type")),
    }
}

/// Chunks as users write them, one entry an axis, already spread by the Python layer: an int, -1, "auto", "64MB" (as ("bytes", n)) or a
/// tuple of lengths.
pub fn chunk_specs(v: &Bound<'_, PyAny>) -> PyResult<Vec<ChunkSpec>> {
    let mut out = Vec::new();
    for s in v.try_iter()? {
        let s = s?;
        if let Ok(text) = s.cast::<PyString>() {
            if text.to_cow()? == "auto" {
                out.push(ChunkSpec::Auto);
                continue;
            }
            return Err(PyValueError::new_err(format!(
                "chunks are lengths, \"auto\", sizes such as \"64MB\", or -1; not {text}"
            )));
        }
        if s.is_instance_of::<PyInt>() || s.hasattr("__index__")? {
            let n: i64 = s.call_method0("__index__")?.extract()?;
            out.push(match n {
                -1 => ChunkSpec::Whole,
                n if n >= 0 => ChunkSpec::Size(n as u64),
                n => {
                    return Err(PyValueError::new_err(format!(
                        "a chunk cannot have length {n}; -1 means the whole axis"
                    )));
                }
            });
            continue;
        }
        let parts: Vec<Bound<'_, PyAny>> = s.try_iter()?.collect::<PyResult<_>>()?;
        if let [first, second] = parts.as_slice()
            && first.extract::<String>().is_ok_and(|t| t == "bytes")
        {
            out.push(ChunkSpec::Bytes(second.extract()?));
            continue;
        }
        let sizes: Vec<u64> = parts
            .iter()
            .map(|p| {
                p.extract::<u64>().map_err(|_| {
                    PyValueError::new_err(format!("a chunk's length must be a whole number, not {p}"))
                })
            })
            .collect::<PyResult<_>>()?;
        out.push(ChunkSpec::Explicit(sizes));
    }
    Ok(out)
}

/// Cuts as Python shows them: lengths, `None` where unknown.
pub fn chunks_to_py<'py>(py: Python<'py>, chunks: &Chunks) -> PyResult<Bound<'py, PyTuple>> {
    let axes: Vec<Bound<'py, PyTuple>> = chunks
        .iter()
        .map(|c| PyTuple::new(py, c.sizes().iter().map(|&n| if n == UNKNOWN { None } else { Some(n) })))
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, axes)
}

/// The inverse of `chunks_to_py`: explicit lengths, `None` where unknown.
pub fn chunks_from_py(v: &Bound<'_, PyAny>) -> PyResult<Chunks> {
    let axes: Vec<Vec<Option<u64>>> = v.extract()?;
    Ok(axes
        .into_iter()
        .map(|a| AxisChunks::new(a.into_iter().map(|n| n.unwrap_or(UNKNOWN)).collect()))
        .collect())
}
