//! A set of keys that numbers them in the order in which they were first seen, with Python's equality: 1, 1.0 and True are one.
//!
//! Bytes of all keys lie in one arena; an entry is 24 bytes and its place in the table 4. Text is kept as it is. Other keys are
//! kept in a canonical form (a float that is an int as that int, a bool as 0 or 1); the few whose first-seen form differs keep
//! that beside it. The hash is seeded at random: text from strangers cannot choose its collisions.

use crate::item::{Item, Seq};
use crate::tape::{self, Tape};
use crate::{Error, Result, number};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use std::hash::{BuildHasher, Hasher};

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    from: u64,
    length: u32,
    is_text: bool,
}

/// Distinct keys.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    arena: Vec<u8>,
    odd: FxHashMap<u32, Tape>,
    seed: RandomState,
    scratch: Tape,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interned {
    /// Its number, which is new.
    New(usize),
    /// The number of the equal key.
    Known(usize),
    /// Python would not hash it.
    Unhashable,
}

impl Keys {
    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn nbytes(&self) -> usize {
        self.arena.len()
            + self.entries.len() * size_of::<Entry>()
            + self.table.capacity() * 5
            + self.odd.values().map(Tape::len).sum::<usize>()
    }

    /// The `i`-th key, as it was first seen; `i` is below `len()`.
    pub fn get(&self, i: usize) -> Item<'_> {
        if let Some(odd) = self.odd.get(&(i as u32)) {
            return odd.first();
        }
        let entry = &self.entries[i];
        let bytes = &self.arena[entry.from as usize..entry.from as usize + entry.length as usize];
        if entry.is_text {
            // SAFETY: `insert` wrote these bytes from a `&str`.
            Item::Str(unsafe { std::str::from_utf8_unchecked(bytes) })
        } else {
            tape::read(bytes).map_or(Item::None, |(item, _)| item)
        }
    }

    /// Finds or adds a key.
    ///
    /// # Errors
    /// For NaN, whose equality is a matter of identity, and when there are too many keys.
    #[inline]
    pub fn intern(&mut self, item: Item<'_>) -> Result<Interned> {
        if let Item::Str(s) = item {
            return self.find_or_insert(s.as_bytes(), true).map(|(i, new)| numbered(i, new));
        }
        let mut canonical = std::mem::take(&mut self.scratch);
        canonical.clear();
        let result = self.intern_other(item, &mut canonical);
        self.scratch = canonical;
        result
    }

    fn intern_other(&mut self, item: Item<'_>, canonical: &mut Tape) -> Result<Interned> {
        let changed = match canonicalise(item, canonical)? {
            Form::Unhashable => return Ok(Interned::Unhashable),
            Form::Same => false,
            Form::Changed => true,
        };
        let (i, new) = self.find_or_insert(&canonical.bytes, false)?;
        if new && changed {
            let mut seen = Tape::new();
            seen.item(item)?;
            self.odd.insert(i, seen);
        }
        Ok(numbered(i, new))
    }

    #[inline]
    fn find_or_insert(&mut self, key: &[u8], is_text: bool) -> Result<(u32, bool)> {
        let mut hasher = self.seed.build_hasher();
        hasher.write(key);
        let hash = hasher.finish() ^ is_text as u64;
        let (entries, arena) = (&self.entries, &self.arena);
        let same = |&i: &u32| {
            let e = &entries[i as usize];
            e.hash == hash
                && e.is_text == is_text
                && e.length as usize == key.len()
                && same_bytes(&arena[e.from as usize..e.from as usize + key.len()], key)
        };
        if let Some(&i) = self.table.find(hash, same) {
            return Ok((i, false));
        }
        let (Ok(i), Ok(length)) = (u32::try_from(self.entries.len()), u32::try_from(key.len())) else {
            return Err(Error::not_native("more than 2^32 distinct keys, or a key of more than 4 GiB"));
        };
        self.entries.push(Entry { hash, from: self.arena.len() as u64, length, is_text });
        self.arena.extend_from_slice(key);
        let entries = &self.entries;
        self.table.insert_unique(hash, i, |&i| entries[i as usize].hash);
        Ok((i, true))
    }
}

/// Equality of slices of one length. Most keys are words, for which two loads are quicker than calling `memcmp`.
#[inline]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk::<8>(), a.last_chunk::<8>(), b.first_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a1), Some(a2), Some(b1), Some(b2)) if a.len() <= 16 => (a1 == b1) & (a2 == b2),
        (Some(_), ..) => a == b,
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

fn numbered(i: u32, new: bool) -> Interned {
    if new { Interned::New(i as usize) } else { Interned::Known(i as usize) }
}

enum Form {
    Same,
    Changed,
    Unhashable,
}

fn canonicalise(item: Item<'_>, out: &mut Tape) -> Result<Form> {
    match item {
        Item::Bool(b) => out.int(b as i64),
        Item::Float(v) if v.is_nan() => {
            return Err(Error::not_native("NaN as a key: Python tells NaNs apart by identity"));
        }
        Item::Float(v) => match (number::as_int(v), number::as_digits(v)) {
            (Some(v), _) => out.int(v),
            (None, Some(digits)) => out.big(&digits),
            (None, None) => {
                out.float(v);
                return Ok(Form::Same);
            }
        },
        Item::List(_) | Item::Dict(_) => return Ok(Form::Unhashable),
        Item::Tuple(seq) => return canonicalise_tuple(seq, out),
        Item::None | Item::Int(_) | Item::Big(_) | Item::Str(_) => {
            out.item(item)?;
            return Ok(Form::Same);
        }
    }
    Ok(Form::Changed)
}

fn canonicalise_tuple(seq: Seq<'_>, out: &mut Tape) -> Result<Form> {
    let mark = out.begin_tuple();
    let mut form = Form::Same;
    for item in seq.iter() {
        match canonicalise(item, out)? {
            Form::Same => {}
            Form::Changed => form = Form::Changed,
            Form::Unhashable => return Ok(Form::Unhashable),
        }
    }
    out.end(mark, seq.len())?;
    Ok(form)
}
