//! Reading the data of HDF5 datasets without the HDF5 library.
//!
//! Metadata come from the caller (who asks h5py once): where a contiguous dataset lies, or where each chunk lies and which
//! filters it went through. From there on everything happens here: any number of threads read and decode at once, under neither
//! Python's lock nor HDF5's. Elements arrive in native byte order. Chunks that were never written hold the fill value.
//!
//! A file that is truncated, damaged or contradicts its metadata gives an error naming the file, the dataset and the chunk; the
//! content of the output is then unspecified. What contradicts nothing is not noticed: a flipped byte of a chunk that is neither
//! compressed nor under a fletcher32 checksum. Not done here: virtual and external storage, variable-length data, writing.

use std::path::{Path, PathBuf};

use crate::contiguous::{Contiguous, DataFile};
use crate::element::ElementLayout;
use crate::error::{ChunkFault, Error, Result};
use crate::pipeline::{DecodeError, Filter, Pipeline};
use crate::region::{
    AxisPiece, Region, axis_pieces, byte_len, copy_box, fill_box, for_each_chunk, is_packed,
    row_major_strides,
};
use crate::scratch::{Scratch, with_scratch};

/// Where one chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Its absolute offset in the file, user block included.
    pub offset: u64,
    /// Its length as stored.
    pub stored_bytes: u64,
    /// A set bit says that the filter at that position was skipped.
    pub filter_mask: u32,
}

/// A dataset stored as one run of bytes.
#[derive(Clone, Debug)]
pub struct ContiguousLayout {
    /// The file.
    pub path: PathBuf,
    /// The dataset's name, for messages.
    pub dataset: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its elements as stored.
    pub element: ElementLayout,
    /// Where its data start, or `None` when nothing was ever written.
    pub offset: Option<u64>,
    /// One element in native byte order.
    pub fill_value: Vec<u8>,
}

/// A dataset stored in chunks.
#[derive(Clone, Debug)]
pub struct ChunkedLayout {
    /// The file.
    pub path: PathBuf,
    /// The dataset's name, for messages.
    pub dataset: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// The shape of every chunk; chunks at the upper edges are stored whole.
    pub chunk_shape: Vec<u64>,
    /// Its elements as stored.
    pub element: ElementLayout,
    /// The pipeline, in the order in which filters were applied.
    pub filters: Vec<Filter>,
    /// One element in native byte order, for chunks that were never written.
    pub fill_value: Vec<u8>,
    /// The chunks that exist: coordinates in the grid of chunks (not element offsets), and where they are.
    pub chunks: Vec<(Vec<u64>, ChunkEntry)>,
}

/// Reads regions of one dataset. It is shared freely between threads.
#[derive(Debug)]
pub struct Reader {
    file: DataFile,
    dataset: String,
    shape: Vec<u64>,
    element: ElementLayout,
    fill_value: Vec<u8>,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Contiguous { offset: Option<u64> },
    Chunked(Chunks),
}

#[derive(Debug)]
struct Chunks {
    shape: Vec<u64>,
    grid: Vec<u64>,
    bytes: usize,
    pipeline: Pipeline,
    /// Sorted by position in the row-major grid. Where no chunk is missing, the index in this list is that position.
    entries: Vec<(u64, ChunkEntry)>,
}

impl Chunks {
    fn position(&self, coords: impl Iterator<Item = u64>) -> u64 {
        coords.zip(&self.grid).fold(0, |position, (coord, &len)| position * len + coord)
    }

    fn get(&self, position: u64) -> Option<&ChunkEntry> {
        let guess = usize::try_from(position).ok().and_then(|index| self.entries.get(index));
        if let Some((_, entry)) = guess.filter(|(found, _)| *found == position) {
            return Some(entry);
        }
        let index = self.entries.binary_search_by_key(&position, |(found, _)| *found).ok()?;
        Some(&self.entries[index].1)
    }
}

