//! A set of keys that numbers them in the order in which they were first seen, with Python's equality: 1, 1.0 and True are one.
//!
//! Bytes of all keys lie in one arena; an entry is 24 bytes and its place in the table 4. Text is kept as it is. Other keys are
//! kept in a canonical form (a float that is an int as that int, a bool as 0 or 1); the few whose first-seen form differs keep
//! that beside it. The hash is seeded at random: text from strangers cannot choose its collisions.
//!
//! Text of up to 16 bytes, which most words are, has a table of its own that holds the text itself: finding a word is then one
//! look at the table, where the general table leads to the entry and from there to the arena, each a cache miss of its own.

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

/// What makes hashes different in each set.
#[derive(Clone, Debug)]
struct Seed {
    general: RandomState,
    short: [u64; 2],
}

impl Default for Seed {
    fn default() -> Seed {
        let general = RandomState::default();
        let short = [general.hash_one(1), general.hash_one(2)];
        Seed { general, short }
    }
}

/// A text of up to 16 bytes, packed, and its number.
#[derive(Clone, Copy, Debug)]
struct Short {
    packed: [u64; 2],
    number: u32,
    length: u32,
}

impl Short {
    /// Two words that, with the length, say what the bytes are: the first and last bytes, which overlap where they must.
    #[inline]
    fn pack(s: &[u8]) -> Option<[u64; 2]> {
        Some(match (s.first_chunk::<8>(), s.last_chunk::<8>()) {
            (Some(first), Some(last)) if s.len() <= 16 => {
                [u64::from_le_bytes(*first), u64::from_le_bytes(*last)]
            }
            (Some(_), _) => return None,
            _ => match (s.first_chunk::<4>(), s.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    [u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64]
                }
                _ => [s.iter().fold(0, |packed, &b| packed << 8 | b as u64), 0],
            },
        })
    }
}

/// Distinct keys.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    table: HashTable<u32>,
    short: HashTable<Short>,
    entries: Vec<Entry>,
    arena: Vec<u8>,
    odd: FxHashMap<u32, Tape>,
    seed: Seed,
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
            + self.short.capacity() * (size_of::<Short>() + 1)
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
            let found = match Short::pack(s.as_bytes()) {
                Some(packed) => self.find_or_insert_short(packed, s.as_bytes()),
                None => self.find_or_insert(s.as_bytes(), true),
            };
            return found.map(|(i, new)| numbered(i, new));
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
    fn find_or_insert_short(&mut self, packed: [u64; 2], key: &[u8]) -> Result<(u32, bool)> {
        let length = key.len() as u32;
        let seed = &self.seed;
        // Multiplying the seeded halves and folding the product mixes all bits, as foldhash does.
        let hash_of = |packed: &[u64; 2], length: u32| {
            let product = (packed[0] ^ seed.short[0]) as u128
                * (packed[1] ^ seed.short[1] ^ (length as u64) << 59) as u128;
            product as u64 ^ (product >> 64) as u64
        };
        let hash = hash_of(&packed, length);
        if let Some(found) = self.short.find(hash, |s| s.packed == packed && s.length == length) {
            return Ok((found.number, false));
        }
        let number = Self::append_to(&mut self.entries, &mut self.arena, key, hash, true)?;
        self.short.insert_unique(hash, Short { packed, number, length }, |s| hash_of(&s.packed, s.length));
        Ok((number, true))
    }

    fn append_to(
        entries: &mut Vec<Entry>,
        arena: &mut Vec<u8>,
        key: &[u8],
        hash: u64,
        is_text: bool,
    ) -> Result<u32> {
        let (Ok(i), Ok(length)) = (u32::try_from(entries.len()), u32::try_from(key.len())) else {
            return Err(Error::not_native("more than 2^32 distinct keys, or a key of more than 4 GiB"));
        };
        entries.push(Entry { hash, from: arena.len() as u64, length, is_text });
        arena.extend_from_slice(key);
        Ok(i)
    }

    #[inline]
    fn find_or_insert(&mut self, key: &[u8], is_text: bool) -> Result<(u32, bool)> {
        let mut hasher = self.seed.general.build_hasher();
        hasher.write(key);
        let hash = hasher.finish() ^ is_text as u64;
        let (entries, arena) = (&self.entries, &self.arena);
        let same = |&i: &u32| {
            let e = &entries[i as usize];
            e.hash == hash
                && e.is_text == is_text
                && e.length as usize == key.len()
                && arena[e.from as usize..e.from as usize + key.len()] == *key
        };
        if let Some(&i) = self.table.find(hash, same) {
            return Ok((i, false));
        }
        let i = Self::append_to(&mut self.entries, &mut self.arena, key, hash, is_text)?;
        let entries = &self.entries;
        self.table.insert_unique(hash, i, |&i| entries[i as usize].hash);
        Ok((i, true))
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
