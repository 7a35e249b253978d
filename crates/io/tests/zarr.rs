//! Zarr arrays written by zarr-python read here, arrays written here read by zarr-python, and stores that are damaged.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Box, data, element, manifest, numbers, regions, values};
use pantile_io::zarr::ZarrArray;
use pantile_io::zarr_create::{BloscShuffle, Compressor, ZarrSpec, ZarrWriter};
use pantile_io::{Error, Family};

fn packed(count: &[u64], itemsize: usize) -> (Vec<isize>, usize) {
    let mut strides = vec![0; count.len()];
    let mut len = itemsize as isize;
    for axis in (0..count.len()).rev() {
        strides[axis] = len;
        len *= count[axis] as isize;
    }
    (strides, len as usize)
}

fn read(array: &ZarrArray, start: &[u64], count: &[u64]) -> Result<Vec<u8>, Error> {
    let (strides, len) = packed(count, array.element().itemsize);
    let mut bytes = vec![0xcc; len];
    // SAFETY: the buffer holds the packed region.
    unsafe { array.read_region(start, count, bytes.as_mut_ptr(), &strides)? };
    Ok(bytes)
}

fn write(array: &ZarrArray, start: &[u64], count: &[u64], bytes: &[u8]) -> Result<(), Error> {
    let (strides, len) = packed(count, array.element().itemsize);
    assert_eq!(bytes.len(), len);
    // SAFETY: the bytes are the packed region.
    unsafe { array.write_region(start, count, bytes.as_ptr(), &strides) }
}

#[test]
fn every_array_reads_as_zarr_python_reads_it() {
    let store = data("arrays.zarr");
    for entry in manifest("zarr") {
        let name = entry["name"].as_str().unwrap();
        let array = ZarrArray::open(&store, name).unwrap();
        let shape = numbers(&entry["shape"]);
        let (chunks, shards) = (numbers(&entry["chunks"]), &entry["shards"]);
        assert_eq!(array.shape(), shape);
        assert_eq!(u64::from(array.format()), entry["format"].as_u64().unwrap());
        if shards.is_array() {
            assert_eq!(array.chunk_shape(), numbers(shards));
            assert_eq!(array.inner_chunk_shape(), Some(chunks.as_slice()));
        } else {
            assert_eq!((array.chunk_shape(), array.inner_chunk_shape()), (chunks.as_slice(), None));
        }
        assert_eq!(array.element(), element(&entry), "{name}");
        let values = values(&entry);
        for mut region in regions(&shape, 12) {
            region.step.fill(1);
            let wanted = region.slice(&values, &shape, array.element().itemsize);
            assert_eq!(read(&array, &region.start, &region.count).unwrap(), wanted, "{name} {region:?}");
        }
        let attributes: serde_json::Value = serde_json::from_str(&array.attributes_json()).unwrap();
        assert_eq!(attributes, serde_json::json!({"units": "K", "level": 2}));
    }
    assert_eq!(ZarrArray::open(&store, "/v2/big_endian").unwrap().descr(), "<f4");
    assert_eq!(ZarrArray::open(&store, "v3/datetime").unwrap().descr(), "<M8[s]");
    assert_eq!(ZarrArray::open(&store, "v2/missing").unwrap().fill_value(), (-1.5f64).to_ne_bytes());
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pantile-io-zarr-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn spec(descr: &str, itemsize: usize, format: u8) -> ZarrSpec {
    ZarrSpec {
        shape: vec![5, 7],
        chunks: vec![2, 3],
        shards: None,
        descr: descr.into(),
        fill_value: vec![0; itemsize],
        compressor: None,
        format,
        overwrite: false,
        attributes_json: r#"{"units": "K"}"#.into(),
    }
}

/// The numbers from 0 to 34 as elements of a type.
fn counting(descr: &str) -> Vec<u8> {
    let half = |n: u32| half::f16::from_f32(n as f32).to_ne_bytes().to_vec();
    let one = |n: u32| match &descr[1..] {
        "b1" => vec![(n % 2) as u8],
        "i1" | "u1" => vec![n as u8],
        "i2" | "u2" => (n as u16).to_ne_bytes().to_vec(),
        "i4" | "u4" => n.to_ne_bytes().to_vec(),
        "f2" => half(n),
        "f4" => (n as f32).to_ne_bytes().to_vec(),
        "f8" => f64::from(n).to_ne_bytes().to_vec(),
        "c8" => [(n as f32).to_ne_bytes(), [0; 4]].concat(),
        "c16" => [f64::from(n).to_ne_bytes(), [0; 8]].concat(),
        _ => u64::from(n).to_ne_bytes().to_vec(),
    };
    (0..35).flat_map(one).collect()
}

fn all_compressors() -> Vec<Option<Compressor>> {
    let blosc = |codec: &str, shuffle| Some(Compressor::Blosc { codec: codec.into(), level: 5, shuffle });
    vec![
        None,
        Some(Compressor::Gzip { level: 1 }),
        Some(Compressor::Zstd { level: 3 }),
        blosc("lz4", BloscShuffle::Byte),
        blosc("zstd", BloscShuffle::Bit),
        blosc("lz4hc", BloscShuffle::None),
        blosc("blosclz", BloscShuffle::Byte),
        blosc("zlib", BloscShuffle::Byte),
        Some(Compressor::Zlib { level: 1 }),
    ]
}

/// The project's virtual environment, or `None` on a machine without it.
fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    path.exists().then_some(path)
}

