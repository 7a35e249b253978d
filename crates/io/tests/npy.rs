//! npy files written by NumPy, read and written back, and files that are not what they say.

mod common;

use std::path::PathBuf;

use common::{data, element, manifest, numbers, regions, values};
use pantile_io::Error;
use pantile_io::npy::{NpyFile, NpyWriter};

fn read(file: &NpyFile, region: &common::Box) -> Vec<u8> {
    let itemsize = file.element().itemsize;
    let mut strides = vec![0; region.count.len()];
    let mut len = itemsize as isize;
    for axis in (0..strides.len()).rev() {
        strides[axis] = len;
        len *= region.count[axis] as isize;
    }
    let mut bytes = vec![0; len as usize];
    // SAFETY: the buffer holds the packed region.
    unsafe {
        file.read_region(&region.start, &region.step, &region.count, bytes.as_mut_ptr(), &strides).unwrap()
    };
    bytes
}

#[test]
fn every_file_reads_as_numpy_wrote_it() {
    for entry in manifest("npy") {
        let file = NpyFile::open(&data(entry["file"].as_str().unwrap())).unwrap();
        let shape = numbers(&entry["shape"]);
        let values = values(&entry);
        assert_eq!(file.shape(), shape);
        assert_eq!(file.header().descr, entry["descr"].as_str().unwrap());
        assert_eq!(file.header().fortran, entry["fortran"].as_bool().unwrap());
        assert_eq!(file.element(), element(&entry));
        let itemsize = file.element().itemsize;
        for region in regions(&shape, 20) {
            assert_eq!(read(&file, &region), region.slice(&values, &shape, itemsize), "{entry} {region:?}");
        }
        // The map shows the same elements at its own strides and in its own order.
        for (number, index) in common::Box::all(&shape).indices().iter().enumerate() {
            let at: isize = index.iter().zip(file.strides()).map(|(&n, stride)| n as isize * stride).sum();
            let mut mapped = file.bytes()[at as usize..][..itemsize].to_vec();
            if file.element().needs_swap() {
                file.element().swap(&mut mapped);
            }
            assert_eq!(mapped, values[number * itemsize..][..itemsize], "{entry} {index:?}");
        }
    }
}

#[test]
fn records_and_objects_are_unsupported() {
    for name in ["record.npy", "object.npy"] {
        let error = NpyFile::open(&data(name)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pantile-io-npy-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_truncated_file_says_what_is_missing() {
    let folder = Folder::new("truncated");
    let path = folder.0.join("x.npy");
    let whole = std::fs::read(data("f8.npy")).unwrap();
    for len in [0, 5, 8, 20, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).unwrap();
        let error = NpyFile::open(&path).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. } | Error::Metadata { .. }), "{len}: {error}");
        assert!(error.to_string().contains("x.npy"), "{error}");
    }
    let huge = String::from_utf8_lossy(&whole[10..128]).replace("(3, 4, 5)", "(3, 4, 9999999999999)");
    std::fs::write(&path, [&whole[..10], &huge.as_bytes()[..118]].concat()).unwrap();
    assert!(matches!(NpyFile::open(&path).unwrap_err(), Error::Truncated { .. }));
}

#[test]
fn threads_write_boxes_of_one_file() {
    let folder = Folder::new("threads");
    let path = folder.0.join("x.npy");
    let shape = [6u64, 5, 4];
    let values: Vec<u8> = (0..120i32).flat_map(i32::to_ne_bytes).collect();
    let writer = NpyWriter::create(&path, "<i4", &shape).unwrap();
    assert!(!path.exists());
    std::thread::scope(|scope| {
        for (first, rows) in [(0u64, 2u64), (2, 3), (5, 1)] {
            for (column, columns) in [(0u64, 3u64), (3, 1)] {
                let (writer, values) = (&writer, &values);
                scope.spawn(move || {
                    let start = [first, 0, column];
                    let at = (first * 20 + column) as usize * 4;
                    // SAFETY: the box lies inside the row-major values.
                    unsafe {
                        let source = values.as_ptr().add(at);
                        writer.write_region(&start, &[rows, 5, columns], source, &[80, 16, 4]).unwrap();
                    }
                });
            }
        }
    });
    writer.finish().unwrap();
    assert_eq!(folder.files(), ["x.npy"]);
    let file = NpyFile::open(&path).unwrap();
    assert_eq!((file.shape(), file.bytes()), (shape.as_slice(), values.as_slice()));
}

#[test]
fn a_transposed_source_is_written_in_row_major_order() {
    let folder = Folder::new("transposed");
    let path = folder.0.join("x.npy");
    let values: Vec<u8> = (0..12).collect();
    let writer = NpyWriter::create(&path, "|u1", &[4, 3]).unwrap();
    // SAFETY: the source is a 3 × 4 array, walked by columns.
    unsafe { writer.write_region(&[0, 0], &[4, 3], values.as_ptr(), &[1, 4]).unwrap() };
    writer.finish().unwrap();
    assert_eq!(NpyFile::open(&path).unwrap().bytes(), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
}

#[test]
fn an_unfinished_writer_leaves_the_target_alone() {
    let folder = Folder::new("unfinished");
    let path = folder.0.join("x.npy");
    std::fs::write(&path, "before").unwrap();
    let writer = NpyWriter::create(&path, "<f8", &[10]).unwrap();
    assert_eq!(folder.files().len(), 2);
    // SAFETY: the region is refused before the source is read.
    let error = unsafe { writer.write_region(&[5], &[6], std::ptr::null(), &[8]).unwrap_err() };
    assert!(matches!(error, Error::Region { .. }), "{error}");
    drop(writer);
    assert_eq!(folder.files(), ["x.npy"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    let folder = Folder::new("refused");
    assert!(matches!(NpyWriter::create(&folder.0, "<f8", &[1]).unwrap_err(), Error::File { .. }));
    let inside_nothing = folder.0.join("missing/x.npy");
    assert!(NpyWriter::create(&inside_nothing, "<f8", &[1]).unwrap_err().to_string().contains("missing"));
    let path = folder.0.join("x.npy");
    assert!(matches!(NpyWriter::create(&path, "|O", &[1]).unwrap_err(), Error::Unsupported { .. }));
    assert!(NpyWriter::create(&path, ">f8", &[1]).is_err());
    assert!(NpyWriter::create(&path, "<f8", &[u64::MAX, 2]).is_err());
    assert!(folder.files().is_empty());
}
