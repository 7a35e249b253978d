//! What expanding (with culling) and ordering cost a task, from a thousand to ten million tasks.
//!
//! `cargo run --release -p pantile-graph --example scale [most tasks]`; promised: at most 500 ns in all, flat.

use std::time::Instant;

use pantile_graph::{Graph, Layer, LayerId, TaskRef, order};

/// A layer given by a function, without boxes on the way.
struct Made<F> {
    len: u32,
    bytes: u64,
    inputs: F,
}

impl<F: Fn(u32, &mut Vec<TaskRef>) + Send + Sync> Layer for Made<F> {
    fn len(&self) -> u32 {
        self.len
    }
    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        (self.inputs)(index, out);
    }
    fn bytes(&self, _index: u32) -> u64 {
        self.bytes
    }
    fn label(&self) -> &str {
        "made"
    }
}

type Layers = Vec<Box<dyn Layer>>;
type Shape = fn(u32) -> Layers;

fn made(
    len: u32,
    bytes: u64,
    inputs: impl Fn(u32, &mut Vec<TaskRef>) + Send + Sync + 'static,
) -> Box<dyn Layer> {
    Box::new(Made { len, bytes, inputs })
}

fn task(layer: u32, index: u32) -> TaskRef {
    TaskRef { layer: LayerId(layer), index }
}

/// One task after the other.
fn chain(n: u32) -> Layers {
    vec![made(n, 1 << 20, |i, out| out.extend(i.checked_sub(1).map(|below| task(0, below))))]
}

/// `(ones(n) + 1).sum()`: a source, an elementwise step, a partial sum for each block, and a tree.
fn reduction(n: u32) -> Layers {
    let mut len = n / 3;
    let mut layers = vec![
        made(len, 1 << 20, |_, _| {}),
        made(len, 1 << 20, |i, out| out.push(task(0, i))),
        made(len, 8, |i, out| out.push(task(1, i))),
    ];
    while len > 1 {
        let (below, below_len) = (layers.len() as u32 - 1, len);
        len = len.div_ceil(16);
        layers.push(made(len, 8, move |i, out| {
            out.extend((i * 16..((i + 1) * 16).min(below_len)).map(|j| task(below, j)));
        }));
    }
    layers
}

/// Three steps of a stencil in the plane, stored: nine inputs a task.
fn stencil(n: u32) -> Layers {
    let side = f64::from(n / 5).sqrt() as u32;
    let mut layers = vec![made(side * side, 1 << 20, |_, _| {})];
    for below in 0..3 {
        layers.push(made(side * side, 1 << 20, move |k, out| {
            let (row, column) = (k / side, k % side);
            for i in row.saturating_sub(1)..(row + 2).min(side) {
                for j in column.saturating_sub(1)..(column + 2).min(side) {
                    out.push(task(below, i * side + j));
                }
            }
        }));
    }
    layers.push(made(side * side, 0, |k, out| out.push(task(3, k))));
    layers
}

/// `x + x.T`, summed, fused: two inputs a task, far apart.
fn transpose(n: u32) -> Layers {
    let side = f64::from(n / 2).sqrt() as u32;
    vec![
        made(side * side, 1 << 20, |_, _| {}),
        made(side * side, 8, move |k, out| {
            out.extend([task(0, k), task(0, k % side * side + k / side)]);
        }),
    ]
}

fn main() {
    let most: u32 =
        std::env::args().nth(1).map_or(10_000_000, |most| most.parse().expect("a number of tasks"));
    println!(
        "{:<10} {:>10} {:>10}   {:>8} {:>8} {:>8}   {:>12}",
        "graph", "tasks", "edges", "expand", "order", "ns/task", "arena B/task"
    );
    let shapes: [(&str, Shape); 4] =
        [("chain", chain), ("reduction", reduction), ("stencil", stencil), ("transpose", transpose)];
    for (name, make) in shapes {
        let mut n = 1000;
        while n <= most {
            let layers = make(n);
            let last = layers.len() as u32 - 1;
            let whole = layers[last as usize].len();
            let outputs: Vec<TaskRef> = match name {
                "chain" => vec![task(0, whole - 1)],
                _ => (0..whole).map(|i| task(last, i)).collect(),
            };
            // Small graphs are made several times, and the best is taken: the first pays for the pages.
            let mut best = (f64::MAX, f64::MAX);
            let mut shown = (0, 0, 0);
            for _ in 0..(2_000_000 / n).clamp(1, 200) {
                let began = Instant::now();
                let graph = Graph::expand(&layers, &outputs).expect("the layers are sound");
                let expanded = began.elapsed().as_secs_f64();
                let began = Instant::now();
                let ordered = order(&graph);
                let ordering = began.elapsed().as_secs_f64();
                assert_eq!(ordered.len(), graph.len());
                if expanded + ordering < best.0 + best.1 {
                    best = (expanded, ordering);
                }
                shown = (graph.len(), graph.edges(), graph.memory_bytes());
            }
            let (tasks, edges, memory) = shown;
            let per = |seconds: f64| seconds * 1e9 / tasks as f64;
            println!(
                "{name:<10} {tasks:>10} {edges:>10}   {:>8.0} {:>8.0} {:>8.0}   {:>12.1}",
                per(best.0),
                per(best.1),
                per(best.0 + best.1),
                memory as f64 / tasks as f64
            );
            n *= 10;
        }
    }
}
