//! Segments: shared memory through which large buffers go from one process to another.
//!
//! A segment is made by its sender, filled, and announced to the receiver with its descriptor; both ends close the descriptor and
//! keep the mapping. The receiver gives out a view (`Shared`); when that is dropped, the segment goes back:
//!
//! - *released*: the receiver keeps its mapping, and the sender may fill the segment again. Then neither end makes a system call,
//!   and no page is new, which is what takes most of the time: on the machine where this was written, filling 10 MB of new memory takes
//!   4 to 7 ms, filling memory that is there 1 ms.
//! - *dropped*: the receiver has cached enough; both ends unmap, and the memory is free.
//!
//! A sender that needs a new size while it has many free segments *forgets* the oldest of them, and the receiver unmaps them. Only
//! the sender may take back a released segment, so the two never disagree about who uses one.
//!
//! New segments are filled with `pwrite`, not through the mapping: the kernel then neither clears pages that are about to
//! be overwritten nor takes a fault for each (3.9 ms against 6.9 ms for 10 MB).

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::channel::notice;
use super::error::ProcessError;
use super::sys::Mapping;

/// Buffers below this go through the socket: a copy of 64 KiB costs less than keeping account of a segment.
pub(super) const SHARED_FROM: usize = 64 << 10;
/// What the receivers of this process keep mapped for reuse, in all: results of all workers.
static CACHED_MOST: AtomicU64 = AtomicU64::new(256 << 20);
/// The same in a worker, which has company: arguments.
pub(super) const CACHED_MOST_IN_WORKER: u64 = 64 << 20;
/// What a sender keeps free before it forgets the oldest.
const FREE_MOST: u64 = 128 << 20;
/// Beyond so many views a process' receivers copy instead of mapping: Linux allows 65530 mappings by default.
const MAPPED_MOST: u64 = 16_384;
/// Dropped bytes beyond which an idle sender is told at once.
const TELL_FROM: u64 = 16 << 20;

static SOCKET: AtomicU64 = AtomicU64::new(0);
static SHARED: AtomicU64 = AtomicU64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);
static REUSED: AtomicU64 = AtomicU64::new(0);
static MAPPED: AtomicU64 = AtomicU64::new(0);
static CACHED: AtomicU64 = AtomicU64::new(0);

/// What has gone between this process and others, in both directions, and what is kept for reuse.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Bytes through sockets.
    pub socket_bytes: u64,
    /// Bytes through segments.
    pub shared_bytes: u64,
    /// Segments that were made.
    pub made: u64,
    /// How often a segment was filled again.
    pub reused: u64,
    /// Received segments that are mapped now, in use or cached.
    pub mapped: u64,
    /// Bytes of received segments that are mapped for reuse only.
    pub cached_bytes: u64,
}

/// What has gone between this process and others so far.
pub fn traffic() -> Traffic {
    Traffic {
        socket_bytes: SOCKET.load(Relaxed),
        shared_bytes: SHARED.load(Relaxed),
        made: MADE.load(Relaxed),
        reused: REUSED.load(Relaxed),
        mapped: MAPPED.load(Relaxed),
        cached_bytes: CACHED.load(Relaxed),
    }
}

/// Sets what this process' receivers keep mapped for reuse.
pub(super) fn limit_cache(bytes: u64) {
    CACHED_MOST.store(bytes, Relaxed);
}

pub(super) fn count_socket(bytes: usize) {
    SOCKET.fetch_add(bytes as u64, Relaxed);
}

/// The size of a segment for so many bytes: quarters of powers of two, so that sizes that are nearly alike share segments. Pages
/// that nobody touches cost nothing.
fn rounded(len: usize) -> usize {
    let step = (len.next_power_of_two() / 8).max(4096);
    len.div_ceil(step) * step
}

struct Free {
    id: u64,
    mapping: Mapping,
    /// Whether the pages are mapped here already.
    warm: bool,
}

/// The segments of a sender.
#[derive(Default)]
pub(super) struct Outgoing {
    last: u64,
    /// Which may be filled, in the order in which they became free.
    free: Vec<Free>,
    free_bytes: u64,
    /// Which the receiver has, or will have.
    lent: HashMap<u64, (Mapping, bool)>,
    /// Which the receiver must be told to unmap.
    pub(super) forgotten: Vec<u64>,
}

/// A filled segment. Fresh ones have a file that must be sent.
pub(super) struct Filled {
    pub(super) id: u64,
    pub(super) size: usize,
    pub(super) file: Option<File>,
}

