//! Reading HDF5 datasets written by h5py: every layout and filter, regions with steps, and damaged files.

mod common;

use std::path::PathBuf;

use common::{Box, data, element, manifest, numbers, regions, values};
use pantile_io::hdf5::{ChunkEntry, ChunkedLayout, ContiguousLayout, Reader};
use pantile_io::{ChunkFault, Error, Family, Filter};
use serde_json::Value;

fn chunked_layout(entry: &Value) -> ChunkedLayout {
    let filter = |filter: &Value| match filter["id"].as_u64().unwrap() {
        1 => Filter::Gzip,
        2 => Filter::Shuffle { elem: filter["elem"].as_u64().unwrap() as usize },
        3 => Filter::Fletcher32,
        32000 => Filter::Lzf,
        id => Filter::Unsupported { id: id as u32, name: filter["name"].to_string() },
    };
    let chunk = |chunk: &Value| {
        let location = ChunkEntry {
            offset: chunk["offset"].as_u64().unwrap(),
            stored_bytes: chunk["stored"].as_u64().unwrap(),
            filter_mask: chunk["mask"].as_u64().unwrap() as u32,
        };
        (numbers(&chunk["coords"]), location)
    };
    ChunkedLayout {
        path: data(entry["file"].as_str().unwrap()),
        dataset: entry["dataset"].as_str().unwrap().to_string(),
        shape: numbers(&entry["shape"]),
        chunk_shape: numbers(&entry["chunk_shape"]),
        element: element(entry),
        filters: entry["filters"].as_array().unwrap().iter().map(filter).collect(),
        fill_value: numbers(&entry["fill"]).into_iter().map(|byte| byte as u8).collect(),
        chunks: entry["chunks"].as_array().unwrap().iter().map(chunk).collect(),
    }
}

fn open(entry: &Value) -> Reader {
    if entry["chunk_shape"].is_array() {
        return Reader::chunked(chunked_layout(entry)).unwrap();
    }
    Reader::contiguous(ContiguousLayout {
        path: data(entry["file"].as_str().unwrap()),
        dataset: entry["dataset"].as_str().unwrap().to_string(),
        shape: numbers(&entry["shape"]),
        element: element(entry),
        offset: entry["contiguous_offset"].as_u64(),
        fill_value: numbers(&entry["fill"]).into_iter().map(|byte| byte as u8).collect(),
    })
    .unwrap()
}

fn find(file: &str, dataset: &str) -> Value {
    let found =
        manifest("hdf5").into_iter().find(|entry| entry["file"] == file && entry["dataset"] == dataset);
    found.unwrap()
}

#[test]
fn every_dataset_reads_as_h5py_reads_it() {
    for entry in manifest("hdf5") {
        let reader = open(&entry);
        let (shape, itemsize) = (reader.shape().to_vec(), reader.element().itemsize);
        let values = values(&entry);
        for region in regions(&shape, 30) {
            let found = reader.read_region_vec(&region.start, &region.step, &region.count).unwrap();
            let wanted = region.slice(&values, &shape, itemsize);
            assert_eq!(found, wanted, "{} {} {region:?}", entry["file"], entry["dataset"]);
        }
    }
}

#[test]
fn a_region_lands_in_strided_memory_and_nowhere_else() {
    for name in ["/plain", "/gzip_shuffle", "/contiguous_big_endian", "/missing_chunks"] {
        let entry = find("earliest.h5", name);
        let reader = open(&entry);
        let itemsize = reader.element().itemsize;
        let region = Box { start: vec![1, 2], step: vec![2, 1], count: vec![4, 9] };
        let region = if reader.shape().len() == 2 { region } else { continue };
        let wanted = region.slice(&values(&entry), reader.shape(), itemsize);
        // Transposed, rows backwards, with a gap after each element, inside a buffer of guard bytes.
        let item = itemsize as isize;
        let strides = [-2 * item, 8 * item];
        let mut buffer = vec![0xcc; itemsize * (8 * 9 + 8)];
        let origin = 6 * itemsize;
        // SAFETY: the elements lie at 6 - 2·row + 8·column with row < 4 and column < 9, inside the buffer.
        unsafe {
            let out = buffer.as_mut_ptr().add(origin);
            reader.read_region(&region.start, &region.step, &region.count, out, &strides).unwrap();
        }
        let mut used = vec![false; buffer.len()];
        for (number, index) in region.indices().into_iter().enumerate() {
            let at = origin + (8 * index[1] * itemsize as u64) as usize - (2 * index[0]) as usize * itemsize;
            assert_eq!(
                buffer[at..at + itemsize],
                wanted[number * itemsize..][..itemsize],
                "{name} {index:?}"
            );
            used[at..at + itemsize].fill(true);
        }
        let guards = buffer.iter().zip(used).filter(|(_, used)| !used);
        assert!(guards.into_iter().all(|(&byte, _)| byte == 0xcc), "{name} wrote outside its elements");
    }
}

