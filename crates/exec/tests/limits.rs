//! Random graphs under tiny memory limits: the same values as a naive evaluator, no deadlock, nothing left behind.
//! That the ledger is empty after a run is asserted inside the run.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Number, Numbers, graph, with_watchdog};
use pantile_exec::{Executor, Family, Options, Pool, RunError, Stats, check_fits, run_with_stats};
use pantile_graph::{Graph, TaskRef, order, peak_memory};
use proptest::prelude::*;

/// An empty folder of its own, removed at the end, which must be empty then.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("pantile-limits-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A random graph: each task with a size, some scratch memory, and inputs among the tasks before it.
fn random_graph() -> impl Strategy<Value = Graph> {
    let task = (0u64..50, 0u64..10, proptest::collection::vec(any::<prop::sample::Index>(), 0..4));
    let tasks = proptest::collection::vec(task, 1..60);
    let outputs = proptest::collection::vec(any::<prop::sample::Index>(), 0..5);
    (tasks, outputs).prop_map(|(tasks, outputs)| {
        let mut text = String::new();
        let len = tasks.len();
        for (at, (bytes, scratch, inputs)) in tasks.into_iter().enumerate() {
            let layer = usize::from(!inputs.is_empty());
            text += &format!("t{at} = {layer}[{at}] bytes={bytes} scratch={scratch} <-");
            for input in inputs.into_iter().filter(|_| at > 0) {
                text += &format!(" t{}", input.index(at));
            }
            text.push('\n');
        }
        text += "out";
        for output in outputs {
            text += &format!(" t{}", output.index(len));
        }
        graph(&(text + "\n"))
    })
}

fn run_once(
    graph: &Graph,
    runner: &Numbers,
    threads: usize,
    limit: Option<u64>,
    spill_dir: Option<&Path>,
) -> (Result<Vec<u64>, RunError<&'static str>>, Stats) {
    let pool = (threads > 0).then(|| Pool::new(threads).unwrap());
    let options = Options {
        executor: pool.as_ref().map_or(Executor::Sync, Executor::Threads),
        limit_bytes: limit,
        spill_dir: spill_dir.map(Path::to_owned),
        ..Options::default()
    };
    let (result, stats) = run_with_stats(graph, &order(graph), runner, &options);
    (result.map(|values| values.iter().map(Number::get).collect()), stats)
}

