//! No reader or writer leaves threads of its own behind. The only test of its file, so that nothing else starts any.

use std::time::Duration;

use pantile_io::zarr::ZarrArray;
use pantile_io::zarr_create::{ZarrSpec, ZarrWriter};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[test]
fn zarr_works_on_the_calling_thread() {
    let before = threads();
    let store = std::env::temp_dir().join(format!("pantile-io-threads-{}.zarr", std::process::id()));
    let spec = ZarrSpec {
        shape: vec![64, 64],
        chunks: vec![4, 4],
        shards: Some(vec![32, 32]),
        descr: "|u1".into(),
        fill_value: vec![0],
        compressor: None,
        format: 3,
        overwrite: false,
        attributes_json: String::new(),
    };
    let writer = ZarrWriter::create(&store, "x", &spec).unwrap();
    let values: Vec<u8> = (0..64u32 * 64).map(|n| n as u8).collect();
    let mut found = vec![0; values.len()];
    // SAFETY: both buffers hold the whole packed array.
    unsafe {
        writer.array().write_region(&[0, 0], &[64, 64], values.as_ptr(), &[64, 1]).unwrap();
        writer.finish().unwrap();
        let array = ZarrArray::open(&store, "x").unwrap();
        array.read_region(&[0, 0], &[64, 64], found.as_mut_ptr(), &[64, 1]).unwrap();
    }
    std::fs::remove_dir_all(store).unwrap();
    assert_eq!(found, values);
    // A thread that has been told to end may still be listed for a moment.
    for _ in 0..200 {
        if threads() <= before {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{before} threads before, {} after", threads());
}
