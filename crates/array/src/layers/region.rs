//! A region: a group of fused expressions, ready to be evaluated on any box.

use crate::block::{Block, Dims};
use crate::chunks::Chunks;
use crate::error::{ArrayError, Result};
use crate::kernel::Coordinate;
use crate::leaf::{BoxAxis, Leaf, Producer};
use crate::program::Program;
use crate::value::Value;
use crate::view::ViewAxis;
use pantile_graph::TaskRef;
use pantile_types::Scalar;
use smallvec::SmallVec;
use std::sync::Arc;

/// A coordinate of the iteration space, seen through a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoordAxis {
    /// `start + step * i` along this axis.
    Along {
        /// Which axis.
        axis: usize,
        /// The value at position zero.
        start: i64,
        /// How much it grows from one position to the next.
        step: i64,
    },
    /// The same everywhere.
    Fixed(i64),
}

/// A fused group.
pub struct Region {
    /// What is computed for one position.
    pub program: Arc<Program>,
    /// Where the elements come from.
    pub leaves: Vec<Leaf>,
    /// Where the coordinates come from.
    pub coords: Vec<CoordAxis>,
    /// The constants.
    pub consts: Vec<Scalar>,
    /// The iteration space, cut into blocks.
    pub grid: Chunks,
}

impl Region {
    /// Appends the tasks that a box depends on.
    pub fn tasks(&self, at: &[BoxAxis], out: &mut Vec<TaskRef>) {
        for leaf in &self.leaves {
            leaf.tasks(at, out);
        }
    }

    /// Memory for buffers while a box is evaluated.
    pub fn scratch_bytes(&self, at: &[BoxAxis]) -> u64 {
        self.leaves.iter().fold(0, |sum, l| sum.saturating_add(l.scratch_bytes(at)))
    }

    /// Whether loading a leaf runs Python code.
    pub fn is_python(&self) -> bool {
        self.leaves.iter().any(Leaf::is_python)
    }

    /// Whether `scratch_bytes` can be other than zero for any box; tells without a walk over boxes.
    pub fn may_need_scratch(&self) -> bool {
        self.leaves.iter().any(|l| match &l.producer {
            Producer::Source(s) => s.in_memory().is_none(),
            Producer::Layer(..) => true,
        })
    }

    /// Loads all leaves for a box; all get the same shape, which is returned with them.
    pub fn load(
        &self,
        at: &[BoxAxis],
        inputs: &mut dyn Iterator<Item = Value>,
    ) -> Result<(Dims, Vec<Block>)> {
        let mut blocks = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            blocks.push(leaf.load(at, inputs)?);
        }
        let mut shape: Dims = SmallVec::new();
        for (axis, b) in at.iter().enumerate() {
            let len = match b {
                BoxAxis::Range(r) => r.len as usize,
                // Only the blocks know: those that walk the axis.
                BoxAxis::Chunk(_) => self
                    .leaves
                    .iter()
                    .zip(&blocks)
                    .find(|(l, _)| matches!(l.view.axes[axis], ViewAxis::Along { .. }))
                    .map_or(1, |(_, b)| b.shape()[axis]),
            };
            let walks = |l: &Leaf| matches!(l.view.axes[axis], ViewAxis::Along { .. });
            let other = self.leaves.iter().zip(&blocks).find(|(l, b)| walks(l) && b.shape()[axis] != len);
            if let Some((_, other)) = other {
                return Err(ArrayError::value(format!(
                    "operands could not be broadcast together: along axis {axis} their blocks have {len} and {} \
                     elements (lengths that were unknown before the computation, after boolean masks)",
                    other.shape()[axis]
                )));
            }
            shape.push(len);
        }
        for block in &mut blocks {
            if block.shape() != &shape[..] {
                let strides = block.strides().into();
                // SAFETY: axes that a leaf walks have this length already (checked above), so that only axes of stride zero are
                // widened, which reaches no further element.
                *block = unsafe { block.restride(0, shape.clone(), strides) };
            }
        }
        Ok((shape, blocks))
    }

    /// The coordinates for a box.
    pub fn coordinates(&self, at: &[BoxAxis]) -> Vec<Coordinate> {
        self.coords
            .iter()
            .map(|c| {
                let mut steps: SmallVec<[i64; 4]> = SmallVec::from_elem(0, at.len());
                let base = match *c {
                    CoordAxis::Fixed(v) => v,
                    CoordAxis::Along { axis, start, step } => {
                        steps[axis] = step;
                        match at[axis] {
                            BoxAxis::Range(r) => start + step * r.start as i64,
                            BoxAxis::Chunk(_) => start,
                        }
                    }
                };
                Coordinate { base, steps }
            })
            .collect()
    }

    /// The region as text, for `explain`.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (i, leaf) in self.leaves.iter().enumerate() {
            let from = match &leaf.producer {
                Producer::Source(s) => s.describe(),
                Producer::Layer(id, _) => format!("layer {}", id.0),
            };
            let _ = writeln!(text, "  leaf {i}: {} from {from}", leaf.dtype.name());
        }
        text + &self.program.describe(&self.consts)
    }
}
