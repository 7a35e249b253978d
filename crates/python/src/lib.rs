//! The Python bindings: the module `pantile._native`. It composes all other crates, and is the only one that names pyo3.
//!
//! Reading order: `expr` (the class that the Python package wraps), `convert` (arguments in, arrays out), `ops` (functions
//! that build expressions), `source` and `pyop` (Python objects inside a graph), `compute` (running), `delayed/` (calls of any function),
//! `processes/` (Python functions in worker processes), `watch` (who is told of runs) and `record` (what is kept of them), `error`
//! (exceptions).
//!
//! Names, defaults and docstrings for users are in the Python package; here arguments arrive checked for kind.

// The module's functions are documented for users in the Python package and typed in `_native.pyi`.
#![allow(missing_docs)]

mod bag;
mod block;
mod budget;
mod compute;
mod convert;
mod delayed;
mod error;
mod expr;
mod files;
mod interrupt;
mod linalg;
mod machine;
mod ops;
mod processes;
mod progress;
mod pyop;
mod random;
mod record;
mod source;
mod tokenize;
mod watch;

use pyo3::prelude::*;

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<expr::Expr>()?;
    m.add_class::<block::PyBlock>()?;
    m.add_class::<progress::Progress>()?;
    error::register(m)?;
    ops::register(m)?;
    linalg::register(m)?;
    random::register(m)?;
    source::register(m)?;
    files::register(m)?;
    pyop::register(m)?;
    processes::register(m)?;
    compute::register(m)?;
    delayed::register(m)?;
    tokenize::register(m)?;
    bag::register(m)?;
    record::register(m)?;
    watch::register(m)?;
    Ok(())
}
