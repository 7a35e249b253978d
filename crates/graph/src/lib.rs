//! The task graph: compact, typed ids, no strings on the way of a task.
//!
//! Reading order: `layer` (what a plan is made of), `arena` (the expanded graph), `expand` (from layers to the arena),
//! `order` (which task goes first), `memory` (what that order costs), `text` (graphs as files), `error`, `run` (what runs
//! a graph and what watches).
//!
//! The crate reads no clock, file, environment or thread state: the same layers give the same graph and the same order.

pub mod arena;
pub mod error;
pub mod expand;
pub mod layer;
pub mod memory;
pub mod order;
pub mod run;
pub mod text;

pub use arena::{Graph, MAX_TASKS};
pub use error::{Family, GraphError};
pub use layer::{Layer, LayerId, TaskRef};
pub use memory::{Peak, peak_memory, peak_memory_workers};
pub use order::{Order, order, order_counted, order_or_stop};
pub use run::{Observer, Runner};
pub use text::parse;

/// A task in an expanded graph: an index into the graph's arena, in topological order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct TaskId(pub u32);
