//! The known hard cases of ordering: how many blocks are alive at the worst moment.
//!
//! A block has ten thousand bytes and a partial result eight, so that a bound in bytes is a bound in blocks with room for
//! the partial results. Where no reduction follows, outputs are results of zero bytes, as when they are stored.

mod common;

use common::Plan;
use pantile_graph::{Graph, order, order_counted, peak_memory};

const BLOCK: u64 = 10_000;
const PART: u64 = 8;

#[track_caller]
fn check_blocks_alive(graph: &Graph, most: u64) {
    let order = order(graph);
    let again = pantile_graph::Order::from_sequence(graph, order.sequence().to_vec());
    assert_eq!(again.as_ref(), Some(&order), "the order is topological and complete");
    let peak = peak_memory(graph, &order);
    let blocks = peak.bytes as f64 / BLOCK as f64;
    // Partial results may add up to half a block.
    assert!(
        peak.bytes <= most * BLOCK + BLOCK / 2,
        "{blocks:.2} blocks alive, expected at most {most}; worst at {}",
        graph.describe(peak.at.unwrap())
    );
    assert!(peak.bytes > (most - 1) * BLOCK, "only {blocks:.2} blocks alive: tighten the bound {most}");
}

#[test]
fn a_sum_keeps_one_block_and_its_partial_sum() {
    let mut plan = Plan::default();
    let x = plan.layer("x", 1000, BLOCK, |_| vec![]);
    let part = plan.layer("part", 1000, PART, move |i| vec![(x, i)]);
    let sum = plan.reduce("sum", part, 1000, 16, PART);
    check_blocks_alive(&plan.graph(&[sum]), 1);
}

#[test]
fn a_tree_of_whole_blocks_keeps_one_level_a_depth() {
    let mut plan = Plan::default();
    let x = plan.layer("x", 1024, BLOCK, |_| vec![]);
    let sum = plan.reduce("add", x, 1024, 2, BLOCK);
    // Ten levels, one waiting half each, the leaf pair and the new block.
    check_blocks_alive(&plan.graph(&[sum]), 12);
}

#[test]
fn a_wide_tree_of_whole_blocks() {
    let mut plan = Plan::default();
    let x = plan.layer("x", 256, BLOCK, |_| vec![]);
    let sum = plan.reduce("add", x, 256, 4, BLOCK);
    // Three waiting a level above the leaves' four inputs and one output: 4 + 1 + 3 * 3.
    check_blocks_alive(&plan.graph(&[sum]), 14);
}

fn transpose(n: u32, sum_block: bool) -> Graph {
    let mut plan = Plan::default();
    let x = plan.layer("x", n * n, BLOCK, |_| vec![]);
    let add = plan.layer("add", n * n, BLOCK, move |k| vec![(x, k), (x, k % n * n + k / n)]);
    if sum_block {
        let part = plan.layer("part", n * n, PART, move |i| vec![(add, i)]);
        let sum = plan.reduce("sum", part, n * n, 8, PART);
        plan.graph(&[sum])
    } else {
        let store = plan.layer("store", n * n, 0, move |i| vec![(add, i)]);
        plan.graph(&[store])
    }
}

#[test]
fn x_plus_its_transpose_keeps_the_pair() {
    check_blocks_alive(&transpose(20, true), 3);
    check_blocks_alive(&transpose(20, false), 3);
}

#[test]
fn x_plus_its_transpose_fused_with_the_sum() {
    let n = 20;
    let mut plan = Plan::default();
    let x = plan.layer("x", n * n, BLOCK, |_| vec![]);
    let part = plan.layer("add-sum", n * n, PART, move |k| vec![(x, k), (x, k % n * n + k / n)]);
    let sum = plan.reduce("sum", part, n * n, 16, PART);
    let graph = plan.graph(&[sum]);
    let peak = peak_memory(&graph, &order(&graph));
    // Two blocks, and at most all partial sums.
    assert!(peak.bytes <= 2 * BLOCK + u64::from(n * n) * PART, "{} bytes alive", peak.bytes);
}

#[test]
fn x_plus_its_transpose_as_outputs_keeps_the_results_and_one_pair() {
    let n = 12;
    let mut plan = Plan::default();
    let x = plan.layer("x", n * n, BLOCK, |_| vec![]);
    let add = plan.layer("add", n * n, BLOCK, move |k| vec![(x, k), (x, k % n * n + k / n)]);
    check_blocks_alive(&plan.graph(&[add]), u64::from(n * n) + 1);
}

#[test]
fn a_stencil_along_a_line() {
    let n = 500;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let near = plan
        .layer("near", n, BLOCK, move |i| (i.saturating_sub(1)..(i + 2).min(n)).map(|j| (x, j)).collect());
    let part = plan.layer("part", n, PART, move |i| vec![(near, i)]);
    let sum = plan.reduce("sum", part, n, 64, PART);
    check_blocks_alive(&plan.graph(&[sum]), 4);
}

