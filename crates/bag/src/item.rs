//! A value, borrowed from where it is stored: what runs through a pipeline.

use crate::strings::Strings;
use crate::tape;

/// A value of the kinds that JSON and its neighbours have.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// `None`
    None,
    /// A bool.
    Bool(bool),
    /// An int of 64 bits.
    Int(i64),
    /// Any other int: its decimal digits.
    Big(&'a str),
    /// A float.
    Float(f64),
    /// A string.
    Str(&'a str),
    /// A list.
    List(Seq<'a>),
    /// A tuple.
    Tuple(Seq<'a>),
    /// A dict: keys (strings) and values in turn.
    Dict(Seq<'a>),
}

/// The values of a container.
#[derive(Clone, Copy, Debug)]
pub enum Seq<'a> {
    /// Encoded, one after the other.
    Tape {
        /// How many; of a dict, pairs.
        count: u32,
        /// The encoded values.
        body: &'a [u8],
    },
    /// A run of strings.
    Strs {
        /// Where they are.
        strings: &'a Strings,
        /// The first one.
        from: usize,
        /// One behind the last.
        to: usize,
    },
}

impl<'a> Seq<'a> {
    /// How many; of a dict, pairs.
    pub fn len(&self) -> usize {
        match *self {
            Seq::Tape { count, .. } => count as usize,
            Seq::Strs { from, to, .. } => to - from,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order; of a dict, keys and values in turn.
    pub fn iter(&self) -> Items<'a> {
        Items(*self)
    }

    /// A dict's value under `key`.
    pub fn lookup(&self, key: &str) -> Option<Item<'a>> {
        let mut items = self.iter();
        while let (Some(k), Some(v)) = (items.next(), items.next()) {
            if matches!(k, Item::Str(k) if k == key) {
                return Some(v);
            }
        }
        None
    }

    /// The value at a place, which may count from the end as in Python.
    pub fn index(&self, at: i64) -> Option<Item<'a>> {
        let n = self.len() as i64;
        let at = if at < 0 { at + n } else { at };
        if at < 0 || at >= n { None } else { self.iter().nth(at as usize) }
    }
}

/// Iterates over the values of a container.
#[derive(Clone, Debug)]
pub struct Items<'a>(Seq<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Seq::Tape { body, .. } => {
                let (item, rest) = tape::read(body)?;
                *body = rest;
                Some(item)
            }
            Seq::Strs { strings, from, to } => {
                let strings: &'a Strings = strings;
                (*from < *to).then(|| {
                    *from += 1;
                    Item::Str(strings.get(*from - 1))
                })
            }
        }
    }
}

impl<'a> Item<'a> {
    /// `bool(x)` in Python.
    pub fn truth(&self) -> bool {
        match *self {
            Item::None => false,
            Item::Bool(b) => b,
            Item::Int(v) => v != 0,
            Item::Big(_) => true,
            Item::Float(v) => v != 0.0,
            Item::Str(s) => !s.is_empty(),
            Item::List(s) | Item::Tuple(s) | Item::Dict(s) => !s.is_empty(),
        }
    }
}
