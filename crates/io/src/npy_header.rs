//! The header of an npy file: format versions 1 to 3.
//!
//! A header is a Python dictionary of literals with three keys. The parser accepts what NumPy has ever written there and
//! nothing else: it never evaluates anything, and it reads at most [`MAX_HEADER_BYTES`].

/// NumPy itself refuses longer headers than 10 000 bytes unless told otherwise; records with thousands of fields exist.
pub(crate) const MAX_HEADER_BYTES: u64 = 1 << 20;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// NumPy's type string, such as `"<f8"`; for a record, the list of fields as it is written in the file.
    pub descr: String,
    /// The shape.
    pub shape: Vec<u64>,
    /// Whether the first axis runs fastest.
    pub fortran: bool,
    /// Where the data start.
    pub data_offset: u64,
}

/// How many bytes the header takes, from the first 12 bytes of a file (fewer where the file is shorter).
pub(crate) fn header_len(prefix: &[u8]) -> Result<u64, String> {
    let Some((magic, rest)) = prefix.split_first_chunk::<6>() else {
        return Err(format!("the file has only {} bytes", prefix.len()));
    };
    if magic != MAGIC {
        return Err("it does not begin with the npy signature".into());
    }
    match *rest {
        [1, _, a, b, ..] => Ok(10 + u64::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => Ok(12 + u64::from(u32::from_le_bytes([a, b, c, d]))),
        [1..=3, ..] => Err("the file ends inside the header".into()),
        [version, ..] => Err(format!("format version {version} is unknown; versions 1, 2 and 3 are read")),
        [] => Err("the file ends inside the header".into()),
    }
}

impl NpyHeader {
    /// Parses a header from the beginning of a file. `bytes` may go on after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let len = header_len(bytes)?;
        if len > MAX_HEADER_BYTES {
            return Err(format!("it claims {len} bytes, more than {MAX_HEADER_BYTES}"));
        }
        let header = bytes.get(..len as usize).ok_or("the file ends inside the header")?;
        let text = if header[6] == 1 { &header[10..] } else { &header[12..] };
        // Version 3 is UTF-8. Versions 1 and 2 are Latin-1, and differ from it only inside field names of records.
        let text = String::from_utf8_lossy(text);
        let mut parser = Parser { text: &text, at: 0 };
        let (descr, fortran, shape) = parser.dictionary().map_err(|reason| {
            let near: String = text[parser.at.min(text.len())..].chars().take(20).collect();
            format!("{reason} at byte {} ({near:?})", parser.at)
        })?;
        Ok(Self { descr, shape, fortran, data_offset: len })
    }

    /// The bytes of a version 1 header, padded so that the data start at a multiple of 64.
    pub(crate) fn encode(descr: &str, shape: &[u64]) -> Result<Vec<u8>, String> {
        let axes: String = match shape {
            [one] => format!("{one},"),
            _ => shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        };
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
        let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
        let stored =
            u16::try_from(len).map_err(|_| format!("a shape of {} axes is too long", shape.len()))?;
        let mut header = Vec::with_capacity(10 + len);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&[1, 0]);
        header.extend_from_slice(&stored.to_le_bytes());
        header.extend_from_slice(text.as_bytes());
        header.resize(10 + len - 1, b' ');
        header.push(b'\n');
        Ok(header)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn dictionary(&mut self) -> Result<(String, bool, Vec<u64>), String> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.take('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key.as_str() {
                "descr" if descr.is_none() => descr = Some(self.descr()?),
                "fortran_order" if fortran.is_none() => fortran = Some(self.boolean()?),
                "shape" if shape.is_none() => shape = Some(self.tuple()?),
                _ => return Err(format!("unexpected or repeated key {key:?}")),
            }
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        self.space();
        if self.at < self.text.len() {
            return Err("text after the dictionary".into());
        }
        match (descr, fortran, shape) {
            (Some(descr), Some(fortran), Some(shape)) => Ok((descr, fortran, shape)),
            _ => Err("one of the keys 'descr', 'fortran_order', 'shape' is missing".into()),
        }
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\n', '\t', '\r']).len();
    }

    fn take(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
        }
        found
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if self.take(symbol) { Ok(()) } else { Err(format!("expected {symbol:?}")) }
    }

    fn string(&mut self) -> Result<String, String> {
        self.space();
        let rest = &self.text[self.at..];
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or("expected a string")?;
        let end = rest[1..].find(quote).ok_or("a string without an end")?;
        let content = &rest[1..1 + end];
        if content.contains('\\') {
            return Err("a string with an escape".into());
        }
        self.at += end + 2;
        Ok(content.to_string())
    }

    /// A type string, or the raw text of a list of fields up to its closing bracket.
    fn descr(&mut self) -> Result<String, String> {
        self.space();
        let rest = &self.text[self.at..];
        if !rest.starts_with('[') {
            return self.string();
        }
        let (mut depth, mut quote) = (0usize, None);
        for (offset, symbol) in rest.char_indices() {
            match (quote, symbol) {
                (Some(open), _) if symbol == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(symbol),
                (None, '[' | '(') => depth += 1,
                (None, ']' | ')') => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += offset + 1;
                        return Ok(rest[..=offset].to_string());
                    }
                }
                (None, _) => {}
            }
        }
        Err("a list without an end".into())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err("expected True or False".into())
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        self.expect('(')?;
        let mut numbers = Vec::new();
        while !self.take(')') {
            self.space();
            let rest = &self.text[self.at..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(rest[..digits].parse().map_err(|_| "expected a length that fits 64 bits")?);
            self.at += digits;
            // Python 2 wrote long integers with a suffix.
            if self.text[self.at..].starts_with('L') {
                self.at += 1;
            }
            if numbers.len() > 64 {
                return Err("more than 64 axes".into());
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NpyHeader, String> {
        let len = (text.len() as u16).to_le_bytes();
        NpyHeader::parse(&[MAGIC.as_slice(), &[1, 0], &len, text.as_bytes()].concat())
    }

    #[test]
    fn headers_in_every_spelling() {
        let header = parse("{'shape': (3L, 4,), \"descr\":'<f8' ,'fortran_order': True}\n").unwrap();
        assert_eq!((header.descr.as_str(), header.shape, header.fortran), ("<f8", vec![3, 4], true));
        let record =
            parse("{'descr': [('a', '<i4'), ('b]', '<f8', (2,))], 'fortran_order': False, 'shape': ()}")
                .unwrap();
        assert_eq!(record.descr, "[('a', '<i4'), ('b]', '<f8', (2,))]");
    }

    #[test]
    fn encoded_headers_parse_back_and_align_the_data() {
        for shape in [vec![], vec![7], vec![0, 3], vec![u64::MAX; 30]] {
            let bytes = NpyHeader::encode("<i2", &shape).unwrap();
            let header = NpyHeader::parse(&bytes).unwrap();
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(
                header,
                NpyHeader { descr: "<i2".into(), shape, fortran: false, data_offset: bytes.len() as u64 }
            );
        }
    }

    #[test]
    fn what_is_not_a_header_is_refused_with_the_place() {
        for text in [
            "",
            "{}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': ()}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x",
            "{'descr': ')', 'descr': '<f8'}",
            "{'descr': [)(, 'fortran_order': False, 'shape': ()}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (é)}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(NpyHeader::parse(b"\x93NUMPY\x09\x00ab").unwrap_err().contains("version 9"));
        assert!(NpyHeader::parse(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").is_err());
        assert!(NpyHeader::parse(b"PK").is_err());
    }
}
