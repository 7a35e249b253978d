//! What can be said about memory before a run.

use pantile_graph::{Graph, Order, peak_memory};

use crate::error::DoesNotFit;

/// Whether the graph can run within `limit_bytes`, by the layers' estimates.
///
/// With spilling, each task must fit with its inputs, its output and its scratch memory. Without, the peak of the whole,
/// run one task after the other, must fit.
///
/// # Errors
/// What does not fit, with the estimate and what to change.
pub fn check_fits(
    graph: &Graph,
    order: &Order,
    limit_bytes: u64,
    spill_allowed: bool,
) -> Result<(), DoesNotFit> {
    for id in graph.ids() {
        let inputs = graph.inputs(id);
        let distinct = |at: usize| !inputs[..at].contains(&inputs[at]);
        let mut inputs_bytes = inputs.iter().fold(0u64, |sum, &i| sum.saturating_add(graph.bytes(i)));
        let (output, scratch) = (graph.bytes(id), graph.scratch_bytes(id));
        let own = output.saturating_add(scratch);
        if inputs_bytes.saturating_add(own) > limit_bytes {
            // Counting duplicates once takes quadratic time, so it is done only when it matters, and for few inputs.
            if inputs.len() <= 1024 {
                let distinct = (0..inputs.len()).filter(|&at| distinct(at));
                inputs_bytes = distinct.fold(0, |sum, at| sum.saturating_add(graph.bytes(inputs[at])));
            }
            let needs = inputs_bytes.saturating_add(own);
            if needs > limit_bytes {
                let (task, label) = (graph.task(id), graph.label(id).into());
                let limit = limit_bytes;
                return Err(DoesNotFit::Task {
                    task,
                    label,
                    needs,
                    inputs: inputs_bytes,
                    output,
                    scratch,
                    limit,
                });
            }
        }
    }
    if !spill_allowed {
        let peak = peak_memory(graph, order);
        if let Some(at) = peak.at
            && peak.bytes > limit_bytes
        {
            let (task, label) = (graph.task(at), graph.label(at).into());
            return Err(DoesNotFit::Whole { task, label, needs: peak.bytes, limit: limit_bytes });
        }
    }
    Ok(())
}
