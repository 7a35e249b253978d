//! Files: HDF5, npy and Zarr through the native readers and writers.

use crate::convert::{chunks_from_py, dtype, numpy, parse_dtype};
use crate::error::{OrRaise, array_error};
use crate::expr::{Expr, Here};
use crate::source::counted;
use pantile_array::{ArrayError, Expr as Node, Kind};
use pantile_io::hdf5::{ChunkEntry, ChunkedLayout, ContiguousLayout, Reader};
use pantile_io::npy::{NpyFile, NpyWriter};
use pantile_io::source::{Hdf5Source, NpySource, Target, ZarrSource, array_error as io_error};
use pantile_io::zarr::ZarrArray;
use pantile_io::zarr_create::{BloscShuffle, Compressor, ZarrSpec, ZarrWriter};
use pantile_io::{ElementLayout, Filter};
use parking_lot::RwLock;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::path::{Path, PathBuf};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<NativeTarget>()?;
    m.add_function(wrap_pyfunction!(from_hdf5_contiguous, m)?)?;
    m.add_function(wrap_pyfunction!(from_hdf5_chunked, m)?)?;
    m.add_function(wrap_pyfunction!(open_npy, m)?)?;
    m.add_function(wrap_pyfunction!(from_npy, m)?)?;
    m.add_function(wrap_pyfunction!(open_zarr, m)?)?;
    m.add_function(wrap_pyfunction!(from_zarr, m)?)?;
    m.add_function(wrap_pyfunction!(create_zarr, m)?)?;
    m.add_function(wrap_pyfunction!(create_npy, m)?)?;
    Ok(())
}

fn io<T>(py: Python<'_>, r: Result<T, pantile_io::Error>) -> PyResult<T> {
    // A file that is not there is Python's FileNotFoundError, through the number of the system's error.
    r.map_err(|e| match e.io_error().and_then(std::io::Error::raw_os_error) {
        Some(code) => pyo3::exceptions::PyOSError::new_err((code, e.to_string())),
        None => array_error(py, io_error(e)),
    })
}

fn element(py: Python<'_>, descr: &str) -> PyResult<ElementLayout> {
    ElementLayout::from_descr(descr)
        .ok_or_else(|| ArrayError::Unsupported(format!("elements of type {descr} are not read natively")))
        .or_raise(py)
}

fn hdf5(
    py: Python<'_>,
    reader: Reader,
    descr: &str,
    text: String,
    chunks: &Bound<'_, PyAny>,
) -> PyResult<Expr> {
    let (dtype, _) = parse_dtype(py, descr)?;
    let chunks = chunks_from_py(chunks)?;
    let source = Hdf5Source::new(reader, dtype, text);
    Ok(Node::new(Kind::Source(counted(source)), dtype, chunks).into())
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn from_hdf5_contiguous(
    py: Python<'_>,
    path: PathBuf,
    dataset: String,
    shape: Vec<u64>,
    dtype: &str,
    offset: Option<u64>,
    fill: Vec<u8>,
    chunks: &Bound<'_, PyAny>,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let text = format!("HDF5 dataset {dataset} in {} (contiguous, native reader)", path.display());
    let element = element(py, dtype)?;
    let layout = ContiguousLayout { path, dataset, shape, element, offset, fill_value: fill };
    let reader = io(py, Reader::contiguous(layout))?;
    hdf5(py, reader, dtype, text, chunks)
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn from_hdf5_chunked(
    py: Python<'_>,
    path: PathBuf,
    dataset: String,
    shape: Vec<u64>,
    chunk_shape: Vec<u64>,
    dtype: &str,
    filters: Vec<Bound<'_, PyTuple>>,
    fill: Vec<u8>,
    index: Vec<(Vec<u64>, u64, u64, u32)>,
    chunks: &Bound<'_, PyAny>,
) -> PyResult<Expr> {
    let _here = Here::new(py);
    let mut pipeline = Vec::new();
    let mut names = Vec::new();
    for f in &filters {
        let name: String = f.get_item(0)?.extract()?;
        pipeline.push(match name.as_str() {
            "gzip" => Filter::Gzip,
            "shuffle" => Filter::Shuffle { elem: f.get_item(1)?.extract()? },
            "fletcher32" => Filter::Fletcher32,
            "lzf" => Filter::Lzf,
            other => return Err(PyValueError::new_err(format!("there is no native filter `{other}`"))),
        });
        names.push(name);
    }
    let filters_text = if names.is_empty() { "chunked".to_string() } else { names.join(" + ") };
    let text = format!("HDF5 dataset {dataset} in {} ({filters_text}, native reader)", path.display());
    let layout = ChunkedLayout {
        path,
        dataset,
        shape,
        chunk_shape,
        element: element(py, dtype)?,
        filters: pipeline,
        fill_value: fill,
        chunks: index
            .into_iter()
            .map(|(at, offset, stored_bytes, filter_mask)| {
                (at, ChunkEntry { offset, stored_bytes, filter_mask })
            })
            .collect(),
    };
    let reader = io(py, Reader::chunked(layout))?;
    hdf5(py, reader, dtype, text, chunks)
}

#[pyfunction]
fn open_npy<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let file = io(py, NpyFile::open(&path))?;
    let d = PyDict::new(py);
    d.set_item("shape", PyTuple::new(py, file.shape())?)?;
    d.set_item("dtype", file.header().descr.clone())?;
    Ok(d)
}

#[pyfunction]
fn from_npy(py: Python<'_>, path: PathBuf, chunks: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let file = io(py, NpyFile::open(&path))?;
    let dtype = dtype(py, &file.header().descr)?;
    Ok(Node::new(Kind::Source(counted(NpySource::new(file, dtype))), dtype, chunks_from_py(chunks)?).into())
}

#[pyfunction]
fn open_zarr<'py>(py: Python<'py>, path: PathBuf, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let array = io(py, ZarrArray::open(&path, name))?;
    let d = PyDict::new(py);
    d.set_item("shape", PyTuple::new(py, array.shape())?)?;
    d.set_item("dtype", array.descr())?;
    d.set_item("chunks", PyTuple::new(py, array.chunk_shape())?)?;
    d.set_item("inner_chunks", array.inner_chunk_shape().map(|c| PyTuple::new(py, c)).transpose()?)?;
    d.set_item("fill_value", array.fill_value())?;
    d.set_item("attributes", array.attributes_json())?;
    d.set_item("format", array.format())?;
    Ok(d)
}

