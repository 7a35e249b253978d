//! Cuts text into tokens. Tokens borrow from the text; the lexer allocates one vector.

/// What kind of word a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Letters, digits and `_`, starting with a letter or `_`.
    Word,
    /// `@` and a name; the token's text is the name, with quotes if it has them.
    Function,
    /// Starts with a digit, or with `-` and a digit or letter.
    Number,
    /// One of `( ) { } [ ] < > , : ; = ..` and `->`. A `;` is a comment's start, except inside brackets.
    Sign,
    /// The end of the text.
    End,
    /// A character that starts no token.
    Bad,
}

/// A token and where it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub at: usize,
}

/// All tokens, the last of which is `End`.
///
/// A `;` separates inside `<...>` and `[...]` (view types and sub-views) and starts a comment elsewhere. Neither bracket can
/// span lines, so an unclosed one confuses no more than its own line.
pub(super) fn lex(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut i = 0;
    let mut bracket = false;
    while i < bytes.len() {
        let c = bytes[i];
        let start = i;
        let kind = match c {
            b'\n' => {
                bracket = false;
                i += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                i += 1;
                continue;
            }
            b';' if !bracket => {
                while i < bytes.len() && bytes[i] != b'\n' {
                    i += 1;
                }
                continue;
            }
            b'@' if bytes.get(i + 1) == Some(&b'"') => {
                i += 2;
                while i < bytes.len() && bytes[i] != b'"' && bytes[i] != b'\n' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i = (i + 1).min(bytes.len());
                // An escape may have jumped into the middle of a character.
                while !text.is_char_boundary(i) {
                    i += 1;
                }
                Kind::Function
            }
            b'@' => {
                i += 1;
                i += word(&bytes[i..], |c| c == b'.');
                Kind::Function
            }
            b'0'..=b'9' => {
                i += number(&bytes[i..]);
                Kind::Number
            }
            b'-' if bytes.get(i + 1) == Some(&b'>') => {
                i += 2;
                Kind::Sign
            }
            b'-' if bytes.get(i + 1).is_some_and(u8::is_ascii_alphanumeric) => {
                i += 1;
                i += number(&bytes[i..]);
                Kind::Number
            }
            b'.' if bytes.get(i + 1) == Some(&b'.') => {
                i += 2;
                Kind::Sign
            }
            b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b',' | b':' | b';' | b'=' => {
                bracket = match c {
                    b'[' | b'<' => true,
                    b']' | b'>' => false,
                    _ => bracket,
                };
                i += 1;
                Kind::Sign
            }
            c if c.is_ascii_alphabetic() || c == b'_' => {
                i += word(&bytes[i..], |_| false);
                Kind::Word
            }
            _ => {
                i += 1;
                while !text.is_char_boundary(i) {
                    i += 1;
                }
                Kind::Bad
            }
        };
        let from = if kind == Kind::Function { start + 1 } else { start };
        tokens.push(Token { kind, text: &text[from..i], at: start });
    }
    tokens.push(Token { kind: Kind::End, text: "", at: text.len() });
    tokens
}

fn word(bytes: &[u8], also: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_' || also(**c)).count()
}

/// The length of a number: letters and digits, one `.` at a time, and a sign after the exponent's `e`.
fn number(bytes: &[u8]) -> usize {
    let hex = bytes.starts_with(b"0x");
    let mut i = 0;
    while i < bytes.len() {
        let ok = match bytes[i] {
            b'.' => bytes.get(i + 1) != Some(&b'.'),
            b'+' | b'-' => !hex && i > 0 && matches!(bytes[i - 1], b'e' | b'E'),
            c => c.is_ascii_alphanumeric(),
        };
        if !ok {
            break;
        }
        i += 1;
    }
    i
}
