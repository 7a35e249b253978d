//! What the elements of an array are.
//!
//! `DType` covers the NumPy data types that arrays of this engine may have: the numeric ones, moments and durations
//! with units, and *foreign* ones (strings, records, Python objects) that only NumPy's own code computes on. A `DType`
//! is always in native byte order: `parse_descr` reports a swapped spelling beside it, and whoever reads the bytes swaps.
//!
//! What it does not do: structured data types with fields, subarrays, extended precision.

use std::fmt;
use std::str::FromStr;

use crate::error::TypeError;
use crate::prim::ScalarType;

/// Shown by errors about spellings.
pub(crate) const VALID_NAMES: &str = "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64, complex64, \
     complex128, datetime64[unit], timedelta64[unit], S<n>, U<n>, V<n>, object";

/// The unit of time that a datetime or timedelta counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum TimeBase {
    /// Years.
    Year,
    /// Months.
    Month,
    /// Weeks.
    Week,
    /// Days.
    Day,
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
    /// Milliseconds.
    Milli,
    /// Microseconds.
    Micro,
    /// Nanoseconds.
    Nano,
    /// Picoseconds.
    Pico,
    /// Femtoseconds.
    Femto,
    /// Attoseconds.
    Atto,
    /// No unit: takes on the unit of whatever it meets.
    Generic,
}

impl TimeBase {
    /// From years to attoseconds, `Generic` last.
    pub const ALL: [TimeBase; 14] = [
        TimeBase::Year,
        TimeBase::Month,
        TimeBase::Week,
        TimeBase::Day,
        TimeBase::Hour,
        TimeBase::Minute,
        TimeBase::Second,
        TimeBase::Milli,
        TimeBase::Micro,
        TimeBase::Nano,
        TimeBase::Pico,
        TimeBase::Femto,
        TimeBase::Atto,
        TimeBase::Generic,
    ];

    /// NumPy's abbreviation.
    pub const fn name(self) -> &'static str {
        match self {
            TimeBase::Year => "Y",
            TimeBase::Month => "M",
            TimeBase::Week => "W",
            TimeBase::Day => "D",
            TimeBase::Hour => "h",
            TimeBase::Minute => "m",
            TimeBase::Second => "s",
            TimeBase::Milli => "ms",
            TimeBase::Micro => "us",
            TimeBase::Nano => "ns",
            TimeBase::Pico => "ps",
            TimeBase::Femto => "fs",
            TimeBase::Atto => "as",
            TimeBase::Generic => "generic",
        }
    }

    /// The inverse of `name`; also the Greek spelling of microseconds.
    pub fn from_name(name: &str) -> Option<TimeBase> {
        if name == "μs" || name == "µs" {
            return Some(TimeBase::Micro);
        }
        TimeBase::ALL.into_iter().find(|b| b.name() == name)
    }
}

/// A time base and how many of it make one count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimeUnit {
    /// The base.
    pub base: TimeBase,
    /// How many of the base one count stands for; at least 1, at most `i32::MAX`.
    pub count: u32,
}

impl TimeUnit {
    /// No unit.
    pub const GENERIC: TimeUnit = TimeUnit { base: TimeBase::Generic, count: 1 };

    /// One of the base.
    pub const fn of(base: TimeBase) -> TimeUnit {
        TimeUnit { base, count: 1 }
    }

    /// Reads `ns` or `25s`, without brackets.
    pub fn parse(text: &str) -> Option<TimeUnit> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, base) = text.split_at(digits);
        let base = TimeBase::from_name(base)?;
        let count = if number.is_empty() {
            1
        } else {
            number.parse().ok().filter(|n| (1..=i32::MAX as u32).contains(n))?
        };
        if base == TimeBase::Generic && !number.is_empty() {
            return None;
        }
        Some(TimeUnit { base, count })
    }

    /// The suffix of a data type's name, brackets included; empty when generic.
    fn suffix(self) -> String {
        match self {
            TimeUnit { base: TimeBase::Generic, .. } => String::new(),
            TimeUnit { base, count: 1 } => format!("[{}]", base.name()),
            TimeUnit { base, count } => format!("[{count}{}]", base.name()),
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count != 1 {
            write!(f, "{}", self.count)?;
        }
        f.write_str(self.base.name())
    }
}

