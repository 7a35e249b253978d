//! A runner over numbers that counts what is alive, a naive evaluator to compare with, and a watchdog.

#![allow(dead_code)]

use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use pantile_graph::{Graph, Runner, TaskRef, parse};

/// The graph of the given task lines, with three layers.
pub fn graph(lines: &str) -> Graph {
    parse(&format!("graph 1\nlayer \"load\"\nlayer \"twice\"\nlayer \"sum\"\n{lines}")).unwrap()
}

/// A number that knows how many of its kind there are.
#[derive(Debug)]
pub struct Number(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    value: u64,
    bytes: u64,
    alive: Arc<AtomicI64>,
}

impl Number {
    pub fn get(&self) -> u64 {
        self.0.value
    }
}

impl Clone for Number {
    fn clone(&self) -> Number {
        Number(Arc::clone(&self.0))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a task makes of its inputs: depends on the task, on each input, and on their order.
pub fn combine(task: TaskRef, inputs: impl Iterator<Item = u64>) -> u64 {
    let seed = u64::from(task.layer.0) * 1_000_003 + u64::from(task.index) + 1;
    inputs.fold(seed, |sum, input| sum.wrapping_mul(31).wrapping_add(input))
}

/// All values, one task after the other, nothing dropped.
pub fn naive(graph: &Graph) -> Vec<u64> {
    let mut values: Vec<u64> = Vec::new();
    for id in graph.ids() {
        let inputs = graph.inputs(id).iter().map(|input| values[input.0 as usize]);
        let value = combine(graph.task(id), inputs);
        values.push(value);
    }
    values
}

#[derive(Default)]
pub struct Numbers {
    pub living: Arc<AtomicI64>,
    pub fails: Option<TaskRef>,
    pub panics: Option<TaskRef>,
    pub sleep: Duration,
    /// Only tasks of this layer sleep.
    pub sleeping_layer: Option<u32>,
    /// The weight of a task's value; eight when there is none.
    pub weights: Option<Box<dyn Fn(TaskRef) -> u64 + Send + Sync>>,
    /// Every so-manieth value cannot be spilled.
    pub declines_every: u64,
    pub disk_full: bool,
    pub sole_owner_runs: AtomicU64,
    pub at_once: AtomicI64,
    pub most_at_once: AtomicI64,
    pub spills: AtomicU64,
    pub restores: AtomicU64,
    pub log: Option<Mutex<Vec<TaskRef>>>,
}

impl Numbers {
    pub fn recording() -> Numbers {
        Numbers { log: Some(Mutex::default()), ..Numbers::default() }
    }

    pub fn ran(&self) -> Vec<TaskRef> {
        self.log.as_ref().unwrap().lock().unwrap().clone()
    }

    pub fn alive(&self) -> i64 {
        self.living.load(Ordering::SeqCst)
    }

    fn number(&self, value: u64, bytes: u64) -> Number {
        self.living.fetch_add(1, Ordering::SeqCst);
        Number(Arc::new(Inner { value, bytes, alive: Arc::clone(&self.living) }))
    }
}

impl Runner for Numbers {
    type Value = Number;
    type Error = &'static str;

    fn run(&self, task: TaskRef, inputs: &mut Vec<Number>) -> Result<Number, &'static str> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        if !self.sleep.is_zero() && self.sleeping_layer.is_none_or(|layer| layer == task.layer.0) {
            std::thread::sleep(self.sleep);
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if let Some(ran) = &self.log {
            ran.lock().unwrap().push(task);
        }
        if self.fails == Some(task) {
            return Err("told to fail");
        }
        assert!(self.panics != Some(task), "told to panic");
        if !inputs.is_empty() && inputs.iter().all(|input| Arc::strong_count(&input.0) == 1) {
            self.sole_owner_runs.fetch_add(1, Ordering::SeqCst);
        }
        let bytes = self.weights.as_ref().map_or(8, |weights| weights(task));
        Ok(self.number(combine(task, inputs.iter().map(Number::get)), bytes))
    }

    fn nbytes(&self, value: &Number) -> u64 {
        value.0.bytes
    }

    fn spill(&self, value: &Number, to: &mut dyn io::Write) -> io::Result<bool> {
        if self.disk_full {
            to.write_all(b"half of i")?;
            return Err(io::Error::from_raw_os_error(28));
        }
        let nth = self.spills.fetch_add(1, Ordering::SeqCst);
        if self.declines_every > 0 && nth.is_multiple_of(self.declines_every) {
            return Ok(false);
        }
        to.write_all(&value.0.value.to_le_bytes())?;
        to.write_all(&value.0.bytes.to_le_bytes())?;
        Ok(true)
    }

    fn restore(&self, mut file: std::fs::File, len: u64) -> io::Result<Number> {
        assert_eq!(len, 16);
        self.restores.fetch_add(1, Ordering::SeqCst);
        let (mut value, mut bytes) = ([0; 8], [0; 8]);
        file.read_exact(&mut value)?;
        file.read_exact(&mut bytes)?;
        Ok(self.number(u64::from_le_bytes(value), u64::from_le_bytes(bytes)))
    }
}

/// Calls `f` on another thread and fails the process when it takes too long: a deadlock must not hang the tests.
pub fn with_watchdog<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = f();
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            eprintln!("nothing for {limit:?}: deadlock");
            std::process::exit(1);
        }
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}
