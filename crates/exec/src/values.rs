//! What is alive: one slot a task, from the moment its value is made until its last consumer has it.
//!
//! A slot's story:
//!
//! ```text
//! Empty ──put──► Here ──begin_spill──► Writing ──end_spill──► OnDisk
//!                 ▲ │                   │   │                   │
//!                 │ └──last take──┐     │   └──pinned meanwhile──► Here
//!                 │               ▼     ▼                       │
//!                 │              Gone ◄─┴────── last take ──────┤
//!                 └─────────────── take (restores) ─────────────┘
//! ```
//!
//! Consumers that are not the last get a clone and *pin* the slot while they run: the memory stays however often the
//! slot's own reference is dropped, so spilling it would free nothing, and its bytes are let go of only when the last pin
//! goes. The last consumer gets the slot's own reference, so that it may write into the memory.

use std::mem;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use pantile_graph::{Graph, TaskId};
use parking_lot::Mutex;

use crate::spill::SpilledFile;

enum State<V> {
    Empty,
    Here(V),
    Writing(V),
    OnDisk(SpilledFile),
    Gone,
}

struct Slot<V> {
    state: State<V>,
    /// How often the value will still be taken.
    uses: u32,
    /// How many running tasks hold a clone.
    pins: u32,
    /// What the value weighs in the ledger when it is in memory.
    bytes: u64,
}

/// How a consumer holds an input; to be given back when it has run.
#[derive(Clone, Copy)]
pub(crate) enum Hold {
    /// It was the last; so many bytes are let go of when it has run.
    Owned(u64),
    /// It has a clone.
    Pinned(TaskId),
}

/// An input, as a consumer gets it.
pub(crate) struct Input<V> {
    pub(crate) value: V,
    pub(crate) hold: Hold,
    /// The bytes that came back from disk for this.
    pub(crate) restored_bytes: u64,
}

/// What the search for something to spill needs to know of a task, without a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Mark {
    NotMade = 0,
    /// In memory, may be spilled.
    Here = 1,
    /// In memory, cannot be spilled.
    Fixed = 2,
    /// Gone, on disk, or on its way there.
    Away = 3,
}

pub(crate) struct Values<V> {
    slots: Vec<Mutex<Slot<V>>>,
    /// Empty when nothing will be spilled.
    marks: Vec<AtomicU8>,
    /// For each `GROUP` marks, how many are `Here`. Few tasks of a large graph have a value in memory at a time; a search for them
    /// skips the groups without any.
    here: Vec<AtomicU32>,
}

/// A search reads one count a group, and the marks of the groups that have any: least in all when both are about equally many.
const GROUP: usize = 1024;