/// Data types whose elements this engine stores and moves, and NumPy computes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Foreign {
    /// Byte strings of at most so many bytes, padded with zeros.
    Bytes(u32),
    /// Unicode strings of at most so many characters of four bytes, padded with zeros.
    Unicode(u32),
    /// Uninterpreted bytes.
    Void(u32),
    /// References to Python objects.
    Object,
}

/// The data type of an array's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// Truth values, one byte each.
    Bool,
    /// Signed integers.
    I8,
    /// See `I8`.
    I16,
    /// See `I8`.
    I32,
    /// See `I8`.
    I64,
    /// Unsigned integers.
    U8,
    /// See `U8`.
    U16,
    /// See `U8`.
    U32,
    /// See `U8`.
    U64,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Two `F32`: real and imaginary part.
    C64,
    /// Two `F64`: real and imaginary part.
    C128,
    /// Moments, counted from 1970 in the unit. The smallest integer is NaT.
    DateTime(TimeUnit),
    /// Durations, counted in the unit. The smallest integer is NaT.
    TimeDelta(TimeUnit),
    /// What only NumPy computes on.
    Foreign(Foreign),
}

impl DType {
    /// The numeric data types, in order of declaration (the order of `ScalarType::ALL`).
    pub const NUMERIC: [DType; 14] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::F32,
        DType::F64,
        DType::C64,
        DType::C128,
    ];

    /// Python object references.
    pub const OBJECT: DType = DType::Foreign(Foreign::Object);

    /// The type of the stored elements; `None` for foreign data types. Datetimes and timedeltas are `I64`.
    pub const fn scalar(self) -> Option<ScalarType> {
        Some(match self {
            DType::Bool => ScalarType::Bool,
            DType::I8 => ScalarType::I8,
            DType::I16 => ScalarType::I16,
            DType::I32 => ScalarType::I32,
            DType::I64 | DType::DateTime(_) | DType::TimeDelta(_) => ScalarType::I64,
            DType::U8 => ScalarType::U8,
            DType::U16 => ScalarType::U16,
            DType::U32 => ScalarType::U32,
            DType::U64 => ScalarType::U64,
            DType::F16 => ScalarType::F16,
            DType::F32 => ScalarType::F32,
            DType::F64 => ScalarType::F64,
            DType::C64 => ScalarType::C64,
            DType::C128 => ScalarType::C128,
            DType::Foreign(_) => return None,
        })
    }

    /// The numeric data type of a scalar type.
    pub const fn from_scalar(scalar: ScalarType) -> DType {
        match scalar {
            ScalarType::Bool => DType::Bool,
            ScalarType::I8 => DType::I8,
            ScalarType::I16 => DType::I16,
            ScalarType::I32 => DType::I32,
            ScalarType::I64 => DType::I64,
            ScalarType::U8 => DType::U8,
            ScalarType::U16 => DType::U16,
            ScalarType::U32 => DType::U32,
            ScalarType::U64 => DType::U64,
            ScalarType::F16 => DType::F16,
            ScalarType::F32 => DType::F32,
            ScalarType::F64 => DType::F64,
            ScalarType::C64 => DType::C64,
            ScalarType::C128 => DType::C128,
        }
    }

    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            DType::Foreign(Foreign::Bytes(n) | Foreign::Void(n)) => n as usize,
            DType::Foreign(Foreign::Unicode(n)) => n as usize * 4,
            DType::Foreign(Foreign::Object) => 8,
            native => match native.scalar() {
                Some(scalar) => scalar.size(),
                None => 0,
            },
        }
    }

    /// Bytes an element takes: NumPy's word for `size`.
    pub const fn itemsize(self) -> usize {
        self.size()
    }

    /// Bytes that an element's address is a multiple of.
    pub const fn alignment(self) -> usize {
        match self {
            DType::Foreign(Foreign::Bytes(_) | Foreign::Void(_)) => 1,
            DType::Foreign(Foreign::Unicode(_)) => 4,
            DType::C64 => 4,
            DType::C128 => 8,
            other => other.size(),
        }
    }

    /// NumPy's one-character kind: one of `b i u f c M m S U V O`.
    pub const fn kind(self) -> char {
        match self {
            DType::Bool => 'b',
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => 'i',
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => 'u',
            DType::F16 | DType::F32 | DType::F64 => 'f',
            DType::C64 | DType::C128 => 'c',
            DType::DateTime(_) => 'M',
            DType::TimeDelta(_) => 'm',
            DType::Foreign(Foreign::Bytes(_)) => 'S',
            DType::Foreign(Foreign::Unicode(_)) => 'U',
            DType::Foreign(Foreign::Void(_)) => 'V',
            DType::Foreign(Foreign::Object) => 'O',
        }
    }

    /// Signed integers (not `Bool`, not timedelta).
    pub const fn is_signed(self) -> bool {
        self.kind() == 'i'
    }

    /// Unsigned integers (not `Bool`).
    pub const fn is_unsigned(self) -> bool {
        self.kind() == 'u'
    }

    /// Signed or unsigned integers (not `Bool`).
    pub const fn is_int(self) -> bool {
        self.is_signed() || self.is_unsigned()
    }

    /// Floating point.
    pub const fn is_float(self) -> bool {
        self.kind() == 'f'
    }

    /// Complex.
    pub const fn is_complex(self) -> bool {
        self.kind() == 'c'
    }

    /// Floating point or complex: what holds NaN.
    pub const fn is_inexact(self) -> bool {
        self.is_float() || self.is_complex()
    }

    /// Bool, integers, floating point, complex.
    pub const fn is_numeric(self) -> bool {
        !matches!(self, DType::DateTime(_) | DType::TimeDelta(_) | DType::Foreign(_))
    }

    /// Datetime or timedelta.
    pub const fn is_time(self) -> bool {
        matches!(self, DType::DateTime(_) | DType::TimeDelta(_))
    }

    /// Strings, records, objects.
    pub const fn is_foreign(self) -> bool {
        matches!(self, DType::Foreign(_))
    }

    /// The unit of a datetime or timedelta.
    pub const fn unit(self) -> Option<TimeUnit> {
        match self {
            DType::DateTime(unit) | DType::TimeDelta(unit) => Some(unit),
            _ => None,
        }
    }

    /// The floating type of a complex number's parts; any other data type itself.
    pub const fn part(self) -> DType {
        match self {
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            other => other,
        }
    }

    /// What `str(dtype)` gives in NumPy: `float64`, `datetime64[ns]`, `<U5`.
    pub fn name(self) -> String {
        let fixed = match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::C64 => "complex64",
            DType::C128 => "complex128",
            DType::DateTime(unit) => return format!("datetime64{}", unit.suffix()),
            DType::TimeDelta(unit) => return format!("timedelta64{}", unit.suffix()),
            DType::Foreign(Foreign::Object) => "object",
            DType::Foreign(_) => return self.descr(),
        };
        fixed.to_owned()
    }

    /// What `dtype.str` gives in NumPy on a little-endian machine: `<f8`, `|b1`, `<M8[25s]`, `|O`.
    pub fn descr(self) -> String {
        match self {
            DType::Bool | DType::I8 | DType::U8 => format!("|{}1", self.kind()),
            DType::DateTime(unit) => format!("<M8{}", unit.suffix()),
            DType::TimeDelta(unit) => format!("<m8{}", unit.suffix()),
            DType::Foreign(Foreign::Bytes(n)) => format!("|S{n}"),
            DType::Foreign(Foreign::Void(n)) => format!("|V{n}"),
            DType::Foreign(Foreign::Unicode(n)) => format!("<U{n}"),
            DType::Foreign(Foreign::Object) => "|O".to_owned(),
            number => format!("<{}{}", number.kind(), number.size()),
        }
    }

    /// Reads any of NumPy's spellings in native (or no) byte order. A swapped one is an error: see `parse_descr`.
    pub fn parse(text: &str) -> Result<DType, TypeError> {
        match DType::parse_descr(text)? {
            (dtype, false) => Ok(dtype),
            (_, true) => Err(TypeError::UnsupportedDType {
                text: text.to_owned(),
                reason: "it is big-endian, and arrays are in native byte order; convert it while reading",
            }),
        }
    }

    /// Reads any of NumPy's spellings; the flag says whether the bytes are in swapped (big-endian) order.
    pub fn parse_descr(text: &str) -> Result<(DType, bool), TypeError> {
        let unknown = || TypeError::UnknownDType { text: text.to_owned() };
        if let Some(dtype) = named(text) {
            return Ok((dtype, false));
        }
        if let Some(reason) = unsupported(text) {
            return Err(TypeError::UnsupportedDType { text: text.to_owned(), reason });
        }
        for (long, short) in [("datetime64", "M8"), ("timedelta64", "m8")] {
            if let Some(rest) = text.strip_prefix(long) {
                return Ok((time(short, rest, text)?, false));
            }
        }
        let (swapped, body) = match text.as_bytes().first() {
            Some(b'>' | b'!') => (true, &text[1..]),
            Some(b'<' | b'=' | b'|') => (false, &text[1..]),
            _ => (false, text),
        };
        if let Some(reason) = unsupported(body) {
            return Err(TypeError::UnsupportedDType { text: text.to_owned(), reason });
        }
        let dtype = coded(body, text)?.ok_or_else(unknown)?;
        // Byte order says nothing about single bytes, and nothing about references.
        let orderless =
            matches!(dtype, DType::Foreign(Foreign::Bytes(_) | Foreign::Void(_) | Foreign::Object));
        Ok((dtype, swapped && dtype.alignment() > 1 && !orderless))
    }
}

