//! What an observer costs: a million tasks that do nothing, without and with an event log.
//!
//! `cargo run --release -p pantile-diag --example observing [TASKS] [THREADS]` (threads 0: on the calling thread)

use std::io;
use std::sync::Arc;
use std::time::Instant;

use pantile_diag::events::EventLog;
use pantile_exec::{Executor, Options, Pool, run};
use pantile_graph::{Graph, Layer, LayerId, Observer, Runner, TaskRef, order};

struct Independent(u32);

impl Layer for Independent {
    fn len(&self) -> u32 {
        self.0
    }
    fn inputs(&self, _index: u32, _out: &mut Vec<TaskRef>) {}
    fn bytes(&self, _index: u32) -> u64 {
        0
    }
    fn label(&self) -> &str {
        "nothing"
    }
}

struct Nothing;

impl Runner for Nothing {
    type Value = ();
    type Error = String;
    fn run(&self, _task: TaskRef, _inputs: &mut Vec<()>) -> Result<(), String> {
        Ok(())
    }
    fn nbytes(&self, _value: &()) -> u64 {
        0
    }
    fn spill(&self, _value: &(), _to: &mut dyn io::Write) -> io::Result<bool> {
        Ok(false)
    }
    fn restore(&self, _file: std::fs::File, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    let argument = |n: usize, default: u32| match std::env::args().nth(n).map(|a| a.parse()) {
        None => default,
        Some(number) => number.expect("a number of tasks and one of threads"),
    };
    let tasks = argument(1, 1_000_000);
    let threads = argument(2, 2) as usize;
    let layer = Independent(tasks);
    let outputs: Vec<TaskRef> = (0..tasks).map(|index| TaskRef { layer: LayerId(0), index }).collect();
    let graph = Graph::expand(&[&layer as &dyn Layer], &outputs).expect("a graph of independent tasks");
    let order = order(&graph);
    let pool = Pool::new(threads).expect("threads");
    let executor = if threads == 0 { Executor::Sync } else { Executor::Threads(&pool) };
    let mut best = [f64::MAX; 2];
    for _ in 0..7 {
        for (watched, best) in best.iter_mut().enumerate() {
            let log = Arc::new(EventLog::new(threads + 1));
            let observers: Vec<Arc<dyn Observer>> = if watched == 1 { vec![log.clone()] } else { Vec::new() };
            let options = Options { executor, observers: &observers, ..Options::default() };
            let began = Instant::now();
            assert!(run(&graph, &order, &Nothing, &options).is_ok());
            *best = best.min(began.elapsed().as_secs_f64());
            assert_eq!(log.take().events.len(), if watched == 1 { tasks as usize } else { 0 });
        }
    }
    let [without, with] = best.map(|seconds| seconds * 1e9 / f64::from(tasks));
    println!(
        "{tasks} tasks, {threads} threads: {without:.0} ns a task without, {with:.0} ns with an event log"
    );
    // Of threads that work side by side, each pays for its own tasks.
    println!(
        "an event log costs {:.0} ns of a thread's time a task",
        (with - without) * threads.max(1) as f64
    );
}
