//! Random and mutated bytes for every parser: no panic, no allocation beyond what the input can justify, and either an error or
//! exactly the promised number of bytes. The number of cases is fixed; a failure prints the input that causes it.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;

use common::{data, manifest};
use pantile_io::hdf5::{ChunkEntry, ChunkedLayout, Reader};
use pantile_io::npy::{NpyFile, NpyHeader};
use pantile_io::zarr::ZarrArray;
use pantile_io::{ElementLayout, Filter};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// The system's allocator, which remembers the largest request of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Runs `work` and fails if one of its allocations exceeds `limit` bytes.
fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    LARGEST.with(|largest| largest.set(0));
    let result = work();
    let largest = LARGEST.with(Cell::get);
    assert!(largest <= limit, "an allocation of {largest} bytes");
    result
}

fn config(cases: u32) -> ProptestConfig {
    // Failures are printed; a file of seeds beside the tests would be one more thing to keep.
    let failure_persistence: Option<Box<dyn proptest::test_runner::FailurePersistence>> =
        Some(Box::new(FileFailurePersistence::Off));
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

/// A file that is removed at the end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let thread = std::thread::current().id();
        let path =
            std::env::temp_dir().join(format!("pantile-io-fuzz-{}-{thread:?}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn filters() -> impl Strategy<Value = Vec<Filter>> {
    let filter = prop_oneof![
        Just(Filter::Gzip),
        Just(Filter::Lzf),
        Just(Filter::Fletcher32),
        prop_oneof![0usize..20, Just(usize::MAX)].prop_map(|elem| Filter::Shuffle { elem }),
    ];
    prop::collection::vec(filter, 0..4)
}

/// Small numbers mostly, and the ones at which arithmetic breaks.
fn length() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..40, 1 => Just(1 << 31), 1 => Just(1 << 40), 1 => Just(u64::MAX), 1 => Just(i64::MAX as u64)]
}

