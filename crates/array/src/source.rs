//! Where arrays come from: anything that can fill a box of memory.

use crate::block::Block;
use crate::error::Result;
use pantile_types::DType;

/// A strided box of a source: one entry an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first position.
    pub start: u64,
    /// The distance to the next; never zero.
    pub step: i64,
    /// How many positions.
    pub len: u64,
}

/// An array that exists outside the expressions: in memory, in a file, or made by a formula.
pub trait Source: Send + Sync {
    /// The dtype of the elements as `read` delivers them.
    fn dtype(&self) -> DType;

    /// The lengths of the axes.
    fn shape(&self) -> &[u64];

    /// Fills `out`, whose shape is the lengths in `ranges`, with the elements of that box.
    ///
    /// Called from any thread, several at once, without the GIL.
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()>;

    /// The whole array as a block if it is in memory already; then it is never copied and never counted.
    fn in_memory(&self) -> Option<&Block> {
        None
    }

    /// The chunks in which it is stored, where reading a part costs as much as reading the whole chunk.
    fn stored_chunks(&self) -> Option<&[u64]> {
        None
    }

    /// A short description for people: `numpy array`, `HDF5 dataset /x in file.h5 (gzip, native reader)`.
    fn describe(&self) -> String;

    /// A number that all sources over one object outside have, such as a dataset that is open in Python.
    fn outside(&self) -> Option<usize> {
        None
    }

    /// Whether reading it runs Python code, and so takes the GIL.
    fn is_python(&self) -> bool {
        false
    }
}

/// An array in memory.
pub struct MemorySource {
    block: Block,
    shape: Vec<u64>,
}

impl MemorySource {
    /// Wraps a block.
    pub fn new(block: Block) -> MemorySource {
        let shape = block.shape().iter().map(|&n| n as u64).collect();
        MemorySource { block, shape }
    }
}

impl Source for MemorySource {
    fn dtype(&self) -> DType {
        self.block.dtype()
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let mut view = self.block.clone();
        for (axis, r) in ranges.iter().enumerate() {
            view = view.slice_axis(axis, r.start as usize, r.step as isize, r.len as usize);
        }
        // SAFETY: `out` is the caller's fresh block; it does not overlap the user's array.
        unsafe { out.assign(&view) };
        Ok(())
    }
    fn in_memory(&self) -> Option<&Block> {
        Some(&self.block)
    }
    fn describe(&self) -> String {
        "array in memory".to_string()
    }
}
