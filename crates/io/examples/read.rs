//! Measures how fast regions of page-cached files arrive in warm memory: `cargo run --release -p pantile-io --example read [MB]`.
//!
//! The file is made here: rows of float64 that count slowly upwards, once plain and once as gzip chunks of 1 MB, without and with
//! the byte shuffle. `map` copies the same plain bytes out of a memory map, which is what `pread` is chosen over.

use std::path::PathBuf;
use std::time::Instant;

use pantile_io::hdf5::{ChunkEntry, ChunkedLayout, ContiguousLayout, Reader};
use pantile_io::{ElementLayout, Filter};

const COLUMNS: u64 = 4096;
const CHUNK: [u64; 2] = [32, COLUMNS];
const CHUNK_BYTES: usize = (CHUNK[0] * CHUNK[1]) as usize * 8;

fn main() {
    let megabytes: u64 = std::env::args().nth(1).map_or(256, |text| text.parse().expect("a number of MB"));
    let chunks = megabytes.max(1);
    let shape = vec![chunks * CHUNK[0], COLUMNS];
    let path =
        |name: &str| std::env::temp_dir().join(format!("pantile-io-read-{}-{name}", std::process::id()));
    let plain: Vec<u8> = (0..chunks * CHUNK_BYTES as u64 / 8)
        .flat_map(|n| ((n as f64).sqrt().floor() + (n % 7) as f64).to_ne_bytes())
        .collect();

    let plain_path = path("plain");
    std::fs::write(&plain_path, &plain).expect("the plain file");
    let contiguous = Reader::contiguous(ContiguousLayout {
        path: plain_path.clone(),
        dataset: "/plain".into(),
        shape: shape.clone(),
        element: ElementLayout::number(8, cfg!(target_endian = "big")),
        offset: Some(0),
        fill_value: vec![0; 8],
    })
    .expect("the plain reader");
    for threads in [1, 2] {
        measure("pread, whole rows", threads, plain.len(), &blocks(&shape, CHUNK[0], COLUMNS), &contiguous);
        measure("pread, columns", threads, plain.len(), &blocks(&shape, 512, 256), &contiguous);
    }
    measure_map(&plain_path, plain.len());
    let mut paths = vec![plain_path];
    let gzip = vec![Filter::Gzip];
    let shuffled = vec![Filter::Shuffle { elem: 8 }, Filter::Gzip];
    for (name, filters) in
        [("gzip 1", gzip), ("shuffle, gzip 1", shuffled), ("shuffle", vec![Filter::Shuffle { elem: 8 }])]
    {
        let file = path(&name.replace([' ', ','], ""));
        let reader = chunked(&file, name, &shape, filters, &plain);
        for threads in [1, 2] {
            measure(name, threads, plain.len(), &blocks(&shape, CHUNK[0], COLUMNS), &reader);
        }
        measure(&format!("{name}, columns"), 1, plain.len(), &blocks(&shape, CHUNK[0], COLUMNS / 2), &reader);
        paths.push(file);
    }
    for path in paths {
        std::fs::remove_file(path).expect("the file can be removed");
    }
}

/// Starts and counts of blocks that tile the array.
fn blocks(shape: &[u64], rows: u64, columns: u64) -> Vec<([u64; 2], [u64; 2])> {
    let mut list = Vec::new();
    for row in (0..shape[0]).step_by(rows as usize) {
        for column in (0..shape[1]).step_by(columns as usize) {
            list.push(([row, column], [rows.min(shape[0] - row), columns.min(shape[1] - column)]));
        }
    }
    list
}

/// Stores the values as one file of filtered chunks and opens it.
fn chunked(path: &PathBuf, name: &str, shape: &[u64], filters: Vec<Filter>, plain: &[u8]) -> Reader {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(1).expect("level 1"));
    let mut bytes = Vec::new();
    let mut entries = Vec::new();
    for (number, chunk) in plain.chunks(CHUNK_BYTES).enumerate() {
        let mut stored = chunk.to_vec();
        for filter in &filters {
            if let Filter::Shuffle { elem } = filter {
                let elements = stored.len() / elem;
                stored = (0..stored.len()).map(|at| stored[at % elements * elem + at / elements]).collect();
            } else {
                let mut packed = vec![0; compressor.zlib_compress_bound(stored.len())];
                let len = compressor.zlib_compress(&stored, &mut packed).expect("room enough");
                packed.truncate(len);
                stored = packed;
            }
        }
        let entry =
            ChunkEntry { offset: bytes.len() as u64, stored_bytes: stored.len() as u64, filter_mask: 0 };
        entries.push((vec![number as u64, 0], entry));
        bytes.extend(stored);
    }
    std::fs::write(path, &bytes).expect("the chunked file");
    println!("{name}: stored in {:.0} %", 100.0 * bytes.len() as f64 / plain.len() as f64);
    Reader::chunked(ChunkedLayout {
        path: path.clone(),
        dataset: name.into(),
        shape: shape.to_vec(),
        chunk_shape: CHUNK.to_vec(),
        element: ElementLayout::number(8, cfg!(target_endian = "big")),
        filters,
        fill_value: vec![0; 8],
        chunks: entries,
    })
    .expect("the chunked reader")
}

fn measure(name: &str, threads: usize, bytes: usize, blocks: &[([u64; 2], [u64; 2])], reader: &Reader) {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    let mut block = vec![1u8; 2 * CHUNK_BYTES];
                    for (first, count) in blocks.iter().skip(thread).step_by(threads) {
                        assert!((count[0] * count[1] * 8) as usize <= block.len());
                        // SAFETY: the block is large enough for the packed region and belongs to this thread.
                        unsafe {
                            let strides = [count[1] as isize * 8, 8];
                            reader
                                .read_region(first, &[1, 1], count, block.as_mut_ptr(), &strides)
                                .expect("a region");
                        }
                    }
                });
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:24} {threads} threads {:6.2} GB/s", bytes as f64 / best / 1e9);
}

fn measure_map(path: &PathBuf, bytes: usize) {
    let file = std::fs::File::open(path).expect("the plain file");
    let mut best = f64::INFINITY;
    let mut block = vec![1u8; CHUNK_BYTES];
    for _ in 0..3 {
        let start = Instant::now();
        // SAFETY: nobody changes the file meanwhile.
        let map = unsafe { memmap2::Mmap::map(&file) }.expect("a map");
        for part in map.chunks(CHUNK_BYTES) {
            block[..part.len()].copy_from_slice(part);
            std::hint::black_box(&block);
        }
        drop(map);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{:24} 1 threads {:6.2} GB/s", "map, whole rows", bytes as f64 / best / 1e9);
}
