//! The expanded graph: flat arrays, one row a task, ids instead of pointers.
//!
//! Promises:
//! - tasks are numbered topologically: an input's id is lower than its consumer's;
//! - a row costs `TASK_BYTES`, an edge `EDGE_BYTES` (four for the input, four for the way back to the consumer);
//! - both directions keep duplicates: a task that names one input twice appears twice among that input's consumers, and
//!   the two entries are neighbours. An executor that counts entries therefore needs no set.
//!
//! A graph is made by `Graph::expand` or `text::parse` and never changes.

use std::ops::Range;

use crate::{GraphError, TaskId, TaskRef};

/// What a task costs in the arena, in bytes, without its edges.
pub const TASK_BYTES: usize = size_of::<TaskRef>() + 2 * size_of::<u64>() + 2 * size_of::<u32>();
/// What an edge costs: its entry among the inputs and its entry among the dependents.
pub const EDGE_BYTES: usize = 2 * size_of::<TaskId>();

const _: () = assert!(TASK_BYTES <= 64);

/// The most tasks and the most edges a graph may have. The top ids mark states while a graph is made.
pub const MAX_TASKS: u64 = u32::MAX as u64 - 8;

/// A task graph, culled to what its outputs need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Graph {
    tasks: Vec<TaskRef>,
    bytes: Vec<u64>,
    scratch: Vec<u64>,
    input_start: Vec<u32>,
    inputs: Vec<TaskId>,
    dependent_start: Vec<u32>,
    dependents: Vec<TaskId>,
    outputs: Vec<TaskId>,
    labels: Vec<Box<str>>,
}

impl Graph {
    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many edges there are, duplicates counted.
    pub fn edges(&self) -> usize {
        self.inputs.len()
    }

    /// All tasks, inputs before consumers.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TaskId> + ExactSizeIterator + use<> {
        (0..self.tasks.len() as u32).map(TaskId)
    }

    /// Which task of which layer this is.
    #[inline]
    pub fn task(&self, id: TaskId) -> TaskRef {
        self.tasks[id.0 as usize]
    }

    /// What the task needs, in the order in which its layer named it, duplicates kept.
    #[inline]
    pub fn inputs(&self, id: TaskId) -> &[TaskId] {
        &self.inputs[self.input_range(id)]
    }

    /// The tasks that need this one, ascending, as often as they name it.
    #[inline]
    pub fn dependents(&self, id: TaskId) -> &[TaskId] {
        let at = id.0 as usize;
        &self.dependents[self.dependent_start[at] as usize..self.dependent_start[at + 1] as usize]
    }

    /// The estimated size of what the task makes.
    #[inline]
    pub fn bytes(&self, id: TaskId) -> u64 {
        self.bytes[id.0 as usize]
    }

    /// Memory that the task needs only while it runs, beyond its inputs and its output.
    #[inline]
    pub fn scratch_bytes(&self, id: TaskId) -> u64 {
        self.scratch[id.0 as usize]
    }

    /// What was asked for, in the order in which it was asked, duplicates kept.
    pub fn outputs(&self) -> &[TaskId] {
        &self.outputs
    }

    /// The label of the task's layer.
    pub fn label(&self, id: TaskId) -> &str {
        &self.labels[self.task(id).layer.0 as usize]
    }

    /// The labels of all layers, in the layers' order.
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// The task for people: `label[index]`.
    pub fn describe(&self, id: TaskId) -> String {
        format!("{}[{}]", self.label(id), self.task(id).index)
    }

    /// What the arena itself occupies, in bytes, room for growth included.
    pub fn memory_bytes(&self) -> usize {
        self.tasks.capacity() * size_of::<TaskRef>()
            + (self.bytes.capacity() + self.scratch.capacity()) * size_of::<u64>()
            + (self.input_start.capacity() + self.dependent_start.capacity()) * size_of::<u32>()
            + (self.inputs.capacity() + self.dependents.capacity() + self.outputs.capacity())
                * size_of::<TaskId>()
            + self.labels.iter().map(|l| l.len() + size_of::<Box<str>>()).sum::<usize>()
    }

    fn input_range(&self, id: TaskId) -> Range<usize> {
        let at = id.0 as usize;
        self.input_start[at] as usize..self.input_start[at + 1] as usize
    }
}

/// Collects tasks, inputs first, and closes them into a `Graph`.
pub(crate) struct Builder {
    tasks: Vec<TaskRef>,
    bytes: Vec<u64>,
    scratch: Vec<u64>,
    input_start: Vec<u32>,
    inputs: Vec<TaskId>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            tasks: Vec::new(),
            bytes: Vec::new(),
            scratch: Vec::new(),
            input_start: vec![0],
            inputs: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Adds a task whose inputs are all there already.
    pub(crate) fn push(
        &mut self,
        task: TaskRef,
        bytes: u64,
        scratch: u64,
        inputs: impl Iterator<Item = TaskId>,
    ) -> Result<TaskId, GraphError> {
        let id = self.tasks.len() as u64;
        if id >= MAX_TASKS {
            return Err(GraphError::TooLarge { what: "tasks", limit: MAX_TASKS });
        }
        self.inputs.extend(inputs);
        if self.inputs.len() as u64 > MAX_TASKS {
            return Err(GraphError::TooLarge { what: "edges", limit: MAX_TASKS });
        }
        self.tasks.push(task);
        self.bytes.push(bytes);
        self.scratch.push(scratch);
        self.input_start.push(self.inputs.len() as u32);
        Ok(TaskId(id as u32))
    }

    pub(crate) fn finish(mut self, outputs: Vec<TaskId>, labels: Vec<Box<str>>) -> Graph {
        // Growth by doubling may leave half of each array unused; large graphs give it back. Small ones are not worth
        // the reallocation, which would show in the microseconds that a tiny graph may cost.
        if self.tasks.len() > 4096 {
            self.tasks.shrink_to_fit();
            self.bytes.shrink_to_fit();
            self.scratch.shrink_to_fit();
            self.input_start.shrink_to_fit();
            self.inputs.shrink_to_fit();
        }
        let (dependent_start, dependents) = reverse(&self.input_start, &self.inputs);
        Graph {
            tasks: self.tasks,
            bytes: self.bytes,
            scratch: self.scratch,
            input_start: self.input_start,
            inputs: self.inputs,
            dependent_start,
            dependents,
            outputs,
            labels,
        }
    }
}

/// The edges the other way round, by counting sort: consumers ascend because they are visited in ascending order.
fn reverse(input_start: &[u32], inputs: &[TaskId]) -> (Vec<u32>, Vec<TaskId>) {
    let tasks = input_start.len() - 1;
    // `start[t + 1]` first counts, then holds where t's entries begin, and is moved to their end by the filling pass, so
    // that after it `start` is exactly the array of bounds and no second one is needed.
    let mut start = vec![0u32; tasks + 1];
    for input in inputs {
        start[input.0 as usize] += 1;
    }
    let mut sum = 0;
    for slot in &mut start {
        let count = *slot;
        *slot = sum;
        sum += count;
    }
    let mut dependents = vec![TaskId(0); inputs.len()];
    for consumer in 0..tasks {
        for input in &inputs[input_start[consumer] as usize..input_start[consumer + 1] as usize] {
            let at = &mut start[input.0 as usize];
            dependents[*at as usize] = TaskId(consumer as u32);
            *at += 1;
        }
    }
    // Each start has moved to the next one's; shift back by one.
    start.copy_within(0..tasks, 1);
    start[0] = 0;
    (start, dependents)
}
