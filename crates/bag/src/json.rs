//! JSON as Python's `json.loads` reads it: `NaN` and `Infinity`, ints of any size, the last of equal keys wins in the first's place.
//!
//! [`loads`] encodes a document. [`project`] finds some fields of an object and checks the rest without building it.
//! Both only say yes or [`Decline`]: what is malformed, nested very deeply or holds a lone surrogate is Python's to judge, so
//! that its messages need no imitation here.

use crate::item::Item;
use crate::tape::{MAX_DEPTH, Tape};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Not for us: malformed, or a document that only Python can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decline;

/// Python refuses ints of more digits than a limit that users may lower to this.
const MAX_DIGITS: usize = 640;

/// Encodes a document as one value on `tape`.
///
/// # Errors
/// See [`Decline`]; the tape then holds an incomplete value.
pub fn loads(text: &str, tape: &mut Tape) -> Result<(), Decline> {
    let mut p = Parser::new(text);
    p.space();
    p.value(tape, 0)?;
    p.end()
}

/// A value in a document that was checked, not yet built.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a>(&'a str);

impl<'a> Found<'a> {
    /// Fields of this value, which must be an object.
    ///
    /// # Errors
    /// When it is not an object.
    pub fn project(self, keys: &[&str], found: &mut Vec<Option<Found<'a>>>) -> Result<(), Decline> {
        project(self.0, keys, found)
    }

    /// The value; a string without escapes is borrowed, all else is built on `tape`.
    ///
    /// # Errors
    /// When it holds what only Python can hold.
    pub fn item<'b>(self, tape: &'b mut Tape) -> Result<Item<'b>, Decline>
    where
        'a: 'b,
    {
        if let Some(inner) = self.0.strip_prefix('"').and_then(|s| s.strip_suffix('"'))
            && memchr::memchr(b'\\', inner.as_bytes()).is_none()
        {
            return Ok(Item::Str(inner));
        }
        tape.clear();
        loads(self.0, tape)?;
        Ok(tape.first())
    }

    /// Adds the value to `tape`.
    ///
    /// # Errors
    /// When it holds what only Python can hold.
    pub fn append(self, tape: &mut Tape) -> Result<(), Decline> {
        loads(self.0, tape)
    }
}

/// Finds the values of `keys` in a document that is an object. All of the document is checked.
///
/// # Errors
/// See [`Decline`]; also when the document is no object.
pub fn project<'a>(text: &'a str, keys: &[&str], found: &mut Vec<Option<Found<'a>>>) -> Result<(), Decline> {
    found.clear();
    found.resize(keys.len(), None);
    let mut p = Parser::new(text);
    p.space();
    p.expect(b'{')?;
    p.space();
    if p.peek() != Some(b'}') {
        loop {
            let (key, escaped) = p.string()?;
            p.space();
            p.expect(b':')?;
            p.space();
            let from = p.at;
            p.skip(1)?;
            // Skipping ends at an ASCII character, so both ends are boundaries.
            let value = Found(text.get(from..p.at).ok_or(Decline)?);
            if escaped {
                p.scratch.clear();
                unescape(key, &mut p.scratch)?;
                note(keys, &p.scratch, value, found);
            } else {
                note(keys, key, value, found);
            }
            p.space();
            match p.next()? {
                b',' => p.space(),
                b'}' => break,
                _ => return Err(Decline),
            }
        }
    } else {
        p.at += 1;
    }
    p.end()
}

