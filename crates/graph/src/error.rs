//! Why a graph could not be made or read.
//!
//! Layers are written by us, so most variants of `GraphError` are our bugs and say so; a graph that is too large is a
//! matter of resources, and a text file that does not parse is the user's.

use thiserror::Error;

/// Who can do something about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The caller passed something wrong.
    User,
    /// A limit of memory, disk or numbering was reached.
    Resource,
    /// A mistake in Pantile itself.
    Bug,
}

/// Why a graph could not be made or read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GraphError {
    /// Tasks need each other in a circle.
    #[error("the graph has a cycle: {path}. This is a bug in Pantile; please report it")]
    Cycle {
        /// The tasks on the cycle, as `label[index] -> label[index]`, each needing the next.
        path: String,
    },
    /// A layer, or a caller, named a task that does not exist.
    #[error("{by} needs {wanted}, but {reason}. This is a bug in Pantile; please report it")]
    UnknownTask {
        /// Who named it.
        by: String,
        /// What was named.
        wanted: String,
        /// Why it does not exist.
        reason: String,
    },
    /// More tasks or edges than 32-bit ids can number.
    #[error("the graph has more than {limit} {what}; use larger chunks, or compute it in parts")]
    TooLarge {
        /// `tasks` or `edges`.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// Whoever asked for the graph does not want it any more.
    #[error("planning was stopped")]
    Stopped,
    /// A graph file that does not parse.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, counted from one.
        line: usize,
        /// What is wrong and what was expected.
        message: String,
    },
}

impl GraphError {
    /// Who can do something about it.
    pub fn family(&self) -> Family {
        match self {
            GraphError::Cycle { .. } | GraphError::UnknownTask { .. } => Family::Bug,
            GraphError::TooLarge { .. } => Family::Resource,
            GraphError::Syntax { .. } | GraphError::Stopped => Family::User,
        }
    }
}
