//! The vocabulary of pipelines: what one step does to an element.
//!
//! A step says what Python would do. [`crate::pipeline`] says how it is done, and hands to Python what it cannot do.

use crate::item::Item;
use crate::tape::Tape;
use crate::text::{CaseMap, CharSet};
use std::sync::Arc;

/// A value that lives by itself.
#[derive(Clone, Debug)]
pub struct Owned(Tape);

impl Owned {
    /// The value that `tape` holds.
    pub fn new(tape: Tape) -> Owned {
        Owned(tape)
    }

    /// The value.
    pub fn item(&self) -> Item<'_> {
        self.0.first()
    }
}

/// What a container is asked for.
#[derive(Clone, Debug)]
pub enum Key {
    /// A dict's key.
    Name(String),
    /// A place in a list, tuple or string.
    Index(i64),
}

/// What `pluck` takes.
#[derive(Clone, Debug)]
pub enum Pluck {
    /// One key gives its value.
    One(Key),
    /// Several give a tuple.
    Many(Vec<Key>),
}

/// A comparison with a fixed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// Which ends of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// `strip`
    Both,
    /// `lstrip`
    Left,
    /// `rstrip`
    Right,
}

/// A method of `str`. Counts below zero mean no limit.
#[derive(Clone, Debug)]
pub enum StrMethod {
    /// `split(sep, maxsplit)`; no separator means runs of white space.
    Split(Option<String>, i64),
    /// `rsplit(sep, maxsplit)`
    Rsplit(String, i64),
    /// `splitlines(keepends)`
    Splitlines(bool),
    /// `partition(sep)`
    Partition(String),
    /// `strip`, `lstrip`, `rstrip` of white space or of these characters.
    Strip(Ends, Option<String>),
    /// `lower`, `upper`, `casefold`, whose tables are the caller's.
    Case(Arc<CaseMap>),
    /// `startswith` any of these.
    Starts(Vec<String>),
    /// `endswith` any of these.
    Ends(Vec<String>),
    /// `replace(old, new, count)`
    Replace(String, String, i64),
    /// `removeprefix`
    RemovePrefix(String),
    /// `removesuffix`
    RemoveSuffix(String),
    /// `count(sub)`
    Count(String),
    /// `find(sub)`
    Find(String),
    /// `isalpha` and its like: whether all characters are in the set, and what holds for the empty string.
    All(Arc<CharSet>, bool),
    /// `islower`, `isupper`: one character of the first set, none of the second.
    Cased(Arc<CharSet>, Arc<CharSet>),
    /// `isascii`
    Ascii,
}

/// One step of a pipeline.
#[derive(Clone, Debug)]
pub enum Step {
    /// `json.loads`
    JsonLoads,
    /// `json.dumps`
    JsonDumps,
    /// `x[key]`, or the default where there is none.
    Pluck(Pluck, Option<Owned>),
    /// A method of `str`.
    Str {
        /// Its name in Python.
        name: String,
        /// Its arguments, a tuple.
        args: Owned,
        /// Whether it is `str.name(x)`, which other types raise `TypeError` from, and not `x.name()`.
        unbound: bool,
        /// What it does.
        method: StrMethod,
    },
    /// `len`
    Len,
    /// `int`
    Int,
    /// `float`
    Float,
    /// The elements of each element.
    Flatten,
    /// A comparison, which gives a bool.
    Compare(Cmp, Owned),
    /// Keeps elements for which the steps give something true, or, with `false`, those for which they do not.
    Filter(Vec<Step>, bool),
    /// The first so many.
    Take(usize),
    /// The first of equal ones.
    Distinct,
    /// `hash`, which escapes use to raise what an unhashable key raises. It changes nothing.
    Hash,
}

impl Step {
    /// Whether it makes exactly one element of each.
    pub fn maps(&self) -> bool {
        !matches!(self, Step::Flatten | Step::Filter(..) | Step::Take(_) | Step::Distinct)
    }
}
