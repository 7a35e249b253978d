//! What plans look like: how many tasks there are, what is fused, what is computed once, and that size stays linear.

mod common;
mod support;

use common::{block_of, elements, plan, run, source, task_counts};
use pantile_array::chunks::AxisChunks;
use pantile_array::layers::store::Destination;
use pantile_array::lower::{Options, lower};
use pantile_array::ops::elementwise::broadcast_to;
use pantile_array::ops::index::{Index, index};
use pantile_array::ops::join::concatenate;
use pantile_array::ops::reduction::{Params, reduce};
use pantile_array::ops::shape::{expand_dims, reshape, transpose};
use pantile_array::source::{Range, Source};
use pantile_array::{Block, Expr, Kind, Result};
use pantile_types::DType;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::{cut, fold, map, number, params, ramp, with};

/// A file, as far as plans can tell: not in memory, and it counts how often each element is read.
struct File {
    shape: Vec<u64>,
    reads: AtomicUsize,
    elements: AtomicUsize,
}

impl Source for File {
    fn dtype(&self) -> DType {
        DType::F64
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        self.reads.fetch_add(1, Relaxed);
        self.elements.fetch_add(out.len(), Relaxed);
        let strides: Vec<u64> = (0..self.shape.len()).map(|k| self.shape[k + 1..].iter().product()).collect();
        let mut at = vec![0u64; ranges.len()];
        let data: Vec<f64> = (0..out.len())
            .map(|_| {
                let place: i64 = ranges
                    .iter()
                    .zip(&at)
                    .zip(&strides)
                    .map(|((r, &i), &s)| (r.start as i64 + r.step * i as i64) * s as i64)
                    .sum();
                for axis in (0..at.len()).rev() {
                    at[axis] += 1;
                    if at[axis] < ranges[axis].len {
                        break;
                    }
                    at[axis] = 0;
                }
                place as f64
            })
            .collect();
        // SAFETY: `out` is this call's alone.
        unsafe { out.assign(&block_of(DType::F64, out.shape(), &data)) };
        Ok(())
    }
    fn describe(&self) -> String {
        "a file".into()
    }
}

fn file(sizes: &[&[u64]]) -> (Expr, Arc<File>) {
    let shape = sizes.iter().map(|s| s.iter().sum()).collect();
    let file = Arc::new(File { shape, reads: AtomicUsize::new(0), elements: AtomicUsize::new(0) });
    (Expr::new(Kind::Source(file.clone()), DType::F64, cut(sizes)), file)
}

fn counts(outputs: &[Expr]) -> Vec<(String, usize)> {
    task_counts(outputs).into_iter().collect()
}

fn labels(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    let map: BTreeMap<String, usize> = pairs.iter().map(|(l, n)| (l.to_string(), *n)).collect();
    map.into_iter().collect()
}

// ---- hash-consing ----

#[test]
fn the_same_expression_is_one_node() {
    let x = ramp(&[&[4, 4]]);
    let y = map("add", &[&x, &with("multiply", &x, 2.0)]);
    assert_eq!(y.id(), map("add", &[&x, &with("multiply", &x, 2.0)]).id());
    assert_ne!(y.id(), map("add", &[&x, &with("multiply", &x, 3.0)]).id());
    assert_eq!(fold("sum", &y, None).id(), fold("sum", &y, None).id());
    assert_ne!(fold("sum", &y, None).id(), fold("max", &y, None).id());
    let keep = Params { keepdims: true, ..params(None) };
    assert_ne!(reduce("sum", &y, &keep).unwrap().id(), fold("sum", &y, None).id());
    // Two zeros, two NaNs: constants are the same by bits.
    assert_ne!(with("add", &x, 0.0).id(), with("add", &x, -0.0).id());
    assert_eq!(with("add", &x, f64::NAN).id(), with("add", &x, f64::NAN).id());
    // Other chunks make another node, and going back makes the first one again.
    let other = y.rechunk(cut(&[&[8]]));
    assert_ne!(other.id(), y.id());
    assert_eq!(other.rechunk(cut(&[&[4, 4]])).id(), y.id());
}