/// Names that stand for themselves: no byte order, no length.
fn named(text: &str) -> Option<DType> {
    Some(match text {
        "bool" | "bool_" => DType::Bool,
        "int8" | "byte" => DType::I8,
        "int16" | "short" => DType::I16,
        "int32" | "intc" => DType::I32,
        "int64" | "int" | "int_" | "intp" | "long" | "longlong" => DType::I64,
        "uint8" | "ubyte" => DType::U8,
        "uint16" | "ushort" => DType::U16,
        "uint32" | "uintc" => DType::U32,
        "uint64" | "uint" | "uintp" | "ulong" | "ulonglong" => DType::U64,
        "float16" | "half" => DType::F16,
        "float32" | "single" => DType::F32,
        "float64" | "float" | "double" => DType::F64,
        "complex64" | "csingle" => DType::C64,
        "complex128" | "complex" | "cdouble" => DType::C128,
        "object" | "object_" => DType::OBJECT,
        "str" | "str_" => DType::Foreign(Foreign::Unicode(0)),
        "bytes" | "bytes_" => DType::Foreign(Foreign::Bytes(0)),
        "void" => DType::Foreign(Foreign::Void(0)),
        _ => return None,
    })
}

/// What NumPy understands and this engine does not, with the reason.
fn unsupported(text: &str) -> Option<&'static str> {
    match text {
        "longdouble" | "clongdouble" | "float128" | "float96" | "complex256" | "complex192" | "g" | "G"
        | "f16" | "f12" | "c32" | "c24" => {
            Some("extended precision differs from machine to machine and has no vector instructions")
        }
        _ if text.contains([',', '(', '{']) => {
            Some("structured data types and subarrays have no native form")
        }
        _ => None,
    }
}

