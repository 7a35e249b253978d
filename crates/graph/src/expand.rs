//! From layers to the arena: visits only what the outputs need, so culling is a by-product.
//!
//! The walk is depth first, inputs before consumers, which numbers the tasks topologically and keeps neighbours in the
//! graph near each other in memory. It keeps its own stack: a chain of ten million tasks must not overflow the thread's.

use std::ops::Deref;

use rustc_hash::FxHashMap;

use crate::arena::{Builder, MAX_TASKS};
use crate::{Graph, GraphError, Layer, LayerId, TaskId, TaskRef};

impl Graph {
    /// Expands `layers` to the tasks that `outputs` need.
    ///
    /// `LayerId(i)` in the layers' inputs means `layers[i]`. The elements may be `&dyn Layer`, `Box<dyn Layer>` or
    /// `Arc<dyn Layer>`. An output may be named more than once.
    ///
    /// # Errors
    /// A cycle, an input that does not exist, or more than about four billion tasks or edges.
    pub fn expand<'a, L>(layers: &[L], outputs: &[TaskRef]) -> Result<Graph, GraphError>
    where
        L: Deref<Target = dyn Layer + 'a>,
    {
        Graph::expand_or_stop(layers, outputs, &mut || false)
    }

    /// As `expand`; `stopped` is asked every hundred thousand tasks or so.
    ///
    /// # Errors
    /// As `expand`, and `GraphError::Stopped` when `stopped` says so.
    pub fn expand_or_stop<'a, L>(
        layers: &[L],
        outputs: &[TaskRef],
        stopped: &mut dyn FnMut() -> bool,
    ) -> Result<Graph, GraphError>
    where
        L: Deref<Target = dyn Layer + 'a>,
    {
        let mut walk = Walk {
            ids: layers.iter().map(|l| Ids::new(l.len())).collect(),
            layers,
            arena: Builder::new(),
            frames: Vec::new(),
            pending: Vec::new(),
            stopped,
        };
        let mut output_ids = Vec::with_capacity(outputs.len());
        for &output in outputs {
            output_ids.push(walk.visit(output)?);
        }
        let labels = layers.iter().map(|l| l.label().into()).collect();
        Ok(walk.arena.finish(output_ids, labels))
    }
}

/// What is known of a task while expanding. Zero means unseen, so that a fresh page of zeros is a valid start and a large
/// layer of which little is used costs only the pages that are touched.
const UNSEEN: u32 = 0;
const OPEN: u32 = 1;
const FIRST_ID: u32 = 2;

/// After how many tasks somebody who waits for a graph or an order is asked whether to go on: some ten milliseconds.
pub(crate) const ASK_EVERY: u32 = 1 << 17;

/// From a layer's indices to ids.
enum Ids {
    Dense(Vec<u32>),
    Sparse { map: FxHashMap<u32, u32>, len: u32 },
}

/// Layers up to this length always get an array.
const DENSE_LEN: u32 = 1 << 16;
/// Longer ones get an array as soon as one task in so many is used; until then, a hash map.
const DENSE_SHARE: u32 = 64;

impl Ids {
    fn new(len: u32) -> Ids {
        if len <= DENSE_LEN { Ids::Dense(Vec::new()) } else { Ids::Sparse { map: FxHashMap::default(), len } }
    }

    #[inline]
    fn get(&self, index: u32) -> u32 {
        match self {
            Ids::Dense(ids) => ids.get(index as usize).copied().unwrap_or(UNSEEN),
            Ids::Sparse { map, .. } => map.get(&index).copied().unwrap_or(UNSEEN),
        }
    }

    #[inline]
    fn set(&mut self, index: u32, state: u32, layer_len: u32) {
        match self {
            Ids::Dense(ids) => {
                if ids.is_empty() {
                    *ids = vec![UNSEEN; layer_len as usize];
                }
                ids[index as usize] = state;
            }
            Ids::Sparse { map, len } => {
                map.insert(index, state);
                if map.len() as u32 >= *len / DENSE_SHARE {
                    let mut ids = vec![UNSEEN; *len as usize];
                    for (&index, &state) in map.iter() {
                        ids[index as usize] = state;
                    }
                    *self = Ids::Dense(ids);
                }
            }
        }
    }
}

/// A task whose inputs are being expanded. Its inputs are `pending[start..]`, up to those of the frame above it, and
/// those before `next` have been replaced by their ids.
struct Frame {
    task: TaskRef,
    start: u32,
    next: u32,
}

struct Walk<'l, L> {
    layers: &'l [L],
    ids: Vec<Ids>,
    arena: Builder,
    frames: Vec<Frame>,
    pending: Vec<TaskRef>,
    stopped: &'l mut dyn FnMut() -> bool,
}