#[test]
fn many_threads_read_one_reader() {
    let entry = find("earliest.h5", "/gzip_shuffle_fletcher32_big_endian");
    let reader = open(&entry);
    let values = values(&entry);
    let shape = reader.shape().to_vec();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for region in regions(&shape, 40) {
                    let found = reader.read_region_vec(&region.start, &region.step, &region.count).unwrap();
                    assert_eq!(found, region.slice(&values, &shape, 4));
                }
            });
        }
    });
}

#[test]
fn large_contiguous_data_read_the_same_by_every_route() {
    // Long runs go straight into the output, dense short ones through the buffer in groups, sparse ones singly.
    let shape = [300u64, 40, 50];
    let values: Vec<u8> = (0..300u32 * 40 * 50).flat_map(u32::to_ne_bytes).collect();
    let path = std::env::temp_dir().join(format!("pantile-io-{}-large.bin", std::process::id()));
    std::fs::write(&path, [&[0; 3], values.as_slice()].concat()).unwrap();
    let reader = Reader::contiguous(ContiguousLayout {
        path: path.clone(),
        dataset: "/x".into(),
        shape: shape.to_vec(),
        element: pantile_io::ElementLayout::number(4, cfg!(target_endian = "big")),
        offset: Some(3),
        fill_value: vec![0; 4],
    })
    .unwrap();
    for (start, step, count) in [
        ([0, 0, 0], [1, 1, 1], [300, 40, 50]),
        ([1, 0, 0], [1, 1, 1], [299, 40, 49]),
        ([0, 3, 0], [1, 1, 1], [300, 2, 50]),
        ([0, 3, 7], [1, 1, 1], [300, 1, 1]),
        ([5, 1, 2], [7, 3, 4], [42, 13, 12]),
        ([299, 39, 49], [1000, 1000, u64::MAX], [1, 1, 1]),
        ([0, 0, 0], [150, 1, 1], [2, 40, 50]),
        ([0, 0, 0], [1, 39, 1], [300, 2, 50]),
    ] {
        let region = Box { start: start.to_vec(), step: step.to_vec(), count: count.to_vec() };
        let found = reader.read_region_vec(&start, &step, &count).unwrap();
        assert!(found == region.slice(&values, &shape, 4), "{region:?}");
    }
    std::fs::remove_file(path).unwrap();
}

/// A copy of a fixture, damaged by `damage`, and removed at the end.
struct Damaged(PathBuf);