#[test]
fn what_is_written_here_reads_the_same_here_and_in_zarr_python() {
    let folder = Folder::new("written");
    // Format 2 and format 3 nodes do not mix in one hierarchy.
    for format in [2u8, 3] {
        let store = folder.0.join(format!("v{format}.zarr"));
        let mut specs = Vec::new();
        for (descr, itemsize) in [
            ("|b1", 1),
            ("|i1", 1),
            ("<u2", 2),
            ("<i4", 4),
            ("<i8", 8),
            ("<u8", 8),
            ("<f2", 2),
            ("<f4", 4),
            ("<f8", 8),
            ("<c8", 8),
            ("<c16", 16),
            ("<M8[ns]", 8),
            ("<m8[s]", 8),
        ] {
            specs.push((
                format!("types/{}", &descr[1..].replace(['[', ']'], "_")),
                spec(descr, itemsize, format),
            ));
        }
        for (number, compressor) in all_compressors().into_iter().enumerate() {
            if format == 3 && matches!(compressor, Some(Compressor::Zlib { .. })) {
                continue;
            }
            let plain = ZarrSpec { compressor, ..spec("<f8", 8, format) };
            if format == 3 {
                let sharded = ZarrSpec { shards: Some(vec![4, 6]), ..plain.clone() };
                specs.push((format!("sharded{number}"), sharded));
            }
            specs.push((format!("compressed{number}"), plain));
        }
        let fill_value = f64::NAN.to_ne_bytes().to_vec();
        specs.push(("partial".into(), ZarrSpec { fill_value, ..spec("<f8", 8, format) }));
        let how_many = specs.len();
        for (name, spec) in specs {
            let writer = ZarrWriter::create(&store, &name, &spec).unwrap();
            let values = counting(&spec.descr);
            let itemsize = writer.array().element().itemsize;
            if name == "partial" {
                let region = Box { start: vec![1, 2], step: vec![1, 1], count: vec![3, 4] };
                let part = region.slice(&values, &[5, 7], itemsize);
                write(writer.array(), &region.start, &region.count, &part).unwrap();
                let array = writer.finish().unwrap();
                assert_eq!(read(&array, &[1, 2], &[3, 4]).unwrap(), part);
                assert_eq!(read(&array, &[0, 0], &[1, 1]).unwrap(), f64::NAN.to_ne_bytes());
                continue;
            }
            write(writer.array(), &[0, 0], &[5, 7], &values).unwrap();
            let array = writer.finish().unwrap();
            assert_eq!(array.descr(), spec.descr);
            assert_eq!(read(&array, &[0, 0], &[5, 7]).unwrap(), values, "{name}");
        }
        let Some(python) = python() else { continue };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_zarr.py");
        let output = Command::new(python).arg(script).arg(&store).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains(&format!("{how_many} arrays agree")), "{said}");
    }
}

