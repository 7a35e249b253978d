//! Views of two-dimensional blocks: a pointer, a shape, and two strides counted in elements, of either sign. They are
//! the boundary of the crate: a caller wraps its own memory, nothing is copied. Indexing is checked.

use std::marker::PhantomData;

/// A shared view of a matrix.
#[derive(Debug)]
pub struct MatRef<'a, T> {
    ptr: *const T,
    nrows: usize,
    ncols: usize,
    row_stride: isize,
    col_stride: isize,
    life: PhantomData<&'a [T]>,
}

/// An exclusive view of a matrix: no two of its elements share memory.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    ptr: *mut T,
    nrows: usize,
    ncols: usize,
    row_stride: isize,
    col_stride: isize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: a MatRef gives out shared references only, as `&[T]` does.
unsafe impl<T: Sync> Send for MatRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MatRef<'_, T> {}
// SAFETY: a MatMut is the only way to its elements while it lives, as `&mut [T]` is.
unsafe impl<T: Send> Send for MatMut<'_, T> {}
// SAFETY: a shared MatMut only reads.
unsafe impl<T: Sync> Sync for MatMut<'_, T> {}

impl<T> Clone for MatRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for MatRef<'_, T> {}

/// Moves the origin of a view. Empty views keep their pointer, which may dangle.
fn offset(nrows: usize, ncols: usize, delta: isize) -> isize {
    if nrows == 0 || ncols == 0 { 0 } else { delta }
}

impl<'a, T: Copy> MatRef<'a, T> {
    /// Wraps raw memory.
    ///
    /// # Safety
    /// For all `i < nrows`, `j < ncols`, `ptr + i*row_stride + j*col_stride` (in elements) must be aligned, initialised
    /// and readable for `'a`, and nobody may write there meanwhile.
    pub unsafe fn from_raw(
        ptr: *const T,
        nrows: usize,
        ncols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { ptr, nrows, ncols, row_stride, col_stride, life: PhantomData }
    }

    /// Views a row-major slice.
    pub fn from_slice(data: &'a [T], nrows: usize, ncols: usize) -> Self {
        assert_eq!(data.len(), nrows * ncols, "slice length must be rows times columns");
        // SAFETY: the slice holds exactly the elements addressed.
        unsafe { Self::from_raw(data.as_ptr(), nrows, ncols, ncols as isize, 1) }
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }
    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.ncols
    }
    /// Elements between vertical neighbours.
    pub fn row_stride(&self) -> isize {
        self.row_stride
    }
    /// Elements between horizontal neighbours.
    pub fn col_stride(&self) -> isize {
        self.col_stride
    }
    /// Address of the first element.
    pub fn as_ptr(&self) -> *const T {
        self.ptr
    }

    /// The element at a position.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        assert!(i < self.nrows && j < self.ncols, "index ({i}, {j}) out of {}x{}", self.nrows, self.ncols);
        // SAFETY: the position was just checked; `from_raw` promised that it is readable.
        unsafe { *self.ptr.offset(i as isize * self.row_stride + j as isize * self.col_stride) }
    }

    /// The transpose, without moving data.
    pub fn transpose(self) -> Self {
        Self {
            nrows: self.ncols,
            ncols: self.nrows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The part of `nrows` by `ncols` that begins at (`row`, `col`).
    pub fn sub(self, row: usize, col: usize, nrows: usize, ncols: usize) -> Self {
        assert!(row + nrows <= self.nrows && col + ncols <= self.ncols, "part outside of the matrix");
        let delta = offset(nrows, ncols, row as isize * self.row_stride + col as isize * self.col_stride);
        Self { ptr: self.ptr.wrapping_offset(delta), nrows, ncols, ..self }
    }

    /// One column as a slice when it is contiguous.
    pub(crate) fn col(&self, j: usize) -> Option<&'a [T]> {
        assert!(j < self.ncols, "column out of range");
        if self.nrows == 0 {
            return Some(&[]);
        }
        if self.row_stride != 1 && self.nrows != 1 {
            return None;
        }
        // SAFETY: the column's elements follow each other and `from_raw` promised they are readable.
        Some(unsafe { std::slice::from_raw_parts(self.ptr.offset(j as isize * self.col_stride), self.nrows) })
    }
}

impl<'a, T: Copy> MatMut<'a, T> {
    /// Wraps raw memory.
    ///
    /// # Safety
    /// As [`MatRef::from_raw`], moreover the memory must be writable, no two positions may share an address, and
    /// nobody else may read or write it during `'a`.
    pub unsafe fn from_raw(
        ptr: *mut T,
        nrows: usize,
        ncols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { ptr, nrows, ncols, row_stride, col_stride, life: PhantomData }
    }