impl Outgoing {
    /// Puts bytes into a segment.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> Result<Filled, ProcessError> {
        SHARED.fetch_add(bytes.len() as u64, Relaxed);
        let fits = |f: &Free| f.mapping.len() >= bytes.len() && f.mapping.len() / 4 <= bytes.len();
        let best = (0..self.free.len())
            .filter(|&i| fits(&self.free[i]))
            .min_by_key(|&i| (self.free[i].mapping.len(), usize::MAX - i));
        if let Some(at) = best {
            let Free { id, mapping, warm } = self.free.remove(at);
            let size = mapping.len();
            self.free_bytes -= size as u64;
            if !warm {
                mapping.populate(bytes.len());
            }
            mapping.fill(bytes);
            self.lent.insert(id, (mapping, true));
            REUSED.fetch_add(1, Relaxed);
            return Ok(Filled { id, size, file: None });
        }
        let size = rounded(bytes.len());
        self.forget_beyond(FREE_MOST.saturating_sub(size as u64));
        let failed = |doing| move |source| ProcessError::Segment { doing, bytes: bytes.len() as u64, source };
        let file = super::sys::memory_file().map_err(failed("make"))?;
        file.set_len(size as u64).map_err(failed("make"))?;
        file.write_all_at(bytes, 0).map_err(failed("fill"))?;
        let mapping = Mapping::new(&file, size).map_err(failed("map"))?;
        self.last += 1;
        self.lent.insert(self.last, (mapping, false));
        MADE.fetch_add(1, Relaxed);
        Ok(Filled { id: self.last, size, file: Some(file) })
    }

    fn forget_beyond(&mut self, most: u64) {
        let mut gone = 0;
        while self.free_bytes > most {
            self.free_bytes -= self.free[gone].mapping.len() as u64;
            gone += 1;
        }
        self.forgotten.extend(self.free.drain(..gone).map(|f| f.id));
    }

    /// The receiver has released them.
    pub(super) fn released(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some((mapping, warm)) = self.lent.remove(id) {
                self.free_bytes += mapping.len() as u64;
                self.free.push(Free { id: *id, mapping, warm });
            }
        }
    }

    /// The receiver has unmapped them, or has never heard of them.
    pub(super) fn dropped(&mut self, ids: &[u64]) {
        for id in ids {
            self.lent.remove(id);
        }
    }
}

/// A received segment's mapping, counted.
struct Mapped(Mapping);

impl Mapped {
    fn new(mapping: Mapping) -> Mapped {
        MAPPED.fetch_add(1, Relaxed);
        Mapped(mapping)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Relaxed);
    }
}

struct Entry {
    mapping: Arc<Mapped>,
    cached: bool,
}

impl Entry {
    fn len(&self) -> usize {
        self.mapping.0.len()
    }
}

#[derive(Default)]
struct Table {
    entries: HashMap<u64, Entry>,
    /// What the sender has not been told.
    released: Vec<u64>,
    dropped: Vec<u64>,
    dropped_bytes: u64,
    /// The sender waits for messages, and nobody else sends it any.
    idle: bool,
    /// Where to tell an idle sender. Not kept beyond the channel, though views may be.
    socket: Option<Arc<UnixStream>>,
}

/// The segments that a receiver has mapped. Outlives its channel while there are views.
pub(super) struct Incoming {
    /// The process that this belongs to: a forked child must not speak for its parent.
    pid: u32,
    table: Mutex<Table>,
}

impl Incoming {
    pub(super) fn new(socket: Arc<UnixStream>) -> Incoming {
        let table = Table { socket: Some(socket), ..Table::default() };
        Incoming { pid: std::process::id(), table: Mutex::new(table) }
    }

    /// Maps an announced segment.
    pub(super) fn announced(&self, id: u64, size: usize, file: OwnedFd) -> Result<(), ProcessError> {
        let mapping = Mapping::new(&File::from(file), size).map_err(|source| ProcessError::Segment {
            doing: "map",
            bytes: size as u64,
            source,
        })?;
        let entry = Entry { mapping: Arc::new(Mapped::new(mapping)), cached: false };
        self.table.lock().entries.insert(id, entry);
        Ok(())
    }

    /// A view on the first bytes of a segment.
    pub(super) fn view(self: &Arc<Incoming>, id: u64, len: usize) -> Result<Received, ProcessError> {
        let mut table = self.table.lock();
        let entry = table
            .entries
            .get_mut(&id)
            .filter(|entry| len <= entry.len())
            .ok_or_else(|| ProcessError::Malformed(format!("{len} bytes of segment {id}")))?;
        if std::mem::take(&mut entry.cached) {
            CACHED.fetch_sub(entry.len() as u64, Relaxed);
        }
        SHARED.fetch_add(len as u64, Relaxed);
        let mapping = Arc::clone(&entry.mapping);
        drop(table);
        let shared = Shared { incoming: Arc::clone(self), mapping, id, len };
        if MAPPED.load(Relaxed) > MAPPED_MOST {
            return Ok(Received::Copied(shared.to_vec()));
        }
        Ok(Received::Mapped(shared))
    }

    /// The sender will not use them any more.
    pub(super) fn forget(&self, ids: &[u64]) {
        let mut table = self.table.lock();
        for id in ids {
            if let Some(entry) = table.entries.remove(id) {
                gone(&entry);
            }
        }
    }

    /// What the sender must be told: released and dropped.
    pub(super) fn news(&self) -> (Vec<u64>, Vec<u64>) {
        let mut table = self.table.lock();
        table.dropped_bytes = 0;
        (std::mem::take(&mut table.released), std::mem::take(&mut table.dropped))
    }

