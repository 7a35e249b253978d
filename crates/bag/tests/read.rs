//! Reading: lines, compression, damaged files, cutting into blocks. A fixed number of runs.

use pantile_bag::Error;
use pantile_bag::lines::{Delimiter, Encoding, Invalid, decode, split};
use pantile_bag::read::{Compression, cut, decompress_bytes, read};
use proptest::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};

const ALL: [Compression; 4] = [Compression::Gzip, Compression::Bz2, Compression::Xz, Compression::Zstd];

fn compress(bytes: &[u8], how: Compression) -> Vec<u8> {
    match how {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        }
        Compression::Bz2 => {
            let mut w = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        }
        Compression::Xz => {
            let mut w = liblzma::write::XzEncoder::new(Vec::new(), 1);
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        }
        Compression::Zstd => {
            let mut w = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            w.include_checksum(true).unwrap();
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        }
    }
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pantile-bag-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn lines(text: &str, delimiter: &Delimiter) -> Vec<String> {
    split(text.to_owned(), delimiter, false).iter().map(str::to_owned).collect()
}

/// The plain way to find universal lines.
fn naive(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split_inclusive('\n').map(str::to_owned).collect()
}

#[test]
fn concatenated_streams_are_one_file() {
    for how in ALL {
        let mut bytes = compress(b"one\n", how);
        bytes.extend(compress(b"", how));
        bytes.extend(compress(b"two\n", how));
        let path = file(&format!("joined-{how:?}"), &bytes);
        assert_eq!(read(&path, 0, None, how).unwrap(), b"one\ntwo\n", "{how:?}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_python_ignores_behind_a_stream_is_ignored() {
    let mut gz = compress(b"one\n", Compression::Gzip);
    gz.extend([0; 700]);
    assert_eq!(decompress_bytes(&gz, Compression::Gzip, Path::new("x")).unwrap(), b"one\n");
    gz.extend(b"rubbish that is no member");
    assert!(matches!(
        decompress_bytes(&gz, Compression::Gzip, Path::new("x")),
        Err(Error::Corrupt { kind: "gzip", .. })
    ));
    let mut bz = compress(b"one\n", Compression::Bz2);
    bz.extend(b"rubbish");
    assert_eq!(decompress_bytes(&bz, Compression::Bz2, Path::new("x")).unwrap(), b"one\n");
}

#[test]
fn a_truncated_file_says_so_at_every_length() {
    for how in ALL {
        let whole = compress("some text that is long enough\n".repeat(40).as_bytes(), how);
        for n in 1..whole.len() {
            match decompress_bytes(&whole[..n], how, Path::new("the-file")) {
                Err(Error::Truncated { path, offset, .. }) => {
                    assert_eq!(path, Path::new("the-file"));
                    assert!(offset <= n as u64);
                }
                other => panic!("{how:?} cut to {n} of {}: {other:?}", whole.len()),
            }
        }
    }
}

#[test]
fn blocks_are_read_alone() {
    let path = file("blocks", b"one\ntwo\nthree\n");
    assert_eq!(read(&path, 4, Some(8), Compression::None).unwrap(), b"two\n");
    assert_eq!(read(&path, 8, None, Compression::None).unwrap(), b"three\n");
    assert_eq!(read(&path, 80, Some(90), Compression::None).unwrap(), b"");
    assert!(matches!(read(&path, 4, Some(8), Compression::Gzip), Err(Error::Argument(_))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(read(&path, 0, None, Compression::None), Err(Error::Io { .. })));
}

#[test]
fn lines_end_where_python_ends_them() {
    let text = "a\r\nb\rc\n\nd";
    assert_eq!(lines(text, &Delimiter::Universal), ["a\n", "b\n", "c\n", "\n", "d"]);
    assert_eq!(lines(text, &Delimiter::Text("\n".into())), ["a\r\n", "b\rc\n", "\n", "d"]);
    assert_eq!(lines("a;;b;;;c", &Delimiter::Text(";;".into())), ["a;;", "b;;", ";c"]);
    assert_eq!(lines("", &Delimiter::Universal), Vec::<String>::new());
    let stripped = split("a\n\nüb".into(), &Delimiter::Universal, true);
    assert_eq!(stripped.iter().collect::<Vec<_>>(), ["a", "", "üb"]);
}

#[test]
fn invalid_bytes_are_found() {
    let bytes = b"caf\xc3\xa9 \xff\xfe x".to_vec();
    match decode(bytes.clone(), Encoding::Utf8, Invalid::Strict) {
        Err(Error::Decode { at: 6, window, within, .. }) => assert_eq!(window[within], 0xff),
        other => panic!("{other:?}"),
    }
    assert_eq!(decode(bytes.clone(), Encoding::Utf8, Invalid::Replace).unwrap(), "café \u{fffd}\u{fffd} x");
    assert_eq!(decode(bytes.clone(), Encoding::Utf8, Invalid::Ignore).unwrap(), "café  x");
    assert_eq!(decode(bytes.clone(), Encoding::Latin1, Invalid::Strict).unwrap(), "cafÃ© ÿþ x");
    assert_eq!(decode(bytes, Encoding::Ascii, Invalid::Ignore).unwrap(), "caf  x");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compressed_is_what_it_was(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        for how in ALL {
            prop_assert_eq!(&decompress_bytes(&compress(&bytes, how), how, Path::new("x")).unwrap(), &bytes);
        }
    }

    /// A flipped bit gives an error or, where it is in a field that says nothing about the data, the data.
    #[test]
    fn damaged_never_panics_nor_lies(text in "[a-z\n]{1,400}", at in any::<prop::sample::Index>(), bit in 0..8u8) {
        for how in ALL {
            let mut bytes = compress(text.as_bytes(), how);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(read) = decompress_bytes(&bytes, how, Path::new("x")) {
                prop_assert!(read == text.as_bytes(), "{:?} byte {}", how, at);
            }
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for how in ALL {
            let _ = decompress_bytes(&bytes, how, Path::new("x"));
        }
    }

    #[test]
    fn universal_lines(text in "[ab\r\né]{0,40}") {
        prop_assert_eq!(lines(&text, &Delimiter::Universal), naive(&text));
    }

    #[test]
    fn replaced_text_is_the_standard_librarys(bytes in prop::collection::vec(prop_oneof![0x60..0x70u8, any::<u8>()], 0..40)) {
        let text = decode(bytes.clone(), Encoding::Utf8, Invalid::Replace).unwrap();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    /// Blocks make up the file, end behind delimiters, and their lines are the file's lines.
    #[test]
    fn blocks_keep_lines_whole(text in "[a;\n]{0,60}", block in 1..20u64, two in any::<bool>()) {
        let delimiter = if two { ";;" } else { "\n" };
        let path = file("cut", text.as_bytes());
        let ranges = cut(&path, block, delimiter.as_bytes()).unwrap();
        let mut at = 0;
        let mut all = Vec::new();
        for &(from, to) in &ranges {
            prop_assert_eq!(from, at);
            prop_assert!(to > from);
            prop_assert!(to == text.len() as u64 || text[..to as usize].ends_with(delimiter));
            let bytes = read(&path, from, Some(to), Compression::None).unwrap();
            let part = decode(bytes, Encoding::Utf8, Invalid::Strict).unwrap();
            all.extend(lines(&part, &Delimiter::Text(delimiter.into())));
            at = to;
        }
        prop_assert_eq!(at, text.len() as u64);
        // With `;;`, a run of three may be cut differently; the text is the same.
        prop_assert_eq!(all.concat(), text.clone());
        if !two {
            prop_assert_eq!(all, lines(&text, &Delimiter::Text("\n".into())));
        }
        std::fs::remove_file(path).unwrap();
    }
}
