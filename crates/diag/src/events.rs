//! A log of one run: which task ran when, on which thread, what it made, what it waited for.
//!
//! Each worker appends to a buffer of its own, whose lock nobody else takes before the run is over. So logging a task costs two
//! uncontended locks and a store of 48 bytes, and the threads do not meet. (`examples/observing.rs` measures it.) What a task waited for is
//! kept apart, since most tasks wait for nothing.
//!
//! A log reads no clock but when the run begins: the executor hands the times in.

use crate::threads::{self, Account};
use crate::waits::{self, Taken};
use pantile_graph::{Graph, Observer, TaskId, TaskRef};
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A task that ended well. Times are nanoseconds since the run began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The task.
    pub task: TaskId,
    /// Which task of which layer it is.
    pub what: TaskRef,
    /// The worker that ran it.
    pub worker: u32,
    /// The thread that ran it (`threads::get`).
    pub thread: u32,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The size of what it made.
    pub bytes: u64,
}

/// A value went to disk, or came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spill {
    /// Whose value.
    pub task: TaskId,
    /// Its size in memory.
    pub bytes: u64,
    /// Whether it went out.
    pub out: bool,
    /// When it had.
    pub at_ns: u64,
}

/// The time that a thread spent writing spilled values: that is no task's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// The thread.
    pub thread: u32,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Bytes of the value.
    pub bytes: u64,
}

/// A thread's part in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The thread.
    pub thread: u32,
    /// When its first task began.
    pub first_ns: u64,
    /// What the kernel says it did from then to the end of the run; none where the kernel keeps no account.
    pub account: Option<Account>,
}

struct Open {
    task: TaskId,
    what: TaskRef,
    start_ns: u64,
    before: Taken,
}

struct Begun {
    thread: u32,
    first_ns: u64,
    account: Option<Account>,
}

#[derive(Default)]
struct Buffer {
    events: Vec<Event>,
    waits: Vec<(u32, Taken)>,
    open: Option<Open>,
    parts: Vec<Begun>,
}

// Buffers of different workers must not share a cache line, nor the pair of lines that processors fetch together.
#[repr(align(128))]
struct Padded(Mutex<Buffer>);

/// Watches one run and remembers everything.
pub struct EventLog {
    buffers: Box<[Padded]>,
    began: OnceLock<Instant>,
    tasks: AtomicU64,
    ended_ns: AtomicU64,
    ok: AtomicBool,
    spills: Mutex<Vec<Spill>>,
    written: Mutex<Vec<Written>>,
}

/// What a log has after its run.
#[derive(Clone, Default, Debug)]
pub struct Recording {
    /// Tasks in the run.
    pub tasks: u64,
    /// How long the run took.
    pub wall_ns: u64,
    /// Whether it succeeded.
    pub ok: bool,
    /// The tasks that ended, by their beginning.
    pub events: Vec<Event>,
    /// What each of them waited for.
    pub waits: Vec<Taken>,
    /// Tasks that began and did not end well, and when they began.
    pub failed: Vec<(TaskId, TaskRef, u64)>,
    /// What went to disk and came back.
    pub spills: Vec<Spill>,
    /// When threads wrote spilled values.
    pub written: Vec<Written>,
    /// The threads that ran tasks.
    pub parts: Vec<Part>,
}

