//! What the executor itself costs a task: tasks that do nothing.
//!
//! `cargo run --release -p pantile-exec --example noop`; promised: at most a microsecond a task and thread.

use std::fs::File;
use std::io;
use std::time::Instant;

use pantile_exec::{Executor, Options, Pool, run_with_stats};
use pantile_graph::{Graph, Layer, LayerId, Runner, TaskRef, order};

struct Made<F> {
    len: u32,
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
        8
    }
    fn label(&self) -> &str {
        "nothing"
    }
}

fn made(len: u32, inputs: impl Fn(u32, &mut Vec<TaskRef>) + Send + Sync + 'static) -> Box<dyn Layer> {
    Box::new(Made { len, inputs })
}

fn task(layer: u32, index: u32) -> TaskRef {
    TaskRef { layer: LayerId(layer), index }
}

fn tree(n: u32) -> Graph {
    let mut layers = vec![made(n, |_, _| {}), made(n, |i, out| out.push(task(0, i)))];
    let mut len = n;
    while len > 1 {
        let (below, below_len) = (layers.len() as u32 - 1, len);
        len = len.div_ceil(4);
        layers.push(made(len, move |i, out| {
            out.extend((i * 4..((i + 1) * 4).min(below_len)).map(|j| task(below, j)));
        }));
    }
    Graph::expand(&layers, &[task(layers.len() as u32 - 1, 0)]).expect("sound")
}

fn independent(n: u32) -> Graph {
    let outputs: Vec<TaskRef> = (0..n).map(|i| task(0, i)).collect();
    Graph::expand(&[made(n, |_, _| {})], &outputs).expect("sound")
}

fn chain(n: u32) -> Graph {
    let link = made(n, |i, out| out.extend(i.checked_sub(1).map(|below| task(0, below))));
    Graph::expand(&[link], &[task(0, n - 1)]).expect("sound")
}

/// Adds one to the sum of its inputs.
struct Nothing;

impl Runner for Nothing {
    type Value = u64;
    type Error = String;
    fn run(&self, _task: TaskRef, inputs: &mut Vec<u64>) -> Result<u64, String> {
        Ok(inputs.iter().sum::<u64>() + 1)
    }
    fn nbytes(&self, _value: &u64) -> u64 {
        8
    }
    fn spill(&self, _value: &u64, _to: &mut dyn io::Write) -> io::Result<bool> {
        Ok(false)
    }
    fn restore(&self, _file: File, _len: u64) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn main() {
    println!("{:<26} {:>8} {:>9} {:>9} {:>8}", "graph", "tasks", "executor", "ns/task", "steals");
    let graphs = [
        ("independent", independent(100_000), 20),
        ("chain", chain(100_000), 20),
        ("tree", tree(100_000), 20),
        ("chain of 5, µs a run", chain(5), 2000),
        ("tree of 2 blocks, µs a run", tree(2), 2000),
    ];
    let pools: Vec<Pool> =
        [1, 2, 4].iter().map(|&threads| Pool::new(threads).expect("threads start")).collect();
    for (name, graph, rounds) in &graphs {
        let order = order(graph);
        for (limit_bytes, pool) in [
            (None, None),
            (None, Some(&pools[0])),
            (None, Some(&pools[1])),
            (Some(u64::MAX), Some(&pools[1])),
            (None, Some(&pools[2])),
        ] {
            let options = Options {
                executor: pool.map_or(Executor::Sync, Executor::Threads),
                limit_bytes,
                ..Options::default()
            };
            let mut times = Vec::new();
            let mut steals = 0;
            for _ in 0..*rounds {
                let began = Instant::now();
                let (values, stats) = run_with_stats(graph, &order, &Nothing, &options);
                times.push(began.elapsed().as_secs_f64());
                assert_eq!(values.expect("nothing fails").len(), graph.outputs().len());
                steals = stats.steals;
            }
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            let executor = match pool {
                None => "sync".to_string(),
                Some(pool) => {
                    format!("{}{}", pool.threads(), if limit_bytes.is_some() { " limit" } else { "" })
                }
            };
            if graph.len() < 100 {
                println!("{name:<26} {:>8} {executor:>9} {:>9.1} {steals:>8}", graph.len(), median * 1e6);
            } else {
                let per_task = median * 1e9 / graph.len() as f64;
                println!("{name:<26} {:>8} {executor:>9} {per_task:>9.0} {steals:>8}", graph.len());
            }
        }
    }
}
