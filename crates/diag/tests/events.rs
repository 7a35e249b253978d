//! Logs of real runs: every task once, waits with the task that waited, runs inside tasks apart.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pantile_diag::events::{EventLog, releases};
use pantile_diag::timed::{self, Timed};
use pantile_diag::waits::{self, Kind};
use pantile_exec::{Executor, Options, Pool, run};
use pantile_graph::{Graph, Layer, LayerId, Observer, Runner, TaskRef, order};

/// `width` tasks, or one that takes all of the layer below.
struct Tasks {
    width: u32,
    label: &'static str,
    below: Option<(u32, u32)>,
}

impl Layer for Tasks {
    fn len(&self) -> u32 {
        self.width
    }
    fn inputs(&self, _index: u32, out: &mut Vec<TaskRef>) {
        if let Some((layer, count)) = self.below {
            out.extend((0..count).map(|index| TaskRef { layer: LayerId(layer), index }));
        }
    }
    fn bytes(&self, _index: u32) -> u64 {
        8
    }
    fn label(&self) -> &str {
        self.label
    }
}

/// A layer of tasks and one that takes them all.
fn fan_in(width: u32) -> Graph {
    let leaves = Tasks { width, label: "leaf", below: None };
    let root = Tasks { width: 1, label: "root", below: Some((0, width)) };
    Graph::expand(&[&leaves as &dyn Layer, &root], &[TaskRef { layer: LayerId(1), index: 0 }]).unwrap()
}

struct Calls<F>(F);

impl<F: Fn(TaskRef) -> Result<u64, String> + Send + Sync> Runner for Calls<F> {
    type Value = u64;
    type Error = String;
    fn run(&self, task: TaskRef, _inputs: &mut Vec<u64>) -> Result<u64, String> {
        (self.0)(task)
    }
    fn nbytes(&self, _value: &u64) -> u64 {
        8
    }
    fn spill(&self, value: &u64, to: &mut dyn io::Write) -> io::Result<bool> {
        to.write_all(&value.to_le_bytes()).map(|()| true)
    }
    fn restore(&self, _file: std::fs::File, _len: u64) -> io::Result<u64> {
        Ok(0)
    }
}

fn watched<R: Runner>(graph: &Graph, runner: &R, pool: Option<&Pool>, log: &Arc<EventLog>) -> bool {
    let observers: Vec<Arc<dyn Observer>> = vec![log.clone()];
    let executor = pool.map_or(Executor::Sync, Executor::Threads);
    let options = Options { executor, observers: &observers, ..Options::default() };
    run(graph, &order(graph), runner, &options).is_ok()
}

#[test]
fn every_task_is_logged_once_on_any_number_of_threads() {
    let graph = fan_in(5000);
    for pool in [None, Some(Pool::new(1).unwrap()), Some(Pool::new(4).unwrap())] {
        let log = Arc::new(EventLog::new(5));
        assert!(watched(&graph, &Calls(|_| Ok(1)), pool.as_ref(), &log));
        let r = log.take();
        assert_eq!((r.tasks, r.events.len(), r.ok, r.failed.len()), (5001, 5001, true, 0));
        let mut seen: Vec<u32> = r.events.iter().map(|e| e.task.0).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..5001).collect::<Vec<u32>>());
        for e in &r.events {
            assert_eq!(graph.task(e.task), e.what);
            assert!(e.start_ns <= e.end_ns && e.end_ns <= r.wall_ns && e.bytes == 8);
            assert!(r.parts.iter().any(|p| p.thread == e.thread));
        }
        assert!(r.events.is_sorted_by_key(|e| e.start_ns));
        // On one thread, one task at a time.
        let mut last = std::collections::HashMap::new();
        for e in &r.events {
            assert!(last.insert(e.thread, e.end_ns).unwrap_or(0) <= e.start_ns);
        }
    }
}