#[test]
fn a_stencil_in_the_plane_keeps_two_rows() {
    let n = 30;
    let mut plan = Plan::default();
    let x = plan.layer("x", n * n, BLOCK, |_| vec![]);
    let near = plan.layer("near", n * n, BLOCK, move |k| {
        let (r, c) = (k / n, k % n);
        let rows = r.saturating_sub(1)..(r + 2).min(n);
        rows.flat_map(|i| (c.saturating_sub(1)..(c + 2).min(n)).map(move |j| (x, i * n + j))).collect()
    });
    let store = plan.layer("store", n * n, 0, move |i| vec![(near, i)]);
    check_blocks_alive(&plan.graph(&[store]), u64::from(2 * n + 4));
}

#[test]
fn three_steps_of_a_stencil_keep_a_few_blocks_a_step() {
    let n = 300;
    let mut plan = Plan::default();
    let mut x = plan.layer("x", n, BLOCK, |_| vec![]);
    for step in ["one", "two", "three"] {
        let of = x;
        x = plan
            .layer(step, n, BLOCK, move |i| (i.saturating_sub(1)..(i + 2).min(n)).map(|j| (of, j)).collect());
    }
    let store = plan.layer("store", n, 0, move |i| vec![(x, i)]);
    check_blocks_alive(&plan.graph(&[store]), 8);
}

#[test]
fn mean_and_std_of_one_source_read_it_once() {
    let n = 400;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let part = plan.layer("sum-part", n, PART, move |i| vec![(x, i)]);
    let mean = plan.reduce("mean", part, n, 64, PART);
    let square = plan.layer("square", n, BLOCK, move |i| vec![(x, i)]);
    let moments = plan.layer("moments", n, PART, move |i| vec![(square, i)]);
    let std = plan.reduce("std", moments, n, 64, PART);
    check_blocks_alive(&plan.graph(&[mean, std]), 2);
}

#[test]
fn column_means_taken_away_go_column_by_column() {
    let (rows, columns) = (20, 30);
    let mut plan = Plan::default();
    let x = plan.layer("x", rows * columns, BLOCK, |_| vec![]);
    let part = plan.layer("part", rows * columns, PART, move |i| vec![(x, i)]);
    let mean =
        plan.layer("mean", columns, PART, move |c| (0..rows).map(|r| (part, r * columns + c)).collect());
    let less = plan.layer("less", rows * columns, BLOCK, move |k| vec![(x, k), (mean, k % columns)]);
    let store = plan.layer("store", rows * columns, 0, move |i| vec![(less, i)]);
    check_blocks_alive(&plan.graph(&[store]), u64::from(rows) + 1);

    let square = plan.layer("square", rows * columns, PART, move |i| vec![(less, i)]);
    let sum = plan.reduce("sum", square, rows * columns, 64, PART);
    check_blocks_alive(&plan.graph(&[sum]), u64::from(rows) + 2);
}

#[test]
fn a_sum_of_everything_does_not_dictate_the_order_of_columns() {
    // x.sum() and x - x.mean(0), asked for in this order: the sum is content with any order of blocks, the rest is not.
    let (rows, columns) = (20, 30);
    let n = rows * columns;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let piece = plan.layer("piece", n, PART, move |i| vec![(x, i)]);
    let sum = plan.reduce("sum", piece, n, 16, PART);
    let part = plan.layer("part", n, PART, move |i| vec![(x, i)]);
    let mean =
        plan.layer("mean", columns, PART, move |c| (0..rows).map(|r| (part, r * columns + c)).collect());
    let less = plan.layer("less", n, BLOCK, move |k| vec![(x, k), (mean, k % columns)]);
    let store = plan.layer("store", n, 0, move |i| vec![(less, i)]);
    check_blocks_alive(&plan.graph(&[sum, store]), u64::from(rows) + 2);
    check_blocks_alive(&plan.graph(&[store, sum]), u64::from(rows) + 2);
}

#[test]
fn an_anomaly_over_time_keeps_one_place() {
    // x has a block a month and place; the climatology is a mean over years for each month of the year.
    let (months, years, places) = (12, 8, 10);
    let times = months * years;
    let mut plan = Plan::default();
    let x = plan.layer("x", times * places, BLOCK, |_| vec![]);
    let part = plan.layer("part", times * places, PART, move |i| vec![(x, i)]);
    let climate = plan.layer("climate", months * places, PART, move |k| {
        let (month, place) = (k / places, k % places);
        (0..years).map(|year| (part, (year * months + month) * places + place)).collect()
    });
    let anomaly = plan.layer("anomaly", times * places, BLOCK, move |k| {
        let (time, place) = (k / places, k % places);
        vec![(x, k), (climate, time % months * places + place)]
    });
    let store = plan.layer("store", times * places, 0, move |i| vec![(anomaly, i)]);
    check_blocks_alive(&plan.graph(&[store]), u64::from(years) + 1);
}

