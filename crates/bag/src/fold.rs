//! One value for each key: the result of `foldby` with a simple operation.

use crate::item::Item;
use crate::keys::{Interned, Keys};
use crate::pipeline::{Context, Flow, Function, Sink};
use crate::rank::owned;
use crate::reduce::{Sum, improves};
use crate::step::Owned;
use crate::tape::Tape;
use crate::{Error, Result};

/// What is done to the values of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldOp {
    /// How many there are.
    Count,
    /// `operator.add` from 0 on.
    Sum,
    /// `min`
    Min,
    /// `max`
    Max,
}

/// Values by key, in the order in which keys were first seen.
#[derive(Clone, Debug)]
pub struct Folds {
    op: FoldOp,
    keys: Keys,
    /// For counts and sums.
    sums: Vec<Sum>,
    /// For smallest and largest.
    best: Vec<Owned>,
}

impl Folds {
    /// Nothing yet.
    pub fn new(op: FoldOp) -> Folds {
        Folds { op, keys: Keys::default(), sums: Vec::new(), best: Vec::new() }
    }

    /// The operation.
    pub fn op(&self) -> FoldOp {
        self.op
    }

    /// Number of distinct keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The `i`-th key; `i` is below `len()`.
    pub fn key(&self, i: usize) -> Item<'_> {
        self.keys.get(i)
    }

    /// Writes the `i`-th value; `i` is below `len()`.
    ///
    /// # Errors
    /// Never for values that exist; the encoding is fallible in general.
    pub fn value(&self, i: usize, tape: &mut Tape) -> Result<()> {
        match self.op {
            FoldOp::Count | FoldOp::Sum => self.sums[i].write(tape),
            FoldOp::Min | FoldOp::Max => tape.item(self.best[i].item())?,
        }
        Ok(())
    }

    /// Adds a value to a key.
    ///
    /// # Errors
    /// For keys and values that do not fold natively.
    pub fn insert(&mut self, key: Item<'_>, value: Item<'_>) -> Result<()> {
        let at = self.keys.intern(key)?;
        self.take(at, value)
    }

    fn take(&mut self, at: Interned, value: Item<'_>) -> Result<()> {
        let (i, new) = match at {
            Interned::New(i) => (i, true),
            Interned::Known(i) => (i, false),
            Interned::Unhashable => return Err(Error::not_native("a key that Python does not hash")),
        };
        match self.op {
            FoldOp::Count | FoldOp::Sum => {
                if new {
                    self.sums.push(Sum::default());
                }
                self.sums[i].add(value, false)?;
            }
            FoldOp::Min | FoldOp::Max if new => self.best.push(owned(value)?),
            FoldOp::Min | FoldOp::Max => {
                if improves(value, self.best[i].item(), self.op == FoldOp::Min)? {
                    self.best[i] = owned(value)?;
                }
            }
        }
        Ok(())
    }

    /// All together; keys stay in the order of the parts.
    ///
    /// # Errors
    /// When the parts are of different operations, or too many.
    pub fn merge<'a>(op: FoldOp, parts: impl IntoIterator<Item = &'a Folds>) -> Result<Folds> {
        let mut all = Folds::new(op);
        let mut tape = Tape::new();
        for part in parts {
            if part.op != op {
                return Err(Error::Argument("folds of different operations do not merge".into()));
            }
            for i in 0..part.len() {
                tape.clear();
                part.value(i, &mut tape)?;
                all.insert(part.key(i), tape.first())?;
            }
        }
        Ok(all)
    }
}

/// Folds the elements that pass.
pub struct FoldBy {
    key: Function,
    value: Function,
    /// What was folded.
    pub folds: Folds,
}

impl FoldBy {
    /// With functions for key and value.
    pub fn new(op: FoldOp, key: Function, value: Function) -> FoldBy {
        FoldBy { key, value, folds: Folds::new(op) }
    }
}

impl Sink for FoldBy {
    fn push(&mut self, item: Item<'_>, cx: &mut Context<'_>) -> Result<Flow> {
        let FoldBy { key, value, folds } = self;
        let mut at = Interned::Unhashable;
        key.call(item, cx, |key, cx| {
            at = folds.keys.intern(key)?;
            if at == Interned::Unhashable { Err(cx.unhashable(key)) } else { Ok(()) }
        })?;
        if folds.op == FoldOp::Count {
            folds.take(at, Item::Int(1))?;
        } else {
            value.call(item, cx, |value, _| folds.take(at, value))?;
        }
        Ok(Flow::More)
    }
}
