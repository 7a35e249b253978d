//! A sequence of strings: one UTF-8 buffer, and where each string ends.
//!
//! Offsets take four bytes until the text is longer than that can say, then eight.

use crate::{Error, Result};

/// Positions in a buffer, as narrow as they can be.
#[derive(Clone, Debug)]
pub enum Offsets {
    /// Up to 4 GiB.
    Narrow(Vec<u32>),
    /// Beyond.
    Wide(Vec<u64>),
}

impl Offsets {
    /// The offsets of nothing: one zero.
    pub fn new() -> Offsets {
        Offsets::Narrow(vec![0])
    }

    /// With room for `n` elements.
    pub fn with_capacity(n: usize) -> Offsets {
        let mut v = Vec::with_capacity(n + 1);
        v.push(0);
        Offsets::Narrow(v)
    }

    /// Number of elements between the offsets.
    pub fn count(&self) -> usize {
        match self {
            Offsets::Narrow(v) => v.len() - 1,
            Offsets::Wide(v) => v.len() - 1,
        }
    }

    /// The `i`-th offset; `i` is at most `count()`.
    #[inline]
    pub fn at(&self, i: usize) -> usize {
        match self {
            Offsets::Narrow(v) => v[i] as usize,
            Offsets::Wide(v) => v[i] as usize,
        }
    }

    /// Adds the end of one more element.
    #[inline]
    pub fn push(&mut self, end: usize) {
        match self {
            Offsets::Narrow(v) => match u32::try_from(end) {
                Ok(end) => v.push(end),
                Err(_) => {
                    let mut wide: Vec<u64> = v.iter().map(|&o| o as u64).collect();
                    wide.push(end as u64);
                    *self = Offsets::Wide(wide);
                }
            },
            Offsets::Wide(v) => v.push(end as u64),
        }
    }

    /// Bytes held.
    pub fn nbytes(&self) -> usize {
        match self {
            Offsets::Narrow(v) => v.len() * 4,
            Offsets::Wide(v) => v.len() * 8,
        }
    }

    /// As little-endian bytes, for pickling.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Offsets::Narrow(v) => v.iter().flat_map(|o| o.to_le_bytes()).collect(),
            Offsets::Wide(v) => v.iter().flat_map(|o| o.to_le_bytes()).collect(),
        }
    }

    /// Back from [`Offsets::to_bytes`]: checked to begin at 0, never to decrease, and to end at `end`.
    pub fn from_bytes(bytes: &[u8], wide: bool, end: usize) -> Result<Offsets> {
        let bad = || Error::Argument("offsets of a pickled sequence are damaged".into());
        let width = if wide { 8 } else { 4 };
        if bytes.is_empty() || !bytes.len().is_multiple_of(width) {
            return Err(bad());
        }
        let offsets = if wide {
            Offsets::Wide(
                bytes
                    .chunks_exact(8)
                    .map(|c| u64::from_le_bytes(c.try_into().expect("eight bytes")))
                    .collect(),
            )
        } else {
            Offsets::Narrow(
                bytes
                    .chunks_exact(4)
                    .map(|c| u32::from_le_bytes(c.try_into().expect("four bytes")))
                    .collect(),
            )
        };
        let n = offsets.count();
        let rising = (0..n).all(|i| offsets.at(i) <= offsets.at(i + 1));
        if rising && offsets.at(0) == 0 && offsets.at(n) == end { Ok(offsets) } else { Err(bad()) }
    }

    /// Whether they take eight bytes each.
    pub fn is_wide(&self) -> bool {
        matches!(self, Offsets::Wide(_))
    }

    fn shrink(&mut self) {
        match self {
            Offsets::Narrow(v) => v.shrink_to_fit(),
            Offsets::Wide(v) => v.shrink_to_fit(),
        }
    }
}

impl Default for Offsets {
    fn default() -> Self {
        Offsets::new()
    }
}

/// An immutable sequence of strings, once it is built.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    text: String,
    offsets: Offsets,
}

impl Strings {
    /// Nothing, to push to.
    pub fn new() -> Strings {
        Strings::default()
    }

    /// A buffer with its offsets.
    ///
    /// # Errors
    /// When an offset is inside a character or beyond the text.
    pub fn from_parts(text: String, offsets: Offsets) -> Result<Strings> {
        let n = offsets.count();
        let sound = offsets.at(0) == 0
            && offsets.at(n) == text.len()
            && (0..n).all(|i| offsets.at(i) <= offsets.at(i + 1) && text.is_char_boundary(offsets.at(i)));
        if sound {
            Ok(Strings { text, offsets })
        } else {
            Err(Error::Argument("the offsets do not fit the text".into()))
        }
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.offsets.count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th; `i` is below `len()`.
    #[inline]
    pub fn get(&self, i: usize) -> &str {
        let (from, to) = (self.offsets.at(i), self.offsets.at(i + 1));
        debug_assert!(self.text.is_char_boundary(from) && self.text.is_char_boundary(to));
        // SAFETY: every constructor and `push` keeps offsets rising, within the text and at character boundaries.
        unsafe { self.text.get_unchecked(from..to) }
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Adds one at the end.
    #[inline]
    pub fn push(&mut self, s: &str) {
        self.text.push_str(s);
        self.offsets.push(self.text.len());
    }

    /// The elements `from`, `from + step`, ...: `n` of them, all in range.
    pub fn slice(&self, from: usize, step: isize, n: usize) -> Strings {
        let mut out = Strings { text: String::new(), offsets: Offsets::with_capacity(n) };
        for k in 0..n {
            out.push(self.get((from as isize + step * k as isize) as usize));
        }
        out
    }

    /// The text of all, one after the other.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where each ends.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Bytes held.
    pub fn nbytes(&self) -> usize {
        self.text.len() + self.offsets.nbytes()
    }

    /// Gives back memory that was reserved in vain.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.offsets.shrink();
    }
}

impl<'a> FromIterator<&'a str> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a str>>(iter: I) -> Strings {
        let mut out = Strings::new();
        iter.into_iter().for_each(|s| out.push(s));
        out
    }
}
