//! What a run gives back and when: values, errors, interrupts, observers. One idea a test.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{Number, Numbers, graph, with_watchdog};
use pantile_exec::{CancelToken, Executor, Options, Pool, RunError, run, run_with_stats};
use pantile_graph::{Graph, Observer, Runner, TaskId, TaskRef, order};

/// `n` sources, each with a successor, all of them needed by one last task.
fn fan(n: u32) -> Graph {
    let mut lines = String::new();
    for i in 0..n {
        lines += &format!("t{} = 0[{i}] bytes=8\nt{} = 1[{i}] bytes=8 <- t{}\n", 2 * i, 2 * i + 1, 2 * i);
    }
    let all: Vec<String> = (0..n).map(|i| format!("t{}", 2 * i + 1)).collect();
    graph(&format!("{lines}t{} = 2[0] bytes=8 <- {}\nout t{}\n", 2 * n, all.join(" "), 2 * n))
}

fn each_executor(mut check: impl FnMut(Executor<'_>)) {
    check(Executor::Sync);
    for threads in [1, 2, 4] {
        let pool = Pool::new(threads).unwrap();
        check(Executor::Threads(&pool));
    }
}

#[test]
fn outputs_come_in_the_order_asked_for_and_as_often() {
    each_executor(|executor| {
        let graph = graph("t0 = 0[3] bytes=8\nt1 = 0[5] bytes=8 <- t0 t0\nout t1 t0 t1\n");
        let runner = Numbers::default();
        let values =
            run(&graph, &order(&graph), &runner, &Options { executor, ..Options::default() }).unwrap();
        let expected = common::naive(&graph);
        let got: Vec<u64> = values.iter().map(Number::get).collect();
        assert_eq!(got, [expected[1], expected[0], expected[1]]);
        drop(values);
        assert_eq!(runner.alive(), 0);
    });
}

#[test]
fn an_empty_graph_gives_no_values() {
    each_executor(|executor| {
        let graph = graph("out\n");
        let options = Options { executor, ..Options::default() };
        let values = run(&graph, &order(&graph), &Numbers::default(), &options).unwrap();
        assert!(values.is_empty());
    });
}

#[test]
fn sync_runs_in_the_order_of_the_ranks() {
    let graph = fan(20);
    let order = order(&graph);
    let runner = Numbers::recording();
    run(&graph, &order, &runner, &Options::default()).unwrap();
    let expected: Vec<TaskRef> = order.sequence().iter().map(|&id| graph.task(id)).collect();
    assert_eq!(runner.ran(), expected);
}

#[test]
fn the_last_consumer_is_the_sole_owner() {
    each_executor(|executor| {
        let graph = graph("t0 = 0[0] bytes=8\nt1 = 1[0] bytes=8 <- t0\nt2 = 1[1] bytes=8 <- t1\nout t2\n");
        let runner = Numbers::default();
        run(&graph, &order(&graph), &runner, &Options { executor, ..Options::default() }).unwrap();
        assert_eq!(runner.sole_owner_runs.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn the_first_error_stops_the_rest_and_names_its_task() {
    each_executor(|executor| {
        let graph = fan(1000);
        let runner = Numbers { fails: Some(TaskRef::from((1, 7))), ..Numbers::default() };
        let (result, stats) =
            run_with_stats(&graph, &order(&graph), &runner, &Options { executor, ..Options::default() });
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "twice[7] failed: told to fail");
        assert!(matches!(error, RunError::Task { task, .. } if task == TaskRef::from((1, 7))));
        assert!(stats.tasks < 2001);
        assert_eq!(runner.alive(), 0);
    });
}

#[test]
fn a_panic_is_an_error_and_the_pool_can_be_used_on() {
    each_executor(|executor| {
        let graph = fan(100);
        let runner = Numbers { panics: Some(TaskRef::from((0, 3))), ..Numbers::default() };
        let options = Options { executor, ..Options::default() };
        let error = run(&graph, &order(&graph), &runner, &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "load[3] panicked: told to panic. This is a bug in Pantile; please report it"
        );
        assert_eq!(runner.alive(), 0);
        assert_eq!(run(&graph, &order(&graph), &Numbers::default(), &options).unwrap().len(), 1);
    });
}

#[test]
fn cancelling_from_another_thread_stops_the_run() {
    each_executor(|executor| {
        let graph = fan(200);
        let cancel = CancelToken::new();
        // From the sixth on, tasks wait for the other thread, which waits for the sixth: no clock decides who is first.
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), cancel.clone());
        let (ask, asked) = mpsc::sync_channel(1);
        let counter = Arc::clone(&begun);
        let weights = move |_: TaskRef| {
            if counter.fetch_add(1, Ordering::SeqCst) >= 5 {
                let _ = ask.try_send(());
                while !ended.is_cancelled() {
                    std::thread::yield_now();
                }
            }
            8
        };
        let runner = Numbers { weights: Some(Box::new(weights)), ..Numbers::default() };
        let canceller = {
            let cancel = cancel.clone();
            std::thread::spawn(move || {
                asked.recv().unwrap();
                cancel.cancel();
            })
        };
        let threads = if let Executor::Threads(pool) = executor { pool.threads() } else { 1 };
        let options = Options { executor, cancel: Some(cancel), ..Options::default() };
        let error = run(&graph, &order(&graph), &runner, &options).unwrap_err();
        assert!(matches!(error, RunError::Cancelled));
        // Five, and what each thread had begun.
        assert!(begun.load(Ordering::SeqCst) <= 5 + threads, "{begun:?}");
        assert_eq!(runner.alive(), 0);
        canceller.join().unwrap();
    });
}

/// Tasks that end only when the run says that it stops.
#[derive(Default)]
struct Endless {
    running: AtomicUsize,
    stopped: AtomicBool,
}

impl Runner for Endless {
    type Value = ();
    type Error = String;

    fn run(&self, _task: TaskRef, _inputs: &mut Vec<()>) -> Result<(), String> {
        self.running.fetch_add(1, Ordering::SeqCst);
        while !self.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("given up".into())
    }
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
    fn nbytes(&self, _value: &()) -> u64 {
        0
    }
    fn spill(&self, _value: &(), _to: &mut dyn std::io::Write) -> std::io::Result<bool> {
        Ok(false)
    }
    fn restore(&self, _file: std::fs::File, _len: u64) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn tasks_that_run_are_told_when_the_run_stops() {
    with_watchdog(Duration::from_secs(60), || {
        let pool = Pool::new(2).unwrap();
        // So large that the calling thread leaves them to the pool and looks after the token.
        let graph = graph("t0 = 0[0] bytes=4000000\nt1 = 0[1] bytes=4000000\nout t0 t1\n");
        let runner = Arc::new(Endless::default());
        let cancel = CancelToken::new();
        let canceller = {
            let (runner, cancel) = (Arc::clone(&runner), cancel.clone());
            std::thread::spawn(move || {
                while runner.running.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
                cancel.cancel();
            })
        };
        let options =
            Options { executor: Executor::Threads(&pool), cancel: Some(cancel), ..Options::default() };
        let error = run(&graph, &order(&graph), &*runner, &options).unwrap_err();
        canceller.join().unwrap();
        assert!(matches!(error, RunError::Cancelled), "what the tasks say then is dropped: {error}");
    });
}

#[test]
fn an_interrupt_is_noticed_soon() {
    each_executor(|executor| {
        let graph = fan(400);
        let runner = Numbers { sleep: Duration::from_millis(5), ..Numbers::default() };
        let asked = std::cell::Cell::new(0);
        let check = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let options = Options { executor, check_interrupt: Some(&check), ..Options::default() };
        let (result, stats) = run_with_stats(&graph, &order(&graph), &runner, &options);
        assert!(matches!(result.unwrap_err(), RunError::Interrupted));
        // It is not asked again, and the rest never begins.
        assert_eq!(asked.get(), 3);
        assert!(stats.tasks < graph.len() as u64, "{}", stats.tasks);
        assert_eq!(runner.alive(), 0);
    });
}

#[derive(Default)]
struct Counting {
    started: AtomicU64,
    begun: AtomicU64,
    finished: Vec<AtomicU64>,
    bytes: AtomicU64,
    ended: AtomicU64,
    ok: AtomicU64,
}

impl Observer for Counting {
    fn started(&self, tasks: u64) {
        self.started.fetch_add(tasks, Ordering::SeqCst);
    }
    fn task_started(&self, _task: TaskId, _what: TaskRef, _worker: u32, _at_ns: u64) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }
    fn task_finished(
        &self,
        task: TaskId,
        _what: TaskRef,
        _worker: u32,
        start_ns: u64,
        end_ns: u64,
        bytes: u64,
    ) {
        assert!(start_ns <= end_ns);
        self.finished[task.0 as usize].fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn ended(&self, ok: bool, _at_ns: u64) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.ok.fetch_add(u64::from(ok), Ordering::SeqCst);
    }
}

#[test]
fn observers_are_told_once_a_task() {
    each_executor(|executor| {
        let graph = fan(300);
        let counting = Arc::new(Counting {
            finished: graph.ids().map(|_| AtomicU64::new(0)).collect(),
            ..Counting::default()
        });
        let observers: [Arc<dyn Observer>; 1] = [counting.clone()];
        let options = Options { executor, observers: &observers, ..Options::default() };
        let (result, stats) = run_with_stats(&graph, &order(&graph), &Numbers::default(), &options);
        result.unwrap();
        assert!(counting.finished.iter().all(|count| count.load(Ordering::SeqCst) == 1));
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        assert_eq!(read(&counting.started), 601);
        assert_eq!(read(&counting.begun), 601);
        assert_eq!(read(&counting.bytes), 601 * 8);
        assert_eq!((read(&counting.ended), read(&counting.ok)), (1, 1));
        assert_eq!(stats.tasks, 601);
    });
}

#[test]
fn a_long_run_uses_all_threads() {
    let pool = Pool::new(4).unwrap();
    let graph = fan(60);
    let runner = Numbers { sleep: Duration::from_millis(5), ..Numbers::default() };
    run(
        &graph,
        &order(&graph),
        &runner,
        &Options { executor: Executor::Threads(&pool), ..Options::default() },
    )
    .unwrap();
    // Four threads of the pool; the calling thread has handed over to one of them.
    assert!(runner.most_at_once.load(Ordering::SeqCst) <= 4);
    assert!(runner.most_at_once.load(Ordering::SeqCst) >= 3);
}

/// A task that itself computes on the same pool.
struct Nested<'p> {
    pool: &'p Pool,
    depth: u32,
    runs: AtomicUsize,
}

impl pantile_graph::Runner for Nested<'_> {
    type Value = u64;
    type Error = String;
    fn run(&self, _task: TaskRef, inputs: &mut Vec<u64>) -> Result<u64, String> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        if self.depth == 0 {
            return Ok(inputs.iter().sum::<u64>() + 1);
        }
        let inner = Nested { pool: self.pool, depth: self.depth - 1, runs: AtomicUsize::new(0) };
        let graph = fan(5);
        let options = Options { executor: Executor::Threads(self.pool), ..Options::default() };
        let values = run(&graph, &order(&graph), &inner, &options).map_err(|error| error.to_string())?;
        Ok(values[0] + inputs.iter().sum::<u64>())
    }
    fn nbytes(&self, _value: &u64) -> u64 {
        8
    }
    fn spill(&self, _value: &u64, _to: &mut dyn std::io::Write) -> std::io::Result<bool> {
        Ok(false)
    }
    fn restore(&self, _file: std::fs::File, _len: u64) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn runs_may_nest() {
    for threads in [1, 2, 4] {
        with_watchdog(Duration::from_secs(60), move || {
            let pool = Pool::new(threads).unwrap();
            let runner = Nested { pool: &pool, depth: 2, runs: AtomicUsize::new(0) };
            let graph = fan(8);
            let options = Options { executor: Executor::Threads(&pool), ..Options::default() };
            let values = run(&graph, &order(&graph), &runner, &options).unwrap();
            // A fan of n sums to 2n + 1 times what one task adds.
            assert_eq!(values, [17 * 11 * 11]);
            assert_eq!(runner.runs.load(Ordering::SeqCst), 17);
        });
    }
}

