//! The classes `Strings` and `Values`: native partitions that look like sequences.
//!
//! They pickle as buffers, which protocol 5 passes out of band: a partition crosses to another process without its bytes being
//! copied into a pickle.

use super::OrRaise;
use super::value::{part_from_list, to_python};
use pantile_bag::strings::Offsets;
use pantile_bag::{Part, Strings as Text, Values as Data};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice, PyTuple};
use std::ffi::c_int;
use std::sync::Arc;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Strings>()?;
    m.add_class::<Values>()?;
    m.add_class::<Bytes>()?;
    m.add_class::<Walk>()?;
    m.add_function(wrap_pyfunction!(bag_rebuild, m)?)
}

/// A native sequence of str.
#[pyclass(frozen, sequence, module = "pantile._native")]
pub struct Strings {
    part: Arc<Part>,
}

/// A native sequence of JSON-like values.
#[pyclass(frozen, sequence, module = "pantile._native")]
pub struct Values {
    part: Arc<Part>,
}

/// The partition behind an object: one of the two classes, or a list that is converted.
pub fn part_of(obj: &Bound<'_, PyAny>) -> PyResult<Arc<Part>> {
    if let Ok(s) = obj.cast::<Strings>() {
        Ok(s.get().part.clone())
    } else if let Ok(v) = obj.cast::<Values>() {
        Ok(v.get().part.clone())
    } else {
        Ok(Arc::new(part_from_list(obj)?))
    }
}

/// The object of a partition.
pub fn wrap(py: Python<'_>, part: Part) -> PyResult<Bound<'_, PyAny>> {
    let text = matches!(part, Part::Strings(_));
    let part = Arc::new(part);
    Ok(if text {
        Bound::new(py, Strings { part })?.into_any()
    } else {
        Bound::new(py, Values { part })?.into_any()
    })
}

fn to_list<'py>(py: Python<'py>, part: &Part) -> PyResult<Bound<'py, PyList>> {
    let items = (0..part.len()).map(|i| to_python(py, part.get(i))).collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, items)
}

fn get_item<'py>(part: &Part, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = index.py();
    let n = part.len() as isize;
    if let Ok(slice) = index.cast::<PySlice>() {
        let range = slice.indices(n)?;
        let (from, count) = (range.start.max(0) as usize, range.slicelength);
        let piece = match part {
            Part::Strings(s) => Part::Strings(s.slice(from, range.step, count)),
            Part::Values(v) => Part::Values(v.slice(from, range.step, count).or_raise(py)?),
        };
        return wrap(py, piece);
    }
    let at = index.extract::<isize>().map_err(|e| {
        if e.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err("indices must be ints or slices")
        } else {
            PyIndexError::new_err("index out of range")
        }
    })?;
    let at = if at < 0 { at + n } else { at };
    if at < 0 || at >= n {
        return Err(PyIndexError::new_err("index out of range"));
    }
    to_python(py, part.get(at as usize))
}

/// Equal to lists and native sequences with equal elements.
fn equals<'py>(part: &Part, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = other.py();
    let native = other.is_instance_of::<Strings>() || other.is_instance_of::<Values>();
    if !native && !other.is_instance_of::<PyList>() {
        return Ok(py.NotImplemented().into_bound(py));
    }
    if other.len()? != part.len() {
        return Ok(false.into_pyobject(py)?.to_owned().into_any());
    }
    let other = if native { to_list(py, &*part_of(other)?)?.into_any() } else { other.clone() };
    to_list(py, part)?.rich_compare(other, pyo3::basic::CompareOp::Eq)
}

fn show(py: Python<'_>, part: &Part, class: &str) -> PyResult<String> {
    const SHOWN: usize = 5;
    let mut shown = Vec::new();
    for i in 0..part.len().min(SHOWN) {
        shown.push(to_python(py, part.get(i))?.repr()?.to_string());
    }
    if part.len() > SHOWN {
        shown.push(format!("... {} in all", part.len()));
    }
    Ok(format!("{class}([{}])", shown.join(", ")))
}

