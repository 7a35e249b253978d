//! Memory for blocks: a pool that keeps freed buffers for reuse, with exact accounting.
//!
//! A page that the kernel hands out for the first time costs far more than the arithmetic on it, so large buffers are
//! kept when they are freed and handed out again, and are asked for with huge pages. Small buffers come from the
//! global allocator. The pool is process-wide: its counters are what "peak memory" and "pages touched" in the tests mean.
//!
//! The pool does not decide how much memory may be used: the executor's ledger does. It only gives cached memory back
//! to the system when live and cached together would exceed `set_capacity`.

use parking_lot::Mutex;
use std::alloc::{Layout, alloc, dealloc};
use std::any::Any;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buffers of at least this many bytes are pooled.
const POOLED_MIN: usize = 64 << 10;
/// Alignment of every buffer: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// No buffer is larger: far more than any machine has, and small enough that rounding up to a class overflows nothing.
const LARGEST: usize = isize::MAX as usize / 2;
/// Buffers of at least this size are aligned to, and asked for as, huge pages.
const HUGE: usize = 2 << 20;

/// What the pool did so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes in buffers that are in use.
    pub live_bytes: u64,
    /// The largest `live_bytes` since `reset_peak`.
    pub peak_bytes: u64,
    /// Bytes in freed buffers that are kept for reuse.
    pub cached_bytes: u64,
    /// Buffers that had to be asked for from the system.
    pub fresh: u64,
    /// Buffers that were reused.
    pub reused: u64,
}

struct Counters {
    live: AtomicU64,
    peak: AtomicU64,
    fresh: AtomicU64,
    reused: AtomicU64,
    capacity: AtomicU64,
}

static COUNTERS: Counters = Counters {
    live: AtomicU64::new(0),
    peak: AtomicU64::new(0),
    fresh: AtomicU64::new(0),
    reused: AtomicU64::new(0),
    capacity: AtomicU64::new(4 << 30),
};

#[derive(Default)]
struct Cache {
    free: BTreeMap<usize, Vec<usize>>,
    bytes: usize,
}

static CACHE: Mutex<Cache> = Mutex::new(Cache { free: BTreeMap::new(), bytes: 0 });

/// What the pool did so far, and holds now.
pub fn stats() -> PoolStats {
    PoolStats {
        live_bytes: COUNTERS.live.load(Relaxed),
        peak_bytes: COUNTERS.peak.load(Relaxed),
        cached_bytes: CACHE.lock().bytes as u64,
        fresh: COUNTERS.fresh.load(Relaxed),
        reused: COUNTERS.reused.load(Relaxed),
    }
}

/// Starts a new measurement of the peak.
pub fn reset_peak() {
    COUNTERS.peak.store(COUNTERS.live.load(Relaxed), Relaxed);
}

/// Above how many bytes, live and cached together, the pool stops keeping freed buffers.
pub fn set_capacity(bytes: u64) {
    COUNTERS.capacity.store(bytes, Relaxed);
    trim(bytes.saturating_sub(COUNTERS.live.load(Relaxed)) as usize);
}

/// Gives cached buffers back to the system until at most `keep` bytes are cached.
pub fn trim(keep: usize) {
    let mut cache = CACHE.lock();
    while cache.bytes > keep {
        let Some((&size, _)) = cache.free.iter().next_back() else { break };
        let list = cache.free.get_mut(&size).expect("the class was just found");
        let addr = list.pop();
        if list.is_empty() {
            cache.free.remove(&size);
        }
        if let Some(addr) = addr {
            cache.bytes -= size;
            // SAFETY: cached addresses were allocated by `fresh` with this class size and are owned by the cache alone.
            unsafe { dealloc(addr as *mut u8, layout(size)) };
        }
    }
}

/// Asks the global allocator to give what it keeps of freed memory back to the system, where it can. Takes milliseconds.
pub fn trim_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function has no preconditions and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn layout(size: usize) -> Layout {
    let align = if size >= HUGE { HUGE } else { ALIGN };
    Layout::from_size_align(size.max(1), align).expect("`alloc` refuses what is above LARGEST")
}

/// Rounds up so that buffers of nearly the same size share a class: at most an eighth is wasted.
fn class(size: usize) -> usize {
    if size < POOLED_MIN {
        return size;
    }
    let step = (size.next_power_of_two() >> 4).max(4096);
    size.div_ceil(step) * step
}

