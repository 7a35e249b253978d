//! The readers as sources of arrays, and the writers as targets.

use crate::hdf5::Reader;
use crate::npy::{NpyFile, NpyWriter};
use crate::zarr::ZarrArray;
use pantile_array::block::Block;
use pantile_array::error::{ArrayError, Result, UserKind};
use pantile_array::ops::random::through_box;
use pantile_array::source::{Range, Source};
use pantile_types::DType;

/// A reader's error as an array error: files are `OSError`s, what the reader cannot do is unsupported.
pub fn array_error(e: crate::Error) -> ArrayError {
    match e.family() {
        // A full disk is an `OSError` as well, and not a lack of memory.
        crate::Family::Resource if !matches!(e, crate::Error::OutOfMemory { .. }) => {
            ArrayError::User(UserKind::File, e.to_string())
        }
        crate::Family::User => ArrayError::User(UserKind::File, e.to_string()),
        crate::Family::Unsupported => ArrayError::Unsupported(e.to_string()),
        crate::Family::Resource => ArrayError::Resource(e.to_string()),
        crate::Family::Bug => ArrayError::Bug(e.to_string()),
    }
}

/// Splits strided ranges into what readers take: ascending starts and steps, with the output walked backwards where the
/// step is negative.
fn ascending(ranges: &[Range], out: &Block) -> (Vec<u64>, Vec<u64>, Vec<u64>, *mut u8, Vec<isize>) {
    let mut ptr = out.ptr();
    let mut strides: Vec<isize> = out.strides().to_vec();
    let (mut start, mut step, mut count) = (Vec::new(), Vec::new(), Vec::new());
    for (axis, r) in ranges.iter().enumerate() {
        let last = (r.start as i64 + r.step * (r.len as i64 - 1)) as u64;
        if r.step < 0 {
            ptr = ptr.wrapping_offset(strides[axis] * (r.len as isize - 1));
            strides[axis] = -strides[axis];
        }
        start.push(if r.step < 0 { last } else { r.start });
        step.push(r.step.unsigned_abs());
        count.push(r.len);
    }
    (start, step, count, ptr, strides)
}

/// A dataset of an HDF5 file.
pub struct Hdf5Source {
    reader: Reader,
    dtype: DType,
    text: String,
    shape: Vec<u64>,
    chunks: Option<Vec<u64>>,
}

impl Hdf5Source {
    /// The dataset behind a reader, whose elements are of this dtype. `text` describes it to people.
    pub fn new(reader: Reader, dtype: DType, text: String) -> Hdf5Source {
        let shape = reader.shape().to_vec();
        let chunks = reader.chunk_shape().map(<[u64]>::to_vec);
        Hdf5Source { reader, dtype, text, shape, chunks }
    }
}

impl Source for Hdf5Source {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let (start, step, count, ptr, strides) = ascending(ranges, out);
        // SAFETY: `out` has the box' shape and its strides; the task that reads owns it.
        unsafe { self.reader.read_region(&start, &step, &count, ptr, &strides) }.map_err(array_error)
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        self.chunks.as_deref()
    }
    fn describe(&self) -> String {
        self.text.clone()
    }
}

/// A npy file.
pub struct NpySource {
    file: NpyFile,
    dtype: DType,
    shape: Vec<u64>,
}

impl NpySource {
    /// The array of a file, whose elements are of this dtype.
    pub fn new(file: NpyFile, dtype: DType) -> NpySource {
        let shape = file.shape().to_vec();
        NpySource { file, dtype, shape }
    }
}

impl Source for NpySource {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        let (start, step, count, ptr, strides) = ascending(ranges, out);
        // SAFETY: as for HDF5.
        unsafe { self.file.read_region(&start, &step, &count, ptr, &strides) }.map_err(array_error)
    }
    fn describe(&self) -> String {
        format!("npy file {} (native reader)", self.file.path().display())
    }
}

/// An array of a Zarr store.
pub struct ZarrSource {
    array: ZarrArray,
    dtype: DType,
    shape: Vec<u64>,
    chunks: Vec<u64>,
}

impl ZarrSource {
    /// The array, whose elements are of this dtype.
    pub fn new(array: ZarrArray, dtype: DType) -> ZarrSource {
        let shape = array.shape().to_vec();
        let chunks = array.inner_chunk_shape().unwrap_or(array.chunk_shape()).to_vec();
        ZarrSource { array, dtype, shape, chunks }
    }
}

impl Source for ZarrSource {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn shape(&self) -> &[u64] {
        &self.shape
    }
    fn read(&self, ranges: &[Range], out: &Block) -> Result<()> {
        through_box(ranges, out, &mut |start, count, block| {
            // SAFETY: the block is contiguous, of this shape, and the task that reads owns it.
            unsafe { self.array.read_region(start, count, block.ptr(), block.strides()) }.map_err(array_error)
        })
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        Some(&self.chunks)
    }
    fn describe(&self) -> String {
        format!("Zarr array {} in {} (native reader)", self.array.name(), self.array.store().display())
    }
}

/// Somewhere to write blocks to, from several threads at once.
pub trait Target: Send + Sync {
    /// Writes a block at a position.
    fn write(&self, start: &[u64], block: &Block) -> Result<()>;
    /// The lengths of the axes.
    fn shape(&self) -> &[u64];
    /// The chunks that must not be written in parts by several tasks at once.
    fn stored_chunks(&self) -> Option<&[u64]>;
}

impl Target for NpyWriter {
    fn write(&self, start: &[u64], block: &Block) -> Result<()> {
        let count: Vec<u64> = block.shape().iter().map(|&n| n as u64).collect();
        // SAFETY: the block's pointer, shape and strides describe its own memory.
        unsafe { self.write_region(start, &count, block.ptr(), block.strides()) }.map_err(array_error)
    }
    fn shape(&self) -> &[u64] {
        NpyWriter::shape(self)
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        None
    }
}

impl Target for ZarrArray {
    fn write(&self, start: &[u64], block: &Block) -> Result<()> {
        let count: Vec<u64> = block.shape().iter().map(|&n| n as u64).collect();
        // SAFETY: the block's pointer, shape and strides describe its own memory.
        unsafe { self.write_region(start, &count, block.ptr(), block.strides()) }.map_err(array_error)
    }
    fn shape(&self) -> &[u64] {
        ZarrArray::shape(self)
    }
    fn stored_chunks(&self) -> Option<&[u64]> {
        Some(self.chunk_shape())
    }
}
