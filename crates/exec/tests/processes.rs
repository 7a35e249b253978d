//! Worker processes without Python: the worker is this test program, run again with the argument that selects `worker`.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pantile_exec::processes::{
    Frame, Kind, Launch, Message, Part, Pool, ProcessError, Traffic, Watch, Worker, traffic,
};
use parking_lot::Mutex;

/// The counters of traffic are the process', so tests that read them take turns.
static TURN: Mutex<()> = Mutex::new(());

const PARENT: &str = "PANTILE_TEST_PARENT";

fn never() -> bool {
    false
}

fn launch(setup: &str) -> Launch {
    let arguments = ["--exact", "worker", "--ignored", "--nocapture", "--quiet"];
    Launch {
        // The environment says who the parent is, since libtest takes no arguments of ours.
        program: "/usr/bin/env".into(),
        arguments: [format!("{PARENT}={}", std::process::id()).into()]
            .into_iter()
            .chain([std::env::current_exe().unwrap().into_os_string()])
            .chain(arguments.map(Into::into))
            .collect(),
        environment: Vec::new(),
        setup: setup.as_bytes().to_vec(),
    }
}

fn start() -> Result<Worker, ProcessError> {
    Worker::start(&launch("be well"), &never)
}

/// The worker's side: does what the tag of a call says.
#[test]
#[ignore = "is the worker of the other tests"]
fn worker() {
    let parent = std::env::var(PARENT).unwrap().parse().unwrap();
    let mut watch = Watch::begin(parent).unwrap();
    let mut held = Vec::new();
    while let Some(mut frame) = watch.receive().unwrap() {
        if frame.kind == Kind::Setup {
            let setup = std::mem::take(&mut frame.parts).remove(0).into_vec();
            if setup == b"fail" {
                eprintln!("no such module");
                std::process::exit(7);
            }
            if let Some(stderr) = frame.files.pop() {
                Watch::set_stderr(stderr).unwrap();
            }
            watch.answer(&Message::new(Kind::Ready, &[])).unwrap();
            continue;
        }
        let parts: Vec<Vec<u8>> = match frame.tag {
            // Echo, with each byte one larger; the views are gone before the answer.
            1 => frame
                .parts
                .into_iter()
                .map(|p| p.into_vec().into_iter().map(|b| b.wrapping_add(1)).collect())
                .collect(),
            2 => std::process::abort(),
            3 => loop {
                thread::sleep(Duration::from_secs(1));
            },
            // Keeps what it was given.
            4 => {
                held.append(&mut frame.parts);
                Vec::new()
            }
            5 => (0..frame.notes[0]).map(|i| vec![i as u8; frame.notes[1] as usize]).collect(),
            6 => std::process::exit(3),
            other => panic!("call {other}"),
        };
        let parts: Vec<&[u8]> = parts.iter().map(|p| &p[..]).collect();
        watch.answer(&Message::new(Kind::Value, &parts)).unwrap();
    }
}

fn call(worker: &mut Worker, tag: u64, notes: &[u64], parts: &[&[u8]]) -> Result<Frame, ProcessError> {
    worker.exchange(&Message { tag, notes, ..Message::new(Kind::Call, parts) }, &never)
}

fn bytes(part: Part) -> Vec<u8> {
    part.into_vec()
}

fn since(before: Traffic) -> Traffic {
    let now = traffic();
    Traffic {
        socket_bytes: now.socket_bytes - before.socket_bytes,
        shared_bytes: now.shared_bytes - before.shared_bytes,
        made: now.made - before.made,
        reused: now.reused - before.reused,
        ..now
    }
}

#[test]
fn parts_of_any_length_come_back() {
    let _turn = TURN.lock();
    let mut worker = start().unwrap();
    for len in [0, 1, 1000, 65_535, 65_536, 65_537, 3 << 20] {
        let sent: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let frame = call(&mut worker, 1, &[], &[b"first", &sent, b""]).unwrap();
        assert_eq!(frame.kind, Kind::Value);
        let got: Vec<Vec<u8>> = frame.parts.into_iter().map(bytes).collect();
        assert_eq!(got[0], b"gjstu");
        assert!(got[1].iter().zip(&sent).all(|(g, s)| *g == s.wrapping_add(1)) && got[1].len() == len);
        assert!(got[2].is_empty());
    }
}

#[test]
fn long_parts_do_not_go_through_the_socket_and_segments_are_used_again() {
    let _turn = TURN.lock();
    let mut worker = start().unwrap();
    let sent = vec![5; 1 << 20];
    call(&mut worker, 1, &[], &[&sent]).unwrap();
    let before = traffic();
    for _ in 0..20 {
        let frame = call(&mut worker, 1, &[], &[&sent]).unwrap();
        assert!(matches!(&frame.parts[0], Part::Shared(s) if s.len() == 1 << 20));
    }
    let gone = since(before);
    assert!(gone.socket_bytes < 20 * 300, "{gone:?}");
    assert_eq!(gone.shared_bytes, 40 << 20);
    // The first argument may have come back too late for the second call; from then on two segments take turns.
    assert!(gone.made <= 1, "{gone:?}");
}

#[test]
fn views_outlive_their_worker_and_nothing_stays_mapped_after_them() {
    let _turn = TURN.lock();
    let before = traffic();
    let mut worker = start().unwrap();
    let mut frame = call(&mut worker, 5, &[3, 200_000], &[]).unwrap();
    drop(worker);
    let last = frame.parts.pop().unwrap();
    drop(frame);
    assert_eq!(bytes(last), vec![2; 200_000]);
    let after = traffic();
    assert_eq!((after.mapped, after.cached_bytes), (before.mapped, before.cached_bytes));
}