#[test]
fn runs_from_several_threads_share_a_pool() {
    with_watchdog(Duration::from_secs(60), || {
        let pool = Pool::new(2).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let graph = fan(300);
                    let expected = *common::naive(&graph).last().unwrap();
                    for _ in 0..20 {
                        let options = Options { executor: Executor::Threads(&pool), ..Options::default() };
                        let values = run(&graph, &order(&graph), &Numbers::default(), &options).unwrap();
                        assert_eq!(values[0].get(), expected);
                    }
                });
            }
        });
    });
}

#[test]
fn kernels_that_split_use_the_same_threads() {
    struct Split;
    impl pantile_graph::Runner for Split {
        type Value = u64;
        type Error = String;
        fn run(&self, _task: TaskRef, inputs: &mut Vec<u64>) -> Result<u64, String> {
            fn sum(depth: u32) -> u64 {
                if depth == 0 {
                    return 1;
                }
                let (a, b) = rayon_core::join(|| sum(depth - 1), || sum(depth - 1));
                a + b
            }
            Ok(sum(8) + inputs.iter().sum::<u64>())
        }
        fn nbytes(&self, _value: &u64) -> u64 {
            8
        }
        fn spill(&self, _value: &u64, _to: &mut dyn std::io::Write) -> std::io::Result<bool> {
            Ok(false)
        }
        fn restore(&self, _file: std::fs::File, _len: u64) -> std::io::Result<u64> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }
    with_watchdog(Duration::from_secs(60), || {
        let pool = Pool::init_global(3);
        let graph = fan(200);
        for _ in 0..10 {
            let options = Options { executor: Executor::Threads(pool), ..Options::default() };
            assert_eq!(run(&graph, &order(&graph), &Split, &options).unwrap(), [401 * 256]);
        }
    });
}

