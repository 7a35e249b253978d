//! Lines of files and of bytes.

use super::sequence::wrap;
use super::value::text;
use super::{NotNative, OrRaise};
use pantile_bag::lines::{Delimiter, Encoding, Invalid, decode, split};
use pantile_bag::read::{Compression, cut, decompress_bytes, read};
use pantile_bag::{Part, Result};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::path::{Path, PathBuf};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(bag_read, m)?)?;
    m.add_function(wrap_pyfunction!(bag_cut, m)?)?;
    m.add_function(wrap_pyfunction!(bag_lines, m)?)
}

fn compression_of(name: Option<&str>, path: &Path) -> Result<Compression> {
    Ok(match name {
        None => Compression::None,
        Some("infer") => return Compression::infer(path),
        Some("gzip") => Compression::Gzip,
        Some("bz2") => Compression::Bz2,
        Some("xz") => Compression::Xz,
        Some("zstd") => Compression::Zstd,
        Some(other) => {
            return Err(pantile_bag::Error::NotNative(format!("compression {other:?} is not read natively")));
        }
    })
}

/// The encoding and how errors are treated, if both are done natively.
fn native(encoding: &str, errors: &str) -> Option<(Encoding, Invalid)> {
    let encoding = match encoding.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => Encoding::Utf8,
        "ascii" | "us-ascii" => Encoding::Ascii,
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Encoding::Latin1,
        _ => return None,
    };
    let invalid = match errors {
        "strict" => Invalid::Strict,
        "ignore" => Invalid::Ignore,
        "replace" => Invalid::Replace,
        _ => return None,
    };
    Some((encoding, invalid))
}

fn delimiter_of(delimiter: Option<&str>) -> PyResult<Delimiter> {
    match delimiter {
        None => Ok(Delimiter::Universal),
        Some("") => Err(PyValueError::new_err("a line delimiter must not be empty")),
        Some(text) => Ok(Delimiter::Text(text.to_owned())),
    }
}

/// Bytes that `get` gives, decoded and cut. Only a codec of Python needs the GIL.
fn lines<'py>(
    py: Python<'py>,
    get: impl FnOnce() -> Result<Vec<u8>> + Send,
    encoding: &str,
    errors: &str,
    delimiter: Option<&str>,
    strip: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let delimiter = delimiter_of(delimiter)?;
    let lines = match native(encoding, errors) {
        Some((encoding, invalid)) => {
            py.detach(|| Ok(split(decode(get()?, encoding, invalid)?, &delimiter, strip))).or_raise(py)?
        }
        None => {
            let bytes = py.detach(get).or_raise(py)?;
            let decoded = PyBytes::new(py, &bytes).call_method1("decode", (encoding, errors))?;
            drop(bytes);
            let decoded = text(decoded.cast::<PyString>()?)?.to_owned();
            py.detach(|| split(decoded, &delimiter, strip))
        }
    };
    wrap(py, Part::Strings(lines))
}

#[pyfunction]
#[pyo3(signature = (path, start=None, stop=None, *, compression=Some("infer"), encoding="utf-8", errors="strict", delimiter=None, strip=false))]
#[allow(clippy::too_many_arguments)]
fn bag_read<'py>(
    py: Python<'py>,
    path: PathBuf,
    start: Option<u64>,
    stop: Option<u64>,
    compression: Option<&str>,
    encoding: &str,
    errors: &str,
    delimiter: Option<&str>,
    strip: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let compression = compression_of(compression, &path).or_raise(py)?;
    let get = || read(&path, start.unwrap_or(0), stop, compression);
    lines(py, get, encoding, errors, delimiter, strip).inspect_err(|e| {
        super::note(py, e, &format!("while reading {}", path.display()));
    })
}

#[pyfunction]
#[pyo3(signature = (path, blocksize, delimiter=None))]
fn bag_cut(
    py: Python<'_>,
    path: PathBuf,
    blocksize: u64,
    delimiter: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<(u64, u64)>> {
    let delimiter = match delimiter {
        None => b"\n".to_vec(),
        Some(d) => match d.cast::<PyString>() {
            Ok(s) => text(s)?.as_bytes().to_vec(),
            Err(_) => d.extract::<Vec<u8>>()?,
        },
    };
    py.detach(|| cut(&path, blocksize, &delimiter)).or_raise(py)
}

#[pyfunction]
#[pyo3(signature = (data, *, encoding="utf-8", errors="strict", delimiter=None, strip=false, compression=None))]
fn bag_lines<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    encoding: &str,
    errors: &str,
    delimiter: Option<&str>,
    strip: bool,
    compression: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let name = Path::new("<bytes>");
    if compression == Some("infer") {
        return Err(NotNative::new_err("bytes have no name that tells their compression"));
    }
    let compression = compression_of(compression, name).or_raise(py)?;
    let bytes = PyBuffer::<u8>::get(data)?.to_vec(py)?;
    let get = || match compression {
        Compression::None => Ok(bytes),
        compression => decompress_bytes(&bytes, compression, name),
    };
    lines(py, get, encoding, errors, delimiter, strip)
}