fn fresh(size: usize) -> Option<NonNull<u8>> {
    COUNTERS.fresh.fetch_add(1, Relaxed);
    // SAFETY: the layout has a non-zero size.
    let p = NonNull::new(unsafe { alloc(layout(size)) })?;
    if size >= HUGE {
        // SAFETY: the range was just allocated; the advice changes no content, and its failure changes nothing.
        unsafe { libc::madvise(p.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
    }
    Some(p)
}

enum Owner {
    /// Allocated here; the number is the class size.
    Pool(usize),
    /// Kept alive by somebody else: a NumPy array, a memory map. The flag tells whether it counts against the limit.
    Foreign(#[allow(dead_code)] Box<dyn Any + Send + Sync>, bool),
}

/// A range of memory, freed (or returned to the pool) when dropped.
pub struct Buffer {
    ptr: NonNull<u8>,
    len: usize,
    owner: Owner,
}

// SAFETY: a buffer is plain memory; who may write when is decided by `Block` (sole owner) and the kernels.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// The system refused memory.
#[derive(Debug, thiserror::Error, Clone)]
#[error(
    "could not allocate {0} bytes for a block; use smaller chunks, or lower the memory limit so that blocks spill"
)]
pub struct OutOfMemory(pub usize);

impl Buffer {
    /// Memory for `len` bytes, with arbitrary content.
    pub fn alloc(len: usize) -> Result<Buffer, OutOfMemory> {
        if len > LARGEST {
            return Err(OutOfMemory(len));
        }
        let size = class(len);
        let reused = if size >= POOLED_MIN { take_cached(size) } else { None };
        let ptr = match reused {
            Some(p) => {
                COUNTERS.reused.fetch_add(1, Relaxed);
                p
            }
            None => {
                let capacity = COUNTERS.capacity.load(Relaxed);
                let live = COUNTERS.live.load(Relaxed);
                if size >= POOLED_MIN {
                    trim(capacity.saturating_sub(live + size as u64) as usize);
                }
                fresh(size).ok_or(OutOfMemory(len))?
            }
        };
        let live = COUNTERS.live.fetch_add(size as u64, Relaxed) + size as u64;
        COUNTERS.peak.fetch_max(live, Relaxed);
        Ok(Buffer { ptr, len, owner: Owner::Pool(size) })
    }

    /// Memory that `owner` keeps alive. `counted` tells whether it was made in a run and so counts against its limit.
    ///
    /// # Safety
    /// `ptr` is valid for `len` bytes as long as `owner` lives, and nobody writes to it meanwhile except through blocks.
    pub unsafe fn foreign(
        ptr: *mut u8,
        len: usize,
        owner: Box<dyn Any + Send + Sync>,
        counted: bool,
    ) -> Buffer {
        let ptr = NonNull::new(ptr).unwrap_or(NonNull::dangling());
        Buffer { ptr, len, owner: Owner::Foreign(owner, counted) }
    }

    /// The first byte.
    pub fn ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// The length in bytes that was asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether Pantile allocated it, and so may write into it.
    pub fn is_owned(&self) -> bool {
        matches!(self.owner, Owner::Pool(_))
    }

    /// Whether it counts against the memory limit.
    pub fn is_counted(&self) -> bool {
        matches!(self.owner, Owner::Pool(_) | Owner::Foreign(_, true))
    }
}

fn take_cached(size: usize) -> Option<NonNull<u8>> {
    let mut cache = CACHE.lock();
    let list = cache.free.get_mut(&size)?;
    let addr = list.pop()?;
    if list.is_empty() {
        cache.free.remove(&size);
    }
    cache.bytes -= size;
    NonNull::new(addr as *mut u8)
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Owner::Pool(size) = self.owner else { return };
        let live = COUNTERS.live.fetch_sub(size as u64, Relaxed) - size as u64;
        if size >= POOLED_MIN {
            let mut cache = CACHE.lock();
            if live + (cache.bytes + size) as u64 <= COUNTERS.capacity.load(Relaxed) {
                cache.bytes += size;
                cache.free.entry(size).or_default().push(self.ptr.as_ptr() as usize);
                return;
            }
        }
        // SAFETY: allocated by `fresh` with this class size; nobody else refers to it any more.
        unsafe { dealloc(self.ptr.as_ptr(), layout(size)) };
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_owned() { "owned" } else { "foreign" };
        write!(f, "Buffer({} bytes, {kind})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_machine_has_are_refused() {
        for len in [LARGEST + 1, isize::MAX as usize, usize::MAX - 7, usize::MAX] {
            assert_eq!(Buffer::alloc(len).unwrap_err().0, len);
        }
    }

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for size in [POOLED_MIN, 100_000, 1_000_000, 8_000_001, 123_456_789] {
            let c = class(size);
            assert!(c >= size && c - size <= size / 8 + 4096, "{size} -> {c}");
        }
    }

    #[test]
    fn a_freed_buffer_is_used_again() {
        // A class that no other test of this crate uses, so that none takes the buffer meanwhile.
        let size = 3 << 20;
        let a = Buffer::alloc(size).unwrap();
        let (p, before) = (a.ptr(), stats());
        drop(a);
        let b = Buffer::alloc(size - 100).unwrap();
        assert_eq!(b.ptr(), p);
        assert!(stats().reused > before.reused);
        assert!(b.is_owned());
    }
}