/// Character codes, without byte order: `f8`, `d`, `M8[ns]`, `U5`.
fn coded(body: &str, text: &str) -> Result<Option<DType>, TypeError> {
    let mut chars = body.chars();
    let Some(kind) = chars.next() else { return Ok(None) };
    let rest = chars.as_str();
    if matches!(kind, 'M' | 'm') && (rest.is_empty() || rest.starts_with(['8', '['])) {
        return time(&body[..1], rest.strip_prefix('8').unwrap_or(rest), text).map(Some);
    }
    if rest.is_empty() {
        return Ok(Some(match kind {
            '?' => DType::Bool,
            'b' => DType::I8,
            'h' => DType::I16,
            'i' => DType::I32,
            'l' | 'q' | 'p' | 'n' => DType::I64,
            'B' => DType::U8,
            'H' => DType::U16,
            'I' => DType::U32,
            'L' | 'Q' | 'P' | 'N' => DType::U64,
            'e' => DType::F16,
            'f' => DType::F32,
            'd' => DType::F64,
            'F' => DType::C64,
            'D' => DType::C128,
            'O' => DType::OBJECT,
            'c' => DType::Foreign(Foreign::Bytes(1)),
            'S' => DType::Foreign(Foreign::Bytes(0)),
            'U' => DType::Foreign(Foreign::Unicode(0)),
            'V' => DType::Foreign(Foreign::Void(0)),
            _ => return Ok(None),
        }));
    }
    if !rest.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    // NumPy's element sizes are C ints.
    let Some(size) = rest.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32) else { return Ok(None) };
    Ok(match kind {
        'S' => Some(DType::Foreign(Foreign::Bytes(size))),
        'U' if size <= i32::MAX as u32 / 4 => Some(DType::Foreign(Foreign::Unicode(size))),
        'V' => Some(DType::Foreign(Foreign::Void(size))),
        'O' if matches!(size, 4 | 8) => Some(DType::OBJECT),
        'b' | 'i' | 'u' | 'f' | 'c' => {
            DType::NUMERIC.into_iter().find(|d| d.kind() == kind && d.size() == size as usize)
        }
        _ => None,
    })
}

