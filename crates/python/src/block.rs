//! Blocks as Python objects: memory goes to and from NumPy without a copy, through the array interface.

use crate::convert::numpy;
use pantile_array::block::{Block, Dims, Strides};
use pantile_array::pool::Buffer;
use pantile_types::DType;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::Arc;

/// A block that NumPy looks into. Lives as long as any array made from it.
#[pyclass(frozen, name = "Block", module = "pantile._native")]
pub struct PyBlock {
    pub block: Block,
    pub writable: bool,
}

#[pymethods]
impl PyBlock {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let d = PyDict::new(py);
        d.set_item(intern!(py, "version"), 3)?;
        d.set_item(intern!(py, "typestr"), self.block.dtype().descr())?;
        d.set_item(intern!(py, "shape"), PyTuple::new(py, self.block.shape())?)?;
        d.set_item(intern!(py, "strides"), PyTuple::new(py, self.block.strides())?)?;
        // An empty array may have any address but null.
        d.set_item(intern!(py, "data"), (self.block.ptr() as usize, !self.writable))?;
        Ok(d)
    }
}

/// A NumPy array over a block's memory.
pub fn to_numpy<'py>(py: Python<'py>, block: Block, writable: bool) -> PyResult<Bound<'py, PyAny>> {
    let owner = Bound::new(py, PyBlock { block, writable })?;
    numpy(py)?.getattr(intern!(py, "asarray"))?.call1((owner,))
}

/// A NumPy array (or scalar) as a block over its memory. Big-endian and unaligned arrays are copied; dtypes that are not
/// native are a `TypeError`. `counted` tells whether the memory was made in a run and counts against its limit.
pub fn from_numpy(array: &Bound<'_, PyAny>, counted: bool) -> PyResult<Block> {
    let py = array.py();
    let interface = array.getattr(intern!(py, "__array_interface__"))?;
    let interface = interface.cast_into::<PyDict>()?;
    let get = |key: &str| -> PyResult<Bound<'_, PyAny>> {
        interface
            .get_item(key)?
            .ok_or_else(|| PyTypeError::new_err(format!("the array interface lacks `{key}`")))
    };
    let typestr: String = get("typestr")?.extract()?;
    let (dtype, swapped) = crate::convert::parse_dtype(py, &typestr)?;
    if dtype.scalar().is_none() {
        return Err(PyTypeError::new_err(format!("dtype {} is not native", dtype.name())));
    }
    let shape: Vec<usize> = get("shape")?.extract()?;
    let (address, _readonly): (usize, bool) = get("data")?.extract()?;
    if swapped || address % dtype.alignment() != 0 {
        let np = numpy(py)?;
        let native = np.getattr("dtype")?.call1((dtype.descr(),))?;
        let copy = array.call_method1("astype", (native,))?;
        return from_numpy(&copy, counted);
    }
    let strides: Option<Vec<isize>> = match interface.get_item("strides")? {
        Some(s) if !s.is_none() => Some(s.extract()?),
        _ => None,
    };
    let strides: Strides = match strides {
        Some(s) if s.iter().any(|b| b % dtype.alignment() as isize != 0) && shape.iter().all(|&n| n > 0) => {
            let copy = array.call_method0("copy")?;
            return from_numpy(&copy, counted);
        }
        Some(s) => s.into_iter().collect(),
        None => pantile_array::block::c_strides(&shape, dtype.size()),
    };
    Ok(wrap(array.clone().unbind(), address, dtype, shape.into_iter().collect(), strides, counted))
}

/// A block over memory that a Python object keeps alive.
fn wrap(
    owner: Py<PyAny>,
    address: usize,
    dtype: DType,
    shape: Dims,
    strides: Strides,
    counted: bool,
) -> Block {
    // The lowest and one past the highest byte that the strides reach.
    let (mut low, mut high) = (0isize, dtype.size() as isize);
    if shape.iter().all(|&n| n > 0) {
        for (&n, &s) in shape.iter().zip(&strides) {
            let reach = s * (n as isize - 1);
            if reach < 0 { low += reach } else { high += reach }
        }
    }
    let start = (address as isize + low) as *mut u8;
    // SAFETY: NumPy's array owns (or keeps alive) the memory that its interface describes, and the block keeps the array.
    let buffer = unsafe { Buffer::foreign(start, (high - low) as usize, Box::new(owner), counted) };
    // SAFETY: the buffer was made to hold everything that shape and strides reach.
    unsafe { Block::from_parts(Arc::new(buffer), -low, dtype, &shape, &strides) }
}

/// What a Python function returned, as a block of this dtype. Counted in the ledger, as it was made in the run. A dtype that
/// does not convert without losing its kind (a fraction, an imaginary part, a sign) is a `TypeError` that names `maker`.
pub fn from_result(py: Python<'_>, result: &Bound<'_, PyAny>, dtype: DType, maker: &str) -> PyResult<Block> {
    let np = numpy(py)?;
    let want = np.getattr(intern!(py, "dtype"))?.call1((dtype.descr(),))?;
    let asarray = np.getattr(intern!(py, "asarray"))?;
    let array = asarray.call1((result,))?;
    let has = array.getattr(intern!(py, "dtype"))?;
    if has.eq(&want)? {
        return from_numpy(&array, true);
    }
    // Python's own numbers have no size: NumPy converts them where they fit.
    let whole = dtype.is_int() && has.getattr(intern!(py, "kind"))?.eq("i")?;
    if whole && !result.hasattr(intern!(py, "dtype"))? {
        return from_numpy(&asarray.call1((result, want))?, true);
    }
    let cast = np.getattr(intern!(py, "can_cast"))?.call1((&has, &want, "same_kind"))?;
    if !cast.is_truthy()? {
        return Err(PyTypeError::new_err(format!(
            "{maker} gave an array of dtype {has} where {want} was declared, and what it gave cannot be converted without loss; \
             declare dtype={has}, or convert with astype"
        )));
    }
    from_numpy(&array.call_method1(intern!(py, "astype"), (want,))?, true)
}
