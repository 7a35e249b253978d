//! A layer is a family of alike tasks that is described, not stored: how many there are, what each one needs and how
//! many bytes each one makes. Expansion asks these questions only for the tasks that the outputs need, so culling costs
//! nothing beyond the tasks that remain.
//!
//! This file says what a layer is. Turning layers into an arena of tasks is in `expand.rs`.

/// The position of a layer in the list of layers that a plan is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LayerId(pub u32);

/// One task before expansion: the `index`-th task of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TaskRef {
    /// The layer that the task belongs to.
    pub layer: LayerId,
    /// Which task of the layer, `0 .. Layer::len()`.
    pub index: u32,
}

/// A family of alike tasks.
///
/// Inputs may point to any layer, as long as the whole is acyclic. All methods must be pure.
pub trait Layer: Send + Sync {
    /// How many tasks the layer has when nothing is culled.
    fn len(&self) -> u32;

    /// Whether the layer has no task.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends what task `index` needs to `out`, in the order in which the runner will receive the values.
    ///
    /// The same input may be named more than once; the runner then receives it as often.
    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>);

    /// The estimated size of what task `index` makes, in bytes.
    fn bytes(&self, index: u32) -> u64;

    /// Memory that task `index` needs only while it runs, in bytes, beyond its inputs and its output.
    fn scratch_bytes(&self, _index: u32) -> u64 {
        0
    }

    /// The operation's name, for people: progress bars, pictures, notes on exceptions.
    fn label(&self) -> &str;
}
