//! Where in the user's program a call was built: the code object and the instruction. The line is looked up only when somebody
//! asks, which is when something has failed.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::Cell;

/// A place in the user's program.
pub struct Place {
    code: Option<Py<PyAny>>,
    instruction: i32,
}

/// A place for people.
pub struct Line {
    pub file: String,
    pub line: u32,
    pub function: String,
}

thread_local! {
    /// The code object that was looked at last, by address, and whether it is part of the package. An address that is used again for
    /// other code at worst gives a place inside the package, or one frame too far out.
    static LAST: Cell<(usize, bool)> = const { Cell::new((0, false)) };
}

impl Place {
    /// Nowhere: for nodes that no user built.
    pub const NOWHERE: Place = Place { code: None, instruction: 0 };

    /// The innermost frame outside the package.
    pub fn here(py: Python<'_>) -> Place {
        Place::find(py).unwrap_or(Place::NOWHERE)
    }

    fn find(py: Python<'_>) -> PyResult<Place> {
        // SAFETY: the interpreter is attached; the reference is borrowed from the thread, and null when no Python code runs.
        let frame = unsafe { ffi::PyEval_GetFrame() };
        // SAFETY: a borrowed reference or null.
        let Some(mut frame) = (unsafe { Bound::from_borrowed_ptr_or_opt(py, frame.cast()) }) else {
            return Ok(Place::NOWHERE);
        };
        loop {
            // SAFETY: `frame` is a frame object; the call gives a new reference to its code, never null.
            let code = unsafe {
                Bound::from_owned_ptr(py, ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast::<ffi::PyObject>())
            };
            if !is_ours(&code)? {
                let instruction = frame.getattr(intern!(py, "f_lasti"))?.extract()?;
                return Ok(Place { code: Some(code.unbind()), instruction });
            }
            frame = frame.getattr(intern!(py, "f_back"))?;
            if frame.is_none() {
                return Ok(Place::NOWHERE);
            }
        }
    }

    /// File, line and function.
    pub fn line(&self, py: Python<'_>) -> Option<Line> {
        let code = self.code.as_ref()?.bind(py);
        let find = || -> PyResult<Line> {
            let mut line = code.getattr("co_firstlineno")?.extract()?;
            for row in code.call_method0("co_lines")?.try_iter()? {
                let (start, stop, number): (i32, i32, Option<u32>) = row?.extract()?;
                if let Some(number) = number.filter(|_| (start..stop).contains(&self.instruction)) {
                    line = number;
                }
            }
            Ok(Line {
                file: code.getattr("co_filename")?.extract()?,
                line,
                function: code.getattr("co_name")?.extract()?,
            })
        };
        find().ok()
    }
}

impl Clone for Place {
    fn clone(&self) -> Place {
        Python::attach(|py| Place {
            code: self.code.as_ref().map(|c| c.clone_ref(py)),
            instruction: self.instruction,
        })
    }
}

/// Whether code is part of the package.
fn is_ours(code: &Bound<'_, PyAny>) -> PyResult<bool> {
    let address = code.as_ptr() as usize;
    let (last, ours) = LAST.get();
    if last == address {
        return Ok(ours);
    }
    static PACKAGE: PyOnceLock<String> = PyOnceLock::new();
    let py = code.py();
    let package = PACKAGE.get_or_try_init(py, || -> PyResult<String> {
        let file: String = py.import("pantile")?.getattr("__file__")?.extract()?;
        Ok(file.trim_end_matches("__init__.py").to_string())
    })?;
    let file = code.getattr(intern!(py, "co_filename"))?;
    let ours = file.cast::<pyo3::types::PyString>()?.to_cow()?.starts_with(package.as_str());
    LAST.set((address, ours));
    Ok(ours)
}
