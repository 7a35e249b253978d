//! Few boxes for many nodes, so that a graph of a million calls can be drawn: those of one function at one depth share a box; if
//! these are too many, those of one function; and if there are too many functions, all at neighbouring depths. Functions that need
//! each other by turns, as in a loop, share a box too. All of it is linear in the graph, but for sorting pairs of functions and depths.

use super::collect::Collected;
use rustc_hash::{FxHashMap, FxHashSet};

/// For each label, by number, the number of nodes; the boxes that these need.
pub type Group = (Vec<(u32, usize)>, Vec<u32>);

/// At most `most` boxes, those that others need first, and the box of each node that the outputs need.
pub fn groups(
    nodes: &Collected,
    label: &dyn Fn(usize) -> u32,
    most: usize,
) -> (Vec<Group>, Vec<Option<u32>>) {
    let len = nodes.nodes.len();
    let mut needed = vec![false; len];
    nodes.outputs.iter().for_each(|&o| needed[o as usize] = true);
    // Inputs have lower numbers.
    for at in (0..len).rev() {
        if needed[at] {
            nodes.inputs(at as u32).iter().for_each(|&i| needed[i as usize] = true);
        }
    }
    let mut depth = vec![0u32; len];
    for at in 0..len {
        depth[at] = nodes.inputs(at as u32).iter().map(|&i| depth[i as usize] + 1).max().unwrap_or(0);
    }
    let used: Vec<usize> = (0..len).filter(|&at| needed[at]).collect();
    let key = coarse(used.iter().map(|&at| (label(at), depth[at])).collect(), most.max(1));
    // Boxes by the depth at which they begin.
    let mut number: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    let mut of = vec![None; len];
    for &at in &used {
        let next = number.len() as u32;
        of[at] = Some(*number.entry(key(label(at), depth[at])).or_insert(next));
    }
    let mut edges: FxHashSet<(u32, u32)> = FxHashSet::default();
    for &at in &used {
        for &input in nodes.inputs(at as u32) {
            if let (Some(from), Some(to)) = (of[input as usize], of[at])
                && from != to
            {
                edges.insert((from, to));
            }
        }
    }
    // Boxes that need each other become one: a picture has no cycles.
    let merged = together(number.len(), &edges);
    let mut made: Vec<FxHashMap<u32, usize>> = vec![FxHashMap::default(); number.len()];
    for &at in &used {
        let own = of[at].map(|g| merged[g as usize]);
        of[at] = own;
        if let Some(own) = own {
            *made[own as usize].entry(label(at)).or_default() += 1;
        }
    }
    let mut compact = vec![0u32; made.len()];
    let mut out: Vec<Group> = Vec::new();
    for (at, counts) in made.into_iter().enumerate().filter(|(_, counts)| !counts.is_empty()) {
        compact[at] = out.len() as u32;
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(label, count)| (std::cmp::Reverse(count), label));
        out.push((counts, Vec::new()));
    }
    for at in &mut of {
        *at = at.map(|g| compact[g as usize]);
    }
    let edges: FxHashSet<(u32, u32)> = edges
        .into_iter()
        .map(|(a, b)| (compact[merged[a as usize] as usize], compact[merged[b as usize] as usize]))
        .filter(|(a, b)| a != b)
        .collect();
    for (from, to) in edges {
        out[to as usize].1.push(from);
    }
    out.iter_mut().for_each(|(_, inputs)| inputs.sort_unstable());
    (out, of)
}

/// How labels and depths are told apart so that at most `most` are left.
fn coarse(mut pairs: Vec<(u32, u32)>, most: usize) -> impl Fn(u32, u32) -> (u32, u32) {
    pairs.sort_unstable();
    pairs.dedup();
    let by_depth = pairs.len() <= most;
    let deepest = pairs.iter().map(|p| p.1).max().unwrap_or(0);
    pairs.dedup_by_key(|p| p.0);
    let by_label = pairs.len() <= most;
    let width = if by_depth {
        1
    } else if by_label {
        u32::MAX
    } else {
        deepest / most as u32 + 1
    };
    move |label, depth| (if by_label { label } else { 0 }, depth / width)
}

/// For each box the first of those that it needs and that need it: strongly connected components, by R. Tarjan's method (1972).
fn together(count: usize, edges: &FxHashSet<(u32, u32)>) -> Vec<u32> {
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); count];
    edges.iter().for_each(|&(from, to)| users[from as usize].push(to));
    const NEW: u32 = u32::MAX;
    let (mut index, mut low) = (vec![NEW; count], vec![0u32; count]);
    let mut first: Vec<u32> = (0..count as u32).collect();
    let (mut stack, mut open, mut next) = (Vec::new(), vec![false; count], 0);
    for root in 0..count {
        if index[root] != NEW {
            continue;
        }
        let mut frames = vec![(root, 0)];
        while let Some(&(at, edge)) = frames.last() {
            if edge == 0 {
                (index[at], low[at]) = (next, next);
                next += 1;
                stack.push(at);
                open[at] = true;
            }
            if let Some(&user) = users[at].get(edge) {
                if let Some(frame) = frames.last_mut() {
                    frame.1 += 1;
                }
                let user = user as usize;
                if index[user] == NEW {
                    frames.push((user, 0));
                } else if open[user] {
                    low[at] = low[at].min(index[user]);
                }
                continue;
            }
            frames.pop();
            if let Some(&(parent, _)) = frames.last() {
                low[parent] = low[parent].min(low[at]);
            }
            if low[at] == index[at] {
                let start = stack.iter().rposition(|&s| s == at).unwrap_or(0);
                let component = stack.split_off(start);
                let least = component.iter().copied().min().unwrap_or(at) as u32;
                for member in component {
                    open[member] = false;
                    first[member] = least;
                }
            }
        }
    }
    first
}