fn note<'a>(keys: &[&str], key: &str, value: Found<'a>, found: &mut [Option<Found<'a>>]) {
    for (wanted, place) in keys.iter().zip(found) {
        if *wanted == key {
            *place = Some(value);
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    scratch: String,
    /// Fingerprints of the keys of all objects that are open, and where on the tape each key is.
    keys: Vec<(u64, usize)>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser { text, bytes: text.as_bytes(), at: 0, scratch: String::new(), keys: Vec::new() }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Result<u8, Decline> {
        let b = self.peek().ok_or(Decline)?;
        self.at += 1;
        Ok(b)
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), Decline> {
        if self.next()? == wanted { Ok(()) } else { Err(Decline) }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), Decline> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Decline) }
    }

    fn word(&mut self, word: &str) -> Result<(), Decline> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Decline)
        }
    }

    /// A string: what is between the quotes, and whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<(&'a str, bool), Decline> {
        self.expect(b'"')?;
        let from = self.at;
        let mut escaped = false;
        loop {
            self.at = special(self.bytes, self.at);
            match self.next()? {
                b'"' => {
                    let text = self.text.get(from..self.at - 1).ok_or(Decline)?;
                    return Ok((text, escaped));
                }
                b'\\' => {
                    escaped = true;
                    match self.next()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.bytes.get(self.at..self.at + 4).ok_or(Decline)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Decline);
                            }
                            self.at += 4;
                        }
                        _ => return Err(Decline),
                    }
                }
                _ => return Err(Decline),
            }
        }
    }

    /// Steps over a number: its text, and whether it is a float.
    fn number(&mut self) -> Result<(&'a str, bool), Decline> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Decline),
        }
        let mut float = false;
        if self.peek() == Some(b'.') && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            float = true;
            self.at += 1;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            let signed = matches!(self.bytes.get(self.at + 1), Some(b'+' | b'-'));
            let digit = self.at + 1 + signed as usize;
            if self.bytes.get(digit).is_some_and(u8::is_ascii_digit) {
                float = true;
                self.at = digit;
                self.digits();
            }
        }
        let text = &self.text[from..self.at];
        if !float && text.len() > MAX_DIGITS { Err(Decline) } else { Ok((text, float)) }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// Checks a value without building it.
    fn skip(&mut self, depth: usize) -> Result<(), Decline> {
        if depth > MAX_DEPTH {
            return Err(Decline);
        }
        match self.peek().ok_or(Decline)? {
            b'"' => self.string().map(drop),
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                self.space();
                if self.peek() == Some(close) {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    if open == b'{' {
                        self.string()?;
                        self.space();
                        self.expect(b':')?;
                        self.space();
                    }
                    self.skip(depth + 1)?;
                    self.space();
                    match self.next()? {
                        b',' => self.space(),
                        b if b == close => return Ok(()),
                        _ => return Err(Decline),
                    }
                }
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'N' => self.word("NaN"),
            b'I' => self.word("Infinity"),
            b'-' if self.bytes.get(self.at + 1) == Some(&b'I') => self.word("-Infinity"),
            _ => self.number().map(drop),
        }
    }

    fn value(&mut self, tape: &mut Tape, depth: usize) -> Result<(), Decline> {
        if depth > MAX_DEPTH {
            return Err(Decline);
        }
        match self.peek().ok_or(Decline)? {
            b'"' => self.write_string(tape),
            b'{' => self.object(tape, depth),
            b'[' => self.array(tape, depth),
            b't' => self.word("true").map(|()| tape.bool(true)),
            b'f' => self.word("false").map(|()| tape.bool(false)),
            b'n' => self.word("null").map(|()| tape.none()),
            b'N' => self.word("NaN").map(|()| tape.float(f64::NAN)),
            b'I' => self.word("Infinity").map(|()| tape.float(f64::INFINITY)),
            b'-' if self.bytes.get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity").map(|()| tape.float(f64::NEG_INFINITY))
            }
            _ => {
                let (text, float) = self.number()?;
                if float {
                    tape.float(text.parse().map_err(|_| Decline)?);
                } else {
                    // "-0" is the int 0; all other texts have no leading zeros.
                    tape.big(text);
                }
                Ok(())
            }
        }
    }

    fn write_string(&mut self, tape: &mut Tape) -> Result<(), Decline> {
        let (text, escaped) = self.string()?;
        if escaped {
            self.scratch.clear();
            unescape(text, &mut self.scratch)?;
            tape.str(&self.scratch);
        } else {
            tape.str(text);
        }
        Ok(())
    }

    fn array(&mut self, tape: &mut Tape, depth: usize) -> Result<(), Decline> {
        self.at += 1;
        let mark = tape.begin_list();
        let mut count = 0;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.value(tape, depth + 1)?;
                count += 1;
                self.space();
                match self.next()? {
                    b',' => self.space(),
                    b']' => break,
                    _ => return Err(Decline),
                }
            }
        }
        tape.end(mark, count).map_err(|_| Decline)
    }

    fn object(&mut self, tape: &mut Tape, depth: usize) -> Result<(), Decline> {
        self.at += 1;
        let mark = tape.begin_dict();
        let body = Tape::body(&mark);
        let first = self.keys.len();
        let mut count = 0;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let at = tape.len();
                self.write_string(tape)?;
                let mut hasher = FxHasher::default();
                hasher.write(&tape.bytes[at..]);
                self.keys.push((hasher.finish(), at));
                self.space();
                self.expect(b':')?;
                self.space();
                self.value(tape, depth + 1)?;
                count += 1;
                self.space();
                match self.next()? {
                    b',' => self.space(),
                    b'}' => break,
                    _ => return Err(Decline),
                }
            }
        }
        if repeated(&mut self.keys[first..]) {
            count = merge_keys(tape, body);
        }
        self.keys.truncate(first);
        tape.end(mark, count).map_err(|_| Decline)
    }
}