    /// Views a row-major slice.
    pub fn from_slice(data: &'a mut [T], nrows: usize, ncols: usize) -> Self {
        assert_eq!(data.len(), nrows * ncols, "slice length must be rows times columns");
        // SAFETY: the slice holds exactly the elements addressed, each once.
        unsafe { Self::from_raw(data.as_mut_ptr(), nrows, ncols, ncols as isize, 1) }
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }
    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.ncols
    }
    /// Elements between vertical neighbours.
    pub fn row_stride(&self) -> isize {
        self.row_stride
    }
    /// Elements between horizontal neighbours.
    pub fn col_stride(&self) -> isize {
        self.col_stride
    }
    /// Address of the first element.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.ptr
    }

    /// A shared view of the same matrix.
    pub fn rb(&self) -> MatRef<'_, T> {
        // SAFETY: `self` is borrowed, so nobody writes while the view lives.
        unsafe { MatRef::from_raw(self.ptr, self.nrows, self.ncols, self.row_stride, self.col_stride) }
    }
    /// A shorter exclusive view of the same matrix.
    pub fn rb_mut(&mut self) -> MatMut<'_, T> {
        MatMut { life: PhantomData, ..*self }
    }

    /// The element at a position.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        self.rb().at(i, j)
    }
    /// Writes the element at a position.
    #[inline(always)]
    pub fn set(&mut self, i: usize, j: usize, value: T) {
        assert!(i < self.nrows && j < self.ncols, "index ({i}, {j}) out of {}x{}", self.nrows, self.ncols);
        // SAFETY: the position was just checked; `from_raw` promised that it is writable.
        unsafe { *self.ptr.offset(i as isize * self.row_stride + j as isize * self.col_stride) = value }
    }

    /// The transpose, without moving data.
    pub fn transpose(self) -> Self {
        Self {
            nrows: self.ncols,
            ncols: self.nrows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The part of `nrows` by `ncols` that begins at (`row`, `col`).
    pub fn sub(self, row: usize, col: usize, nrows: usize, ncols: usize) -> Self {
        assert!(row + nrows <= self.nrows && col + ncols <= self.ncols, "part outside of the matrix");
        let delta = offset(nrows, ncols, row as isize * self.row_stride + col as isize * self.col_stride);
        Self { ptr: self.ptr.wrapping_offset(delta), nrows, ncols, ..self }
    }

    /// The columns before `col` and those from it on.
    pub fn split_at_col(self, col: usize) -> (Self, Self) {
        let (nrows, ncols) = (self.nrows, self.ncols);
        let other = MatMut { life: PhantomData, ..self };
        // The two parts address disjoint positions of one exclusive view, hence disjoint memory.
        (self.sub(0, 0, nrows, col), other.sub(0, col, nrows, ncols - col))
    }

    /// The rows before `row` and those from it on.
    pub fn split_at_row(self, row: usize) -> (Self, Self) {
        let (top, bottom) = self.transpose().split_at_col(row);
        (top.transpose(), bottom.transpose())
    }

    /// Writes one value everywhere.
    pub fn fill(&mut self, value: T) {
        for i in 0..self.nrows {
            for j in 0..self.ncols {
                self.set(i, j, value);
            }
        }
    }

    /// Copies another matrix of the same shape, in tiles, so that a transposing copy stays in the cache.
    pub fn copy_from(&mut self, src: MatRef<'_, T>) {
        assert_eq!((self.nrows, self.ncols), (src.nrows(), src.ncols()), "copy between different shapes");
        const TILE: usize = 32;
        // The inner loop runs along the destination's shorter stride.
        if self.row_stride.unsigned_abs() < self.col_stride.unsigned_abs() {
            return self.rb_mut().transpose().copy_from(src.transpose());
        }
        for i0 in (0..self.nrows).step_by(TILE) {
            for j0 in (0..self.ncols).step_by(TILE) {
                for i in i0..(i0 + TILE).min(self.nrows) {
                    for j in j0..(j0 + TILE).min(self.ncols) {
                        // SAFETY: i < nrows and j < ncols by the loops' bounds, for both matrices.
                        unsafe {
                            *self.ptr.offset(i as isize * self.row_stride + j as isize * self.col_stride) =
                                *src.ptr.offset(i as isize * src.row_stride + j as isize * src.col_stride);
                        }
                    }
                }
            }
        }
    }

    /// One column as a slice when it is contiguous.
    pub(crate) fn col_mut(&mut self, j: usize) -> Option<&mut [T]> {
        assert!(j < self.ncols, "column out of range");
        if self.nrows == 0 {
            return Some(&mut []);
        }
        if self.row_stride != 1 && self.nrows != 1 {
            return None;
        }
        // SAFETY: the column's elements follow each other; the view is exclusive and borrowed for the slice's life.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.ptr.offset(j as isize * self.col_stride), self.nrows)
        })
    }
}