#[test]
fn what_the_worker_keeps_is_not_filled_again() {
    let _turn = TURN.lock();
    let mut worker = start().unwrap();
    let before = traffic();
    for i in 0..5 {
        call(&mut worker, 4, &[], &[&vec![i; 100_000]]).unwrap();
    }
    assert_eq!((since(before).made, since(before).reused), (5, 0));
}

#[test]
fn more_parts_than_descriptors_can_travel_at_once() {
    let _turn = TURN.lock();
    let mut worker = start().unwrap();
    let sent: Vec<Vec<u8>> = (0..300).map(|i| vec![i as u8; 70_000]).collect();
    let parts: Vec<&[u8]> = sent.iter().map(|p| &p[..]).collect();
    let frame = call(&mut worker, 1, &[], &parts).unwrap();
    assert_eq!(frame.parts.len(), 300);
    for (i, part) in frame.parts.into_iter().enumerate() {
        assert_eq!(bytes(part), vec![(i as u8).wrapping_add(1); 70_000]);
    }
}

#[test]
fn a_worker_that_ends_is_reported_with_its_end() {
    let mut worker = start().unwrap();
    let pid = worker.pid();
    let error = call(&mut worker, 2, &[], &[]).unwrap_err();
    assert_eq!(error.to_string(), format!("worker process {pid} was killed by signal 6 (SIGABRT)"));
    let mut worker = start().unwrap();
    let error = call(&mut worker, 6, &[], &[]).unwrap_err();
    assert!(error.to_string().ends_with("exited with status 3"), "{error}");
}

#[test]
fn a_start_that_fails_says_why() {
    let error = Worker::start(&launch("fail"), &never).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("exited with status 7 while it started"), "{text}");
    assert!(text.contains("no such module"), "{text}");
    let launch = Launch {
        program: "/no/such/program".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        setup: Vec::new(),
    };
    let text = Worker::start(&launch, &never).err().unwrap().to_string();
    assert!(text.starts_with("cannot start a worker process (/no/such/program)"), "{text}");
}

#[test]
fn a_call_can_be_stopped() {
    let pool = Pool::new();
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let mut lease = pool.lease(1, &start, &never).unwrap();
    let error = lease.exchange(&Message { tag: 3, ..Message::new(Kind::Call, &[]) }, &stop).unwrap_err();
    assert!(matches!(error, ProcessError::Stopped));
    lease.give_up();
    drop(lease);
    assert!(pool.pids().is_empty());
}

#[test]
fn workers_are_lent_again_and_ended_ones_replaced() {
    let pool = Pool::new();
    let first = pool.lease(2, &start, &never).unwrap().pid();
    assert_eq!(pool.lease(2, &start, &never).unwrap().pid(), first);
    let (a, b) = (pool.lease(2, &start, &never).unwrap(), pool.lease(2, &start, &never).unwrap());
    assert_ne!(a.pid(), b.pid());
    // A third caller waits until it gives up.
    let until = Instant::now() + Duration::from_millis(50);
    let error = pool.lease(2, &start, &|| Instant::now() > until).err().unwrap();
    assert!(matches!(error, ProcessError::Stopped));
    drop((a, b));
    for pid in pool.pids() {
        assert!(
            std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success()
        );
    }
    while pool.pids().iter().any(|pid| lives(*pid)) {
        thread::sleep(Duration::from_millis(1));
    }
    let mut lease = pool.lease(2, &start, &never).unwrap();
    assert_eq!(call(&mut lease, 1, &[], &[b"a"]).unwrap().parts.len(), 1);
    drop(lease);
    assert_eq!(pool.pids().len(), 1);
}

/// Whether any thread of a process is left. The first thread of one that was killed may be gone before the others.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |d| d.count());
    !matches!(state, None | Some('Z' | 'X')) || threads > 1
}

#[test]
fn waiting_callers_share_few_workers() {
    let pool = Arc::new(Pool::new());
    let threads: Vec<_> = (0..6)
        .map(|i| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                for _ in 0..20 {
                    let mut lease = pool.lease(2, &start, &never).unwrap();
                    let frame = call(&mut lease, 1, &[], &[&[i]]).unwrap();
                    assert_eq!(frame.parts.into_iter().map(bytes).next().unwrap(), [i + 1]);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert!((1..=2).contains(&pool.pids().len()));
}

#[test]
fn closing_ends_workers_at_rest_and_at_work() {
    let pool = Arc::new(Pool::new());
    drop((pool.lease(2, &start, &never).unwrap(), pool.lease(2, &start, &never).unwrap()));
    let pids = pool.pids();
    assert_eq!(pids.len(), 2);
    let busy = Arc::new(AtomicBool::new(false));
    let caller = {
        let (pool, busy) = (Arc::clone(&pool), Arc::clone(&busy));
        thread::spawn(move || {
            let mut lease = pool.lease(2, &start, &never).unwrap();
            let told = || {
                busy.store(true, Ordering::SeqCst);
                false
            };
            let answer = lease.exchange(&Message { tag: 3, ..Message::new(Kind::Call, &[]) }, &told);
            lease.give_up();
            answer.map(|_| ())
        })
    };
    while !busy.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    pool.close();
    assert!(matches!(caller.join().unwrap(), Err(ProcessError::Died { .. })));
    assert!(pids.iter().all(|pid| !lives(*pid)));
    assert!(matches!(pool.lease(2, &start, &never).err().unwrap(), ProcessError::PoolClosed));
}