impl<'a, L> Walk<'_, L>
where
    L: Deref<Target = dyn Layer + 'a>,
{
    fn visit(&mut self, root: TaskRef) -> Result<TaskId, GraphError> {
        if let Some(id) = self.enter(root)? {
            return Ok(id);
        }
        loop {
            let Some(frame) = self.frames.last_mut() else {
                unreachable!("the walk ends when the root's frame closes");
            };
            if (frame.next as usize) < self.pending.len() {
                let at = frame.next as usize;
                if let Some(id) = self.enter(self.pending[at])? {
                    self.resolve(id);
                }
                continue;
            }
            let frame = Frame { ..*frame };
            let id = self.close(frame.task, frame.start as usize)?;
            self.frames.pop();
            if self.frames.is_empty() {
                return Ok(id);
            }
            self.resolve(id);
        }
    }

    /// Writes the id of the top frame's next input in the input's place.
    #[inline]
    fn resolve(&mut self, id: TaskId) {
        if let Some(frame) = self.frames.last_mut() {
            self.pending[frame.next as usize].index = id.0;
            frame.next += 1;
        }
    }

    /// The task's id if it is known or has no inputs; otherwise opens a frame for it.
    #[inline]
    fn enter(&mut self, task: TaskRef) -> Result<Option<TaskId>, GraphError> {
        let at = task.layer.0 as usize;
        let Some(layer) = self.layers.get(at) else {
            return Err(self.unknown(task, format!("there are only {} layers", self.layers.len())));
        };
        let state = self.ids[at].get(task.index);
        if state >= FIRST_ID {
            return Ok(Some(TaskId(state - FIRST_ID)));
        }
        if state == OPEN {
            return Err(self.cycle(task));
        }
        let len = layer.len();
        if task.index >= len {
            let reason = format!("layer {} `{}` has only {len} tasks", at, layer.label());
            return Err(self.unknown(task, reason));
        }
        let start = self.pending.len();
        layer.inputs(task.index, &mut self.pending);
        if self.pending.len() == start {
            return self.close(task, start).map(Some);
        }
        if self.pending.len() as u64 > MAX_TASKS {
            return Err(GraphError::TooLarge { what: "edges", limit: MAX_TASKS });
        }
        self.ids[at].set(task.index, OPEN, len);
        self.frames.push(Frame { task, start: start as u32, next: start as u32 });
        Ok(None)
    }

    /// Adds a task whose inputs, from `start` on, are all known.
    #[inline]
    fn close(&mut self, task: TaskRef, start: usize) -> Result<TaskId, GraphError> {
        let layer = &self.layers[task.layer.0 as usize];
        let inputs = self.pending[start..].iter().map(|resolved| TaskId(resolved.index));
        let bytes = layer.bytes(task.index);
        let scratch = layer.scratch_bytes(task.index);
        let id = self.arena.push(task, bytes, scratch, inputs)?;
        if id.0 % ASK_EVERY == ASK_EVERY - 1 && (self.stopped)() {
            return Err(GraphError::Stopped);
        }
        self.pending.truncate(start);
        self.ids[task.layer.0 as usize].set(task.index, id.0 + FIRST_ID, layer.len());
        Ok(id)
    }

    fn describe(&self, task: TaskRef) -> String {
        match self.layers.get(task.layer.0 as usize) {
            Some(layer) => format!("{}[{}]", layer.label(), task.index),
            None => format!("task {} of layer {}", task.index, task.layer.0),
        }
    }

    fn unknown(&self, wanted: TaskRef, reason: String) -> GraphError {
        let by = match self.frames.last() {
            Some(frame) => self.describe(frame.task),
            None => "the list of outputs".to_string(),
        };
        GraphError::UnknownTask { by, wanted: self.describe(wanted), reason }
    }

    fn cycle(&self, again: TaskRef) -> GraphError {
        /// How many tasks of a long cycle are named.
        const SHOWN: usize = 8;
        let from = self.frames.iter().rposition(|frame| frame.task == again).unwrap_or(0);
        let around = &self.frames[from..];
        let mut path: Vec<String> =
            around.iter().take(SHOWN).map(|frame| self.describe(frame.task)).collect();
        if around.len() > SHOWN {
            path.push(format!("({} more)", around.len() - SHOWN));
        }
        path.push(self.describe(again));
        GraphError::Cycle { path: path.join(" -> ") }
    }
}

/// Shorthand for the tests and for plans written by hand.
impl From<(u32, u32)> for TaskRef {
    fn from((layer, index): (u32, u32)) -> TaskRef {
        TaskRef { layer: LayerId(layer), index }
    }
}