/// Whether two fingerprints are equal. A false yes costs time only.
fn repeated(keys: &mut [(u64, usize)]) -> bool {
    if keys.len() <= 16 {
        return (1..keys.len()).any(|i| keys[..i].iter().any(|k| k.0 == keys[i].0));
    }
    keys.sort_unstable();
    keys.windows(2).any(|w| w[0].0 == w[1].0)
}

/// Rewrites an object's pairs, which begin at `body`: of equal keys, the first's place with the last's value.
fn merge_keys(tape: &mut Tape, body: usize) -> usize {
    let old = tape.bytes.split_off(body);
    let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
    let mut places: hashbrown::HashMap<&[u8], usize, foldhash::fast::RandomState> =
        hashbrown::HashMap::default();
    let mut rest: &[u8] = &old;
    while let Some((_, after_key)) = crate::tape::read(rest) {
        let key = &rest[..rest.len() - after_key.len()];
        let Some((_, after)) = crate::tape::read(after_key) else { break };
        let value = &after_key[..after_key.len() - after.len()];
        rest = after;
        match places.entry(key) {
            hashbrown::hash_map::Entry::Occupied(place) => pairs[*place.get()].1 = value,
            hashbrown::hash_map::Entry::Vacant(place) => {
                place.insert(pairs.len());
                pairs.push((key, value));
            }
        }
    }
    for (key, value) in &pairs {
        tape.bytes.extend_from_slice(key);
        tape.bytes.extend_from_slice(value);
    }
    pairs.len()
}

/// The first place from `at` on of a quote, a backslash or a control character; the end if there is none.
///
/// Eight bytes at a time: a byte of `x` is below `n` if `(x - n) & !x` has its high bit, and equal to `c` if `x ^ c` is below 1.
/// A borrow can mark bytes above a marked one in error, never below, and only the lowest mark is used.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |x: u64, n: u64| x.wrapping_sub(ONES * n) & !x & HIGH;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let x = u64::from_le_bytes(*chunk);
        let marks = below(x, 0x20) | below(x ^ (ONES * b'"' as u64), 1) | below(x ^ (ONES * b'\\' as u64), 1);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && bytes[at] >= 0x20 && bytes[at] != b'"' && bytes[at] != b'\\' {
        at += 1;
    }
    at
}

/// Resolves the escapes of a string whose escapes were checked for form.
fn unescape(text: &str, out: &mut String) -> Result<(), Decline> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let kind = *rest.as_bytes().get(at + 1).ok_or(Decline)?;
        rest = &rest[at + 2..];
        out.push(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = four(rest)?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&high) {
                    // A pair makes one character; anything else is a lone surrogate, which only Python's str holds.
                    let low = rest.strip_prefix("\\u").ok_or(Decline).and_then(four)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(Decline);
                    }
                    rest = &rest[6..];
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(Decline)?
                } else {
                    char::from_u32(high).ok_or(Decline)?
                }
            }
            other => other as char,
        });
    }
    out.push_str(rest);
    Ok(())
}

fn four(text: &str) -> Result<u32, Decline> {
    text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(Decline)
}

/// Writes a value as `json.dumps` does by default: `", "` and `": "`, all but ASCII escaped.
pub fn dumps(item: Item<'_>, out: &mut String) {
    match item {
        Item::None => out.push_str("null"),
        Item::Bool(b) => out.push_str(if b { "true" } else { "false" }),
        Item::Int(v) => out.push_str(&v.to_string()),
        Item::Big(digits) => out.push_str(digits),
        Item::Float(v) if v.is_nan() => out.push_str("NaN"),
        Item::Float(v) if v.is_infinite() => out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        Item::Float(v) => crate::number::repr(v, out),
        Item::Str(s) => quote(s, out),
        Item::List(seq) | Item::Tuple(seq) => {
            out.push('[');
            for (i, item) in seq.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                dumps(item, out);
            }
            out.push(']');
        }
        Item::Dict(seq) => {
            out.push('{');
            for (i, item) in seq.iter().enumerate() {
                out.push_str(match i {
                    0 => "",
                    i if i.is_multiple_of(2) => ", ",
                    _ => ": ",
                });
                dumps(item, out);
            }
            out.push('}');
        }
    }
}

fn quote(s: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
