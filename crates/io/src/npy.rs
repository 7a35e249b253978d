//! Reading npy files through a memory map or region by region, and writing them from several threads.
//!
//! Records and objects are refused, everything with flat elements is read. The writer makes row-major files only; it fills a
//! temporary file beside the target and renames it at the end, so that the target is either untouched or complete.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;

use crate::contiguous::{Contiguous, DataFile};
use crate::element::ElementLayout;
use crate::error::{Error, Result};
pub use crate::npy_header::NpyHeader;
use crate::npy_header::{MAX_HEADER_BYTES, header_len};
use crate::region::{Region, byte_len, copy_box, is_packed, row_major_strides};
use crate::scratch::with_scratch;

/// An npy file, opened and mapped.
#[derive(Debug)]
pub struct NpyFile {
    file: DataFile,
    header: NpyHeader,
    element: ElementLayout,
    data_len: usize,
    map: Mmap,
}

impl NpyFile {
    /// Opens and maps a file. Its data must be all there, and of flat elements.
    pub fn open(path: &Path) -> Result<Self> {
        let invalid = |reason: String| Error::metadata(path, "npy header", reason);
        let file = DataFile::open(path)?;
        let mut prefix = Vec::new();
        let mut from_start = file.file().take(12);
        from_start.read_to_end(&mut prefix).map_err(Error::file(path, "read"))?;
        let len = header_len(&prefix).map_err(invalid)?;
        if len > MAX_HEADER_BYTES {
            return Err(invalid(format!("it claims {len} bytes, more than {MAX_HEADER_BYTES}")));
        }
        file.check(0, len, || "the npy header".into())?;
        let mut bytes = vec![0; len as usize];
        file.read(&mut bytes, 0, || "the npy header".into())?;
        let header = NpyHeader::parse(&bytes).map_err(invalid)?;
        let element = ElementLayout::from_descr(&header.descr).filter(|element| element.itemsize > 0);
        let element = element.ok_or_else(|| Error::Unsupported {
            what: format!("dtype {} in '{}'", header.descr, path.display()),
            reason: "elements must be numbers, booleans, dates or fixed-length strings; use numpy.load"
                .into(),
        })?;
        let data_len = byte_len(&header.shape, element.itemsize)
            .ok_or_else(|| invalid(format!("shape {:?} exceeds the address space", header.shape)))?;
        file.check(header.data_offset, data_len as u64, || {
            format!("the data of shape {:?} and dtype {}", header.shape, header.descr)
        })?;
        // SAFETY: the map is read-only and private to this value. Should another process truncate the file, reading the lost
        // pages raises SIGBUS, as it does for numpy.memmap; `read_region` does not touch the map and gives an error instead.
        let map = unsafe { Mmap::map(file.file()) }.map_err(Error::file(path, "map"))?;
        Ok(Self { file, header, element, data_len, map })
    }

    /// The header: type string, shape and order.
    pub fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// The shape.
    pub fn shape(&self) -> &[u64] {
        &self.header.shape
    }

    /// The elements as stored.
    pub fn element(&self) -> ElementLayout {
        self.element
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The data as mapped, in the file's byte order. It lives as long as this value.
    pub fn bytes(&self) -> &[u8] {
        let start = self.header.data_offset as usize;
        &self.map[start..start + self.data_len]
    }

    /// The byte strides of the mapped data.
    pub fn strides(&self) -> Vec<isize> {
        if self.header.fortran {
            let reversed: Vec<u64> = self.header.shape.iter().rev().copied().collect();
            let mut strides = row_major_strides(&reversed, self.element.itemsize);
            strides.reverse();
            return strides;
        }
        row_major_strides(&self.header.shape, self.element.itemsize)
    }

    /// Copies the elements `start + index·step` into `out + index·strides` in native byte order, through system calls rather than
    /// the map.
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
        Region::new(self.shape(), start, step, count, strides.len())?;
        // A column-major array is a row-major one with its axes in the other order.
        let order = |values: &[u64]| -> Vec<u64> {
            if self.header.fortran { values.iter().rev().copied().collect() } else { values.to_vec() }
        };
        let mut strides = strides.to_vec();
        if self.header.fortran {
            strides.reverse();
        }
        let (shape, start, step, count) = (order(self.shape()), order(start), order(step), order(count));
        let region = Region { start: &start, step: &step, count: &count };
        let what = || "the data".to_string();
        let source = Contiguous {
            file: &self.file,
            offset: self.header.data_offset,
            shape: &shape,
            element: self.element,
            what: &what,
        };
        // SAFETY: the caller's promise; opening checked the size against the address space and the file.
        with_scratch(|scratch| unsafe { source.read(&region, out, &strides, &mut scratch.raw) })
    }
}

/// Tells apart the temporary files of one process.
static TEMPORARY_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A hidden name beside `target` that nobody else uses.
pub(crate) fn temporary_beside(target: &Path) -> PathBuf {
    let number = TEMPORARY_NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    target.with_file_name(format!(".{name}.{}.{number}.partial", std::process::id()))
}