#[test]
fn means_of_squares_and_products_of_two_fields() {
    let n = 200;
    let mut plan = Plan::default();
    let u = plan.layer("u", n, BLOCK, |_| vec![]);
    let v = plan.layer("v", n, BLOCK, |_| vec![]);
    let uu = plan.layer("uu", n, BLOCK, move |i| vec![(u, i)]);
    let uv = plan.layer("uv", n, BLOCK, move |i| vec![(u, i), (v, i)]);
    let vv = plan.layer("vv", n, BLOCK, move |i| vec![(v, i)]);
    let outputs: Vec<u32> = [uu, uv, vv]
        .into_iter()
        .map(|of| {
            let part = plan.layer("part", n, PART, move |i| vec![(of, i)]);
            plan.reduce("mean", part, n, 64, PART)
        })
        .collect();
    check_blocks_alive(&plan.graph(&outputs), 3);
}

fn matmul(n: u32) -> Graph {
    let mut plan = Plan::default();
    let a = plan.layer("a", n * n, BLOCK, |_| vec![]);
    let b = plan.layer("b", n * n, BLOCK, |_| vec![]);
    let product = plan.layer("product", n * n * n, BLOCK, move |t| {
        let (i, j, k) = (t / n / n, t / n % n, t % n);
        vec![(a, i * n + k), (b, k * n + j)]
    });
    let add = plan.layer("add", n * n, BLOCK, move |t| (0..n).map(|k| (product, t * n + k)).collect());
    let store = plan.layer("store", n * n, 0, move |i| vec![(add, i)]);
    plan.graph(&[store])
}

#[test]
fn a_product_of_matrices_keeps_one_operand_and_a_row() {
    // All of b, a row of a, the products of one block of the result, and their sum.
    check_blocks_alive(&matmul(8), 64 + 8 + 8 + 1);
}

#[test]
fn a_rechunk_splits_each_block_at_once() {
    let n = 32;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let split = plan.layer("split", n * n, BLOCK / u64::from(n), move |k| vec![(x, k / n)]);
    let merge = plan.layer("merge", n, BLOCK, move |j| (0..n).map(|i| (split, i * n + j)).collect());
    let part = plan.layer("part", n, PART, move |j| vec![(merge, j)]);
    let sum = plan.reduce("sum", part, n, 64, PART);
    check_blocks_alive(&plan.graph(&[sum]), u64::from(n) + 1);
}

#[test]
fn the_side_that_needs_more_goes_first() {
    // A block waits while the deep side is reduced, unless the deep side goes first.
    let mut plan = Plan::default();
    let big = plan.layer("big", 1, 10 * BLOCK, |_| vec![]);
    let x = plan.layer("x", 10, 5 * BLOCK, |_| vec![]);
    let deep = plan.layer("deep", 1, PART, move |_| (0..10).map(|i| (x, i)).collect());
    let both = plan.layer("both", 1, PART, move |_| vec![(big, 0), (deep, 0)]);
    check_blocks_alive(&plan.graph(&[both]), 50);
}

#[test]
fn a_chain_of_elementwise_steps_per_block() {
    let n = 100;
    let mut plan = Plan::default();
    let mut of = plan.layer("x", n, BLOCK, |_| vec![]);
    for step in ["a", "b", "c", "d"] {
        let below = of;
        of = plan.layer(step, n, BLOCK, move |i| vec![(below, i)]);
    }
    let part = plan.layer("part", n, PART, move |i| vec![(of, i)]);
    let sum = plan.reduce("sum", part, n, 64, PART);
    check_blocks_alive(&plan.graph(&[sum]), 2);
}

#[test]
fn columns_normalised_by_mean_and_std() {
    let (rows, columns) = (20, 30);
    let n = rows * columns;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let part = plan.layer("part", n, PART, move |i| vec![(x, i)]);
    let mean =
        plan.layer("mean", columns, PART, move |c| (0..rows).map(|r| (part, r * columns + c)).collect());
    let less = plan.layer("less", n, BLOCK, move |k| vec![(x, k), (mean, k % columns)]);
    let square = plan.layer("square", n, PART, move |k| vec![(x, k)]);
    let std =
        plan.layer("std", columns, PART, move |c| (0..rows).map(|r| (square, r * columns + c)).collect());
    let over = plan.layer("over", n, BLOCK, move |k| vec![(less, k), (std, k % columns)]);
    let store = plan.layer("store", n, 0, move |k| vec![(over, k)]);
    check_blocks_alive(&plan.graph(&[store]), u64::from(rows) + 1);
}