#[pyfunction]
fn from_zarr(py: Python<'_>, path: PathBuf, name: &str, chunks: &Bound<'_, PyAny>) -> PyResult<Expr> {
    let _here = Here::new(py);
    let array = io(py, ZarrArray::open(&path, name))?;
    let dtype = dtype(py, array.descr())?;
    Ok(Node::new(Kind::Source(counted(ZarrSource::new(array, dtype))), dtype, chunks_from_py(chunks)?).into())
}

enum Writer {
    Npy(NpyWriter),
    Zarr(Box<ZarrWriter>),
    Closed,
}

/// A file that is being written; it takes its place when it is finished.
#[pyclass(frozen, module = "pantile._native")]
pub struct NativeTarget {
    writer: RwLock<Writer>,
}

impl NativeTarget {
    /// Writes a block; from any thread.
    pub fn write(&self, start: &[u64], block: &pantile_array::Block) -> pantile_array::Result<()> {
        match &*self.writer.read() {
            Writer::Npy(w) => Target::write(w, start, block),
            Writer::Zarr(w) => Target::write(w.array(), start, block),
            Writer::Closed => Err(ArrayError::value("the target was finished or discarded already")),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<u64> {
        match &*self.writer.read() {
            Writer::Npy(w) => Target::shape(w).to_vec(),
            Writer::Zarr(w) => Target::shape(w.array()).to_vec(),
            Writer::Closed => Vec::new(),
        }
    }

    /// Chunks that several tasks must not write parts of at once.
    pub fn stored_chunks(&self) -> Option<Vec<u64>> {
        match &*self.writer.read() {
            Writer::Zarr(w) => Target::stored_chunks(w.array()).map(<[u64]>::to_vec),
            Writer::Npy(_) | Writer::Closed => None,
        }
    }
}

#[pymethods]
impl NativeTarget {
    /// Moves what was written into place.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let writer = std::mem::replace(&mut *self.writer.write(), Writer::Closed);
        match writer {
            Writer::Npy(w) => io(py, w.finish()),
            Writer::Zarr(w) => io(py, w.finish().map(|_| ())),
            Writer::Closed => Err(PyValueError::new_err("the target was finished or discarded already")),
        }
    }

    /// Removes what was written.
    fn discard(&self) {
        *self.writer.write() = Writer::Closed;
    }
}

fn compressor(name: &str, level: i32) -> PyResult<Compressor> {
    let unsigned = level.max(0) as u32;
    let blosc =
        |codec: &str| Compressor::Blosc { codec: codec.into(), level: unsigned, shuffle: BloscShuffle::Byte };
    Ok(match name {
        "gzip" => Compressor::Gzip { level: unsigned },
        "zlib" => Compressor::Zlib { level: unsigned },
        "zstd" => Compressor::Zstd { level },
        "blosc" => blosc("lz4"),
        other => match other.strip_prefix("blosc:") {
            Some(codec) => blosc(codec),
            None => {
                return Err(PyValueError::new_err(format!(
                    "there is no compressor {other:?}; there are gzip, zlib, zstd, blosc and blosc:CODEC"
                )));
            }
        },
    })
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // The signature is the contract in `_native.pyi`.
fn create_zarr(
    py: Python<'_>,
    path: PathBuf,
    name: &str,
    shape: Vec<u64>,
    chunks: Vec<u64>,
    shards: Option<Vec<u64>>,
    dtype: &str,
    fill_value: &Bound<'_, PyAny>,
    compressor: Option<&str>,
    level: i32,
    format: u8,
    overwrite: bool,
    attributes: String,
) -> PyResult<NativeTarget> {
    let fill = numpy(py)?
        .getattr("asarray")?
        .call1((fill_value, dtype))?
        .call_method0("tobytes")?
        .extract::<Vec<u8>>()?;
    let spec = ZarrSpec {
        shape,
        chunks,
        shards,
        descr: dtype.to_string(),
        fill_value: fill,
        compressor: compressor.map(|c| self::compressor(c, level)).transpose()?,
        format,
        overwrite,
        attributes_json: attributes,
    };
    let writer = io(py, ZarrWriter::create(&path, name, &spec))?;
    Ok(NativeTarget { writer: RwLock::new(Writer::Zarr(Box::new(writer))) })
}

#[pyfunction]
fn create_npy(py: Python<'_>, path: PathBuf, shape: Vec<u64>, dtype: &str) -> PyResult<NativeTarget> {
    let writer = io(py, NpyWriter::create(Path::new(&path), dtype, &shape))?;
    Ok(NativeTarget { writer: RwLock::new(Writer::Npy(writer)) })
}
