//! How a value is stored: a tag, then what it needs; containers hold their values one after the other.
//!
//! | tag | what follows |
//! |---|---|
//! | none, false, true | nothing |
//! | int | zigzag varint |
//! | big | varint length, decimal digits with sign; only for what 64 bits do not hold |
//! | float | 8 bytes |
//! | str | varint length, UTF-8 |
//! | list, tuple, dict | u32 count, u32 length in bytes, the values (a dict: key string and value in turn) |
//!
//! The length of a container lets a reader step over it. A dict's keys are strings and distinct.

use crate::item::{Item, Seq};
use crate::{Error, Result};

pub(crate) const NONE: u8 = 0;
pub(crate) const FALSE: u8 = 1;
pub(crate) const TRUE: u8 = 2;
pub(crate) const INT: u8 = 3;
pub(crate) const BIG: u8 = 4;
pub(crate) const FLOAT: u8 = 5;
pub(crate) const STR: u8 = 6;
pub(crate) const LIST: u8 = 7;
pub(crate) const TUPLE: u8 = 8;
pub(crate) const DICT: u8 = 9;

/// How deep containers may be nested. What is deeper is Python's to handle or to refuse.
pub const MAX_DEPTH: usize = 900;

/// A buffer that values are written to.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(crate) bytes: Vec<u8>,
}

/// Where a container's header is, while its values are written.
#[must_use]
pub struct Mark(usize);

impl Tape {
    /// An empty one.
    pub fn new() -> Tape {
        Tape::default()
    }

    /// Forgets what it holds, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The bytes written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first value on it.
    pub fn first(&self) -> Item<'_> {
        read(&self.bytes).map_or(Item::None, |(item, _)| item)
    }

    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.bytes.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.bytes.push(v as u8);
    }

    /// Writes `None`.
    pub fn none(&mut self) {
        self.bytes.push(NONE);
    }

    /// Writes a bool.
    pub fn bool(&mut self, b: bool) {
        self.bytes.push(if b { TRUE } else { FALSE });
    }

    /// Writes an int.
    pub fn int(&mut self, v: i64) {
        self.bytes.push(INT);
        self.varint(((v << 1) ^ (v >> 63)) as u64);
    }

    /// Writes an int of any size from its decimal digits: an optional minus, no leading zeros.
    pub fn big(&mut self, digits: &str) {
        match digits.parse::<i64>() {
            Ok(v) => self.int(v),
            Err(_) => {
                self.bytes.push(BIG);
                self.varint(digits.len() as u64);
                self.bytes.extend_from_slice(digits.as_bytes());
            }
        }
    }

    /// Writes a float.
    pub fn float(&mut self, v: f64) {
        self.bytes.push(FLOAT);
        self.bytes.extend_from_slice(&v.to_bits().to_le_bytes());
    }

    /// Writes a string.
    pub fn str(&mut self, s: &str) {
        self.bytes.push(STR);
        self.varint(s.len() as u64);
        self.bytes.extend_from_slice(s.as_bytes());
    }

    fn begin(&mut self, tag: u8) -> Mark {
        self.bytes.push(tag);
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 8]);
        mark
    }

    /// Begins a list.
    pub fn begin_list(&mut self) -> Mark {
        self.begin(LIST)
    }

    /// Begins a tuple.
    pub fn begin_tuple(&mut self) -> Mark {
        self.begin(TUPLE)
    }

    /// Begins a dict: key strings and values follow in turn.
    pub fn begin_dict(&mut self) -> Mark {
        self.begin(DICT)
    }

    /// Where a container's values begin.
    pub(crate) fn body(mark: &Mark) -> usize {
        mark.0 + 8
    }

    /// Ends a container of `count` values (of a dict: pairs).
    ///
    /// # Errors
    /// When it takes more than 4 GiB.
    pub fn end(&mut self, mark: Mark, count: usize) -> Result<()> {
        let at = mark.0;
        let (Ok(n), Ok(bytes)) = (u32::try_from(count), u32::try_from(self.bytes.len() - at - 8)) else {
            return Err(Error::not_native("a container of more than 4 GiB"));
        };
        self.bytes[at..at + 4].copy_from_slice(&n.to_le_bytes());
        self.bytes[at + 4..at + 8].copy_from_slice(&bytes.to_le_bytes());
        Ok(())
    }

    /// Writes a copy of a value.
    ///
    /// # Errors
    /// When a container takes more than 4 GiB.
    pub fn item(&mut self, item: Item<'_>) -> Result<()> {
        match item {
            Item::None => self.none(),
            Item::Bool(b) => self.bool(b),
            Item::Int(v) => self.int(v),
            Item::Big(s) => self.big(s),
            Item::Float(v) => self.float(v),
            Item::Str(s) => self.str(s),
            Item::List(seq) => return self.seq(LIST, seq),
            Item::Tuple(seq) => return self.seq(TUPLE, seq),
            Item::Dict(seq) => return self.seq(DICT, seq),
        }
        Ok(())
    }

    fn seq(&mut self, tag: u8, seq: Seq<'_>) -> Result<()> {
        let mark = self.begin(tag);
        match seq {
            Seq::Tape { body, .. } => self.bytes.extend_from_slice(body),
            Seq::Strs { .. } => seq.iter().try_for_each(|item| self.item(item))?,
        }
        self.end(mark, seq.len())
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut v = 0u64;
    for (i, &b) in bytes.iter().enumerate().take(10) {
        v |= ((b & 0x7f) as u64) << (7 * i).min(63);
        if b < 0x80 {
            return Some((v, &bytes[i + 1..]));
        }
    }
    None
}