macro_rules! sequence {
    ($class:ident, $name:literal) => {
        #[pymethods]
        impl $class {
            fn __len__(&self) -> usize {
                self.part.len()
            }
            fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                get_item(&self.part, index)
            }
            fn __iter__(&self) -> Walk {
                Walk { part: self.part.clone(), at: 0 }
            }
            fn __eq__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                equals(&self.part, other)
            }
            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                show(py, &self.part, $name)
            }
            fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
                to_list(py, &self.part)
            }
            #[getter]
            fn nbytes(&self) -> usize {
                nbytes(&self.part)
            }
            #[getter]
            fn kind(&self) -> &'static str {
                kind(&self.part)
            }
            #[staticmethod]
            fn from_list<'py>(list: &Bound<'py, PyAny>) -> PyResult<Self> {
                let part = part_from_list(list)?;
                Self::new(part)
            }
            fn __reduce_ex__<'py>(&self, py: Python<'py>, protocol: i32) -> PyResult<Bound<'py, PyAny>> {
                reduce(py, &self.part, protocol)
            }
        }
    };
}

sequence!(Strings, "Strings");
sequence!(Values, "Values");

impl Strings {
    fn new(part: Part) -> PyResult<Strings> {
        match part {
            Part::Strings(_) => Ok(Strings { part: Arc::new(part) }),
            Part::Values(_) => Err(PyTypeError::new_err("Strings holds str only")),
        }
    }
}

impl Values {
    fn new(part: Part) -> PyResult<Values> {
        let part = match part {
            Part::Strings(strings) => Part::Values(Data::Strs(strings)),
            values => values,
        };
        Ok(Values { part: Arc::new(part) })
    }
}

fn nbytes(part: &Part) -> usize {
    match part {
        Part::Strings(s) => s.nbytes(),
        Part::Values(v) => v.nbytes(),
    }
}

fn kind(part: &Part) -> &'static str {
    match part {
        Part::Strings(_) => "strings",
        Part::Values(Data::Ints(_)) => "ints",
        Part::Values(Data::Floats(_)) => "floats",
        Part::Values(Data::Bools(_)) => "bools",
        Part::Values(Data::Strs(_)) => "strs",
        Part::Values(Data::StrLists(..)) => "strlists",
        Part::Values(Data::Any(..)) => "any",
    }
}

/// Iterates over a partition.
#[pyclass(module = "pantile._native", name = "_BagIter")]
struct Walk {
    part: Arc<Part>,
    at: usize,
}

#[pymethods]
impl Walk {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }
    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.at >= self.part.len() {
            return Ok(None);
        }
        self.at += 1;
        to_python(py, self.part.get(self.at - 1)).map(Some)
    }
    fn __length_hint__(&self) -> usize {
        self.part.len() - self.at
    }
}

/// Memory of a partition, for pickling without a copy.
#[pyclass(frozen, module = "pantile._native", name = "_BagBytes")]
struct Bytes {
    source: Source,
}

enum Source {
    Shared(Arc<Part>),
    Own(Vec<u8>),
}

impl Bytes {
    fn bytes(&self) -> &[u8] {
        match &self.source {
            Source::Own(bytes) => bytes,
            Source::Shared(part) => match &**part {
                Part::Strings(s) | Part::Values(Data::Strs(s) | Data::StrLists(s, _)) => s.text().as_bytes(),
                Part::Values(v) => v.as_tape().map_or(&[], |(bytes, _)| bytes),
            },
        }
    }
}

