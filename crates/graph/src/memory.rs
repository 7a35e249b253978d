//! What an order costs in memory, by the layers' estimates, before anything runs.
//!
//! The model is the executor's: a task holds its inputs, its scratch memory and its output while it runs; an input goes
//! when its last consumer has finished; outputs of the graph stay.

use crate::{Graph, Order, TaskId};

/// The most that is alive at once when a graph runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peak {
    /// Bytes, scratch memory included.
    pub bytes: u64,
    /// Values with more than no bytes, the one being made included.
    pub values: usize,
    /// The task during which `bytes` is first reached; none in an empty graph.
    pub at: Option<TaskId>,
}

/// The peak when the tasks run one after the other in `order`.
pub fn peak_memory(graph: &Graph, order: &Order) -> Peak {
    peak_memory_workers(graph, order, 1)
}

/// An estimate from above of the peak when `workers` tasks run at a time in `order`.
///
/// The tasks that run together are taken to be `workers` neighbours in the order, all of them holding their outputs and
/// scratch memory, with nothing freed until the first of them ends.
pub fn peak_memory_workers(graph: &Graph, order: &Order, workers: usize) -> Peak {
    let workers = workers.max(1);
    let mut uses: Vec<u32> = graph.ids().map(|id| graph.dependents(id).len() as u32).collect();
    for output in graph.outputs() {
        uses[output.0 as usize] += 1;
    }
    let sequence = order.sequence();
    let (mut live_bytes, mut live_values) = (0u64, 0usize);
    // What the window of running tasks after the current one adds.
    let (mut ahead_bytes, mut ahead_values) = (0u64, 0usize);
    let need = |id: TaskId| graph.bytes(id).saturating_add(graph.scratch_bytes(id));
    let counts = |id: TaskId| usize::from(graph.bytes(id) > 0);
    for &id in sequence.iter().take(workers - 1) {
        ahead_bytes = ahead_bytes.saturating_add(need(id));
        ahead_values += counts(id);
    }
    let mut peak = Peak { bytes: 0, values: 0, at: None };
    for (rank, &id) in sequence.iter().enumerate() {
        if let Some(&joins) = sequence.get(rank + workers - 1) {
            ahead_bytes = ahead_bytes.saturating_add(need(joins));
            ahead_values += counts(joins);
        }
        let bytes = live_bytes.saturating_add(ahead_bytes);
        peak.values = peak.values.max(live_values + ahead_values);
        if bytes > peak.bytes || peak.at.is_none() {
            peak.bytes = bytes;
            peak.at = Some(id);
        }
        ahead_bytes = ahead_bytes.saturating_sub(need(id));
        ahead_values -= counts(id);
        if uses[id.0 as usize] > 0 {
            live_bytes = live_bytes.saturating_add(graph.bytes(id));
            live_values += counts(id);
        }
        for &input in graph.inputs(id) {
            let uses = &mut uses[input.0 as usize];
            *uses -= 1;
            if *uses == 0 {
                live_bytes = live_bytes.saturating_sub(graph.bytes(input));
                live_values -= counts(input);
            }
        }
    }
    peak
}
