//! Bytes to text, and text to lines.
//!
//! Lines keep their ends. Without a delimiter, line ends are universal, as in Python's text files: `\r\n` and `\r` become `\n`.
//! With one, nothing is translated and each line ends with it. There is no empty line at the end of the text.

use crate::strings::{Offsets, Strings};
use crate::{Error, Result};
use memchr::{memchr, memchr_iter, memmem};

/// Encodings that are decoded here. Python's codecs do the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; a byte order mark is a character, as in Python.
    Utf8,
    /// ASCII.
    Ascii,
    /// ISO 8859-1.
    Latin1,
}

/// What becomes of bytes that the encoding does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// An error.
    Strict,
    /// They are left out.
    Ignore,
    /// U+FFFD stands in their place.
    Replace,
}

/// Where lines end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// At `\n`, `\r` and `\r\n`, which all become `\n`.
    Universal,
    /// Behind this text, which is not empty.
    Text(String),
}

/// Decodes bytes. UTF-8 is checked, not copied.
///
/// # Errors
/// When bytes are invalid and `invalid` is strict.
pub fn decode(bytes: Vec<u8>, encoding: Encoding, invalid: Invalid) -> Result<String> {
    match encoding {
        Encoding::Latin1 if !bytes.is_ascii() => Ok(bytes.iter().map(|&b| b as char).collect()),
        Encoding::Ascii if !bytes.is_ascii() => {
            if invalid == Invalid::Strict {
                let at = bytes.iter().position(|b| !b.is_ascii()).unwrap_or(0);
                return Err(undecodable("ascii", at, at, &bytes));
            }
            let stand_in = (invalid == Invalid::Replace).then_some('\u{fffd}');
            Ok(bytes.iter().filter_map(|&b| if b < 0x80 { Some(b as char) } else { stand_in }).collect())
        }
        Encoding::Utf8 | Encoding::Ascii | Encoding::Latin1 => match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(e) => {
                let (at, bytes) = (e.utf8_error().valid_up_to(), e.into_bytes());
                if invalid == Invalid::Strict {
                    // From the beginning of a character before, so that the window decodes up to the bad byte.
                    let near = at.saturating_sub(16);
                    let from = (near..at).find(|&i| bytes[i] & 0xc0 != 0x80).unwrap_or(at);
                    return Err(undecodable("utf-8", at, from, &bytes));
                }
                let mut text = String::with_capacity(bytes.len());
                for chunk in bytes.utf8_chunks() {
                    text.push_str(chunk.valid());
                    if invalid == Invalid::Replace && !chunk.invalid().is_empty() {
                        text.push('\u{fffd}');
                    }
                }
                Ok(text)
            }
        },
    }
}

fn undecodable(encoding: &'static str, at: usize, from: usize, bytes: &[u8]) -> Error {
    let window = bytes[from..bytes.len().min(at + 16)].to_vec();
    Error::Decode { encoding, at, window, within: at - from }
}

/// Cuts text into lines. With `strip`, lines come without their ends.
pub fn split(text: String, delimiter: &Delimiter, strip: bool) -> Strings {
    let (text, end) = match delimiter {
        Delimiter::Universal => (universal(text), "\n"),
        Delimiter::Text(end) => (text, end.as_str()),
    };
    let mut ends = Offsets::new();
    match end.as_bytes() {
        [one] => memchr_iter(*one, text.as_bytes()).for_each(|at| ends.push(at + 1)),
        all => memmem::find_iter(text.as_bytes(), all).for_each(|at| ends.push(at + all.len())),
    }
    if ends.at(ends.count()) < text.len() {
        ends.push(text.len());
    }
    let (text, ends) = if strip { without_ends(text, &ends, end) } else { (text, ends) };
    let mut lines = Strings::from_parts(text, ends).unwrap_or_default();
    lines.shrink();
    lines
}

fn universal(text: String) -> String {
    let Some(mut at) = memchr(b'\r', text.as_bytes()) else { return text };
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    loop {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        match memchr(b'\r', rest.as_bytes()) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.push_str(rest);
    out
}

/// Moves the lines together over their ends, in the same memory.
fn without_ends(text: String, ends: &Offsets, end: &str) -> (String, Offsets) {
    let mut bytes = text.into_bytes();
    let mut short = Offsets::with_capacity(ends.count());
    let mut to = 0;
    for i in 0..ends.count() {
        let (from, mut upto) = (ends.at(i), ends.at(i + 1));
        if bytes[from..upto].ends_with(end.as_bytes()) {
            upto -= end.len();
        }
        bytes.copy_within(from..upto, to);
        to += upto - from;
        short.push(to);
    }
    bytes.truncate(to);
    // Whole characters were left out, so this does not fail; checking costs less than the copy.
    (String::from_utf8(bytes).unwrap_or_default(), short)
}