impl<V: Clone> Values<V> {
    pub(crate) fn new(graph: &Graph, spills: bool) -> Values<V> {
        let mut slots: Vec<Mutex<Slot<V>>> = graph
            .ids()
            .map(|id| {
                let uses = graph.dependents(id).len() as u32;
                Mutex::new(Slot { state: State::Empty, uses, pins: 0, bytes: 0 })
            })
            .collect();
        for output in graph.outputs() {
            slots[output.0 as usize].get_mut().uses += 1;
        }
        let marks = if spills { graph.len() } else { 0 };
        Values {
            slots,
            marks: (0..marks).map(|_| AtomicU8::new(Mark::NotMade as u8)).collect(),
            here: (0..marks.div_ceil(GROUP)).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Whether anybody will take a value that is not made yet.
    pub(crate) fn wanted(&self, id: TaskId) -> bool {
        self.slots[id.0 as usize].lock().uses > 0
    }

    /// Keeps the value, or drops it when nobody will take it.
    pub(crate) fn put(&self, id: TaskId, value: V, bytes: u64) {
        let mut slot = self.slots[id.0 as usize].lock();
        let wanted = slot.uses > 0;
        self.set_mark(id, if wanted && bytes > 0 { Mark::Here } else { Mark::Away });
        if wanted {
            slot.state = State::Here(value);
            slot.bytes = bytes;
        } else {
            slot.state = State::Gone;
            drop(slot);
            drop(value);
        }
    }

    /// Takes the value for one use of it.
    pub(crate) fn take<E>(
        &self,
        id: TaskId,
        restore: impl FnOnce(&SpilledFile) -> Result<V, E>,
    ) -> Result<Input<V>, E> {
        let mut guard = self.slots[id.0 as usize].lock();
        let slot = &mut *guard;
        let mut restored_bytes = 0;
        let (value, writing) = match mem::replace(&mut slot.state, State::Gone) {
            State::Here(value) => (value, false),
            State::Writing(value) => (value, true),
            State::OnDisk(file) => {
                // Under the lock: another consumer has to wait for the value anyway.
                let value = match restore(&file) {
                    Ok(value) => value,
                    Err(error) => {
                        slot.state = State::OnDisk(file);
                        return Err(error);
                    }
                };
                restored_bytes = slot.bytes;
                self.set_mark(id, Mark::Here);
                (value, false)
            }
            State::Empty | State::Gone => {
                unreachable!("task {} was taken before it was made, or too often", id.0)
            }
        };
        slot.uses -= 1;
        if slot.uses == 0 {
            self.set_mark(id, Mark::Away);
            let hold = if slot.pins == 0 {
                Hold::Owned(mem::take(&mut slot.bytes))
            } else {
                slot.pins += 1;
                Hold::Pinned(id)
            };
            Ok(Input { value, hold, restored_bytes })
        } else {
            slot.pins += 1;
            slot.state = if writing { State::Writing(value.clone()) } else { State::Here(value.clone()) };
            Ok(Input { value, hold: Hold::Pinned(id), restored_bytes })
        }
    }

    /// Gives back what a consumer held; the answer is the number of bytes that this lets go of.
    pub(crate) fn release(&self, hold: Hold) -> u64 {
        match hold {
            Hold::Owned(bytes) => bytes,
            Hold::Pinned(id) => {
                let mut slot = self.slots[id.0 as usize].lock();
                slot.pins -= 1;
                if slot.uses == 0 && slot.pins == 0 { mem::take(&mut slot.bytes) } else { 0 }
            }
        }
    }

    /// The bytes that come back from disk when the value is taken.
    pub(crate) fn bytes_on_disk(&self, id: TaskId) -> u64 {
        let slot = self.slots[id.0 as usize].lock();
        if matches!(slot.state, State::OnDisk(_)) { slot.bytes } else { 0 }
    }

    /// The bytes that the next use lets go of, as things stand.
    pub(crate) fn bytes_freed_by_next_use(&self, id: TaskId) -> u64 {
        let slot = self.slots[id.0 as usize].lock();
        if slot.uses == 1 && slot.pins == 0 { slot.bytes } else { 0 }
    }

    /// The weight of the value if it could be spilled now.
    pub(crate) fn spillable_bytes(&self, id: TaskId) -> Option<u64> {
        let slot = self.slots[id.0 as usize].lock();
        (matches!(slot.state, State::Here(_)) && slot.pins == 0).then_some(slot.bytes)
    }

    /// A clone to write, if the value is still there and nobody uses it.
    pub(crate) fn begin_spill(&self, id: TaskId) -> Option<V> {
        let mut guard = self.slots[id.0 as usize].lock();
        let slot = &mut *guard;
        match mem::replace(&mut slot.state, State::Gone) {
            State::Here(value) if slot.pins == 0 => {
                slot.state = State::Writing(value.clone());
                Some(value)
            }
            other => {
                if matches!(other, State::Here(_)) {
                    self.set_mark(id, Mark::Here);
                }
                slot.state = other;
                None
            }
        }
    }

    /// Ends what `begin_spill` began; the answer is the number of bytes that this lets go of. Without a file the value
    /// stays, for good if it `declined`.
    pub(crate) fn end_spill(&self, id: TaskId, file: Option<SpilledFile>, declined: bool) -> u64 {
        let mut guard = self.slots[id.0 as usize].lock();
        let slot = &mut *guard;
        let (dropped, freed) = match (mem::replace(&mut slot.state, State::Gone), file) {
            (State::Writing(value), Some(file)) if slot.pins == 0 => {
                slot.state = State::OnDisk(file);
                (Some(value), slot.bytes)
            }
            (State::Writing(value), _) => {
                slot.state = State::Here(value);
                self.set_mark(id, if declined { Mark::Fixed } else { Mark::Here });
                (None, 0)
            }
            (other, _) => {
                slot.state = other;
                (None, 0)
            }
        };
        drop(guard);
        drop(dropped);
        freed
    }

    pub(crate) fn mark(&self, id: TaskId) -> Mark {
        match self.marks[id.0 as usize].load(Ordering::Relaxed) {
            0 => Mark::NotMade,
            1 => Mark::Here,
            2 => Mark::Fixed,
            _ => Mark::Away,
        }
    }

    pub(crate) fn set_mark(&self, id: TaskId, mark: Mark) {
        let at = id.0 as usize;
        let Some(slot) = self.marks.get(at) else { return };
        // Counted before it is marked, and uncounted after: a search never skips a value that is marked.
        let count = &self.here[at / GROUP];
        if mark == Mark::Here {
            count.fetch_add(1, Ordering::AcqRel);
        }
        if slot.swap(mark as u8, Ordering::AcqRel) == Mark::Here as u8 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The tasks whose values may be in memory and may be spilled.
    pub(crate) fn here(&self) -> impl Iterator<Item = TaskId> {
        let here = |mark: &AtomicU8| mark.load(Ordering::Relaxed) == Mark::Here as u8;
        let marked = move |group: usize| {
            let marks = self.marks.iter().enumerate().skip(group * GROUP).take(GROUP);
            marks.filter(move |(_, mark)| here(mark)).map(|(at, _)| TaskId(at as u32))
        };
        self.groups_with_values().flat_map(marked)
    }

    fn groups_with_values(&self) -> impl Iterator<Item = usize> {
        let counts = self.here.iter().enumerate();
        counts.filter(|(_, count)| count.load(Ordering::Acquire) > 0).map(|(group, _)| group)
    }

    /// Drops all that is left; the answer is what it weighed. Nobody runs any more.
    pub(crate) fn clear(&mut self) -> u64 {
        let mut freed = 0;
        for slot in &mut self.slots {
            let slot = slot.get_mut();
            debug_assert_eq!(slot.pins, 0, "a task that ended still holds an input");
            match mem::replace(&mut slot.state, State::Gone) {
                State::Here(_) | State::Writing(_) => freed += slot.bytes,
                State::Empty | State::OnDisk(_) | State::Gone => {}
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pantile_graph::{Layer, LayerId, TaskRef};

    struct Flat(u32);

    impl Layer for Flat {
        fn len(&self) -> u32 {
            self.0
        }
        fn inputs(&self, _index: u32, _out: &mut Vec<TaskRef>) {}
        fn bytes(&self, _index: u32) -> u64 {
            8
        }
        fn label(&self) -> &str {
            "flat"
        }
    }

    fn values(tasks: u32) -> Values<()> {
        let layer: Box<dyn Layer> = Box::new(Flat(tasks));
        let outputs: Vec<TaskRef> = (0..tasks).map(|index| TaskRef { layer: LayerId(0), index }).collect();
        Values::new(&Graph::expand(&[layer], &outputs).unwrap(), true)
    }

    #[test]
    fn a_search_for_values_looks_only_where_there_are_some() {
        let values = values(1_000_000);
        assert_eq!(values.here().count(), 0);
        assert_eq!(values.groups_with_values().count(), 0);
        for id in [3, 4, 700_001] {
            values.put(TaskId(id), (), 8);
        }
        assert_eq!(values.here().map(|id| id.0).collect::<Vec<_>>(), [3, 4, 700_001]);
        assert_eq!(values.groups_with_values().count(), 2, "of about a thousand");
        values.set_mark(TaskId(4), Mark::Away);
        values.set_mark(TaskId(700_001), Mark::Away);
        assert_eq!(values.here().map(|id| id.0).collect::<Vec<_>>(), [3]);
        assert_eq!(values.groups_with_values().count(), 1);
    }

    #[test]
    fn marking_twice_counts_once() {
        let values = values(2000);
        for mark in [Mark::Here, Mark::Here, Mark::Fixed, Mark::Here, Mark::Away, Mark::Away, Mark::Here] {
            values.set_mark(TaskId(1500), mark);
            let marked = mark == Mark::Here;
            assert_eq!(values.here().count(), usize::from(marked), "{mark:?}");
            assert_eq!(values.groups_with_values().count(), usize::from(marked), "{mark:?}");
        }
    }
}