/// A datetime (`M8`, `M`) or timedelta (`m8`, `m`) with what follows its name: nothing, or a unit in brackets.
fn time(code: &str, rest: &str, text: &str) -> Result<DType, TypeError> {
    let unit = if rest.is_empty() {
        TimeUnit::GENERIC
    } else {
        rest.strip_prefix('[')
            .and_then(|r| r.strip_suffix(']'))
            .and_then(TimeUnit::parse)
            .ok_or_else(|| TypeError::BadUnit { text: text.to_owned() })?
    };
    Ok(if code.starts_with('M') { DType::DateTime(unit) } else { DType::TimeDelta(unit) })
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for DType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<DType, TypeError> {
        DType::parse(text)
    }
}

impl From<ScalarType> for DType {
    fn from(scalar: ScalarType) -> DType {
        DType::from_scalar(scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spelling, `str(dtype)`, `dtype.str`, swapped; as NumPy 2.4 prints them.
    const SPELLINGS: &[(&str, &str, &str, bool)] = &[
        ("f8", "float64", "<f8", false),
        (">f8", "float64", "<f8", true),
        (">i1", "int8", "|i1", false),
        (">b1", "bool", "|b1", false),
        ("|b1", "bool", "|b1", false),
        ("?", "bool", "|b1", false),
        ("b", "int8", "|i1", false),
        ("=i4", "int32", "<i4", false),
        ("|i4", "int32", "<i4", false),
        ("float", "float64", "<f8", false),
        ("half", "float16", "<f2", false),
        ("D", "complex128", "<c16", false),
        (">c8", "complex64", "<c8", true),
        ("M8", "datetime64", "<M8", false),
        ("M8[25s]", "datetime64[25s]", "<M8[25s]", false),
        ("m8[ns]", "timedelta64[ns]", "<m8[ns]", false),
        (">M8[s]", "datetime64[s]", "<M8[s]", true),
        ("datetime64[10Y]", "datetime64[10Y]", "<M8[10Y]", false),
        ("timedelta64", "timedelta64", "<m8", false),
        ("M8[generic]", "datetime64", "<M8", false),
        ("S5", "|S5", "|S5", false),
        (">S3", "|S3", "|S3", false),
        ("U5", "<U5", "<U5", false),
        (">U3", "<U3", "<U3", true),
        ("V8", "|V8", "|V8", false),
        ("O", "object", "|O", false),
        ("|O", "object", "|O", false),
        ("str", "<U0", "<U0", false),
        ("c", "|S1", "|S1", false),
    ];

    #[test]
    fn spellings_mean_what_numpy_says() {
        for (text, name, descr, swapped) in SPELLINGS {
            let (dtype, is_swapped) = DType::parse_descr(text).unwrap();
            assert_eq!(
                (dtype.name().as_str(), dtype.descr().as_str(), is_swapped),
                (*name, *descr, *swapped),
                "{text}"
            );
            assert_eq!(DType::parse(name).unwrap(), dtype, "{text}");
            assert_eq!(DType::parse(descr).unwrap(), dtype, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_valid_names() {
        for text in [
            "",
            "<",
            "f10",
            "i3",
            "b8",
            "float_",
            "f8 ",
            "string",
            "Float64",
            "M9",
            "O3",
            "é8",
            "<é",
            "U999999999",
        ] {
            let error = DType::parse(text).unwrap_err();
            assert!(matches!(error, TypeError::UnknownDType { .. }), "{text}: {error}");
            assert!(error.to_string().contains("complex128, datetime64[unit]"), "{error}");
        }
        for text in ["M8[3]", "M8[]", "M8[s", "M8[0s]", "M8[-1s]", "datetime64ns", "m8[x]", "m8[2generic]"] {
            assert!(matches!(DType::parse(text), Err(TypeError::BadUnit { .. })), "{text}");
        }
        for text in ["longdouble", "float128", ">f16", "G", "(2,)f8", "f8,f8", ">f8"] {
            assert!(matches!(DType::parse(text), Err(TypeError::UnsupportedDType { .. })), "{text}");
        }
    }

    #[test]
    fn sizes_and_alignments() {
        let rows: Vec<String> = ["?", "f2", "c8", "c16", "M8[s]", "S5", "U5", "V6", "O"]
            .iter()
            .map(|t| {
                DType::parse(t)
                    .map(|d| format!("{} {} {} {}", d.descr(), d.kind(), d.itemsize(), d.alignment()))
                    .unwrap()
            })
            .collect();
        assert_eq!(
            rows.join("\n"),
            "|b1 b 1 1\n<f2 f 2 2\n<c8 c 8 4\n<c16 c 16 8\n<M8[s] M 8 8\n|S5 S 5 1\n<U5 U 20 4\n|V6 V 6 1\n|O O 8 8"
        );
    }

    #[test]
    fn no_short_text_breaks_the_parser() {
        let letters = ['<', '>', '|', 'M', 'm', 'f', 'U', '8', '0', '[', 's', ']', 'é'];
        let mut understood = 0;
        for n in 0..letters.len().pow(5) {
            let text: String = (0..5).map(|i| letters[n / letters.len().pow(i) % letters.len()]).collect();
            for end in text.char_indices().map(|(i, _)| i) {
                if let Ok((dtype, _)) = DType::parse_descr(&text[end..]) {
                    understood += 1;
                    assert_eq!(DType::parse(&dtype.name()), Ok(dtype));
                    assert_eq!(DType::parse(&dtype.descr()), Ok(dtype));
                }
            }
        }
        assert!(understood > 1000, "{understood}");
    }
}
