//! What a run may use of the memory limit, which is the process's.
//!
//! Three kinds of memory are there when a run begins: blocks that the user keeps (persisted arrays and results), blocks of
//! other runs that have not ended, and everything else (the interpreter, its modules, the user's own arrays). Freed blocks that
//! the pool caches are none of them, since it gives them back. A twentieth of the limit is for what nobody counts: stacks,
//! the allocator's gaps, libraries' buffers.
//!
//! A run is *refused* by what is kept, never by what other runs hold for the moment: whether a program is right must not depend
//! on timing. Its *ledger* gets what is free when it begins. However little that is, it is a twentieth of the limit, so
//! that sums of a few numbers work in a process that is full; results that stay get no such allowance beyond `SMALL`, since
//! they would add up.
//!
//! What it does not do: it does not divide memory between runs that begin later, and it does not look at a running graph.

use crate::error::MemoryLimitError;
use crate::machine::resident;
use pantile_array::{Expr as Node, pool};
use pantile_exec::size_text;
use parking_lot::Mutex;
use pyo3::PyResult;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Results of at most this many bytes are always given.
const SMALL: u64 = 1 << 20;

/// What the process holds besides blocks. Where that is much, it may be freed memory that the allocator has kept: it is asked to
/// give it back, and again when it has grown.
fn others(limit: u64) -> u64 {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let measure = || {
        let blocks = pool::stats();
        resident().saturating_sub(blocks.live_bytes + blocks.cached_bytes)
    };
    let found = measure();
    let seen = SEEN.fetch_min(found, Relaxed).min(found);
    if found < limit / 4 || found < seen.saturating_add(limit / 50) {
        return found;
    }
    pool::trim_allocator();
    let found = measure();
    SEEN.store(found, Relaxed);
    found
}

struct Runs {
    /// Runs that have begun and not ended.
    active: usize,
    /// Bytes of blocks that belong to none of them.
    kept: u64,
}

static RUNS: Mutex<Runs> = Mutex::new(Runs { active: 0, kept: 0 });

/// A run's part of the limit. Made before anything is allocated for the run, dropped when it has ended.
pub struct Budget {
    limit: Option<u64>,
    others: u64,
    kept: u64,
    live: u64,
    results: u64,
    stays: bool,
}

impl Budget {
    /// Looks at what is there, and counts the run as begun.
    pub fn begin(limit: Option<u64>) -> Budget {
        let blocks = pool::stats();
        let mut runs = RUNS.lock();
        // While others run nobody can tell their blocks from those that are kept; what was kept before is known.
        runs.kept = if runs.active == 0 { blocks.live_bytes } else { runs.kept.min(blocks.live_bytes) };
        runs.active += 1;
        let others = limit.map_or(0, others);
        Budget { limit, others, kept: runs.kept, live: blocks.live_bytes, results: 0, stays: false }
    }

    /// Tells the pool up to how much it may cache freed blocks.
    pub fn bound_pool(&self) {
        if let Some(limit) = self.limit {
            pool::set_capacity(self.room(limit).max(limit / 20));
        }
    }

    /// For blocks of any kind.
    fn room(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.others.saturating_add(limit / 20))
    }

    /// What is left beside the blocks that are kept.
    fn left(&self, limit: u64) -> u64 {
        self.room(limit).saturating_sub(self.kept)
    }

    /// Within how much the graph must be able to run. `made` are the results' bytes that have been allocated.
    pub fn must_fit(&self, made: u64) -> Option<u64> {
        self.limit.map(|limit| self.left(limit).saturating_sub(made).max(limit / 20))
    }

    /// The limit of the run's ledger: other runs' blocks are there as well.
    pub fn ledger(&self, made: u64) -> Option<u64> {
        let free = |limit| self.room(limit).saturating_sub(self.live.max(self.kept));
        self.limit.map(|limit| free(limit).saturating_sub(made).max(limit / 20))
    }

    /// Adds the bytes of a result, which stays when the run has ended.
    pub fn add_result(&mut self, n: &Node, shape: &[u64]) -> PyResult<u64> {
        let bytes = shape.iter().fold(n.dtype().size() as u64, |product, &len| product.saturating_mul(len));
        let results = self.results.saturating_add(bytes);
        if let Some(limit) = self.limit
            && results > SMALL
            && results > self.left(limit)
        {
            let advice = "store it to a file, reduce it, or raise the limit";
            return Err(MemoryLimitError::new_err(if results > limit {
                format!(
                    "the result alone has {}, and the memory limit is {}; {advice}",
                    size_text(results),
                    size_text(limit)
                )
            } else {
                format!(
                    "the result has {}, and of the memory limit of {} only {} are left: {}; let go of arrays, {advice}",
                    size_text(results),
                    size_text(limit),
                    size_text(self.left(limit)),
                    self.what_is_there()
                )
            }));
        }
        RUNS.lock().kept += results - self.results;
        self.results = results;
        Ok(bytes)
    }

    /// Whether this many bytes can be there beside what is kept, results aside that have been added.
    pub fn check_copy(&self, bytes: u64) -> PyResult<()> {
        match self.limit {
            Some(limit) if bytes > SMALL && bytes > self.left(limit) => {
                Err(MemoryLimitError::new_err(format!(
                    "the result and the blocks that it is put together from have {}, and of the memory limit of {} only {} \
                     are left: {}; call persist() or compute_chunk_sizes() first, store the array to a file, or raise the limit",
                    size_text(bytes),
                    size_text(limit),
                    size_text(self.left(limit)),
                    self.what_is_there()
                )))
            }
            _ => Ok(()),
        }
    }

    fn what_is_there(&self) -> String {
        format!(
            "arrays that were computed or persisted before hold {}, the rest of the process {}, and a twentieth is kept back",
            size_text(self.kept),
            size_text(self.others)
        )
    }

    /// What to add to a refusal that names what is left as the limit.
    pub fn explanation(&self, made: u64) -> String {
        let Some(limit) = self.limit else { return String::new() };
        let own = match made {
            0 => String::new(),
            made => format!("the result takes {}, ", size_text(made)),
        };
        format!(
            ". (That is what is left of the limit of {}: {own}{})",
            size_text(limit),
            self.what_is_there()
        )
    }

    /// The run has ended well, and its results are the user's.
    pub fn succeeded(mut self) {
        self.stays = true;
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        let mut runs = RUNS.lock();
        runs.active -= 1;
        if !self.stays {
            runs.kept = runs.kept.saturating_sub(self.results);
        }
    }
}