#[pymethods]
impl Bytes {
    // SAFETY: Python calls this with a view to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes = slf.get().bytes();
        // SAFETY: the memory is immutable and lives as long as the object, which the view keeps.
        let rc = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr() as *mut _,
                bytes.len() as ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if rc == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

fn reduce<'py>(py: Python<'py>, part: &Arc<Part>, protocol: i32) -> PyResult<Bound<'py, PyAny>> {
    let shared = || Source::Shared(part.clone());
    let of = |o: &Offsets| Source::Own(o.to_bytes());
    let (wide, sources): (Vec<bool>, Vec<Source>) = match &**part {
        Part::Strings(s) | Part::Values(Data::Strs(s)) => {
            (vec![s.offsets().is_wide()], vec![shared(), of(s.offsets())])
        }
        Part::Values(Data::StrLists(s, o)) => {
            (vec![s.offsets().is_wide(), o.is_wide()], vec![shared(), of(s.offsets()), of(o)])
        }
        Part::Values(Data::Any(_, o)) => (vec![o.is_wide()], vec![shared(), of(o)]),
        Part::Values(Data::Ints(v)) => {
            (vec![], vec![Source::Own(v.iter().flat_map(|v| v.to_le_bytes()).collect())])
        }
        Part::Values(Data::Floats(v)) => {
            (vec![], vec![Source::Own(v.iter().flat_map(|v| v.to_le_bytes()).collect())])
        }
        Part::Values(Data::Bools(v)) => (vec![], vec![Source::Own(v.iter().map(|&b| b as u8).collect())]),
    };
    let buffers = sources
        .into_iter()
        .map(|source| {
            let bytes = Bytes { source };
            if protocol < 5 {
                return Ok(PyBytes::new(py, bytes.bytes()).into_any());
            }
            py.import("pickle")?.getattr("PickleBuffer")?.call1((Bound::new(py, bytes)?,))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let rebuild = py.import("pantile._native")?.getattr("_bag_rebuild")?;
    let args = (kind(part), wide, PyTuple::new(py, buffers)?).into_pyobject(py)?;
    Ok((rebuild, args).into_pyobject(py)?.into_any())
}

/// Makes a sequence again of what it was pickled as. What does not fit together is refused.
#[pyfunction]
#[pyo3(name = "_bag_rebuild")]
fn bag_rebuild<'py>(
    py: Python<'py>,
    kind: &str,
    wide: Vec<bool>,
    buffers: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let buffers =
        buffers.iter().map(|b| PyBuffer::<u8>::get(b)?.to_vec(py)).collect::<PyResult<Vec<Vec<u8>>>>()?;
    let damaged = || PyValueError::new_err("a pickled sequence is damaged");
    let wide = |i: usize| wide.get(i).copied().unwrap_or(false);
    let text = |text: &Vec<u8>, ends: &Vec<u8>| -> PyResult<Text> {
        let text = String::from_utf8(text.clone()).map_err(|_| damaged())?;
        let ends = Offsets::from_bytes(ends, wide(0), text.len()).or_raise(py)?;
        Text::from_parts(text, ends).or_raise(py)
    };
    let part = match (kind, &buffers[..]) {
        ("strings", [bytes, ends]) => Part::Strings(text(bytes, ends)?),
        ("strs", [bytes, ends]) => Part::Values(Data::Strs(text(bytes, ends)?)),
        ("strlists", [bytes, ends, lists]) => {
            let strings = text(bytes, ends)?;
            let lists = Offsets::from_bytes(lists, wide(1), strings.len()).or_raise(py)?;
            Part::Values(Data::StrLists(strings, lists))
        }
        ("any", [bytes, ends]) => {
            let ends = Offsets::from_bytes(ends, wide(0), bytes.len()).or_raise(py)?;
            Part::Values(Data::from_tape(bytes.clone(), ends).or_raise(py)?)
        }
        ("bools", [bytes]) => Part::Values(Data::Bools(bytes.iter().map(|&b| b != 0).collect())),
        ("ints", [bytes]) if bytes.len().is_multiple_of(8) => {
            Part::Values(Data::Ints(eights(bytes).map(i64::from_le_bytes).collect()))
        }
        ("floats", [bytes]) if bytes.len().is_multiple_of(8) => {
            Part::Values(Data::Floats(eights(bytes).map(f64::from_le_bytes).collect()))
        }
        _ => return Err(damaged()),
    };
    wrap(py, part)
}

fn eights(bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
    bytes.chunks_exact(8).filter_map(|c| c.try_into().ok())
}
