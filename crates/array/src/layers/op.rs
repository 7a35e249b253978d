//! Operations on whole blocks, as a layer.

use crate::chunks::Chunks;
use crate::error::{ArrayError, Result};
use crate::expr::Origin;
use crate::leaf::{Box_, BoxAxis, Leaf, Producer, block_box};
use crate::op::{BlockOp, Request};
use crate::plan::PlanLayer;
use crate::value::Value;
use pantile_graph::{Layer, LayerId, TaskRef};
use smallvec::SmallVec;
use std::sync::Arc;

/// One input of an operation.
pub struct OpInput {
    /// How to get at its elements.
    pub leaf: Leaf,
    /// Its own cuts, which `Request::Chunk` refers to.
    pub chunks: Chunks,
}

impl OpInput {
    /// The layer that makes exactly the input's blocks, if there is one: then values are passed on as they are.
    fn direct(&self) -> Option<LayerId> {
        match &self.leaf.producer {
            Producer::Layer(id, grid) if self.leaf.view.is_identity() && *grid == self.chunks => Some(*id),
            _ => None,
        }
    }
}

/// The tasks of a `BlockOp`.
pub struct OpLayer {
    /// This layer's own id.
    pub id: LayerId,
    /// What it does.
    pub op: Arc<dyn BlockOp>,
    /// Its inputs.
    pub inputs: Vec<OpInput>,
    /// Where the user built it.
    pub origin: Option<Arc<Origin>>,
    grid: SmallVec<[u32; 4]>,
}

impl OpLayer {
    /// The tasks of `op`.
    pub fn new(
        id: LayerId,
        op: Arc<dyn BlockOp>,
        inputs: Vec<OpInput>,
        origin: Option<Arc<Origin>>,
    ) -> OpLayer {
        OpLayer { id, grid: op.grid(), op, inputs, origin }
    }

    fn at(&self, mut index: u32) -> SmallVec<[u32; 4]> {
        let mut at: SmallVec<[u32; 4]> = SmallVec::from_elem(0, self.grid.len());
        for axis in (0..self.grid.len()).rev() {
            at[axis] = index % self.grid[axis];
            index /= self.grid[axis];
        }
        at
    }

    fn request_box(&self, request: &Request) -> Option<(usize, Box_)> {
        match request {
            Request::Box { input, ranges } => {
                Some((*input, ranges.iter().map(|r| BoxAxis::Range(*r)).collect()))
            }
            Request::Chunk { input, at } => Some((*input, block_box(&self.inputs[*input].chunks, at))),
            Request::Own(_) => None,
        }
    }
}

impl Layer for OpLayer {
    fn len(&self) -> u32 {
        self.grid.iter().product()
    }

    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        let mut requests = Vec::new();
        self.op.requests(&self.at(index), &mut requests);
        for request in &requests {
            match (request, self.request_box(request)) {
                (Request::Own(i), _) => out.push(TaskRef { layer: self.id, index: *i }),
                (Request::Chunk { input, at }, Some((_, box_))) => match self.inputs[*input].direct() {
                    Some(layer) => {
                        out.push(TaskRef {
                            layer,
                            index: crate::chunks::ravel(&self.inputs[*input].chunks, at),
                        });
                    }
                    None => self.inputs[*input].leaf.tasks(&box_, out),
                },
                (_, Some((input, box_))) => self.inputs[input].leaf.tasks(&box_, out),
                (_, None) => {}
            }
        }
    }

    fn bytes(&self, index: u32) -> u64 {
        self.op.bytes(&self.at(index))
    }

    fn scratch_bytes(&self, index: u32) -> u64 {
        let at = self.at(index);
        let mut requests = Vec::new();
        self.op.requests(&at, &mut requests);
        let loaded: u64 = requests
            .iter()
            .filter_map(|r| self.request_box(r))
            .map(|(input, box_)| match self.inputs[input].direct() {
                Some(_) if matches!(box_.first(), None | Some(BoxAxis::Chunk(_))) => 0,
                _ => self.inputs[input].leaf.scratch_bytes(&box_),
            })
            .fold(0, u64::saturating_add);
        loaded.saturating_add(self.op.scratch_bytes(&at))
    }

    fn label(&self) -> &str {
        self.op.name()
    }
}

impl PlanLayer for OpLayer {
    fn run(&self, index: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let at = self.at(index);
        let mut requests = Vec::new();
        self.op.requests(&at, &mut requests);
        let mut given = inputs.drain(..);
        let mut values = Vec::with_capacity(requests.len());
        for request in &requests {
            let direct = match request {
                Request::Own(_) => true,
                Request::Chunk { input, .. } => self.inputs[*input].direct().is_some(),
                Request::Box { .. } => false,
            };
            if direct {
                values.push(
                    given.next().ok_or_else(|| ArrayError::bug("a task got fewer inputs than it named"))?,
                );
                continue;
            }
            let (input, box_) = self.request_box(request).expect("only own values have no box");
            values.push(Value::Block(self.inputs[input].leaf.load(&box_, &mut given)?));
        }
        drop(given);
        match self.op.run(&at, &mut values)? {
            // A small view must not keep a large block alive: the estimate knows the view alone.
            Value::Block(b) if b.owned_bytes() > 2 * b.nbytes().max(64) => {
                Ok(Value::Block(b.to_owned_block()?))
            }
            value => Ok(value),
        }
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    fn position(&self, index: u32) -> Vec<u32> {
        self.at(index).to_vec()
    }

    fn is_python(&self) -> bool {
        self.op.is_python() || self.inputs.iter().any(|input| input.leaf.is_python())
    }

    fn describe(&self) -> String {
        let kind = if self.op.is_python() { "Python" } else { "native" };
        format!("  {kind} operation on blocks: {}\n", self.op.name())
    }
}