    /// Whether the sender waits for messages that nobody is about to send. Only then news may be sent by whoever has some.
    pub(super) fn set_idle(&self, idle: bool) {
        let mut table = self.table.lock();
        table.idle = idle;
        self.tell(&mut table);
    }

    /// The sender is gone. Views stay good.
    pub(super) fn close(&self) {
        let mut table = self.table.lock();
        table.socket = None;
        table.entries.drain().for_each(|(_, entry)| gone(&entry));
    }

    fn release(&self, id: u64) {
        if std::process::id() != self.pid {
            return;
        }
        let mut table = self.table.lock();
        let Some(entry) = table.entries.get_mut(&id) else { return };
        let size = entry.len() as u64;
        if CACHED.load(Relaxed) + size <= CACHED_MOST.load(Relaxed) && MAPPED.load(Relaxed) <= MAPPED_MOST {
            entry.cached = true;
            CACHED.fetch_add(size, Relaxed);
            table.released.push(id);
        } else {
            if let Some(entry) = table.entries.remove(&id) {
                gone(&entry);
            }
            table.dropped.push(id);
            table.dropped_bytes += size;
            self.tell(&mut table);
        }
    }

    /// Tells an idle sender what it may free, when that is worth a message. It waits for messages, so the socket has room; should
    /// it have none, the next call carries the news.
    fn tell(&self, table: &mut Table) {
        let Some(socket) = &table.socket else { return };
        if !table.idle || table.dropped_bytes < TELL_FROM {
            return;
        }
        // Little enough that the kernel takes all of it or nothing.
        let count = table.dropped.len().min(256);
        let ids: Vec<u64> = table.dropped.drain(..count).collect();
        let message = notice(&ids);
        match super::sys::send(socket.as_fd(), &[std::io::IoSlice::new(&message)], &[]) {
            Ok(sent) if sent == message.len() => {
                count_socket(sent);
                if table.dropped.is_empty() {
                    table.dropped_bytes = 0;
                }
            }
            _ => table.dropped.extend(ids),
        }
    }
}

/// Accounts for an entry that leaves its table.
fn gone(entry: &Entry) {
    if entry.cached {
        CACHED.fetch_sub(entry.len() as u64, Relaxed);
    }
}

/// What became of a part in shared memory.
pub(super) enum Received {
    Mapped(Shared),
    Copied(Vec<u8>),
}

/// A view on a received segment, for one owner. The segment goes back to its sender when the view is dropped.
pub struct Shared {
    incoming: Arc<Incoming>,
    mapping: Arc<Mapped>,
    id: u64,
    len: usize,
}

impl Shared {
    /// Where the bytes are, page-aligned. They may be read and written while the view lives: nobody else does, except that
    /// the sender's process could if it broke the protocol.
    pub fn address(&self) -> *mut u8 {
        self.mapping.0.address()
    }

    /// How many bytes.
    #[allow(clippy::len_without_is_empty)] // Empty buffers never come in segments.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes, copied out.
    pub fn to_vec(&self) -> Vec<u8> {
        self.mapping.0.read(self.len)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.incoming.release(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_waste_at_most_a_quarter_beyond_a_page() {
        for len in [1, 4096, 4097, 65_536, 100_000, 10_000_000, (1 << 30) + 1] {
            let size = rounded(len);
            assert!(size >= len && size.is_multiple_of(4096));
            assert!(size - len < 4096 || (size - len) * 4 <= len, "{len} -> {size}");
        }
    }

    #[test]
    fn what_is_released_is_filled_again_and_what_is_dropped_is_not() {
        let mut outgoing = Outgoing::default();
        let bytes = vec![1u8; 100_000];
        let first = outgoing.fill(&bytes).unwrap();
        assert!(first.file.is_some());
        outgoing.released(&[first.id]);
        let again = outgoing.fill(&bytes[..90_000]).unwrap();
        assert_eq!((again.id, again.file.is_none()), (first.id, true));
        outgoing.dropped(&[again.id]);
        assert_ne!(outgoing.fill(&bytes).unwrap().id, first.id);
    }

    #[test]
    fn much_larger_segments_are_kept_for_larger_buffers() {
        let mut outgoing = Outgoing::default();
        let large = outgoing.fill(&vec![0; 4 << 20]).unwrap();
        outgoing.released(&[large.id]);
        assert_ne!(outgoing.fill(&[0; 70_000]).unwrap().id, large.id);
        assert_eq!(outgoing.fill(&vec![0; 3 << 20]).unwrap().id, large.id);
    }

    #[test]
    fn free_segments_of_other_sizes_are_forgotten_in_the_end() {
        let mut outgoing = Outgoing::default();
        let mut ids = Vec::new();
        for megabytes in 20..32 {
            let filled = outgoing.fill(&vec![0; megabytes << 20]).unwrap();
            ids.push(filled.id);
        }
        outgoing.released(&ids);
        assert!(outgoing.free_bytes > FREE_MOST);
        outgoing.fill(&[0; 100_000]).unwrap();
        assert!(outgoing.free_bytes <= FREE_MOST);
        assert_eq!(outgoing.forgotten, ids[..outgoing.forgotten.len()]);
    }
}
