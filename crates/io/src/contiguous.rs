//! Reading regions of row-major data that lie uncompressed at one offset of a file.
//!
//! Bytes come through `pread` rather than a memory map: into the output itself where a long run of it is packed, otherwise into a
//! warm buffer from which the wanted elements are copied. A map would fault on every page of a cached file, and kill the process
//! when the file is truncated meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::element::ElementLayout;
use crate::error::{Error, Result};
use crate::region::{Region, copy_box, is_packed, row_major_strides};
use crate::scratch::Buffer;

/// The most that one `pread` puts into the buffer.
const BUFFER_BYTES: u64 = 1 << 20;
/// Runs at least this long are read straight into the output.
const DIRECT_BYTES: u64 = 16 << 10;
/// Reading this many bytes for each wanted one is still cheaper than one system call a run.
const WASTE: u64 = 4;

/// An open file that knows its name and its length.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl DataFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file(path, "open"))?;
        let metadata = file.metadata().map_err(Error::file(path, "read"))?;
        if metadata.is_dir() {
            return Err(Error::file(path, "open")(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self { path: path.to_path_buf(), file, len: metadata.len() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Fails where the file is too short for `needed` bytes at `offset`.
    pub fn check(&self, offset: u64, needed: u64, what: impl FnOnce() -> String) -> Result<()> {
        if offset.checked_add(needed).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(Error::Truncated { path: self.path.clone(), what: what(), offset, needed, file_len: self.len })
    }

    /// Fills `buffer` from `offset` on.
    pub fn read(&self, buffer: &mut [u8], offset: u64, what: impl FnOnce() -> String) -> Result<()> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Truncated {
                path: self.path.clone(),
                what: what(),
                offset,
                needed: buffer.len() as u64,
                file_len: self.file.metadata().map(|m| m.len()).unwrap_or(self.len),
            }),
            Err(source) => Err(Error::File { path: self.path.clone(), action: "read", source }),
        }
    }
}

/// Row-major data at one place of a file.
pub(crate) struct Contiguous<'a> {
    pub file: &'a DataFile,
    pub offset: u64,
    pub shape: &'a [u64],
    pub element: ElementLayout,
    /// What the data are, for messages.
    pub what: &'a dyn Fn() -> String,
}

impl Contiguous<'_> {
    /// Copies `region` into `out` in native byte order.
    ///
    /// # Safety
    /// For every index below the region's counts, `itemsize` bytes at `out + index·strides` must be writable and used by nobody
    /// else during the call. The caller has checked that the data's size fits an `isize` and that the file holds them.
    pub unsafe fn read(
        &self,
        region: &Region<'_>,
        out: *mut u8,
        strides: &[isize],
        buffer: &mut Buffer,
    ) -> Result<()> {
        if region.is_empty() {
            return Ok(());
        }
        let itemsize = self.element.itemsize;
        let ndim = self.shape.len();
        let file_strides = row_major_strides(self.shape, itemsize);
        // A step that leaves the array may wrap, but then its axis has one index and the product is never used.
        let steps: Vec<isize> =
            (0..ndim).map(|axis| file_strides[axis].wrapping_mul(region.step[axis] as isize)).collect();
        let first: u64 = (0..ndim).map(|axis| region.start[axis] * file_strides[axis] as u64).sum();
        let plan = Plan::new(region.count, &steps, strides, itemsize);
        let walk = Walk { source: self, count: region.count, steps: &steps, strides, plan };
        // SAFETY: the caller's promise on `out`.
        unsafe { walk.axis(0, self.offset + first, out, buffer) }
    }
}

/// At which axis to stop walking index by index, and how to read what is inside.
struct Plan {
    /// The first axis that is read as a whole.
    split: usize,
    /// Whether the inside is one run in the file and in the output.
    direct: bool,
    /// How many indices of the axis before `split` one read covers, where that axis is read in groups.
    group: u64,
}

