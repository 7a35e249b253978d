//! The class `Expr`: a node of the expression graph, as Python holds it.

use crate::convert::chunks_to_py;
use crate::error::OrRaise;
use pantile_array::ArrayError;
use pantile_array::chunks::check_size;
use pantile_array::expr::{Origin, set_origin};
use pantile_array::{Expr as Node, Kind};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use std::sync::Arc;

/// A node of the expression graph. Immutable; equal nodes are the same node.
#[pyclass(frozen, module = "pantile._native")]
pub struct Expr {
    pub node: Node,
}

impl From<Node> for Expr {
    fn from(node: Node) -> Expr {
        Expr { node }
    }
}

/// A node for Python, if arrays of its size can be worked with: better refused where it is built than where it is computed.
pub fn checked(py: Python<'_>, node: Result<Node, ArrayError>) -> PyResult<Expr> {
    let node = node.or_raise(py)?;
    check_size(node.chunks(), node.dtype().size() as u64).or_raise(py)?;
    Ok(node.into())
}

#[pymethods]
impl Expr {
    #[getter]
    fn id(&self) -> u64 {
        self.node.id()
    }
    #[getter]
    fn dtype(&self) -> String {
        self.node.dtype().descr()
    }
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.node.shape())
    }
    #[getter]
    fn chunks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        chunks_to_py(py, self.node.chunks())
    }
    #[getter]
    fn ndim(&self) -> usize {
        self.node.ndim()
    }
    #[getter]
    fn label(&self) -> String {
        self.node.label()
    }
    #[getter]
    fn origin(&self) -> Option<(String, u32, String)> {
        self.node.node().origin.as_ref().map(|o| (o.file.clone(), o.line, o.function.clone()))
    }
    #[getter]
    fn is_python(&self) -> bool {
        match self.node.kind() {
            Kind::Source(s) => s.is_python(),
            Kind::Op(op, _) => op.is_python(),
            _ => false,
        }
    }
    fn __repr__(&self) -> String {
        format!("{:?}", self.node)
    }
}

/// Nodes built until this is dropped carry the place of the innermost Python frame outside the package.
pub struct Here;

impl Here {
    pub fn new(py: Python<'_>) -> Here {
        set_origin(user_frame(py).unwrap_or(None));
        Here
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        set_origin(None);
    }
}

fn user_frame(py: Python<'_>) -> PyResult<Option<Arc<Origin>>> {
    static GET_FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static PACKAGE: PyOnceLock<String> = PyOnceLock::new();
    let get_frame =
        GET_FRAME.get_or_try_init(py, || PyResult::Ok(py.import("sys")?.getattr("_getframe")?.unbind()))?;
    let package = PACKAGE.get_or_try_init(py, || -> PyResult<String> {
        let file: String = py.import("pantile")?.getattr("__file__")?.extract()?;
        Ok(file.trim_end_matches("__init__.py").to_string())
    })?;
    let mut frame = get_frame.bind(py).call0()?;
    loop {
        let code = frame.getattr(intern!(py, "f_code"))?;
        let file = code.getattr(intern!(py, "co_filename"))?;
        let file = file.cast::<pyo3::types::PyString>()?.to_cow()?;
        if !file.starts_with(package.as_str()) {
            return Ok(Some(Arc::new(Origin {
                line: frame.getattr(intern!(py, "f_lineno"))?.extract()?,
                function: code.getattr(intern!(py, "co_name"))?.extract()?,
                file: file.into_owned(),
            })));
        }
        frame = frame.getattr(intern!(py, "f_back"))?;
        if frame.is_none() {
            return Ok(None);
        }
    }
}