fn span(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(n).ok()?)
}

/// The value that begins here, and what follows it. `None` at the end, and where `bytes` hold no values.
///
/// The bytes were written by [`Tape`] or passed [`check`], so strings are taken as valid.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    // SAFETY: `Tape` writes strings from `&str`, and `check` validates those of foreign bytes.
    let text = |b| unsafe { std::str::from_utf8_unchecked(b) };
    Some(match tag {
        NONE => (Item::None, rest),
        FALSE => (Item::Bool(false), rest),
        TRUE => (Item::Bool(true), rest),
        INT => {
            let (v, rest) = varint(rest)?;
            (Item::Int((v >> 1) as i64 ^ -((v & 1) as i64)), rest)
        }
        FLOAT => {
            let (b, rest) = rest.split_first_chunk::<8>()?;
            (Item::Float(f64::from_bits(u64::from_le_bytes(*b))), rest)
        }
        STR => {
            let (s, rest) = span(rest)?;
            (Item::Str(text(s)), rest)
        }
        BIG => {
            let (s, rest) = span(rest)?;
            (Item::Big(text(s)), rest)
        }
        LIST | TUPLE | DICT => {
            let (count, rest) = rest.split_first_chunk::<4>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let seq = Seq::Tape { count: u32::from_le_bytes(*count), body };
            let item = match tag {
                LIST => Item::List(seq),
                TUPLE => Item::Tuple(seq),
                _ => Item::Dict(seq),
            };
            (item, rest)
        }
        _ => return None,
    })
}

/// Whether `bytes` are exactly one well-formed value: for bytes that come from outside.
pub fn check(bytes: &[u8]) -> bool {
    matches!(check_one(bytes, 0), Some(rest) if rest.is_empty())
}

fn check_one(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (&tag, rest) = bytes.split_first()?;
    match tag {
        STR => {
            let (s, rest) = span(rest)?;
            std::str::from_utf8(s).ok()?;
            Some(rest)
        }
        BIG => {
            let (s, rest) = span(rest)?;
            let digits = s.strip_prefix(b"-").unwrap_or(s);
            let sound = !digits.is_empty() && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
            sound.then_some(rest)
        }
        LIST | TUPLE | DICT => {
            let (count, rest) = rest.split_first_chunk::<4>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (mut body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            for _ in 0..u32::from_le_bytes(*count) {
                if tag == DICT && *body.first()? != STR {
                    return None;
                }
                body = check_one(body, depth + 1)?;
                if tag == DICT {
                    body = check_one(body, depth + 1)?;
                }
            }
            body.is_empty().then_some(rest)
        }
        _ => read(bytes).map(|(_, rest)| rest),
    }
}