impl Reader {
    /// Opens a contiguous dataset.
    pub fn contiguous(layout: ContiguousLayout) -> Result<Self> {
        let ContiguousLayout { path, dataset, shape, element, offset, fill_value } = layout;
        let bytes = check_common(&path, &dataset, &shape, element, &fill_value)?;
        let file = DataFile::open(&path)?;
        if let Some(offset) = offset {
            file.check(offset, bytes as u64, || format!("dataset '{dataset}'"))?;
        }
        Ok(Self { file, dataset, shape, element, fill_value, storage: Storage::Contiguous { offset } })
    }

    /// Opens a chunked dataset.
    pub fn chunked(layout: ChunkedLayout) -> Result<Self> {
        let ChunkedLayout { path, dataset, shape, chunk_shape, element, filters, fill_value, chunks } =
            layout;
        check_common(&path, &dataset, &shape, element, &fill_value)?;
        let invalid = |reason: String| Error::metadata(&path, layout_name(&dataset), reason);
        if chunk_shape.len() != shape.len() || chunk_shape.contains(&0) {
            return Err(invalid(format!("chunks of shape {chunk_shape:?} in an array of shape {shape:?}")));
        }
        let chunk_bytes = byte_len(&chunk_shape, element.itemsize)
            .ok_or_else(|| invalid(format!("a chunk of shape {chunk_shape:?} exceeds the address space")))?;
        let pipeline = Pipeline::new(filters, chunk_bytes, &dataset)?;
        let grid: Vec<u64> = shape.iter().zip(&chunk_shape).map(|(&n, &chunk)| n.div_ceil(chunk)).collect();
        if byte_len(&grid, 1).is_none() {
            return Err(invalid(format!("a grid of {grid:?} chunks is too large")));
        }
        let mut storage =
            Chunks { shape: chunk_shape, grid, bytes: chunk_bytes, pipeline, entries: Vec::new() };
        storage.entries.reserve_exact(chunks.len());
        for (coords, entry) in chunks {
            if coords.len() != shape.len()
                || coords.iter().zip(&storage.grid).any(|(coord, len)| coord >= len)
            {
                return Err(invalid(format!(
                    "chunk {coords:?} lies outside the grid of {:?} chunks",
                    storage.grid
                )));
            }
            storage.entries.push((storage.position(coords.into_iter()), entry));
        }
        storage.entries.sort_unstable_by_key(|(position, _)| *position);
        if let Some(twice) = storage.entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(invalid(format!("chunk number {} is listed twice", twice[0].0)));
        }
        let file = DataFile::open(&path)?;
        Ok(Self { file, dataset, shape, element, fill_value, storage: Storage::Chunked(storage) })
    }

    /// The dataset's shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements as stored; a region is always in native order.
    pub fn element(&self) -> ElementLayout {
        self.element
    }

    /// The shape of a chunk, or `None` for a contiguous dataset. Regions that follow it decode every chunk once.
    pub fn chunk_shape(&self) -> Option<&[u64]> {
        match &self.storage {
            Storage::Contiguous { .. } => None,
            Storage::Chunked(chunks) => Some(&chunks.shape),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads the elements `start + index·step` for every index below `count` into `out`, where element `index` goes to
    /// `out + index·strides` (in bytes).
    ///
    /// # Safety
    /// For every index below `count`, `itemsize` bytes at that place must be writable, and nobody else may use them during the
    /// call. They need not be initialised.
    pub unsafe fn read_region(
        &self,
        start: &[u64],
        step: &[u64],
        count: &[u64],
        out: *mut u8,
        strides: &[isize],
    ) -> Result<()> {
        let region = Region::new(&self.shape, start, step, count, strides.len())?;
        if region.is_empty() {
            return Ok(());
        }
        match &self.storage {
            Storage::Contiguous { offset: None } => {
                // SAFETY: the caller's promise, and the fill value is one element.
                unsafe { fill_box(&self.fill_value, out, strides, count) };
                Ok(())
            }
            Storage::Contiguous { offset: Some(offset) } => with_scratch(|scratch| {
                let what = || format!("dataset '{}'", self.dataset);
                let source = Contiguous {
                    file: &self.file,
                    offset: *offset,
                    shape: &self.shape,
                    element: self.element,
                    what: &what,
                };
                // SAFETY: the caller's promise; opening checked the size against the address space and the file.
                unsafe { source.read(&region, out, strides, &mut scratch.raw) }
            }),
            Storage::Chunked(chunks) => with_scratch(|scratch| {
                let axes: Vec<_> = (0..self.shape.len())
                    .map(|axis| axis_pieces(start[axis], step[axis], count[axis], chunks.shape[axis]))
                    .collect();
                for_each_chunk(&axes, |pieces| {
                    let offset: isize = pieces
                        .iter()
                        .zip(strides)
                        .map(|(piece, stride)| piece.position as isize * stride)
                        .sum();
                    // SAFETY: the pieces are the part of the region that lies in one chunk, so the caller's promise covers it.
                    unsafe { self.read_chunk(chunks, pieces, step, out.offset(offset), strides, scratch) }
                })
            }),
        }
    }

    /// Reads a region into a new buffer in row-major order.
    pub fn read_region_vec(&self, start: &[u64], step: &[u64], count: &[u64]) -> Result<Vec<u8>> {
        let strides = row_major_strides(count, self.element.itemsize);
        Region::new(&self.shape, start, step, count, strides.len())?;
        let too_large = || Error::OutOfMemory { bytes: u64::MAX, what: "a region".into() };
        let len = byte_len(count, self.element.itemsize).ok_or_else(too_large)?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(len)
            .map_err(|_| Error::OutOfMemory { bytes: len as u64, what: "a region".into() })?;
        bytes.resize(len, 0);
        // SAFETY: the buffer holds the packed region and belongs to this call.
        unsafe { self.read_region(start, step, count, bytes.as_mut_ptr(), &strides)? };
        Ok(bytes)
    }

    /// How many bytes of the file a region needs, as stored: what progress reports count.
    pub fn stored_bytes(&self, start: &[u64], step: &[u64], count: &[u64]) -> Result<u64> {
        let region = Region::new(&self.shape, start, step, count, self.shape.len())?;
        if region.is_empty() {
            return Ok(0);
        }
        let mut bytes = 0;
        match &self.storage {
            Storage::Contiguous { offset: None } => {}
            Storage::Contiguous { offset: Some(_) } => {
                bytes = count.iter().product::<u64>() * self.element.itemsize as u64;
            }
            Storage::Chunked(chunks) => {
                let axes: Vec<_> = (0..self.shape.len())
                    .map(|axis| axis_pieces(start[axis], step[axis], count[axis], chunks.shape[axis]))
                    .collect();
                for_each_chunk(&axes, |pieces| {
                    let entry = chunks.get(chunks.position(pieces.iter().map(|piece| piece.chunk)));
                    bytes += entry.map_or(0, |entry| entry.stored_bytes);
                    Ok(())
                })?;
            }
        }
        Ok(bytes)
    }

    /// # Safety
    /// As [`Reader::read_region`], for the box of the pieces' counts at `out`.
    unsafe fn read_chunk(
        &self,
        chunks: &Chunks,
        pieces: &[AxisPiece],
        step: &[u64],
        out: *mut u8,
        strides: &[isize],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let itemsize = self.element.itemsize;
        let start: Vec<u64> = pieces.iter().map(|piece| piece.start).collect();
        let count: Vec<u64> = pieces.iter().map(|piece| piece.count).collect();
        let coords = || pieces.iter().map(|piece| piece.chunk);
        let Some(entry) = chunks.get(chunks.position(coords())) else {
            // SAFETY: the caller's promise, and the fill value is one element.
            unsafe { fill_box(&self.fill_value, out, strides, &count) };
            return Ok(());
        };
        let corrupt = |fault: ChunkFault| Error::CorruptChunk {
            path: self.file.path().to_path_buf(),
            dataset: self.dataset.clone(),
            chunk: coords().collect(),
            fault: Box::new(fault),
        };
        let what = || format!("chunk {:?} of dataset '{}'", coords().collect::<Vec<_>>(), self.dataset);
        chunks.pipeline.check_stored_len(entry.stored_bytes, entry.filter_mask).map_err(corrupt)?;
        self.file.check(entry.offset, entry.stored_bytes, what)?;
        if chunks.pipeline.is_plain(entry.filter_mask) {
            let source = Contiguous {
                file: &self.file,
                offset: entry.offset,
                shape: &chunks.shape,
                element: self.element,
                what: &what,
            };
            let region = Region { start: &start, step, count: &count };
            // SAFETY: the caller's promise; the stored length and the file's length were checked above.
            return unsafe { source.read(&region, out, strides, &mut scratch.raw) };
        }
        let stored = usize::try_from(entry.stored_bytes)
            .map_err(|_| Error::OutOfMemory { bytes: entry.stored_bytes, what: what() })?;
        self.file.read(scratch.raw.get(stored, "a stored chunk")?, entry.offset, what)?;
        let finish = |result: Result<(), DecodeError>| match result {
            Ok(()) => Ok(()),
            Err(DecodeError::Fault(fault)) => Err(corrupt(fault)),
            Err(DecodeError::Other(error)) => Err(error),
        };
        if count == chunks.shape && is_packed(&count, strides, itemsize) {
            // SAFETY: the whole chunk is wanted and its place in the output is packed: these are writable bytes that nobody else
            // uses, and the decoder reads none that it has not written.
            let target = unsafe { std::slice::from_raw_parts_mut(out, chunks.bytes) };
            finish(chunks.pipeline.decode(stored, entry.filter_mask, scratch, target))?;
            if self.element.needs_swap() {
                self.element.swap(target);
            }
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut scratch.chunk);
        let decoded = buffer.get(chunks.bytes, "a decoded chunk").and_then(|chunk| {
            finish(chunks.pipeline.decode(stored, entry.filter_mask, scratch, chunk))?;
            Ok(chunk)
        });
        let result = decoded.map(|chunk| {
            if self.element.needs_swap() {
                self.element.swap(chunk);
            }
            let chunk_strides = row_major_strides(&chunks.shape, itemsize);
            let first: isize = start.iter().zip(&chunk_strides).map(|(&n, stride)| n as isize * stride).sum();
            let steps: Vec<isize> = step
                .iter()
                .zip(&chunk_strides)
                .map(|(&n, &stride)| (n as isize).wrapping_mul(stride))
                .collect();
            // SAFETY: every index of the piece lies inside the chunk, which is this thread's own buffer; the caller vouches for
            // the output. (A step beyond the chunk may wrap, but then its axis has one index and the stride is unused.)
            unsafe { copy_box(chunk.as_ptr().offset(first), &steps, out, strides, &count, itemsize) };
        });
        scratch.chunk = buffer;
        result
    }
}

fn layout_name(dataset: &str) -> String {
    format!("HDF5 layout of '{dataset}'")
}

/// Checks what both layouts share and returns the dataset's size in bytes.
fn check_common(
    path: &Path,
    dataset: &str,
    shape: &[u64],
    element: ElementLayout,
    fill_value: &[u8],
) -> Result<usize> {
    let invalid = |reason: String| Error::metadata(path, layout_name(dataset), reason);
    if !element.is_valid() {
        return Err(invalid(format!(
            "elements of {} bytes made of numbers of {} bytes",
            element.itemsize, element.swap_unit
        )));
    }
    if fill_value.len() != element.itemsize {
        return Err(invalid(format!(
            "a fill value of {} bytes for elements of {} bytes",
            fill_value.len(),
            element.itemsize
        )));
    }
    // Chunked data may be larger than the address space and mostly absent, but regions of it are indexed with `isize`.
    byte_len(shape, element.itemsize)
        .ok_or_else(|| invalid(format!("an array of shape {shape:?} exceeds the address space")))
}
