//! `delayed`: calls of any Python function as nodes of a graph.
//!
//! Reading order: `place` (where in the user's program a call was built), `pack` (arguments that hold nodes inside containers),
//! `node` (the class `Delayed`), `collect` (from nodes to flat arrays of integers), `value` (what tasks make), `run`; `rebuild`
//! (the same graph of other nodes) and `groups` (few boxes for many nodes).
//!
//! A node is one Python object of about a hundred bytes beside its tuple of arguments. Nothing is hashed, named or copied when
//! one is built; that is done once for all nodes when they are computed.

mod collect;
mod groups;
mod node;
mod pack;
mod place;
mod rebuild;
mod run;
mod value;

use pyo3::prelude::*;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("ArgumentChangedError", m.py().get_type::<run::ArgumentChangedError>())?;
    m.add_class::<node::Delayed>()?;
    node::document(m.py())?;
    m.add_class::<pack::Packed>()?;
    m.add_class::<run::DelayedGraph>()?;
    m.add_function(wrap_pyfunction!(node::delayed, m)?)?;
    m.add_function(wrap_pyfunction!(node::restored, m)?)?;
    m.add_function(wrap_pyfunction!(node::annotations_from, m)?)?;
    m.add_function(wrap_pyfunction!(run::delayed_graph, m)?)
}