impl Damaged {
    fn new(source: &str, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Self {
        let path = std::env::temp_dir().join(format!("pantile-io-{}-{name}.h5", std::process::id()));
        let mut bytes = std::fs::read(data(source)).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read_all(layout: ChunkedLayout) -> Result<Vec<u8>, Error> {
    let region = Box::all(&layout.shape);
    Reader::chunked(layout)?.read_region_vec(&region.start, &region.step, &region.count)
}

#[test]
fn a_flipped_bit_names_file_dataset_and_chunk() {
    for (dataset, fault) in
        [("/gzip", "gzip"), ("/fletcher32", "fletcher32"), ("/lzf_of_noise", "fletcher32")]
    {
        let mut layout = chunked_layout(&find("earliest.h5", dataset));
        let (coords, entry) = layout.chunks[4].clone();
        let damaged = Damaged::new("earliest.h5", &dataset[1..], |bytes| {
            bytes[(entry.offset + entry.stored_bytes / 2) as usize] ^= 0x10;
        });
        layout.path = damaged.0.clone();
        let error = read_all(layout).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.family(), Family::User);
        for part in [fault, dataset, &format!("{coords:?}"), &damaged.0.display().to_string()] {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }
}

#[test]
fn a_truncated_file_names_the_chunk_and_the_sizes() {
    let mut layout = chunked_layout(&find("earliest.h5", "/gzip"));
    let end = layout.chunks.iter().map(|(_, entry)| entry.offset + entry.stored_bytes).max().unwrap();
    let damaged = Damaged::new("earliest.h5", "truncated", |bytes| bytes.truncate(end as usize - 1));
    layout.path = damaged.0.clone();
    let error = read_all(layout.clone()).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    assert!(error.to_string().contains("chunk [") && error.to_string().contains("/gzip"), "{error}");
    // The same when the file shrinks while it is open.
    let whole = Damaged::new("earliest.h5", "shrinking", |_| {});
    layout.path = whole.0.clone();
    let region = Box::all(&layout.shape);
    let reader = Reader::chunked(layout).unwrap();
    std::fs::File::options().write(true).open(&whole.0).unwrap().set_len(end - 1).unwrap();
    let error = reader.read_region_vec(&region.start, &region.step, &region.count).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
}

#[test]
fn a_truncated_contiguous_dataset_is_refused_when_opened() {
    let entry = find("earliest.h5", "/contiguous");
    let offset = entry["contiguous_offset"].as_u64().unwrap();
    let damaged = Damaged::new("earliest.h5", "contiguous", |bytes| bytes.truncate(offset as usize + 100));
    let error = Reader::contiguous(ContiguousLayout {
        path: damaged.0.clone(),
        dataset: "/contiguous".into(),
        shape: vec![4, 5, 6],
        element: element(&entry),
        offset: Some(offset),
        fill_value: vec![0; 8],
    })
    .unwrap_err();
    assert!(error.to_string().contains("needs bytes"), "{error}");
}

#[test]
fn wrong_lengths_and_missing_files_are_errors() {
    let good = chunked_layout(&find("earliest.h5", "/gzip"));
    let mut layout = good.clone();
    layout.chunk_shape = vec![4, 6];
    let Error::CorruptChunk { fault, .. } = read_all(layout).unwrap_err() else { panic!("another error") };
    assert!(matches!(*fault, ChunkFault::Length { expected: 96, found: 80, .. }), "{fault}");
    let mut layout = good.clone();
    layout.chunks[0].1.stored_bytes = 1 << 60;
    assert!(matches!(read_all(layout).unwrap_err(), Error::Truncated { .. }));
    let mut layout = good.clone();
    layout.chunks[0].1.offset = u64::MAX;
    assert!(matches!(read_all(layout).unwrap_err(), Error::Truncated { .. }));
    let mut layout = good.clone();
    layout.path = data("no such file.h5");
    let error = read_all(layout).unwrap_err();
    assert!(error.io_error().is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound), "{error}");
    let mut layout = good.clone();
    layout.path = data("");
    assert_eq!(read_all(layout).unwrap_err().family(), Family::User);
}

#[test]
fn contradictory_metadata_are_refused() {
    let good = chunked_layout(&find("earliest.h5", "/gzip"));
    let refuse = |change: &dyn Fn(&mut ChunkedLayout)| {
        let mut layout = good.clone();
        change(&mut layout);
        let error = Reader::chunked(layout).unwrap_err();
        assert!(matches!(error, Error::Metadata { .. } | Error::Unsupported { .. }), "{error}");
        error.family()
    };
    refuse(&|layout| layout.chunk_shape = vec![0, 5]);
    refuse(&|layout| layout.chunk_shape = vec![5]);
    refuse(&|layout| layout.chunk_shape = vec![1 << 40, 1 << 40]);
    refuse(&|layout| layout.shape = vec![1 << 40, 1 << 40]);
    refuse(&|layout| layout.element.itemsize = 0);
    refuse(&|layout| layout.element.swap_unit = 3);
    refuse(&|layout| layout.fill_value = vec![0; 3]);
    refuse(&|layout| layout.chunks[1].0 = vec![99, 0]);
    refuse(&|layout| layout.chunks[1] = layout.chunks[0].clone());
    let family = refuse(&|layout| layout.filters = vec![Filter::Unsupported { id: 4, name: "szip".into() }]);
    assert_eq!(family, Family::Unsupported);
}

#[test]
fn a_region_outside_the_array_says_what_fits() {
    let reader = open(&find("earliest.h5", "/gzip"));
    let message = reader.read_region_vec(&[0, 10], &[1, 1], &[11, 4]).unwrap_err().to_string();
    assert!(message.contains("[11, 13]") && message.contains("axis 1"), "{message}");
    assert!(reader.read_region_vec(&[0], &[1], &[1]).is_err());
    assert_eq!(reader.stored_bytes(&[0, 0], &[1, 1], &[0, 0]).unwrap(), 0);
    let all = reader.stored_bytes(&[0, 0], &[1, 1], &[11, 13]).unwrap();
    let one = reader.stored_bytes(&[0, 0], &[1, 1], &[4, 5]).unwrap();
    assert!(0 < one && one < all);
}