/// Writes one npy file, region by region, from any number of threads.
#[derive(Debug)]
pub struct NpyWriter {
    target: PathBuf,
    /// The file being filled; `None` once it has been renamed.
    temporary: Option<PathBuf>,
    file: File,
    shape: Vec<u64>,
    itemsize: usize,
    data_offset: u64,
}

impl NpyWriter {
    /// Begins a file of `shape` whose elements are of NumPy type `descr`, in this machine's byte order. What is never written
    /// is zero.
    pub fn create(path: &Path, descr: &str, shape: &[u64]) -> Result<Self> {
        let invalid = |reason: String| Error::metadata(path, "npy header", reason);
        let element = ElementLayout::from_descr(descr).filter(|element| element.itemsize > 0);
        let element = element.ok_or_else(|| Error::Unsupported {
            what: format!("writing dtype {descr} to '{}'", path.display()),
            reason: "elements must be numbers, booleans, dates or fixed-length strings; use numpy.save"
                .into(),
        })?;
        if element.needs_swap() {
            return Err(invalid(format!("dtype {descr} is not in native byte order")));
        }
        let data_len = byte_len(shape, element.itemsize)
            .ok_or_else(|| invalid(format!("shape {shape:?} exceeds the address space")))?;
        let header = NpyHeader::encode(descr, shape).map_err(invalid)?;
        if path.is_dir() {
            return Err(Error::file(path, "create")(io::ErrorKind::IsADirectory.into()));
        }
        let temporary = temporary_beside(path);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(Error::file(path, "create"))?;
        let writer = Self {
            target: path.to_path_buf(),
            temporary: Some(temporary),
            file,
            shape: shape.to_vec(),
            itemsize: element.itemsize,
            data_offset: header.len() as u64,
        };
        // From here on, dropping the writer removes the temporary file.
        writer.file.set_len(writer.data_offset + data_len as u64).map_err(Error::file(path, "extend"))?;
        writer.file.write_all_at(&header, 0).map_err(Error::file(path, "write"))?;
        Ok(writer)
    }

    /// The shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Writes the box of `count` elements that begins at `start`, taking element `index` from `source + index·strides`.
    /// Threads may write different boxes at once.
    ///
    /// # Safety
    /// For every index below `count`, `itemsize` initialised bytes at that place must be readable during the call.
    pub unsafe fn write_region(
        &self,
        start: &[u64],
        count: &[u64],
        source: *const u8,
        strides: &[isize],
    ) -> Result<()> {
        let step = vec![1; self.shape.len()];
        let region = Region::new(&self.shape, start, &step, count, strides.len())?;
        if region.is_empty() {
            return Ok(());
        }
        let file_strides = row_major_strides(&self.shape, self.itemsize);
        let first: u64 = start.iter().zip(&file_strides).map(|(&n, &stride)| n * stride as u64).sum();
        // The longest run in the file: whole inner axes, and a part of the axis before them.
        let run_axis =
            (0..=count.len()).find(|&axis| is_packed(&count[axis..], &file_strides[axis..], self.itemsize));
        let run_axis = run_axis.unwrap_or(count.len());
        let run_bytes = byte_len(&count[run_axis..], self.itemsize).unwrap_or(0);
        let mut index = vec![0u64; run_axis];
        with_scratch(|scratch| {
            loop {
                let place = |strides: &[isize]| -> isize {
                    index.iter().zip(strides).map(|(&n, stride)| n as isize * stride).sum()
                };
                let offset = self.data_offset + first + place(&file_strides) as u64;
                let (inner_count, inner_strides) = (&count[run_axis..], &strides[run_axis..]);
                // SAFETY: every index is below its count, so the caller's promise covers the run. Where it is packed in memory it
                // is one slice of readable bytes; elsewhere it is gathered into a buffer of its size.
                let written = unsafe {
                    let from = source.offset(place(strides));
                    if is_packed(inner_count, inner_strides, self.itemsize) {
                        self.file.write_all_at(std::slice::from_raw_parts(from, run_bytes), offset)
                    } else {
                        let buffer = scratch.raw.get(run_bytes, "a row to write")?;
                        let packed = &file_strides[run_axis..];
                        copy_box(
                            from,
                            inner_strides,
                            buffer.as_mut_ptr(),
                            packed,
                            inner_count,
                            self.itemsize,
                        );
                        self.file.write_all_at(buffer, offset)
                    }
                };
                written.map_err(Error::file(&self.target, "write"))?;
                let Some(axis) = (0..run_axis).rev().find(|&axis| index[axis] + 1 < count[axis]) else {
                    return Ok(());
                };
                index[axis] += 1;
                index[axis + 1..].fill(0);
            }
        })
    }

    /// Puts the file in its place, replacing what was there. It does not wait for the disk.
    pub fn finish(mut self) -> Result<()> {
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.target).map_err(Error::file(&self.target, "create"))?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for NpyWriter {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nothing can be done about a failure here, and the name says that the file is partial.
            let _ = std::fs::remove_file(temporary);
        }
    }
}
