//! Layers for the tests and the benchmark, as a list of closures.

#![allow(dead_code)]

use pantile_graph::{Graph, Layer, LayerId, TaskRef};

type Inputs = Box<dyn Fn(u32) -> Vec<(u32, u32)> + Send + Sync>;

/// A layer whose inputs a closure computes.
pub struct Made {
    pub label: &'static str,
    pub len: u32,
    pub bytes: u64,
    pub inputs: Inputs,
}

impl Layer for Made {
    fn len(&self) -> u32 {
        self.len
    }
    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        out.extend((self.inputs)(index).into_iter().map(TaskRef::from));
    }
    fn bytes(&self, _index: u32) -> u64 {
        self.bytes
    }
    fn label(&self) -> &str {
        self.label
    }
}

/// A plan that grows layer by layer.
#[derive(Default)]
pub struct Plan {
    layers: Vec<Box<dyn Layer>>,
}

impl Plan {
    /// Adds a layer and gives its number.
    pub fn layer(
        &mut self,
        label: &'static str,
        len: u32,
        bytes: u64,
        inputs: impl Fn(u32) -> Vec<(u32, u32)> + Send + Sync + 'static,
    ) -> u32 {
        self.layers.push(Box::new(Made { label, len, bytes, inputs: Box::new(inputs) }));
        self.layers.len() as u32 - 1
    }

    /// A reduction of `len` values of a layer, `fan_in` at a time, down to one; gives the last layer.
    pub fn reduce(&mut self, label: &'static str, mut of: u32, mut len: u32, fan_in: u32, bytes: u64) -> u32 {
        loop {
            let (below, below_len) = (of, len);
            len = len.div_ceil(fan_in);
            of = self.layer(label, len, bytes, move |i| {
                (i * fan_in..((i + 1) * fan_in).min(below_len)).map(|j| (below, j)).collect()
            });
            if len == 1 {
                return of;
            }
        }
    }

    /// Expands to all tasks of the given layers, in turn.
    pub fn graph(&self, outputs: &[u32]) -> Graph {
        let all = |&layer: &u32| {
            (0..self.layers[layer as usize].len()).map(move |index| TaskRef { layer: LayerId(layer), index })
        };
        let outputs: Vec<TaskRef> = outputs.iter().flat_map(all).collect();
        Graph::expand(&self.layers, &outputs).expect("the plan is sound")
    }
}
