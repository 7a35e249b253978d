//! Counts the bytes that a run holds: values, and what running tasks were estimated to make and need.

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Ledger {
    limit: Option<u64>,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(limit: Option<u64>) -> Ledger {
        Ledger { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Acquire)
    }

    /// Adds `bytes` if they fit.
    pub(crate) fn try_add(&self, bytes: u64) -> bool {
        let Some(limit) = self.limit else {
            self.add(bytes);
            return true;
        };
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= limit);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(before) => {
                self.saw(before + bytes);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether `bytes` would fit at the moment.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.limit.is_none_or(|limit| self.used().saturating_add(bytes) <= limit)
    }

    /// Adds `bytes`, beyond the limit if need be.
    pub(crate) fn add(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.used.fetch_add(bytes, Ordering::AcqRel);
            self.saw(before.saturating_add(bytes));
        }
    }

    pub(crate) fn sub(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
            debug_assert!(before >= bytes, "the ledger went below zero: {before} - {bytes}");
        }
    }

    /// Replaces `old` bytes by `new` in one step.
    pub(crate) fn exchange(&self, old: u64, new: u64) {
        if new >= old {
            self.add(new - old);
        } else {
            self.sub(old - new);
        }
    }

    fn saw(&self, used: u64) {
        // Most of the time the peak is not exceeded, and reading is cheaper than writing a line that all threads share.
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(used, Ordering::AcqRel);
        }
    }
}
