//! A sequence of JSON-like values: flat where all are of one kind, encoded on a tape otherwise.

use crate::item::{Item, Seq};
use crate::strings::{Offsets, Strings};
use crate::tape::{self, Tape};
use crate::{Error, Result};

/// An immutable sequence of values, once it is built.
#[derive(Clone, Debug)]
pub enum Values {
    /// All ints of 64 bits.
    Ints(Vec<i64>),
    /// All floats.
    Floats(Vec<f64>),
    /// All bools.
    Bools(Vec<bool>),
    /// All strings.
    Strs(Strings),
    /// All lists of strings: the strings of all, and where each list ends.
    StrLists(Strings, Offsets),
    /// Anything: encoded values, and where each ends.
    Any(Tape, Offsets),
}

/// What a partition can be natively.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text.
    Strings(Strings),
    /// Values.
    Values(Values),
}

impl Part {
    /// How many elements.
    pub fn len(&self) -> usize {
        match self {
            Part::Strings(s) => s.len(),
            Part::Values(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th; `i` is below `len()`.
    #[inline]
    pub fn get(&self, i: usize) -> Item<'_> {
        match self {
            Part::Strings(s) => Item::Str(s.get(i)),
            Part::Values(v) => v.get(i),
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Values::new()
    }
}

impl Values {
    /// Nothing, to push to.
    pub fn new() -> Values {
        Values::Any(Tape::new(), Offsets::new())
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Values::Ints(v) => v.len(),
            Values::Floats(v) => v.len(),
            Values::Bools(v) => v.len(),
            Values::Strs(s) => s.len(),
            Values::StrLists(_, o) | Values::Any(_, o) => o.count(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th; `i` is below `len()`.
    #[inline]
    pub fn get(&self, i: usize) -> Item<'_> {
        match self {
            Values::Ints(v) => Item::Int(v[i]),
            Values::Floats(v) => Item::Float(v[i]),
            Values::Bools(v) => Item::Bool(v[i]),
            Values::Strs(s) => Item::Str(s.get(i)),
            Values::StrLists(strings, o) => Item::List(Seq::Strs { strings, from: o.at(i), to: o.at(i + 1) }),
            Values::Any(tape, o) => {
                tape::read(&tape.bytes[o.at(i)..o.at(i + 1)]).map_or(Item::None, |(item, _)| item)
            }
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Bytes held.
    pub fn nbytes(&self) -> usize {
        match self {
            Values::Ints(v) => v.len() * 8,
            Values::Floats(v) => v.len() * 8,
            Values::Bools(v) => v.len(),
            Values::Strs(s) => s.nbytes(),
            Values::StrLists(s, o) => s.nbytes() + o.nbytes(),
            Values::Any(t, o) => t.len() + o.nbytes(),
        }
    }

    /// Adds one at the end. The first decides the flat form; one of another kind makes it general.
    ///
    /// # Errors
    /// When a container takes more than 4 GiB.
    pub fn push(&mut self, item: Item<'_>) -> Result<()> {
        match (&mut *self, item) {
            (Values::Ints(v), Item::Int(x)) => v.push(x),
            (Values::Floats(v), Item::Float(x)) => v.push(x),
            (Values::Bools(v), Item::Bool(x)) => v.push(x),
            (Values::Strs(s), Item::Str(x)) => s.push(x),
            (Values::StrLists(s, o), Item::List(seq)) if all_strs(seq) => {
                push_strs(s, seq);
                o.push(s.len());
            }
            (Values::Any(t, o), item) if o.count() > 0 => {
                t.item(item)?;
                o.push(t.len());
            }
            (Values::Any(..), item) => *self = Values::first(item)?,
            _ => {
                self.generalise()?;
                return self.push(item);
            }
        }
        Ok(())
    }

    fn first(item: Item<'_>) -> Result<Values> {
        Ok(match item {
            Item::Int(v) => Values::Ints(vec![v]),
            Item::Float(v) => Values::Floats(vec![v]),
            Item::Bool(v) => Values::Bools(vec![v]),
            Item::Str(s) => Values::Strs([s].into_iter().collect()),
            Item::List(seq) if !seq.is_empty() && all_strs(seq) => {
                let mut strings = Strings::new();
                push_strs(&mut strings, seq);
                let mut ends = Offsets::new();
                ends.push(strings.len());
                Values::StrLists(strings, ends)
            }
            item => {
                let (mut tape, mut ends) = (Tape::new(), Offsets::new());
                tape.item(item)?;
                ends.push(tape.len());
                Values::Any(tape, ends)
            }
        })
    }

    fn generalise(&mut self) -> Result<()> {
        let (mut tape, mut ends) = (Tape::new(), Offsets::with_capacity(self.len()));
        for item in self.iter() {
            tape.item(item)?;
            ends.push(tape.len());
        }
        *self = Values::Any(tape, ends);
        Ok(())
    }

    /// The elements `from`, `from + step`, ...: `n` of them, all in range.
    ///
    /// # Errors
    /// Never for values that exist; the encoding is fallible in general.
    pub fn slice(&self, from: usize, step: isize, n: usize) -> Result<Values> {
        let mut out = Values::new();
        for k in 0..n {
            out.push(self.get((from as isize + step * k as isize) as usize))?;
        }
        Ok(out)
    }

    /// Encoded values from outside: each is checked.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn from_tape(bytes: Vec<u8>, ends: Offsets) -> Result<Values> {
        let sound = ends.at(ends.count()) == bytes.len()
            && (0..ends.count()).all(|i| tape::check(&bytes[ends.at(i)..ends.at(i + 1)]));
        if sound {
            Ok(Values::Any(Tape { bytes }, ends))
        } else {
            Err(Error::Argument("pickled values are damaged".into()))
        }
    }

    /// The encoded bytes and their ends, if the values are in the general form.
    pub fn as_tape(&self) -> Option<(&[u8], &Offsets)> {
        match self {
            Values::Any(t, o) => Some((&t.bytes, o)),
            _ => None,
        }
    }
}

fn all_strs(seq: Seq<'_>) -> bool {
    matches!(seq, Seq::Strs { .. }) || seq.iter().all(|item| matches!(item, Item::Str(_)))
}

fn push_strs(strings: &mut Strings, seq: Seq<'_>) {
    for item in seq.iter() {
        if let Item::Str(s) = item {
            strings.push(s);
        }
    }
}