/// Bytes of which half the cases are the zlib stream of a chunk of `len` bytes, with up to three bytes changed.
fn stored_bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let plain = prop::collection::vec(0u8..4, len);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let mutated = (plain, changes).prop_map(|(plain, changes)| {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut bytes = vec![0; compressor.zlib_compress_bound(plain.len())];
        let len = compressor.zlib_compress(&plain, &mut bytes).unwrap();
        bytes.truncate(len);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![noise, mutated]
}

proptest! {
    #![proptest_config(config(3000))]

    /// Whatever bytes and pipeline: the decoder gives a whole chunk or an error.
    #[test]
    fn chunks_of_random_bytes(
        (chunk, itemsize, bytes) in (1u64..100, prop_oneof![Just(1usize), Just(4), Just(8), Just(16)])
            .prop_flat_map(|(chunk, itemsize)| {
                (Just(chunk), Just(itemsize), stored_bytes(chunk as usize * itemsize))
            }),
        filters in prop_oneof![filters(), Just(vec![Filter::Gzip]), Just(vec![Filter::Shuffle { elem: 4 }, Filter::Gzip])],
        mask in prop_oneof![4 => Just(0u32), 1 => any::<u32>()],
    ) {
        let file = TemporaryFile::new("chunk", &bytes);
        let layout = ChunkedLayout {
            path: file.0.clone(),
            dataset: "/x".into(),
            shape: vec![chunk],
            chunk_shape: vec![chunk],
            element: ElementLayout::number(itemsize, true),
            filters,
            fill_value: vec![0; itemsize],
            chunks: vec![(vec![0], ChunkEntry { offset: 0, stored_bytes: bytes.len() as u64, filter_mask: mask })],
        };
        let wanted = chunk as usize * itemsize;
        let read = within(1 << 17, || Reader::chunked(layout)?.read_region_vec(&[0], &[1], &[chunk]));
        if let Ok(values) = read {
            prop_assert_eq!(values.len(), wanted);
        }
    }

    /// Whatever the metadata claim: one element is read or refused, without room for what cannot be there.
    #[test]
    fn layouts_of_random_numbers(
        bytes in stored_bytes(64),
        filters in filters(),
        (shape, chunk_shape, coords, start, step) in (0usize..4).prop_flat_map(|ndim| {
            let numbers = || prop::collection::vec(length(), ndim);
            (numbers(), numbers(), prop::collection::vec(0u64..2, ndim), numbers(), numbers())
        }),
        offset in length(),
        stored in length(),
        whole in any::<bool>(),
        itemsize in prop_oneof![1 => Just(0usize), 4 => Just(1), 8 => Just(8), 1 => Just(usize::MAX)],
        swap_unit in prop_oneof![1 => Just(0usize), 8 => Just(1), 1 => Just(8)],
    ) {
        let file = TemporaryFile::new("layout", &bytes);
        let entry = if whole {
            ChunkEntry { offset: 0, stored_bytes: bytes.len() as u64, filter_mask: 0 }
        } else {
            ChunkEntry { offset, stored_bytes: stored, filter_mask: 0 }
        };
        let layout = ChunkedLayout {
            path: file.0.clone(),
            dataset: "/x".into(),
            shape: shape.clone(),
            chunk_shape,
            element: ElementLayout { itemsize, swap_unit, big_endian: false },
            filters,
            fill_value: vec![0; itemsize.min(8)],
            chunks: vec![(coords, entry)],
        };
        let count = vec![1; start.len()];
        let read = within(1 << 20, || Reader::chunked(layout)?.read_region_vec(&start, &step, &count));
        if let Ok(values) = read {
            prop_assert_eq!(values.len(), itemsize);
        }
    }

    /// Bytes after the npy signature, and headers with a few characters changed.
    #[test]
    fn npy_headers(
        noise in prop::collection::vec(any::<u8>(), 0..80),
        version in 0u8..5,
        text in "[{}()',:a-fT0-9 \\[\\]<L]{0,40}",
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let good = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4, 5), }          \n";
        let mut mutated = good.to_vec();
        for (index, byte) in changes {
            let at = index.index(mutated.len());
            mutated[at] = byte;
        }
        let random = [b"\x93NUMPY".as_slice(), &[version, 0], &noise].concat();
        let len = (text.len() as u16).to_le_bytes();
        let spelled = [b"\x93NUMPY".as_slice(), &[1, 0], &len, text.as_bytes()].concat();
        for bytes in [mutated, random, spelled] {
            if let Ok(header) = within(1 << 16, || NpyHeader::parse(&bytes)) {
                prop_assert!(header.data_offset <= bytes.len() as u64);
            }
            let file = TemporaryFile::new("npy", &bytes);
            if let Ok(file) = within(1 << 16, || NpyFile::open(&file.0)) {
                prop_assert!(file.bytes().len() <= bytes.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(config(400))]

    /// A Zarr chunk with a few bytes changed or cut off, behind every codec: a whole chunk or an error.
    #[test]
    fn zarr_chunks_of_mutated_bytes(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
    ) {
        let entries = manifest("zarr");
        let name = which.get(&entries)["name"].as_str().unwrap();
        let source = data("arrays.zarr").join(name);
        let thread = std::thread::current().id();
        let store = std::env::temp_dir().join(format!("pantile-io-fuzz-{}-{thread:?}.zarr", std::process::id()));
        let first_chunk = ["0.0", "0/0", "c/0/0", "c/0", "c"].into_iter().find(|file| source.join(file).is_file());
        let first_chunk = first_chunk.unwrap();
        std::fs::create_dir_all(store.join(first_chunk).parent().unwrap()).unwrap();
        for file in ["zarr.json", ".zarray"] {
            if source.join(file).exists() {
                std::fs::copy(source.join(file), store.join(file)).unwrap();
            }
        }
        let mut bytes = std::fs::read(source.join(first_chunk)).unwrap();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(index) = cut {
            bytes.truncate(index.index(bytes.len()));
        }
        std::fs::write(store.join(first_chunk), bytes).unwrap();
        let array = ZarrArray::open(&store, "").unwrap();
        let count: Vec<u64> = array.shape().iter().zip(array.chunk_shape()).map(|(&n, &len)| n.min(len)).collect();
        let elements: u64 = count.iter().product();
        let mut out = vec![0u8; elements as usize * array.element().itemsize];
        let mut strides = vec![array.element().itemsize as isize; count.len()];
        for axis in (1..count.len()).rev() {
            strides[axis - 1] = strides[axis] * count[axis] as isize;
        }
        // SAFETY: the buffer holds the packed first chunk.
        let read = unsafe { array.read_region(&vec![0; count.len()], &count, out.as_mut_ptr(), &strides) };
        if let Err(error) = read {
            prop_assert!(error.to_string().contains("chunk ["), "{}", error);
        }
        std::fs::remove_dir_all(store).unwrap();
    }
}