#[test]
fn threads_write_overlapping_chunks() {
    let folder = Folder::new("threads");
    let store = folder.0.join("x.zarr");
    for shards in [None, Some(vec![4, 6])] {
        let spec = ZarrSpec { shards, overwrite: true, ..spec("<i4", 4, 3) };
        let writer = ZarrWriter::create(&store, "x", &spec).unwrap();
        let values = counting("<i4");
        std::thread::scope(|scope| {
            for row in 0..5u64 {
                let (writer, values) = (&writer, &values);
                scope.spawn(move || {
                    for column in 0..7u64 {
                        let at = (row * 7 + column) as usize * 4;
                        write(writer.array(), &[row, column], &[1, 1], &values[at..at + 4]).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&writer.finish().unwrap(), &[0, 0], &[5, 7]).unwrap(), values);
    }
}

#[test]
fn chunks_are_written_whole() {
    let folder = Folder::new("chunks");
    let writer = ZarrWriter::create(&folder.0.join("x.zarr"), "", &spec("|u1", 1, 2)).unwrap();
    let array = writer.array();
    array.write_chunk(&[0, 0], &[1, 2, 3, 4, 5, 6]).unwrap();
    array.write_chunk(&[2, 2], &[9]).unwrap();
    assert_eq!(read(array, &[1, 1], &[1, 3]).unwrap(), [5, 6, 0]);
    assert_eq!(read(array, &[4, 5], &[1, 2]).unwrap(), [0, 9]);
    let message = array.write_chunk(&[2, 2], &[9, 9]).unwrap_err().to_string();
    assert!(message.contains("[1, 1]") && message.contains("chunk [2, 2]"), "{message}");
    assert!(array.write_chunk(&[3, 0], &[9]).unwrap_err().to_string().contains("[3, 3]"));
    assert!(array.write_chunk(&[u64::MAX, 0], &[9]).is_err());
}

#[test]
fn nothing_is_replaced_without_leave_and_nothing_partial_stays() {
    let folder = Folder::new("replace");
    let store = folder.0.join("x.zarr");
    let old = ZarrWriter::create(&store, "a", &spec("|u1", 1, 3)).unwrap();
    write(old.array(), &[0, 0], &[5, 7], &counting("|u1")).unwrap();
    let old = old.finish().unwrap();
    let error = ZarrWriter::create(&store, "a", &spec("|u1", 1, 3)).unwrap_err();
    assert!(error.to_string().contains("exists") && error.family() == Family::User, "{error}");
    let replace = ZarrSpec { overwrite: true, ..spec("<f8", 8, 3) };
    drop(ZarrWriter::create(&store, "a", &replace).unwrap());
    assert_eq!(read(&old, &[0, 0], &[5, 7]).unwrap(), counting("|u1"));
    let new = ZarrWriter::create(&store, "a", &replace).unwrap().finish().unwrap();
    assert_eq!(new.descr(), "<f8");
    let inside = Folder(store.clone());
    assert_eq!(inside.names(), ["a", "zarr.json"]);
    assert_eq!(folder.names(), ["x.zarr"]);
    // An array is no group, and a folder of other files is not ours to replace.
    assert!(ZarrWriter::create(&store, "a/b", &replace).unwrap_err().to_string().contains("not a group"));
    std::fs::create_dir(folder.0.join("papers")).unwrap();
    std::fs::write(folder.0.join("papers/letter"), "dear").unwrap();
    assert!(ZarrWriter::create(&folder.0.join("papers"), "", &replace).is_err());
    assert!(ZarrWriter::create(&folder.0, "../up", &replace).is_err());
}

#[test]
fn bad_specifications_are_refused_in_our_words() {
    let folder = Folder::new("refused");
    let refuse = |change: &dyn Fn(&mut ZarrSpec), words: &str| {
        let mut spec = spec("<f8", 8, 3);
        change(&mut spec);
        let message = ZarrWriter::create(&folder.0.join("x.zarr"), "a", &spec).unwrap_err().to_string();
        assert!(message.contains(words), "{message} lacks {words}");
    };
    refuse(&|spec| spec.chunks = vec![0, 3], "[0, 3]");
    refuse(&|spec| spec.chunks = vec![3], "[3]");
    refuse(&|spec| spec.shards = Some(vec![3, 3]), "whole numbers of chunks");
    refuse(&|spec| spec.chunks = vec![1 << 40, 1 << 40], "address space");
    refuse(&|spec| spec.format = 4, "2 or 3");
    refuse(&|spec| spec.fill_value = vec![0; 3], "3 bytes");
    refuse(&|spec| spec.descr = "|O".into(), "|O");
    refuse(&|spec| spec.compressor = Some(Compressor::Zlib { level: 1 }), "gzip");
    refuse(&|spec| spec.compressor = Some(Compressor::Gzip { level: 10 }), "0 to 9");
    refuse(&|spec| spec.attributes_json = "[]".into(), "attributes");
    let codec = "lzma".to_string();
    let blosc = Compressor::Blosc { codec, level: 5, shuffle: BloscShuffle::Byte };
    refuse(&|spec| spec.compressor = Some(blosc.clone()), "blosclz");
    let sharded_v2 = |spec: &mut ZarrSpec| {
        spec.format = 2;
        spec.shards = Some(vec![4, 6]);
    };
    refuse(&sharded_v2, "format 2 has no shards");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn damaged_chunks_name_store_array_and_chunk() {
    let folder = Folder::new("damaged");
    for (number, compressor) in all_compressors().into_iter().enumerate() {
        for shards in [None, Some(vec![4, 6])] {
            let format = if shards.is_some() { 3 } else { 2 };
            if format == 3 && matches!(compressor, Some(Compressor::Zlib { .. })) {
                continue;
            }
            let file = if shards.is_some() { "c/0/0" } else { "0.0" };
            let spec = ZarrSpec { compressor: compressor.clone(), shards, ..spec("<f8", 8, format) };
            let name = format!("a{number}v{format}");
            let writer = ZarrWriter::create(&folder.0, &name, &spec).unwrap();
            write(writer.array(), &[0, 0], &[5, 7], &counting("<f8")).unwrap();
            let array = writer.finish().unwrap();
            let path = folder.0.join(&name).join(file);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            let error = read(&array, &[0, 0], &[5, 7]).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.family(), Family::User, "{message}");
            assert!(message.contains(&name) && message.contains("chunk [0, 0]"), "{message}");
            std::fs::write(&path, b"").unwrap();
            assert!(read(&array, &[0, 0], &[5, 7]).is_err(), "{spec:?}");
            // The other chunks still read.
            let rest = Box { start: vec![4, 6], step: vec![1, 1], count: vec![1, 1] };
            let wanted = rest.slice(&counting("<f8"), &[5, 7], 8);
            assert_eq!(read(&array, &[4, 6], &[1, 1]).unwrap(), wanted);
        }
    }
}

#[test]
fn missing_stores_arrays_and_damaged_metadata() {
    let store = data("arrays.zarr");
    let message = ZarrArray::open(&store, "temperature").unwrap_err().to_string();
    assert!(message.contains("temperature") && message.contains("v2, v3"), "{message}");
    let error = ZarrArray::open(&data("nowhere.zarr"), "x").unwrap_err();
    assert!(error.io_error().is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound), "{error}");
    assert_eq!(ZarrArray::open(&data("f8.npy"), "x").unwrap_err().family(), Family::Unsupported);
    let folder = Folder::new("metadata");
    for text in ["", "{", "{}", "[]", r#"{"zarr_format": 3, "node_type": "array"}"#, r#"{"zarr_format": 9}"#]
    {
        std::fs::write(folder.0.join("zarr.json"), text).unwrap();
        assert!(ZarrArray::open(&folder.0, "").is_err(), "{text}");
    }
    let good = std::fs::read_to_string(store.join("v3/zstd/zarr.json")).unwrap();
    for (from, to) in [
        ("zstd", "brotli"),
        ("float64", "float1024"),
        ("regular", "irregular"),
        ("0.0", "\"zero\""),
        ("[\n    5,\n    7\n  ]", "[18446744073709551615, 18446744073709551615]"),
        ("[\n        3,\n        4\n      ]", "[0, 0]"),
        ("[\n        3,\n        4\n      ]", "[9223372036854775807, 9223372036854775807]"),
        ("[\n        3,\n        4\n      ]", "[3]"),
    ] {
        assert!(good.contains(from), "the fixture has changed: {good}");
        std::fs::write(folder.0.join("zarr.json"), good.replace(from, to)).unwrap();
        let error = ZarrArray::open(&folder.0, "").unwrap_err();
        assert!(error.to_string().contains(folder.0.to_str().unwrap()), "{from} {error}");
    }
}

#[test]
fn attributes_are_replaced_and_the_rest_stays() {
    let folder = Folder::new("attributes");
    for format in [2, 3] {
        let name = format!("v{format}");
        let mut array =
            ZarrWriter::create(&folder.0, &name, &spec("<M8[ns]", 8, format)).unwrap().finish().unwrap();
        write(&array, &[0, 0], &[5, 7], &counting("<M8[ns]")).unwrap();
        array.set_attributes_json(r#"{"title": "t"}"#).unwrap();
        assert!(array.set_attributes_json("3").is_err());
        let again = ZarrArray::open(&folder.0, &name).unwrap();
        assert_eq!(again.attributes_json(), r#"{"title":"t"}"#);
        assert_eq!((again.descr(), array.attributes_json()), ("<M8[ns]", again.attributes_json()));
        assert_eq!(read(&again, &[0, 0], &[5, 7]).unwrap(), counting("<M8[ns]"));
    }
}
