//! The `k` largest elements, as `heapq.nlargest` has them: largest first, of equals the first seen.

use crate::item::Item;
use crate::order::compare;
use crate::pipeline::{Context, Flow, Function, Sink};
use crate::step::Owned;
use crate::tape::Tape;
use crate::{Error, Result};
use std::cmp::Ordering;

/// Keeps the largest elements that pass.
pub struct Rank {
    k: usize,
    key: Function,
    best: Vec<(Owned, Owned)>,
}

impl Rank {
    /// For `k` elements, ranked by what `key` gives.
    pub fn new(k: usize, key: Function) -> Rank {
        Rank { k, key, best: Vec::new() }
    }

    /// The elements, largest first.
    pub fn into_items(self) -> impl Iterator<Item = Owned> {
        self.best.into_iter().map(|(_, item)| item)
    }
}

impl Sink for Rank {
    fn push(&mut self, item: Item<'_>, cx: &mut Context<'_>) -> Result<Flow> {
        let Rank { k, key, best } = self;
        key.call(item, cx, |key, _| {
            let mut unordered = false;
            let mut before = |other: &(Owned, Owned)| {
                let order = compare(other.0.item(), key);
                unordered |= order.is_none();
                order != Some(Ordering::Less)
            };
            // Once there are k, most elements are smaller than all of them.
            let place = match best.last() {
                Some(last) if best.len() == *k && before(last) => *k,
                _ => best.partition_point(before),
            };
            // A single element is compared with nothing, in Python neither; but NaN must not enter.
            if unordered || compare(key, key).is_none() && *k > 0 {
                return Err(Error::not_native("elements that have no order among each other"));
            }
            if place < *k {
                best.insert(place, (owned(key)?, owned(item)?));
                best.truncate(*k);
            }
            Ok(())
        })?;
        Ok(Flow::More)
    }
}

pub(crate) fn owned(item: Item<'_>) -> Result<Owned> {
    let mut tape = Tape::new();
    tape.item(item)?;
    Ok(Owned::new(tape))
}