#[test]
fn values_are_released_by_their_last_consumer() {
    let graph = fan_in(3);
    let log = Arc::new(EventLog::new(1));
    watched(&graph, &Calls(|_| Ok(1)), None, &log);
    let r = log.take();
    let root = r.events.iter().find(|e| e.what.layer == LayerId(1)).unwrap();
    for (event, released) in r.events.iter().zip(releases(&graph, &r)) {
        assert_eq!(released, if event == root { r.wall_ns } else { root.end_ns });
    }
}

#[test]
fn waits_belong_to_the_task_that_waits() {
    let _on = waits::On::new();
    let graph = fan_in(40);
    let pool = Pool::new(3).unwrap();
    let log = Arc::new(EventLog::new(4));
    let runner = Calls(|task: TaskRef| {
        waits::add(Kind::Io, u64::from(task.index));
        if task.layer == LayerId(1) {
            waits::add(Kind::Gil, 7);
        }
        Ok(0)
    });
    assert!(watched(&graph, &runner, Some(&pool), &log));
    let r = log.take();
    for (event, taken) in r.events.iter().zip(&r.waits) {
        let gil = if event.what.layer == LayerId(1) { 7 } else { 0 };
        assert_eq!(taken.ns, [gil, u64::from(event.what.index), 0, 0]);
    }
}

#[test]
fn nothing_is_counted_while_nobody_watches() {
    // Other tests of this process may be watching: what matters is that the counts of this thread do not move.
    if !waits::is_on() {
        waits::add(Kind::Io, 9);
    }
    let log = Arc::new(EventLog::new(1));
    assert!(watched(&fan_in(1), &Calls(|_| Ok(0)), None, &log));
    assert!(log.take().waits.iter().all(|t| t.ns == [0; 4]));
}

#[test]
fn a_run_inside_a_task_is_told_apart() {
    let graph = fan_in(1);
    let outer = Arc::new(EventLog::new(1));
    let inner = Arc::new(EventLog::new(1));
    let depth = AtomicU64::new(0);
    let runner = Timed::new(
        Calls(|task: TaskRef| {
            if task.layer == LayerId(0) {
                depth.fetch_add(u64::from(timed::in_task()), Relaxed);
                assert!(watched(&graph, &Calls(|_| Ok(0)), None, &inner));
            }
            Ok(0)
        }),
        None,
        None,
    );
    assert!(watched(&graph, &runner, None, &outer));
    assert_eq!((depth.load(Relaxed), timed::in_task()), (1, false));
    let (outer, inner) = (outer.take(), inner.take());
    let spent: u64 = inner.events.iter().map(|e| e.end_ns - e.start_ns).sum();
    let leaf = outer.events.iter().position(|e| e.what.layer == LayerId(0)).unwrap();
    assert_eq!(outer.waits[leaf].inner_ns, spent);
    assert!(outer.events[leaf].end_ns - outer.events[leaf].start_ns >= spent);
    assert_eq!(outer.events[leaf].thread, inner.events[0].thread);
}

#[test]
fn a_failed_task_is_remembered() {
    let graph = fan_in(3);
    let log = Arc::new(EventLog::new(1));
    let fails = Calls(|t: TaskRef| if t.index == 1 { Err("no".into()) } else { Ok(0) });
    assert!(!watched(&graph, &fails, None, &log));
    let r = log.take();
    assert!(!r.ok);
    assert_eq!(r.failed.len(), 1);
    assert_eq!(r.failed[0].1, TaskRef { layer: LayerId(0), index: 1 });
    assert!(r.events.iter().all(|e| e.what.index != 1));
}

#[test]
fn a_runner_shows_its_values() {
    let seen = AtomicU64::new(0);
    let show = |_: TaskRef, value: &u64| {
        seen.fetch_add(*value, Relaxed);
    };
    let runner = Timed::new(Calls(|_| Ok(2)), None, Some(Box::new(show)));
    let log = Arc::new(EventLog::new(1));
    assert!(watched(&fan_in(4), &runner, None, &log));
    assert_eq!(seen.load(Relaxed), 10);
}
