//! The task graph: compact, typed ids, no strings.
//!
//! Reading order: `layer` (what a plan is made of), `run` (what runs it and what watches).

pub mod layer;
pub mod run;

pub use layer::{Layer, LayerId, TaskRef};
pub use run::{Observer, Runner};

/// A task in an expanded graph: an index into the graph's arena, in topological order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TaskId(pub u32);