fn sizes(graph: &Graph, wrong: bool) -> Box<dyn Fn(TaskRef) -> u64 + Send + Sync> {
    let bytes: Vec<u64> = graph.ids().map(|id| graph.bytes(id)).collect();
    // Estimates may be wrong in both directions.
    Box::new(move |task| {
        let bytes = bytes[task.index as usize];
        if wrong { [bytes / 2, bytes, bytes * 3][task.index as usize % 3] } else { bytes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_ends_with_the_right_values_under_any_limit(
        graph in random_graph(),
        threads in 0usize..=4,
        limit in prop_oneof![Just(0u64), 1u64..300, Just(100_000)],
        spills in proptest::bool::weighted(0.8),
        wrong in any::<bool>(),
        declines_every in 0u64..4,
    ) {
        let outcome = with_watchdog(Duration::from_secs(60), move || {
            let scratch = Scratch::new();
            let runner = Numbers { weights: Some(sizes(&graph, wrong)), declines_every, ..Numbers::default() };
            let (result, stats) = run_once(&graph, &runner, threads, Some(limit), spills.then(|| scratch.path()));
            let naive = common::naive(&graph);
            let expected: Vec<u64> = graph.outputs().iter().map(|id| naive[id.0 as usize]).collect();
            let peak = peak_memory(&graph, &order(&graph)).bytes;
            (result.unwrap(), expected, runner.alive(), scratch.is_empty(), stats, graph.len() as u64, peak)
        });
        let (values, expected, alive, is_empty, stats, tasks, peak) = outcome;
        prop_assert_eq!(values, expected);
        prop_assert_eq!(alive, 0);
        prop_assert!(is_empty);
        prop_assert_eq!(stats.tasks, tasks);
        // Sequentially and with right estimates, a limit that the order keeps to is never reached.
        if threads == 0 && !wrong && limit >= peak {
            prop_assert_eq!((stats.spilled_bytes, stats.forced_tasks, stats.overshoot_bytes), (0, 0, 0));
        }
        if !spills {
            prop_assert_eq!(stats.spilled_bytes, 0);
        }
    }

    #[test]
    fn failing_tasks_leave_nothing_behind(
        graph in random_graph(),
        threads in 0usize..=4,
        limit in 0u64..200,
        at in any::<prop::sample::Index>(),
        panics in proptest::bool::weighted(0.1),
        disk_full in any::<bool>(),
    ) {
        let (alive, is_empty, ok) = with_watchdog(Duration::from_secs(60), move || {
            let scratch = Scratch::new();
            let victim = graph.task(pantile_graph::TaskId(at.index(graph.len()) as u32));
            let mut runner = Numbers { weights: Some(sizes(&graph, false)), disk_full, ..Numbers::default() };
            if panics { runner.panics = Some(victim) } else { runner.fails = Some(victim) }
            let (result, _) = run_once(&graph, &runner, threads, Some(limit), Some(scratch.path()));
            let ok = match result {
                Ok(_) => false,
                Err(RunError::Task { task, .. }) => !panics && task == victim,
                Err(RunError::Panic { task, .. }) => panics && task == victim,
                Err(RunError::Spill { .. }) => disk_full,
                Err(_) => false,
            };
            (runner.alive(), scratch.is_empty(), ok)
        });
        prop_assert!(ok);
        prop_assert_eq!(alive, 0);
        prop_assert!(is_empty);
    }
}

/// `(x - x.mean())` reduced: every block is needed again once all have been seen, so that all are alive at a time, while
/// each task needs little.
fn mean_taken_away(n: u32) -> Graph {
    let mut text = String::new();
    for i in 0..n {
        text += &format!("t{i} = 0[{i}] bytes=100\n");
    }
    for i in n..2 * n {
        text += &format!("t{i} = 1[{i}] bytes=1 <- t{}\n", i - n);
    }
    let parts: String = (n..2 * n).map(|i| format!(" t{i}")).collect();
    text += &format!("t{} = 2[{}] bytes=1 <-{parts}\n", 2 * n, 2 * n);
    for i in 2 * n + 1..3 * n + 1 {
        text += &format!("t{i} = 1[{i}] bytes=1 <- t{} t{}\n", i - 2 * n - 1, 2 * n);
    }
    let less: String = (2 * n + 1..3 * n + 1).map(|i| format!(" t{i}")).collect();
    let last = 3 * n + 1;
    graph(&format!("{text}t{last} = 2[{last}] bytes=1 <-{less}\nout t{last}\n"))
}

#[test]
fn spilling_keeps_the_peak_within_the_limit() {
    let mut text = String::new();
    // Each source is used by the first and by the last consumer, in opposite orders.
    let n = 40;
    for i in 0..n {
        text += &format!("t{i} = 0[{i}] bytes=100\n");
    }
    text += &format!("t{n} = 1[{n}] bytes=1 <-{}\n", (0..n).map(|i| format!(" t{i}")).collect::<String>());
    for i in 0..n {
        text += &format!("t{} = 1[{}] bytes=1 <- t{n} t{i}\n", n + 1 + i, n + 1 + i);
    }
    let text = format!("{text}out{}\n", (0..n).map(|i| format!(" t{}", n + 1 + i)).collect::<String>());
    let graph = graph(&text);
    // The middle task needs all sources at once; that is what must be forced, and nothing else.
    for threads in [0, 1, 2] {
        let scratch = Scratch::new();
        let runner = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
        let (result, stats) = run_once(&graph, &runner, threads, Some(1000), Some(scratch.path()));
        let naive = common::naive(&graph);
        let expected: Vec<u64> = graph.outputs().iter().map(|id| naive[id.0 as usize]).collect();
        assert_eq!(result.unwrap(), expected);
        assert!(stats.spilled_bytes >= 3000, "{stats:?}");
        assert!(stats.restored_bytes >= 3000, "{stats:?}");
        assert!(stats.forced_tasks <= 2, "{stats:?}");
        assert!(scratch.is_empty());
    }
}

#[test]
fn what_is_needed_again_is_spilled_and_comes_back() {
    let graph = mean_taken_away(64);
    for threads in [0, 1, 2, 4] {
        let scratch = Scratch::new();
        let runner = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
        let (result, stats) = run_once(&graph, &runner, threads, Some(1100), Some(scratch.path()));
        assert_eq!(result.unwrap(), [*common::naive(&graph).last().unwrap()]);
        assert_eq!((stats.forced_tasks, stats.overshoot_bytes), (0, 0), "{threads} threads: {stats:?}");
        assert!(stats.peak_bytes <= 1100);
        // At least what does not fit, and not much more than all of it once.
        assert!((5300..=7500).contains(&stats.spilled_bytes), "{threads} threads: {stats:?}");
        assert!(stats.restored_bytes <= stats.spilled_bytes);
        assert_eq!(runner.alive(), 0);
        assert!(scratch.is_empty());
    }
}

#[test]
fn nothing_is_spilled_below_the_limit() {
    let graph = mean_taken_away(64);
    let scratch = Scratch::new();
    let runner = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
    let (result, stats) = run_once(&graph, &runner, 2, Some(64 * 100 + 2000), Some(scratch.path()));
    result.unwrap();
    assert_eq!((stats.spilled_bytes, stats.restored_bytes, stats.forced_tasks), (0, 0, 0));
}

/// The middle layer keeps all sources alive.
fn needs_to_spill() -> Graph {
    let mut text = String::new();
    for i in 0..20 {
        text += &format!("t{i} = 0[{i}] bytes=100\n");
    }
    graph(&format!("{text}out{}\n", (0..20).map(|i| format!(" t{i}")).collect::<String>()))
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let graph = needs_to_spill();
    for threads in [0, 2] {
        let scratch = Scratch::new();
        let runner = Numbers { weights: Some(sizes(&graph, false)), disk_full: true, ..Numbers::default() };
        let (result, _) = run_once(&graph, &runner, threads, Some(500), Some(scratch.path()));
        let error = result.unwrap_err();
        assert_eq!(error.family(), Family::Resource);
        let message = error.to_string();
        assert!(message.starts_with(&format!("cannot write {}/pantile-spill-", scratch.path().display())));
        assert!(
            message.ends_with(
                "No space left on device (os error 28). The disk is full: free some space, choose a spill folder on \
                 another disk, or raise the memory limit"
            ),
            "{message}"
        );
        assert!(scratch.is_empty());
        assert_eq!(runner.alive(), 0);
    }
}

#[test]
fn a_missing_spill_folder_is_said() {
    let graph = needs_to_spill();
    for threads in [0, 2] {
        let scratch = Scratch::new();
        let runner = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
        let missing = scratch.path().join("missing");
        let (result, _) = run_once(&graph, &runner, threads, Some(500), Some(&missing));
        let message = result.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot create {}/pantile-spill-", missing.display())),
            "{message}"
        );
        assert!(message.contains("The spill folder does not exist or was removed"), "{message}");
        assert_eq!(runner.alive(), 0);
    }
}

#[test]
fn what_cannot_fit_is_said_beforehand() {
    let graph = graph("t0 = 0[0] bytes=3000\nt1 = 2[4] bytes=2000 scratch=100 <- t0 t0\nout t1\n");
    let order = order(&graph);
    let message =
        |limit, spills| check_fits(&graph, &order, limit, spills).map_err(|error| error.to_string());
    assert_eq!(message(5100, true), Ok(()));
    assert_eq!(message(5100, false), Ok(()));
    assert_eq!(
        message(5099, true).unwrap_err(),
        "`sum[4]` needs 5.0 KiB at once (inputs 2.9 KiB, output 2.0 KiB, working memory 100 bytes), and the memory \
         limit is 5.0 KiB. Use smaller chunks, or raise the limit"
    );

    let graph = needs_to_spill();
    let order = pantile_graph::order(&graph);
    assert_eq!(check_fits(&graph, &order, 100, true), Ok(()));
    assert_eq!(
        check_fits(&graph, &order, 1999, false).unwrap_err().to_string(),
        "the computation is estimated to need 2.0 KiB (at `load[19]`), the memory limit is 2.0 KiB, and spilling to disk \
         is off. Use smaller chunks, raise the limit, or give a spill folder"
    );
}

#[test]
fn threads_keep_near_the_order() {
    // x - x.mean(0), stored, with columns of twenty blocks: one column is alive at a time, and a little more for each
    // thread. Threads that went on loading while one of them finishes a column would keep several.
    let (rows, columns) = (20, 12);
    let n = rows * columns;
    let mut text = String::new();
    for k in 0..n {
        text += &format!("t{k} = 0[{k}] bytes=1000\n");
    }
    for j in 0..columns {
        let column: Vec<String> = (0..rows).map(|i| format!("t{}", i * columns + j)).collect();
        text += &format!("t{} = 1[{}] bytes=8 <- {}\n", n + j, n + j, column.join(" "));
    }
    for k in 0..n {
        let (id, mean) = (n + columns + k, n + k % columns);
        text += &format!("t{id} = 2[{id}] bytes=0 <- t{k} t{mean}\n");
    }
    let outputs: String = (0..n).map(|k| format!(" t{}", n + columns + k)).collect();
    let graph = graph(&format!("{text}out{outputs}\n"));
    assert_eq!(peak_memory(&graph, &order(&graph)).values, 21);
    let runner = Numbers {
        weights: Some(sizes(&graph, false)),
        sleep: Duration::from_millis(1),
        sleeping_layer: Some(2),
        ..Numbers::default()
    };
    let (result, stats) = run_once(&graph, &runner, 4, None, None);
    result.unwrap();
    // One column, and some of a second one that is loaded while the first one's mean is made.
    assert!(stats.peak_bytes <= 40_000 + 8 * 1000, "{stats:?}");
}

/// A runner whose disk side misbehaves.
struct Broken {
    numbers: Numbers,
    spill_panics: bool,
}

impl pantile_graph::Runner for Broken {
    type Value = Number;
    type Error = &'static str;
    fn run(&self, task: TaskRef, inputs: &mut Vec<Number>) -> Result<Number, &'static str> {
        self.numbers.run(task, inputs)
    }
    fn nbytes(&self, value: &Number) -> u64 {
        self.numbers.nbytes(value)
    }
    fn spill(&self, value: &Number, to: &mut dyn std::io::Write) -> std::io::Result<bool> {
        assert!(!self.spill_panics, "told to panic");
        self.numbers.spill(value, to)
    }
    fn restore(&self, _file: fs::File, _len: u64) -> std::io::Result<Number> {
        Err(std::io::Error::from_raw_os_error(5))
    }
}

#[test]
fn a_disk_that_gives_nothing_back_is_said() {
    let graph = mean_taken_away(64);
    let order = order(&graph);
    for threads in [0, 2] {
        for spill_panics in [false, true] {
            let scratch = Scratch::new();
            let numbers = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
            let runner = Broken { numbers, spill_panics };
            let pool = (threads > 0).then(|| Pool::new(threads).unwrap());
            let options = Options {
                executor: pool.as_ref().map_or(Executor::Sync, Executor::Threads),
                limit_bytes: Some(1100),
                spill_dir: Some(scratch.path().to_owned()),
                ..Options::default()
            };
            let error = run_with_stats(&graph, &order, &runner, &options).0.unwrap_err();
            let message = error.to_string();
            if spill_panics {
                assert_eq!(error.family(), Family::Bug);
                assert!(message.contains("panicked: told to panic"), "{message}");
            } else {
                assert_eq!(error.family(), Family::Resource);
                assert!(message.starts_with("cannot read "), "{message}");
                assert!(message.contains("Input/output error (os error 5)"), "{message}");
            }
            assert_eq!(runner.numbers.alive(), 0);
            assert!(scratch.is_empty());
        }
    }
}

#[test]
fn folders_of_killed_processes_are_removed_by_the_next_run_that_spills() {
    let graph = mean_taken_away(64);
    let scratch = Scratch::new();
    // No process has a number beyond the kernel's largest possible one.
    let left_behind = scratch.path().join("pantile-spill-4194999-0");
    fs::create_dir(&left_behind).unwrap();
    fs::write(left_behind.join("0"), b"left").unwrap();
    let runner = Numbers { weights: Some(sizes(&graph, false)), ..Numbers::default() };
    run_once(&graph, &runner, 0, Some(100_000), Some(scratch.path())).0.unwrap();
    assert!(left_behind.exists(), "a run that does not spill touches nothing");
    run_once(&graph, &runner, 0, Some(1100), Some(scratch.path())).0.unwrap();
    assert!(scratch.is_empty());
}
