//! Planning a rechunk of blocks that have been computed: in one step where that is cheap, else over intermediate chunks.
//!
//! A task that makes a new block holds all the old blocks that it touches. From columns to rows that is the whole array, for
//! every task. Going over intermediate chunks bounds it: with `k` steps whose chunk lengths grow or shrink geometrically, a task
//! touches about the `k`-th root of that. The same steps keep the number of edges down: `n` columns to `n` rows is `n * n` edges
//! in one step, `2 n sqrt(n)` in two. What is computed meanwhile may spill.
//!
//! Arrays that are read from a source need none of this: any box of them can be read.

use crate::chunks::{AxisChunks, Chunks, block_count};
use smallvec::SmallVec;

/// Edges of one step that are always acceptable.
const FEW_EDGES: u64 = 1 << 21;
/// More steps than this save nothing: each one copies the array.
const MAX_STEPS: u32 = 6;

/// What one step costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of old blocks that the worst task holds, with its own block.
    pub task_bytes: u64,
    /// Edges of the graph.
    pub edges: u64,
}

/// The cost of going from one grid to another directly.
pub fn cost(from: &[AxisChunks], to: &[AxisChunks], itemsize: u64) -> Cost {
    let (mut held, mut blocks, mut own) = (itemsize, 1u64, itemsize);
    for (a, b) in from.iter().zip(to) {
        let (mut most_len, mut total) = (0, 0u64);
        let mut first = 0;
        for i in 0..b.count() {
            let (start, end) = (b.start(i), b.start(i) + b.sizes()[i]);
            while first + 1 < a.count() && a.start(first + 1) <= start {
                first += 1;
            }
            let mut last = first;
            while last + 1 < a.count() && a.start(last + 1) < end {
                last += 1;
            }
            total += (last - first + 1) as u64;
            most_len = most_len.max(a.start(last) + a.sizes()[last] - a.start(first));
        }
        held = held.saturating_mul(most_len.max(1));
        own = own.saturating_mul(b.longest().max(1));
        blocks = blocks.saturating_mul(total.max(1));
    }
    Cost { task_bytes: held.saturating_add(own), edges: blocks }
}

/// The grids to go through, the last one being `to`: the fewest whose tasks hold at most `task_bytes` each, or the steps that hold
/// least if none do.
pub fn stages(from: &Chunks, to: &Chunks, itemsize: u64, task_bytes: u64) -> Vec<Chunks> {
    let direct = vec![to.clone()];
    if from.iter().chain(to).any(|c| !c.is_known() || c.is_empty()) {
        return direct;
    }
    let fits = |c: Cost| {
        c.task_bytes <= task_bytes
            && c.edges
                <= FEW_EDGES.max(4u64.saturating_mul(block_count(from).saturating_add(block_count(to))))
    };
    let mut best: Option<(Cost, Vec<Chunks>)> = None;
    for steps in 1..=MAX_STEPS {
        let mut plan: Vec<Chunks> = (1..steps).map(|k| between(from, to, k as f64 / steps as f64)).collect();
        plan.push(to.clone());
        let mut worst = Cost { task_bytes: 0, edges: 0 };
        let mut before = from;
        for grid in &plan {
            let c = cost(before, grid, itemsize);
            worst = Cost { task_bytes: worst.task_bytes.max(c.task_bytes), edges: worst.edges.max(c.edges) };
            before = grid;
        }
        if fits(worst) {
            return plan;
        }
        // Another step must be worth its copy.
        let better = best.as_ref().is_none_or(|(b, _)| {
            let weight = |c: &Cost| (c.task_bytes.max(task_bytes), c.edges.max(FEW_EDGES));
            let ((t, e), (bt, be)) = (weight(&worst), weight(b));
            t < bt - bt / 8 || (t <= bt && e < be - be / 8)
        });
        if better {
            best = Some((worst, plan));
        }
    }
    best.map_or(direct, |(_, plan)| plan)
}

/// The grid at a fraction of the way, with chunk lengths interpolated geometrically.
fn between(from: &Chunks, to: &Chunks, fraction: f64) -> Chunks {
    let mut out: Chunks = SmallVec::new();
    for (a, b) in from.iter().zip(to) {
        if a == b {
            out.push(a.clone());
            continue;
        }
        let (x, y) = (a.longest().max(1) as f64, b.longest().max(1) as f64);
        let size = (x.powf(1.0 - fraction) * y.powf(fraction)).round().max(1.0) as u64;
        // A multiple of the smaller of the two cuts fewer blocks.
        let unit = (x.min(y)) as u64;
        let size = if size > unit { size / unit * unit } else { size };
        out.push(AxisChunks::uniform(a.len().unwrap_or(0), size.max(1)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(lens: &[u64], sizes: &[u64]) -> Chunks {
        lens.iter().zip(sizes).map(|(&n, &s)| AxisChunks::uniform(n, s)).collect()
    }

    #[test]
    fn a_cheap_change_takes_one_step() {
        let (a, b) = (grid(&[100, 100], &[10, 10]), grid(&[100, 100], &[20, 20]));
        assert_eq!(stages(&a, &b, 8, 1 << 20), std::slice::from_ref(&b));
        assert_eq!(cost(&a, &b, 8), Cost { task_bytes: 2 * 20 * 20 * 8, edges: 100 });
    }

    #[test]
    fn columns_to_rows_are_bounded() {
        let n = 10_000;
        let (a, b) = (grid(&[n, n], &[n, 1]), grid(&[n, n], &[1, n]));
        assert_eq!(cost(&a, &b, 8).edges, n * n);
        let plan = stages(&a, &b, 8, 64 << 20);
        let mut before = &a;
        for step in &plan {
            let c = cost(before, step, 8);
            assert!(c.task_bytes <= 64 << 20 && c.edges <= 4_000_000, "{c:?} in {} steps", plan.len());
            before = step;
        }
        assert!(plan.len() <= 3, "{}", plan.len());
        assert_eq!(plan.last(), Some(&b));
    }

    #[test]
    fn a_budget_below_one_block_still_gives_a_plan() {
        let (a, b) = (grid(&[64, 64], &[64, 1]), grid(&[64, 64], &[1, 64]));
        let plan = stages(&a, &b, 8, 1);
        assert_eq!(plan.last(), Some(&b));
    }
}