#[test]
fn a_running_sum_keeps_one_block() {
    let n = 200;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let part = plan.layer("part", n, PART, move |i| vec![(x, i)]);
    let carry = plan.layer("carry", n, PART, move |i| {
        // The layer itself is the third.
        if i == 0 { vec![(part, 0)] } else { vec![(part, i), (2, i - 1)] }
    });
    let out = plan.layer(
        "out",
        n,
        BLOCK,
        move |i| {
            if i == 0 { vec![(x, 0)] } else { vec![(x, i), (carry, i - 1)] }
        },
    );
    let store = plan.layer("store", n, 0, move |i| vec![(out, i)]);
    check_blocks_alive(&plan.graph(&[store]), 2);
}

#[test]
fn a_tall_qr_keeps_q_only_when_it_is_asked_for() {
    let n = 64;
    let mut plan = Plan::default();
    let a = plan.layer("a", n, BLOCK, |_| vec![]);
    let qr = plan.layer("qr", n, BLOCK, move |i| vec![(a, i)]);
    let r = plan.layer("r", n, PART, move |i| vec![(qr, i)]);
    let stacked = plan.reduce("stacked", r, n, 8, PART);
    let u = plan.layer("u", n, BLOCK, move |i| vec![(qr, i), (stacked, 0)]);
    let store = plan.layer("store", n, 0, move |i| vec![(u, i)]);
    check_blocks_alive(&plan.graph(&[stacked]), 2);
    check_blocks_alive(&plan.graph(&[store]), u64::from(n) + 1);
}

#[test]
fn storing_an_array_and_its_mean_makes_each_block_once() {
    let n = 100;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, BLOCK, |_| vec![]);
    let y = plan.layer("y", n, BLOCK, move |i| vec![(x, i)]);
    let store = plan.layer("store", n, 0, move |i| vec![(y, i)]);
    let part = plan.layer("part", n, PART, move |i| vec![(y, i)]);
    let mean = plan.reduce("mean", part, n, 16, PART);
    check_blocks_alive(&plan.graph(&[store, mean]), 2);
    check_blocks_alive(&plan.graph(&[mean, store]), 2);
}

#[test]
fn three_statistics_over_time_keep_one_block() {
    let (times, places) = (60, 12);
    let mut plan = Plan::default();
    let x = plan.layer("x", times * places, BLOCK, |_| vec![]);
    let outputs = ["mean", "max", "min"].map(|name| {
        let part = plan.layer(name, times * places, PART, move |i| vec![(x, i)]);
        plan.layer(name, places, PART, move |s| (0..times).map(|t| (part, t * places + s)).collect())
    });
    check_blocks_alive(&plan.graph(&outputs), 1);
}

#[test]
fn a_stencil_in_space_keeps_two_planes() {
    let n = 12u32;
    let mut plan = Plan::default();
    let x = plan.layer("x", n * n * n, BLOCK, |_| vec![]);
    let near = plan.layer("near", n * n * n, BLOCK, move |k| {
        let around = |at: u32| at.saturating_sub(1)..(at + 2).min(n);
        let (a, b, c) = (k / n / n, k / n % n, k % n);
        let plane = move |i| around(b).flat_map(move |j| around(c).map(move |l| (x, (i * n + j) * n + l)));
        around(a).flat_map(plane).collect()
    });
    let store = plan.layer("store", n * n * n, 0, move |i| vec![(near, i)]);
    // Two planes, two rows, and a few.
    check_blocks_alive(&plan.graph(&[store]), u64::from(2 * n * n + 2 * n + 4));
}

#[test]
fn a_mean_that_every_block_waits_for_is_begun_once() {
    // Each block waits for its own copy of the mean, which needs all blocks. To begin the mean again for each block
    // would push 50 000 squared goals.
    let n = 50_000;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, 1 << 30, |_| vec![]);
    let part = plan.layer("part", n, PART, move |i| vec![(x, i)]);
    let mean = plan.layer("mean", 1, PART, move |_| (0..n).map(|i| (part, i)).collect());
    let copy = plan.layer("copy", n, PART, move |_| vec![(mean, 0)]);
    let less = plan.layer("less", n, 1 << 30, move |i| vec![(x, i), (copy, i)]);
    let store = plan.layer("store", n, 0, move |i| vec![(less, i)]);
    let graph = plan.graph(&[store]);
    let (order, visits) = order_counted(&graph);
    assert!(visits < 8 * graph.edges() as u64, "{visits} visits over {} edges", graph.edges());
    assert_eq!(peak_memory(&graph, &order).bytes >> 30, u64::from(n) + 1);
}
