//! What a task makes: a block, several of them, or something only Python understands.

use crate::block::Block;
use crate::error::{ArrayError, Result};
use std::any::Any;
use std::sync::Arc;

/// A value that this crate passes on without looking inside: a NumPy array of objects, say.
pub trait ForeignValue: Any + Send + Sync {
    /// The value as `Any`, to get back what it really is.
    fn as_any(&self) -> &dyn Any;
    /// Its size in bytes, for the ledger.
    fn nbytes(&self) -> u64;
    /// Its shape.
    fn shape(&self) -> Vec<usize>;
}

/// What a task makes. Cheap to clone.
#[derive(Clone)]
pub enum Value {
    /// Nothing: the task was run for its effect.
    Unit,
    /// One block.
    Block(Block),
    /// Several outputs of one task: the parts of a factorisation, the state of a reduction.
    Many(Arc<Vec<Value>>),
    /// Something of Python's.
    Foreign(Arc<dyn ForeignValue>),
}

impl Value {
    /// The block, where the plan says that there must be one.
    pub fn into_block(self) -> Result<Block> {
        match self {
            Value::Block(b) => Ok(b),
            Value::Unit | Value::Many(_) | Value::Foreign(_) => {
                Err(ArrayError::bug("a task got a value that is no block"))
            }
        }
    }

    /// The parts, where the plan says that there are several.
    pub fn parts(&self) -> Result<&[Value]> {
        match self {
            Value::Many(parts) => Ok(parts),
            Value::Unit | Value::Block(_) | Value::Foreign(_) => {
                Err(ArrayError::bug("a task got a single value where it needs several"))
            }
        }
    }

    /// The memory that this value keeps alive and that counts against the limit.
    pub fn owned_bytes(&self) -> u64 {
        match self {
            Value::Unit => 0,
            Value::Block(b) => b.owned_bytes(),
            Value::Many(parts) => parts.iter().map(Value::owned_bytes).fold(0, u64::saturating_add),
            Value::Foreign(f) => f.nbytes(),
        }
    }
}
