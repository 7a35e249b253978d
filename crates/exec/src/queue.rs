//! Which task is next: ranks of ready tasks, lowest first.
//!
//! Tasks without inputs are ready from the start. They are a sorted list with a shared cursor, since putting a hundred
//! thousand of them into heaps would cost more than running them. What becomes ready later goes into the queue of the
//! worker that finished its last input. A worker takes the lowest rank of its own queue and the list; when both are
//! empty, it steals the lowest rank of another's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

pub(crate) struct Queues {
    sources: Vec<u32>,
    cursor: AtomicUsize,
    queues: Vec<Queue>,
}

/// On cache lines of its own, so that one worker's pushes do not slow another's down.
#[repr(align(128))]
#[derive(Default)]
struct Queue {
    heap: Mutex<BinaryHeap<Reverse<u32>>>,
    /// The heap's length, so that thieves need not lock an empty one.
    len: AtomicUsize,
}

/// A task taken from the queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) rank: u32,
    /// From another worker's queue.
    pub(crate) stolen: bool,
    /// There was more where it came from.
    pub(crate) more: bool,
}

impl Queues {
    /// `sources` are the ranks of the tasks without inputs, ascending.
    pub(crate) fn new(sources: Vec<u32>, workers: usize) -> Queues {
        Queues {
            sources,
            cursor: AtomicUsize::new(0),
            queues: (0..workers).map(|_| Queue::default()).collect(),
        }
    }

    /// How many tasks were ready from the start.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Adds tasks to a worker's own queue and empties `ranks`.
    pub(crate) fn push(&self, worker: usize, ranks: &mut Vec<u32>) {
        if ranks.is_empty() {
            return;
        }
        let queue = &self.queues[worker];
        let mut heap = queue.heap.lock();
        heap.extend(ranks.drain(..).map(Reverse));
        queue.len.store(heap.len(), Ordering::SeqCst);
    }

    pub(crate) fn take(&self, worker: usize) -> Option<Taken> {
        let queue = &self.queues[worker];
        loop {
            let at = self.cursor.load(Ordering::Acquire);
            let source = self.sources.get(at).copied();
            if queue.len.load(Ordering::Relaxed) > 0 {
                let mut heap = queue.heap.lock();
                if let Some(&Reverse(own)) = heap.peek()
                    && source.is_none_or(|source| own < source)
                {
                    heap.pop();
                    queue.len.store(heap.len(), Ordering::SeqCst);
                    return Some(Taken {
                        rank: own,
                        stolen: false,
                        more: source.is_some() || !heap.is_empty(),
                    });
                }
            }
            let Some(source) = source else { return self.steal(worker) };
            if self.take_source_at(at) {
                let more = at + 1 < self.sources.len() || queue.len.load(Ordering::Relaxed) > 0;
                return Some(Taken { rank: source, stolen: false, more });
            }
        }
    }

    /// The next task without inputs.
    pub(crate) fn take_source(&self) -> Option<u32> {
        loop {
            let at = self.cursor.load(Ordering::Acquire);
            let source = *self.sources.get(at)?;
            if self.take_source_at(at) {
                return Some(source);
            }
        }
    }

    fn take_source_at(&self, at: usize) -> bool {
        self.cursor.compare_exchange(at, at + 1, Ordering::SeqCst, Ordering::Acquire).is_ok()
    }

    fn steal(&self, worker: usize) -> Option<Taken> {
        let count = self.queues.len();
        for step in 1..count {
            let victim = &self.queues[(worker + step) % count];
            if victim.len.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let mut heap = victim.heap.lock();
            if let Some(Reverse(rank)) = heap.pop() {
                victim.len.store(heap.len(), Ordering::SeqCst);
                return Some(Taken { rank, stolen: true, more: !heap.is_empty() });
            }
        }
        None
    }

    /// Takes all that became ready, from all queues.
    pub(crate) fn drain(&self, mut each: impl FnMut(u32)) {
        for queue in &self.queues {
            if queue.len.load(Ordering::SeqCst) > 0 {
                let mut heap = queue.heap.lock();
                heap.drain().for_each(|Reverse(rank)| each(rank));
                queue.len.store(0, Ordering::SeqCst);
            }
        }
    }

    /// Whether any task is ready.
    pub(crate) fn any(&self) -> bool {
        self.cursor.load(Ordering::SeqCst) < self.sources.len()
            || self.queues.iter().any(|queue| queue.len.load(Ordering::SeqCst) > 0)
    }
}
