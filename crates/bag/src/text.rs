//! Methods of Python's `str`, exactly.
//!
//! What depends on the version of Unicode (case, classes of characters) comes in tables that the caller asks its Python for.
//! What does not (white space, line ends) is here.

use crate::item::Item;
use crate::step::{Ends, StrMethod};
use crate::tape::Tape;
use rustc_hash::FxHashMap;

/// What `str.isspace` says of one character.
#[inline]
pub fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\x1c'..='\x1f' | ' ')
        || (c >= '\u{80}'
            && matches!(
                c,
                '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
                    ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
            ))
}

const SPACE: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 128 {
        table[i] = matches!(i as u8, b'\t'..=b'\r' | 0x1c..=0x1f | b' ');
        i += 1;
    }
    table
};

/// What `str.splitlines` breaks at.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A set of characters.
#[derive(Clone, Debug)]
pub struct CharSet(Vec<u64>);

impl CharSet {
    /// Those that `f` says yes to.
    pub fn new(f: impl Fn(char) -> bool) -> CharSet {
        let mut bits = vec![0u64; 0x11_0000 / 64];
        for c in (0..0x11_0000).filter_map(char::from_u32).filter(|&c| f(c)) {
            bits[c as usize / 64] |= 1 << (c as usize % 64);
        }
        CharSet(bits)
    }

    fn has(&self, c: char) -> bool {
        self.0[c as usize / 64] >> (c as usize % 64) & 1 == 1
    }
}

/// What each character becomes. Characters that stay are not stored.
#[derive(Clone, Debug, Default)]
pub struct CaseMap {
    ascii: Vec<u8>,
    others: FxHashMap<char, Box<str>>,
    /// A character whose result depends on its neighbours: strings with it are declined.
    context: Option<char>,
}

impl CaseMap {
    /// A table of what changes. Results for ASCII must be ASCII of one byte.
    pub fn new(changes: impl IntoIterator<Item = (char, String)>, context: Option<char>) -> CaseMap {
        let mut map = CaseMap { ascii: (0..128).collect(), others: FxHashMap::default(), context };
        for (c, to) in changes {
            match (c.is_ascii(), to.as_bytes()) {
                (true, [b]) if b.is_ascii() => map.ascii[c as usize] = *b,
                _ => {
                    map.others.insert(c, to.into());
                }
            }
        }
        map
    }

    fn apply(&self, s: &str, out: &mut String) -> bool {
        out.clear();
        if s.is_ascii() {
            out.extend(s.bytes().map(|b| self.ascii[b as usize] as char));
            return true;
        }
        for c in s.chars() {
            if c.is_ascii() {
                out.push(self.ascii[c as usize] as char);
            } else if Some(c) == self.context {
                return false;
            } else if let Some(to) = self.others.get(&c) {
                out.push_str(to);
            } else {
                out.push(c);
            }
        }
        true
    }
}

/// Calls `f` with each word of `s`, as `s.split()` has them, until it fails.
///
/// Eight ASCII bytes at a time: a byte is at most a space if its high bit stays clear when 0x5f is added. Sums do not carry into
/// the next byte, so all marks are right, and only marked bytes are looked at.
#[inline]
pub fn words<'a, E>(s: &'a str, mut f: impl FnMut(&'a str) -> Result<(), E>) -> Result<(), E> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let bytes = s.as_bytes();
    let (mut at, mut from) = (0, 0);
    while at < bytes.len() {
        if let Some(chunk) = bytes[at..].first_chunk::<8>() {
            let x = u64::from_le_bytes(*chunk);
            if x & HIGH == 0 {
                let mut marks = !(x + ONES * 0x5f) & HIGH;
                while marks != 0 {
                    let space = at + (marks.trailing_zeros() / 8) as usize;
                    marks &= marks - 1;
                    if SPACE[bytes[space] as usize] {
                        if space > from {
                            f(&s[from..space])?;
                        }
                        from = space + 1;
                    }
                }
                at += 8;
                continue;
            }
        }
        let (space, width) = match bytes[at] {
            b @ ..0x80 => (SPACE[b as usize], 1),
            _ => {
                let c = s[at..].chars().next().unwrap_or(' ');
                (is_space(c), c.len_utf8())
            }
        };
        if space {
            if at > from {
                f(&s[from..at])?;
            }
            from = at + width;
        }
        at += width;
    }
    if from < bytes.len() { f(&s[from..]) } else { Ok(()) }
}

/// `s.split(None, max)` with `max` of at least 0.
fn split_space<E>(s: &str, max: i64, mut f: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut rest = s.trim_start_matches(is_space);
    for _ in 0..max {
        let Some(end) = rest.find(is_space) else { break };
        f(&rest[..end])?;
        rest = rest[end..].trim_start_matches(is_space);
    }
    if rest.is_empty() { Ok(()) } else { f(rest) }
}