#[test]
fn views_that_undo_each_other_are_nothing() {
    let x = ramp(&[&[4, 4], &[3]]);
    assert_eq!(transpose(&transpose(&x, &[1, 0]), &[1, 0]), x);
    let back = Index::Slice(None, None, Some(-1));
    let once = index(&x, std::slice::from_ref(&back)).unwrap();
    assert_eq!(index(&once, &[back]).unwrap(), x);
    let wide = expand_dims(&x, &[0, 2]);
    let narrow =
        index(&wide, &[Index::Int(0), Index::Ellipsis, Index::Int(0), Index::Slice(None, None, None)]);
    assert_eq!(narrow.unwrap(), x);
    assert_eq!(reshape(&x, &[8, 3]).unwrap(), x);
}

#[test]
fn a_dropped_node_is_made_anew() {
    let x = ramp(&[&[4]]);
    let first = with("add", &x, 17.25).id();
    assert_ne!(with("add", &x, 17.25).id(), first);
}

// ---- fusion ----

#[test]
fn the_mean_of_x_and_its_transpose_is_folded_where_the_blocks_are() {
    let side: Vec<u64> = vec![100; 4];
    let x = ramp(&[&side, &side]);
    let mean = fold("mean", &map("add", &[&x, &transpose(&x, &[1, 0])]), None);
    let tasks = task_counts(std::slice::from_ref(&mean));
    // One fold a block (fewer where blocks are small enough to share a task), and the merges of their states.
    assert_eq!(tasks.keys().collect::<Vec<_>>(), ["mean"], "{tasks:?}");
    assert!(tasks["mean"] <= 16 + 1, "{tasks:?}");
    assert_eq!(number(&mean), 159_999.0);
    // Blocks of 512 KB share no task.
    let side: Vec<u64> = vec![300; 4];
    let x = ramp(&[&side, &side]);
    let mean = fold("mean", &map("add", &[&x, &transpose(&x, &[1, 0])]), None);
    assert_eq!(counts(&[mean]), labels(&[("mean", 16 + 1)]));
}

#[test]
fn an_elementwise_chain_is_one_task_a_block() {
    let x = ramp(&[&[5, 5], &[4, 4]]);
    let mut y = x.clone();
    for k in 0..20 {
        y = with(["add", "multiply", "subtract"][k % 3], &y, 1.5);
    }
    let row = index(&x, &[Index::Int(0)]).unwrap();
    let y = map("maximum", &[&y, &row]);
    assert_eq!(counts(&[y]), labels(&[("maximum", 4)]));
}

#[test]
fn rechunking_before_a_reduction_makes_no_tasks() {
    let x = ramp(&[&[300; 4], &[300; 4]]);
    let other = x.rechunk(cut(&[&[1200], &[100; 12]]));
    assert_eq!(counts(&[fold("sum", &other, None)]), labels(&[("sum", 12 + 1)]));
    assert_eq!(number(&fold("sum", &other, None)), number(&fold("sum", &x, None)));
}

#[test]
fn common_subexpressions_are_computed_once() {
    let x = ramp(&[&[300; 4], &[300]]);
    // An exponential is dear: two groups that need it read its blocks.
    let dear = map("sin", &[&x]);
    let outputs = [fold("sum", &dear, None), fold("max", &dear, None)];
    let tasks = task_counts(&outputs);
    assert_eq!(tasks["sin"], 4, "{tasks:?}");
    // A sum is cheap: it is computed where it is needed.
    let cheap = with("add", &x, 1.0);
    let outputs = [fold("sum", &cheap, None), fold("max", &cheap, None)];
    assert!(!task_counts(&outputs).contains_key("add"));
    // Through one view only, the dear one is fused as well.
    assert!(!task_counts(&[fold("sum", &dear, None)]).contains_key("sin"));
}

