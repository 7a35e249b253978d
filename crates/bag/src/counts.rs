//! How often each value occurs: the result of `frequencies`.

use crate::item::Item;
use crate::keys::{Interned, Keys};
use crate::order::compare;
use crate::pipeline::{Context, Flow, Sink};
use crate::{Error, Result};
use std::cmp::Ordering;

/// Counts by key, in the order in which keys were first seen.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    keys: Keys,
    counts: Vec<u64>,
}

/// What the pairs of key and count are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The count.
    Count,
    /// The key, and thereby the pair: no two pairs have equal keys.
    Key,
}

impl Counts {
    /// Number of distinct keys.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Bytes held.
    pub fn nbytes(&self) -> usize {
        self.keys.nbytes() + self.counts.len() * 8
    }

    /// The `i`-th key and its count; `i` is below `len()`.
    pub fn get(&self, i: usize) -> (Item<'_>, u64) {
        (self.keys.get(i), self.counts[i])
    }

    /// Counts `item` so many times more.
    ///
    /// # Errors
    /// For keys without a native form. `Ok(false)` when Python would not hash it.
    #[inline]
    pub fn add(&mut self, item: Item<'_>, times: u64) -> Result<bool> {
        match self.keys.intern(item)? {
            Interned::New(_) => self.counts.push(times),
            Interned::Known(i) => self.counts[i] += times,
            Interned::Unhashable => return Ok(false),
        }
        Ok(true)
    }

    /// All counts together; keys stay in the order of the parts.
    ///
    /// # Errors
    /// When there are too many keys.
    pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Counts>) -> Result<Counts> {
        let mut parts = parts.into_iter();
        let mut all = parts.next().cloned().unwrap_or_default();
        for part in parts {
            for i in 0..part.len() {
                let (key, count) = part.get(i);
                all.add(key, count)?;
            }
        }
        Ok(all)
    }

    /// The numbers of the `k` largest pairs, largest first, as `heapq.nlargest` has them: of equals, the first seen.
    ///
    /// # Errors
    /// When keys are ranked that have no order among each other.
    pub fn topk(&self, k: usize, by: By) -> Result<Vec<usize>> {
        if by == By::Count {
            let mut all: Vec<usize> = (0..self.len()).collect();
            let order = |&a: &usize, &b: &usize| self.counts[b].cmp(&self.counts[a]).then(a.cmp(&b));
            if k < all.len() {
                all.select_nth_unstable_by(k, order);
                all.truncate(k);
            }
            all.sort_unstable_by(order);
            return Ok(all);
        }
        // Keys need not have a total order, which sorting relies on. So the best are kept in order, and each key that is
        // among them is inserted.
        let mut best: Vec<usize> = Vec::new();
        for i in 0..self.len() {
            let mut unordered = false;
            let place = best.partition_point(|&b| {
                let order = compare(self.keys.get(b), self.keys.get(i));
                unordered |= order.is_none();
                order != Some(Ordering::Less)
            });
            if unordered {
                return Err(Error::not_native("keys that have no order among each other"));
            }
            if place < k {
                best.insert(place, i);
                best.truncate(k);
            }
        }
        Ok(best)
    }
}

impl Sink for Counts {
    #[inline]
    fn push(&mut self, item: Item<'_>, cx: &mut Context<'_>) -> Result<Flow> {
        if self.add(item, 1)? { Ok(Flow::More) } else { Err(cx.unhashable(item)) }
    }
}