impl EventLog {
    /// A log for a run with this many workers.
    pub fn new(workers: usize) -> EventLog {
        EventLog {
            buffers: (0..workers.max(1)).map(|_| Padded(Mutex::default())).collect(),
            began: OnceLock::new(),
            tasks: AtomicU64::new(0),
            ended_ns: AtomicU64::new(0),
            ok: AtomicBool::new(false),
            spills: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// When the run began; now if it has not.
    pub fn began(&self) -> Instant {
        *self.began.get_or_init(Instant::now)
    }

    /// The calling thread wrote a spilled value, since `start`.
    pub fn wrote(&self, start: Instant, bytes: u64) {
        let began = self.began();
        let start_ns = start.saturating_duration_since(began).as_nanos() as u64;
        let end_ns = began.elapsed().as_nanos() as u64;
        self.written.lock().push(Written { thread: threads::number(), start_ns, end_ns, bytes });
    }

    fn buffer(&self, worker: u32) -> &Mutex<Buffer> {
        &self.buffers[worker as usize % self.buffers.len()].0
    }

    /// Everything, once the run is over. The log is empty afterwards.
    pub fn take(&self) -> Recording {
        let mut out = Recording {
            tasks: self.tasks.load(Relaxed),
            wall_ns: self.ended_ns.load(Relaxed),
            ok: self.ok.load(Relaxed),
            spills: std::mem::take(&mut self.spills.lock()),
            written: std::mem::take(&mut self.written.lock()),
            ..Recording::default()
        };
        let mut order: Vec<(u64, u32, u32)> = Vec::new();
        let buffers: Vec<Buffer> = self.buffers.iter().map(|b| std::mem::take(&mut *b.0.lock())).collect();
        for (b, buffer) in buffers.iter().enumerate() {
            order.extend(buffer.events.iter().enumerate().map(|(i, e)| (e.start_ns, b as u32, i as u32)));
            out.failed.extend(buffer.open.iter().map(|o| (o.task, o.what, o.start_ns)));
            for part in &buffer.parts {
                let now = threads::get(part.thread).and_then(|t| threads::account(t.tid));
                let account = now.zip(part.account).map(|(now, then)| Account {
                    ran_ns: now.ran_ns.saturating_sub(then.ran_ns),
                    queued_ns: now.queued_ns.saturating_sub(then.queued_ns),
                });
                out.parts.push(Part { thread: part.thread, first_ns: part.first_ns, account });
            }
        }
        // A thread may be two workers of a run: the calling one, and later one of the pool.
        out.parts.sort_by_key(|part| (part.thread, part.first_ns));
        out.parts.dedup_by_key(|part| part.thread);
        let starts: Vec<u32> = buffers
            .iter()
            .scan(0, |sum, b| {
                let at = *sum;
                *sum += b.events.len() as u32;
                Some(at)
            })
            .collect();
        let mut waits = vec![Taken::default(); order.len()];
        for (b, buffer) in buffers.iter().enumerate() {
            for (i, taken) in &buffer.waits {
                waits[(starts[b] + i) as usize] = *taken;
            }
        }
        order.sort_unstable();
        out.events = order.iter().map(|&(_, b, i)| buffers[b as usize].events[i as usize]).collect();
        out.waits = order.iter().map(|&(_, b, i)| waits[(starts[b as usize] + i) as usize]).collect();
        out
    }
}

impl Observer for EventLog {
    fn started(&self, tasks: u64) {
        self.began();
        self.tasks.fetch_add(tasks, Relaxed);
    }

    fn task_started(&self, task: TaskId, what: TaskRef, worker: u32, start_ns: u64) {
        let before = waits::task_began();
        let mut buffer = self.buffer(worker).lock();
        buffer.open = Some(Open { task, what, start_ns, before });
    }

    fn task_finished(
        &self,
        task: TaskId,
        what: TaskRef,
        worker: u32,
        start_ns: u64,
        end_ns: u64,
        bytes: u64,
    ) {
        let thread = threads::number();
        let mut buffer = self.buffer(worker).lock();
        let before = buffer.open.take().map(|open| open.before).unwrap_or_default();
        let taken = waits::task_ended(before, end_ns - start_ns);
        if !taken.is_empty() {
            let at = buffer.events.len() as u32;
            buffer.waits.push((at, taken));
        }
        if buffer.events.last().is_none_or(|last| last.thread != thread) {
            begin_part(&mut buffer, thread, start_ns);
        }
        buffer.events.push(Event { task, what, worker, thread, start_ns, end_ns, bytes });
    }

    fn spilled(&self, task: TaskId, bytes: u64, out: bool, at_ns: u64) {
        self.spills.lock().push(Spill { task, bytes, out, at_ns });
    }

    fn ended(&self, ok: bool, at_ns: u64) {
        self.ended_ns.store(at_ns, Relaxed);
        self.ok.store(ok, Relaxed);
    }
}

/// The thread's first task in this buffer has ended.
#[cold]
fn begin_part(buffer: &mut Buffer, thread: u32, first_ns: u64) {
    if buffer.parts.iter().all(|p| p.thread != thread) {
        let account = threads::get(thread).and_then(|t| threads::account(t.tid));
        buffer.parts.push(Begun { thread, first_ns, account });
    }
}

/// When the value of each event's task was let go of: when its last consumer ended, or with the run if it is an output or a
/// consumer never ended.
pub fn releases(graph: &Graph, recording: &Recording) -> Vec<u64> {
    let mut ended = vec![recording.wall_ns; graph.len()];
    for event in &recording.events {
        ended[event.task.0 as usize] = event.end_ns;
    }
    let mut output = vec![false; graph.len()];
    for id in graph.outputs() {
        output[id.0 as usize] = true;
    }
    let release = |event: &Event| {
        let last = graph.dependents(event.task).iter().map(|d| ended[d.0 as usize]).max();
        last.filter(|_| !output[event.task.0 as usize]).unwrap_or(recording.wall_ns)
    };
    recording.events.iter().map(release).collect()
}