#[test]
fn standardising_reads_a_small_file_once_and_a_large_one_as_often_as_needed() {
    let (x, file_) = file(&[&[100; 4], &[50]]);
    let mean = fold("mean", &x, Some(&[0]));
    let deviation = fold("std", &x, Some(&[0]));
    let z = map("divide", &[&map("subtract", &[&x, &mean]), &deviation]);
    let outputs = [z];
    let got = run(&outputs).unwrap();
    assert_eq!(file_.elements.load(Relaxed), 400 * 50, "a file that may be kept is read once");
    let values: Vec<f64> = elements(&got.outputs[0]);
    assert!((values.iter().sum::<f64>()).abs() < 1e-9);
    // If nothing may be kept, blocks are read again for the part that waits for the mean; mean and deviation, which do not
    // wait for each other, share a reading or read once each.
    let plan =
        lower(&outputs, &[Destination::Fresh], Options { keep_bytes: 0, ..Options::default() }).unwrap();
    let kept = plan.layers.iter().any(|l| l.label() == "source");
    assert!(
        !kept,
        "the source's blocks are not kept: {:?}",
        plan.layers.iter().map(|l| l.label().to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let (x, file_) = file(&[&[10; 10], &[10; 10]]);
    let corner = index(&with("add", &x, 1.0), &[Index::Slice(Some(95), None, None), Index::Int(3)]).unwrap();
    assert_eq!(counts(std::slice::from_ref(&corner)).iter().map(|c| c.1).sum::<usize>(), 1);
    assert_eq!(elements::<f64>(&run(&[corner]).unwrap().outputs[0])[0], 95.0 * 100.0 + 3.0 + 1.0);
    assert_eq!(file_.elements.load(Relaxed), 5, "only the elements of the slice");
    let (x, file_) = file(&[&[10; 10], &[10; 10]]);
    let part = index(&fold("sum", &x, Some(&[1])), &[Index::Slice(None, Some(10), None)]).unwrap();
    run(&[part]).unwrap();
    assert_eq!(file_.elements.load(Relaxed), 10 * 100, "the other rows' sums are not made");
}

#[test]
fn a_broadcast_reads_its_elements_once_a_block() {
    let (x, file_) = file(&[&[100]]);
    let wide = broadcast_to(&x, cut(&[&[50; 4], &[100]])).unwrap();
    assert_eq!(number(&fold("sum", &wide, None)), 200.0 * 4950.0);
    assert!(file_.elements.load(Relaxed) <= 4 * 100);
}

#[test]
fn concatenated_blocks_are_passed_on() {
    let x = ramp(&[&[300; 4]]);
    let joined = concatenate(&[x.clone(), x], 0, None).unwrap();
    let plan = plan(std::slice::from_ref(&joined));
    let got = support::blocks(&joined).unwrap();
    assert_eq!((got.len(), plan.layers.len()), (8, 1), "one task a block, which reads memory by itself");
    assert_eq!(got[0].ptr(), got[4].ptr(), "nothing is copied");
}

#[test]
fn outputs_go_straight_into_their_array() {
    let x = ramp(&[&[5, 5], &[4, 4]]);
    let y = with("add", &x, 1.0);
    let target = Block::zeros(DType::F64, &[10, 8]).unwrap();
    let plan = lower(
        std::slice::from_ref(&y),
        &[Destination::Into(target.clone())],
        Options { keep_bytes: 0, ..Options::default() },
    )
    .unwrap();
    assert_eq!(plan.layers.len(), 1);
    let mut total = 0;
    for task in plan.output_tasks() {
        plan.layers[task.layer.0 as usize].run(task.index, &mut Vec::new()).unwrap();
        total += 1;
    }
    assert_eq!(total, 4);
    assert_eq!(elements::<f64>(&target), (0..80).map(|v| v as f64 + 1.0).collect::<Vec<_>>());
}

// ---- size ----

fn chain(length: usize, x: &Expr) -> Expr {
    let mut y = x.clone();
    for k in 0..length {
        y = with(if k % 2 == 0 { "add" } else { "multiply" }, &y, 0.5);
    }
    y
}

/// How many nodes lowering looks at.
fn visits(outputs: &[Expr]) -> u64 {
    let destinations = vec![Destination::Fresh; outputs.len()];
    let plan = lower(outputs, &destinations, Options { keep_bytes: 0, ..Options::default() }).unwrap();
    assert!(!plan.layers.is_empty());
    plan.visits
}

/// Work that grows as the size does: ten times the nodes, ten times the visits. A hundred times if something is quadratic.
#[track_caller]
fn linear(small: u64, large: u64) {
    assert!((9 * small..=11 * small).contains(&large), "{small} visits, with ten times the nodes {large}");
}

#[test]
fn deep_chains_are_built_lowered_and_dropped() {
    let x = ramp(&[&[2, 1]]);
    let (short, long) = (chain(10_000, &x), chain(100_000, &x));
    linear(visits(std::slice::from_ref(&short)), visits(std::slice::from_ref(&long)));
    let tasks = task_counts(std::slice::from_ref(&long));
    let total: usize = tasks.values().sum();
    assert!((2 * 100_000 / 201..=2 * 100_000 / 100).contains(&total), "{tasks:?}");
    drop(long);
    assert!(elements::<f64>(&run(&[short]).unwrap().outputs[0]).iter().all(|v| v.is_finite()));
}

#[test]
fn deep_chains_of_views_and_rechunks_do_not_overflow_the_stack() {
    let x = ramp(&[&[2, 1], &[3]]);
    let (a, b) = (cut(&[&[3], &[1, 2]]), cut(&[&[2, 1], &[3]]));
    let back = Index::Slice(None, None, Some(-1));
    let mut y = x.clone();
    for k in 0..100_000 {
        y = index(&y, std::slice::from_ref(&back)).unwrap();
        y = y.rechunk(if k % 2 == 0 { a.clone() } else { b.clone() });
    }
    let sum = fold("sum", &y, None);
    assert_eq!(number(&sum), 36.0);
    assert_eq!(
        elements::<f64>(&run(&[y]).unwrap().outputs[0]),
        elements::<f64>(&run(&[x]).unwrap().outputs[0])
    );
}

#[test]
fn many_reductions_and_outputs_are_lowered_in_linear_time() {
    let x = ramp(&[&[1]]);
    let build = |n: usize| {
        // A chain in which each link is a reduction: every node has blocks of its own.
        let mut y = x.clone();
        for k in 0..n {
            y = with("add", &broadcast_to(&fold("sum", &y, None), cut(&[&[1]])).unwrap(), k as f64);
        }
        y
    };
    let (small, large) = (build(3_000), build(30_000));
    linear(visits(&[small]), visits(&[large]));
    let outputs =
        |n: usize| (0..n).map(|k| fold("sum", &with("add", &x, k as f64), None)).collect::<Vec<_>>();
    linear(visits(&outputs(3_000)), visits(&outputs(30_000)));
}

#[test]
fn a_chain_that_doubles_is_not_unfolded() {
    // Each link uses the one before twice, seen from both ends: unfolded these are 2^60 operations.
    let x = ramp(&[&[4]]);
    let mut y = x.clone();
    for _ in 0..60 {
        let back = index(&y, &[Index::Slice(None, None, Some(-1))]).unwrap();
        y = with("multiply", &map("add", &[&y, &back]), 0.5);
    }
    let plan = plan(std::slice::from_ref(&y));
    assert!(plan.layers.len() <= 60, "{} layers", plan.layers.len());
    assert_eq!(elements::<f64>(&run(&[y]).unwrap().outputs[0]), [1.5; 4]);
}

#[test]
fn small_blocks_share_tasks_but_large_reductions_keep_enough() {
    let tiny = ramp(&[&[2; 2000]]);
    let tasks = task_counts(&[fold("sum", &with("add", &tiny, 1.0), None)]);
    assert_eq!(tasks["sum"], 1, "{tasks:?}");
    let chunks: Vec<u64> = vec![1000; 1000];
    let fill = pantile_array::ops::elementwise::fill(
        pantile_types::Scalar::F64(1.0),
        DType::F64,
        [AxisChunks::new(chunks)].into_iter().collect(),
    );
    let tasks = task_counts(&[fold("sum", &fill, None)]);
    assert!((32..=100).contains(&tasks["sum"]), "{tasks:?}");
}

#[test]
fn a_view_of_memory_is_not_copied() {
    let block = block_of(DType::F64, &[4, 4], &(0..16).map(f64::from).collect::<Vec<_>>());
    let x = source(block.clone(), cut(&[&[2, 2], &[4]]));
    let plan = plan(&[x]);
    let value = plan.layers[0].run(1, &mut Vec::new()).unwrap().into_block().unwrap();
    assert_eq!(value.ptr() as usize, block.ptr() as usize + 8 * 8);
}
