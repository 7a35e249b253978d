//! Operations on whole blocks: everything that is not elementwise, a view or a plain reduction.
//!
//! A `BlockOp` has a grid of tasks. For each it says which pieces of its inputs it needs and computes one value from them.
//! Matrix products, scans, fancy indexing, factorisations, concatenation and Python functions are all of this kind.

use crate::error::Result;
use crate::expr::Expr;
use crate::source::Range;
use crate::value::Value;
use smallvec::SmallVec;

/// A piece of an input that a task needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// The elements of a box, wherever they lie: delivered as one block.
    Box {
        /// Which input.
        input: usize,
        /// The box, an entry an axis of the input.
        ranges: SmallVec<[Range; 4]>,
    },
    /// A block of the input as it was made, whatever its shape or kind.
    Chunk {
        /// Which input.
        input: usize,
        /// Its position in the input's grid.
        at: SmallVec<[u32; 4]>,
    },
    /// What an earlier task of this same operation made.
    Own(u32),
}

/// A cheaper way to a value where something else is computed anyway: singular values alone have a method of their own, but
/// beside the vectors they are a by-product.
pub struct Shared {
    /// If this node is computed anyway,
    pub anchor: Expr,
    /// then this one takes the node's place.
    pub instead: Expr,
}

/// An operation on blocks.
pub trait BlockOp: Send + Sync {
    /// The name, for people.
    fn name(&self) -> &str;

    /// Two operations with equal identities on equal inputs are the same. `None`: each one is different.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Another way to the same value that is better when its other parts are asked for as well.
    fn shared(&self) -> Option<&Shared> {
        None
    }

    /// How many tasks there are along each axis. For an array-valued operation it is the grid of the output's chunks.
    fn grid(&self) -> SmallVec<[u32; 4]>;

    /// Appends what the task at `at` needs, in the order in which `run` receives it.
    fn requests(&self, at: &[u32], out: &mut Vec<Request>);

    /// Computes the value of the task at `at`. The inputs are the task's to take.
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value>;

    /// The estimated size of the value, in bytes.
    fn bytes(&self, at: &[u32]) -> u64;

    /// Memory needed only while the task runs, in bytes.
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        0
    }

    /// Whether it runs Python code, and so takes the GIL.
    fn is_python(&self) -> bool {
        false
    }
}