fn split_lines<E>(s: &str, keep: bool, mut f: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut rest = s;
    while let Some(at) = rest.find(is_line_end) {
        let end = &rest[at..];
        let width = if end.starts_with("\r\n") { 2 } else { end.chars().next().map_or(1, char::len_utf8) };
        f(&rest[..if keep { at + width } else { at }])?;
        rest = &rest[at + width..];
    }
    if rest.is_empty() { Ok(()) } else { f(rest) }
}

/// The most pieces for a limit of splits; below zero there is none.
fn pieces(max: i64) -> usize {
    usize::try_from(max).map_or(usize::MAX, |max| max.saturating_add(1))
}

/// Calls `f` with each piece of a method that gives a list. `false` when the method gives no list.
pub fn each<E>(
    method: &StrMethod,
    s: &str,
    mut f: impl FnMut(&str) -> Result<(), E>,
) -> Option<Result<(), E>> {
    Some(match method {
        StrMethod::Split(None, max) if *max < 0 => words(s, f),
        StrMethod::Split(None, max) => split_space(s, *max, f),
        StrMethod::Split(Some(sep), max) => match sep.as_bytes() {
            [sep] if *max < 0 => {
                let mut from = 0;
                let split = memchr::memchr_iter(*sep, s.as_bytes()).try_for_each(|at| {
                    let piece = &s[from..at];
                    from = at + 1;
                    f(piece)
                });
                split.and_then(|()| f(&s[from..]))
            }
            _ => s.splitn(pieces(*max), sep.as_str()).try_for_each(f),
        },
        StrMethod::Rsplit(sep, max) => {
            let mut all: Vec<&str> = s.rsplitn(pieces(*max), sep.as_str()).collect();
            all.reverse();
            all.into_iter().try_for_each(f)
        }
        StrMethod::Splitlines(keep) => split_lines(s, *keep, f),
        _ => return None,
    })
}

/// What a method gives. `text` and `tape` are memory for results; `None` means that Python must say.
pub fn call<'b>(
    method: &StrMethod,
    s: &'b str,
    text: &'b mut String,
    tape: &'b mut Tape,
) -> Option<Item<'b>> {
    Some(match method {
        StrMethod::Split(..) | StrMethod::Rsplit(..) | StrMethod::Splitlines(_) => {
            tape.clear();
            let mark = tape.begin_list();
            let mut count = 0;
            let _ = each(method, s, |piece| {
                tape.str(piece);
                count += 1;
                Ok::<(), ()>(())
            })?;
            tape.end(mark, count).ok()?;
            tape.first()
        }
        StrMethod::Partition(sep) => {
            let (a, sep, b) = s.split_once(sep.as_str()).map_or((s, "", ""), |(a, b)| (a, sep, b));
            tape.clear();
            let mark = tape.begin_tuple();
            [a, sep, b].into_iter().for_each(|piece| tape.str(piece));
            tape.end(mark, 3).ok()?;
            tape.first()
        }
        StrMethod::Strip(ends, None) => Item::Str(strip(s, *ends, is_space)),
        StrMethod::Strip(ends, Some(chars)) => Item::Str(strip(s, *ends, |c| chars.contains(c))),
        StrMethod::Case(map) => {
            if !map.apply(s, text) {
                return None;
            }
            Item::Str(text)
        }
        StrMethod::Starts(any) => Item::Bool(any.iter().any(|p| s.starts_with(p.as_str()))),
        StrMethod::Ends(any) => Item::Bool(any.iter().any(|p| s.ends_with(p.as_str()))),
        StrMethod::Replace(old, new, count) => {
            *text = match usize::try_from(*count) {
                Ok(count) => s.replacen(old.as_str(), new, count),
                Err(_) => s.replace(old.as_str(), new),
            };
            Item::Str(text)
        }
        StrMethod::RemovePrefix(p) => Item::Str(s.strip_prefix(p.as_str()).unwrap_or(s)),
        StrMethod::RemoveSuffix(p) => Item::Str(s.strip_suffix(p.as_str()).unwrap_or(s)),
        StrMethod::Count(sub) => Item::Int(s.matches(sub.as_str()).count() as i64),
        StrMethod::Find(sub) => {
            Item::Int(s.find(sub.as_str()).map_or(-1, |at| s[..at].chars().count() as i64))
        }
        StrMethod::All(_, empty) if s.is_empty() => Item::Bool(*empty),
        StrMethod::All(set, _) => Item::Bool(s.chars().all(|c| set.has(c))),
        StrMethod::Cased(some, none) => {
            Item::Bool(!s.chars().any(|c| none.has(c)) && s.chars().any(|c| some.has(c)))
        }
        StrMethod::Ascii => Item::Bool(s.is_ascii()),
    })
}

fn strip(s: &str, ends: Ends, f: impl Fn(char) -> bool) -> &str {
    let s = if ends == Ends::Right { s } else { s.trim_start_matches(&f) };
    if ends == Ends::Left { s } else { s.trim_end_matches(&f) }
}
