//! Which task is next: ranks of ready tasks, lowest first.
//!
//! Tasks without inputs are ready from the start. They are a sorted list with a shared cursor, since putting a hundred
//! thousand of them into heaps would cost more than running them. What becomes ready later goes into the queue of the
//! worker that finished its last input, where the input is still in the processor's cache.
//!
//! A worker takes the lowest rank of its own queue and the list. Before it takes from the list, which starts something
//! new and takes memory, it looks whether another worker's queue holds something of lower rank, and steals that: else one
//! worker would be left to finish a column alone while the others load many more. When its own queue and the list are
//! empty, it steals the lowest rank there is. Each queue publishes its lowest rank, so looking takes no lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

pub(crate) struct Queues {
    sources: Vec<u32>,
    cursor: AtomicUsize,
    queues: Vec<Queue>,
}

/// On cache lines of its own, so that one worker's pushes do not slow another's down.
#[repr(align(128))]
struct Queue {
    heap: Mutex<BinaryHeap<Reverse<u32>>>,
    /// The heap's lowest rank, or `EMPTY`; written under the lock.
    lowest: AtomicU32,
}

/// No rank is that high: a graph has fewer tasks.
const EMPTY: u32 = u32::MAX;

impl Queue {
    fn lowest(&self) -> u32 {
        self.lowest.load(Ordering::SeqCst)
    }

    fn publish(&self, heap: &BinaryHeap<Reverse<u32>>) {
        self.lowest.store(heap.peek().map_or(EMPTY, |&Reverse(rank)| rank), Ordering::SeqCst);
    }

    /// Takes the lowest rank if it is below `bound`, and tells whether there is more.
    fn pop_below(&self, bound: u32) -> Option<(u32, bool)> {
        let mut heap = self.heap.lock();
        let &Reverse(rank) = heap.peek().filter(|&&Reverse(rank)| rank < bound)?;
        heap.pop();
        self.publish(&heap);
        Some((rank, !heap.is_empty()))
    }
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
            queues: (0..workers)
                .map(|_| Queue { heap: Mutex::default(), lowest: AtomicU32::new(EMPTY) })
                .collect(),
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
        queue.publish(&heap);
    }

    pub(crate) fn take(&self, worker: usize) -> Option<Taken> {
        let queue = &self.queues[worker];
        loop {
            let at = self.cursor.load(Ordering::Acquire);
            let source = self.sources.get(at).copied();
            let bound = source.unwrap_or(EMPTY);
            if queue.lowest() < bound
                && let Some((rank, left)) = queue.pop_below(bound)
            {
                return Some(Taken { rank, stolen: false, more: left || source.is_some() });
            }
            if let Some(victim) = self.lowest_of_others(worker, bound) {
                match victim.pop_below(bound) {
                    Some((rank, left)) => {
                        return Some(Taken { rank, stolen: true, more: left || source.is_some() });
                    }
                    // Somebody else was quicker.
                    None => continue,
                }
            }
            let rank = source?;
            if self.take_source_at(at) {
                let more = at + 1 < self.sources.len() || queue.lowest() < EMPTY;
                return Some(Taken { rank, stolen: false, more });
            }
        }
    }

    /// The other worker's queue whose lowest rank is lowest, if that is below `bound`.
    fn lowest_of_others(&self, worker: usize, mut bound: u32) -> Option<&Queue> {
        let mut best = None;
        for (at, queue) in self.queues.iter().enumerate() {
            let lowest = queue.lowest();
            if lowest < bound && at != worker {
                bound = lowest;
                best = Some(queue);
            }
        }
        best
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

    /// Takes all that became ready, from all queues.
    pub(crate) fn drain(&self, mut each: impl FnMut(u32)) {
        for queue in &self.queues {
            if queue.lowest() < EMPTY {
                let mut heap = queue.heap.lock();
                heap.drain().for_each(|Reverse(rank)| each(rank));
                queue.publish(&heap);
            }
        }
    }

    /// Whether any task is ready.
    pub(crate) fn any(&self) -> bool {
        self.cursor.load(Ordering::SeqCst) < self.sources.len()
            || self.queues.iter().any(|queue| queue.lowest() < EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rank: u32, stolen: bool, more: bool) -> Option<Taken> {
        Some(Taken { rank, stolen, more })
    }

    #[test]
    fn the_lowest_rank_goes_first_wherever_it_is() {
        let queues = Queues::new(vec![2, 6], 3);
        queues.push(0, &mut vec![5, 3]);
        queues.push(1, &mut vec![4]);
        assert_eq!(queues.take(0), taken(2, false, true));
        assert_eq!(queues.take(0), taken(3, false, true));
        // Its own next one is 5, below the source 6, and preferred to 4 of another: stealing costs more.
        assert_eq!(queues.take(0), taken(5, false, true));
        // Before starting on the source 6, what is left of the rest.
        assert_eq!(queues.take(2), taken(4, true, true));
        assert_eq!(queues.take(2), taken(6, false, false));
        assert_eq!(queues.take(2), None);
        assert!(!queues.any());
    }

    #[test]
    fn thieves_take_the_lowest_of_all() {
        let queues = Queues::new(vec![], 4);
        queues.push(0, &mut vec![9, 7]);
        queues.push(2, &mut vec![8]);
        assert_eq!(queues.take(3), taken(7, true, true));
        assert_eq!(queues.take(3), taken(8, true, false));
        let mut rest = Vec::new();
        queues.drain(|rank| rest.push(rank));
        assert_eq!(rest, [9]);
        assert!(!queues.any());
    }
}