/// A task that waits for a run on another thread, which has only the same pool.
struct WaitsForRun<'p>(&'p Pool);

impl pantile_graph::Runner for WaitsForRun<'_> {
    type Value = u64;
    type Error = String;
    fn run(&self, _task: TaskRef, _inputs: &mut Vec<u64>) -> Result<u64, String> {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                // Longer than the calling thread works before it hands over.
                let runner = Numbers { sleep: Duration::from_millis(1), ..Numbers::default() };
                let graph = fan(20);
                let options = Options { executor: Executor::Threads(self.0), ..Options::default() };
                run(&graph, &order(&graph), &runner, &options).map(|values| values[0].get())
            });
            other.join().map_err(|_| "panicked".to_string())?.map_err(|error| error.to_string())
        })
    }
    fn nbytes(&self, _value: &u64) -> u64 {
        8
    }
    fn spill(&self, _value: &u64, _to: &mut dyn std::io::Write) -> std::io::Result<bool> {
        Ok(false)
    }
    fn restore(&self, _file: std::fs::File, _len: u64) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_run_ends_although_all_threads_of_the_pool_wait_for_it() {
    for threads in [1, 2] {
        with_watchdog(Duration::from_secs(60), move || {
            let pool = Pool::new(threads).unwrap();
            let runner = WaitsForRun(&pool);
            let graph = fan(4);
            let options = Options { executor: Executor::Threads(&pool), ..Options::default() };
            assert_eq!(run(&graph, &order(&graph), &runner, &options).unwrap().len(), 1);
        });
    }
}

struct Panicking {
    at_start: bool,
}

impl Observer for Panicking {
    fn task_started(&self, _task: TaskId, what: TaskRef, _worker: u32, _at_ns: u64) {
        assert!(!self.at_start || what.index != 3, "told to panic");
    }
    fn task_finished(&self, _task: TaskId, what: TaskRef, _w: u32, _start: u64, _end: u64, _bytes: u64) {
        assert!(self.at_start || what.index != 3, "told to panic");
    }
}

#[test]
fn an_observer_that_panics_is_an_error() {
    for at_start in [false, true] {
        each_executor(|executor| {
            let graph = fan(20);
            let runner = Numbers::default();
            let observers: [Arc<dyn Observer>; 1] = [Arc::new(Panicking { at_start })];
            let options = Options { executor, observers: &observers, ..Options::default() };
            let error = run(&graph, &order(&graph), &runner, &options).unwrap_err();
            assert!(error.to_string().contains("panicked: told to panic"));
            assert_eq!(runner.alive(), 0);
        });
    }
}
