//! One value of many: count, sum, smallest, largest, any, all. Sums are Python's: ints exactly, floats from left to right.

use crate::item::Item;
use crate::order::less;
use crate::pipeline::{Context, Flow, Sink};
use crate::rank::owned;
use crate::step::Owned;
use crate::tape::Tape;
use crate::{Error, Result};
use num_bigint::BigInt;

/// A sum, begun with the int 0.
#[derive(Clone, Debug)]
pub enum Sum {
    /// Ints so far.
    Int(i128),
    /// Ints beyond 128 bits.
    Big(BigInt),
    /// A float among them; with the error that Neumaier's method carries, if it is used.
    Float(f64, f64),
}

impl Default for Sum {
    fn default() -> Sum {
        Sum::Int(0)
    }
}

impl Sum {
    /// Adds a number. `compensated` is how Python 3.12 and later sum floats.
    ///
    /// # Errors
    /// For what is no number, and for mixtures that only Python knows how to add.
    pub fn add(&mut self, item: Item<'_>, compensated: bool) -> Result<()> {
        let mixed = || Error::not_native("a sum of floats and other numbers that Python rounds its own way");
        let item = if let Item::Bool(b) = item { Item::Int(b as i64) } else { item };
        match (&mut *self, item) {
            (Sum::Int(sum), Item::Int(v)) => match sum.checked_add(v as i128) {
                Some(new) => *sum = new,
                None => *self = Sum::Big(BigInt::from(*sum) + v),
            },
            (Sum::Big(sum), Item::Int(v)) => *sum += v,
            (Sum::Int(sum), Item::Big(digits)) => {
                *self = Sum::Big(BigInt::from(*sum) + parse(digits)?);
            }
            (Sum::Big(sum), Item::Big(digits)) => *sum += parse(digits)?,
            (Sum::Int(sum), Item::Float(v)) if i64::try_from(*sum).is_ok() => {
                *self = Sum::Float(*sum as f64 + v, 0.0);
            }
            (Sum::Float(sum, _), Item::Float(v)) if !compensated => *sum += v,
            (Sum::Float(sum, error), Item::Float(v)) => {
                let new = *sum + v;
                *error += if sum.abs() >= v.abs() { (*sum - new) + v } else { (v - new) + *sum };
                *sum = new;
            }
            (Sum::Float(sum, _), Item::Int(v)) if !compensated => *sum += v as f64,
            (_, Item::Int(_) | Item::Big(_) | Item::Float(_)) => return Err(mixed()),
            _ => return Err(Error::not_native("a sum of what is no number")),
        }
        Ok(())
    }

    /// Writes the sum.
    pub fn write(&self, tape: &mut Tape) {
        match self {
            Sum::Int(v) => match i64::try_from(*v) {
                Ok(v) => tape.int(v),
                Err(_) => tape.big(&v.to_string()),
            },
            Sum::Big(v) => tape.big(&v.to_string()),
            Sum::Float(sum, error) if error.is_finite() && *error != 0.0 => tape.float(sum + error),
            Sum::Float(sum, _) => tape.float(*sum),
        }
    }
}

fn parse(digits: &str) -> Result<BigInt> {
    digits.parse().map_err(|_| Error::not_native("an int with damaged digits"))
}

/// Which value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// How many.
    Count,
    /// `sum`
    Sum,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `any`
    Any,
    /// `all`
    All,
}

/// Reduces the elements that pass.
pub struct Reduce {
    what: Reduction,
    compensated: bool,
    count: u64,
    sum: Sum,
    best: Option<Owned>,
    truth: bool,
}

impl Reduce {
    /// For a reduction; see [`Sum::add`] for `compensated`.
    pub fn new(what: Reduction, compensated: bool) -> Reduce {
        let truth = what == Reduction::All;
        Reduce { what, compensated, count: 0, sum: Sum::default(), best: None, truth }
    }

    /// The value and how many elements there were. The smallest or largest of nothing is `None`.
    pub fn finish(self) -> (Owned, u64) {
        let mut tape = Tape::new();
        match self.what {
            Reduction::Count => tape.int(self.count as i64),
            Reduction::Sum => self.sum.write(&mut tape),
            Reduction::Any | Reduction::All => tape.bool(self.truth),
            Reduction::Min | Reduction::Max => match self.best {
                Some(best) => return (best, self.count),
                None => tape.none(),
            },
        }
        (Owned::new(tape), self.count)
    }
}

/// Whether `item` replaces `best` as the smallest or largest.
pub(crate) fn improves(item: Item<'_>, best: Item<'_>, smallest: bool) -> Result<bool> {
    let better = if smallest { less(item, best) } else { less(best, item) };
    better.ok_or_else(|| Error::not_native("elements that have no order among each other"))
}

impl Sink for Reduce {
    fn push(&mut self, item: Item<'_>, _: &mut Context<'_>) -> Result<Flow> {
        self.count += 1;
        match self.what {
            Reduction::Count => {}
            Reduction::Sum => self.sum.add(item, self.compensated)?,
            Reduction::Min | Reduction::Max => {
                let better = match &self.best {
                    None => true,
                    Some(best) => improves(item, best.item(), self.what == Reduction::Min)?,
                };
                if better {
                    self.best = Some(owned(item)?);
                }
            }
            Reduction::Any | Reduction::All => {
                self.truth = item.truth();
                if self.truth == (self.what == Reduction::Any) {
                    return Ok(Flow::Stop);
                }
            }
        }
        Ok(Flow::More)
    }
}