impl Plan {
    fn new(count: &[u64], steps: &[isize], strides: &[isize], itemsize: usize) -> Self {
        let ndim = count.len();
        let wanted = |axis: usize| count[axis..].iter().product::<u64>() * itemsize as u64;
        let span = |axis: usize| {
            (axis..ndim).map(|a| (count[a] - 1) * steps[a] as u64).sum::<u64>() + itemsize as u64
        };
        let run = (0..=ndim)
            .find(|&axis| {
                is_packed(&count[axis..], &steps[axis..], itemsize)
                    && is_packed(&count[axis..], &strides[axis..], itemsize)
            })
            .unwrap_or(ndim);
        if run == 0 || wanted(run) >= DIRECT_BYTES {
            return Self { split: run, direct: true, group: 1 };
        }
        let fits = |axis: usize| span(axis) <= BUFFER_BYTES && span(axis) / WASTE <= wanted(axis);
        let split = (0..=ndim).find(|&axis| fits(axis)).unwrap_or(ndim);
        let mut group = 1;
        if split > 0 {
            let outer = split - 1;
            let step = steps[outer] as u64;
            let dense = step / WASTE <= wanted(split);
            let room = BUFFER_BYTES.saturating_sub(span(split)) / step.max(1);
            if dense {
                group = (room + 1).min(count[outer]);
            }
        }
        Self { split, direct: false, group }
    }
}

struct Walk<'a, 'b> {
    source: &'a Contiguous<'b>,
    count: &'a [u64],
    steps: &'a [isize],
    strides: &'a [isize],
    plan: Plan,
}

impl Walk<'_, '_> {
    /// Reads the box of axes from `axis` on, whose first element is at `offset` of the file and goes to `out`.
    ///
    /// # Safety
    /// As [`Contiguous::read`], for that box.
    unsafe fn axis(&self, axis: usize, offset: u64, out: *mut u8, buffer: &mut Buffer) -> Result<()> {
        if axis == self.plan.split {
            let count = &self.count[axis..];
            // SAFETY: the caller's promise for this box.
            return unsafe { self.inside(axis, count, offset, out, buffer) };
        }
        let (step, stride) = (self.steps[axis] as u64, self.strides[axis]);
        let group = if axis + 1 == self.plan.split { self.plan.group } else { 1 };
        let mut index = 0;
        while index < self.count[axis] {
            let taken = group.min(self.count[axis] - index);
            let offset = offset + index * step;
            // SAFETY: `index` is below the axis' count, so the caller's promise covers this part.
            unsafe {
                let out = out.offset(index as isize * stride);
                if group > 1 {
                    let mut count = self.count[axis..].to_vec();
                    count[0] = taken;
                    self.inside(axis, &count, offset, out, buffer)?;
                } else {
                    self.axis(axis + 1, offset, out, buffer)?;
                }
            }
            index += taken;
        }
        Ok(())
    }

    /// Reads the box of `count` elements on the axes from `axis` on with one system call.
    ///
    /// # Safety
    /// As [`Contiguous::read`], for that box.
    unsafe fn inside(
        &self,
        axis: usize,
        count: &[u64],
        offset: u64,
        out: *mut u8,
        buffer: &mut Buffer,
    ) -> Result<()> {
        let Contiguous { file, element, what, .. } = self.source;
        let (steps, strides) = (&self.steps[axis..], &self.strides[axis..]);
        if self.plan.direct {
            let len = count.iter().product::<u64>() as usize * element.itemsize;
            // SAFETY: the plan is direct only where this box is packed in the output, so that it is `len` writable bytes used by
            // nobody else. They are written before anything reads them.
            let target = unsafe { std::slice::from_raw_parts_mut(out, len) };
            file.read(target, offset, *what)?;
            if element.needs_swap() {
                element.swap(target);
            }
            return Ok(());
        }
        let last: u64 = count.iter().zip(steps).map(|(&n, &step)| (n - 1) * step as u64).sum();
        let len = last as usize + element.itemsize;
        let bytes = buffer.get(len, "a part of a file")?;
        file.read(bytes, offset, *what)?;
        if element.needs_swap() {
            // Elements between the wanted ones are whole too, because all strides are multiples of the element's size.
            element.swap(bytes);
        }
        // SAFETY: the box spans exactly `bytes`, which is this thread's own buffer; the caller vouches for the output.
        unsafe { copy_box(bytes.as_ptr(), steps, out, strides, count, element.itemsize) };
        Ok(())
    }
}
