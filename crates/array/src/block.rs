//! A block: one chunk's worth of an array in memory. A reference-counted buffer with dtype, shape and strides, as NumPy has.
//!
//! Views share the buffer. A block never changes while it is shared; `is_sole_owner` tells a kernel that it may write in
//! place.

use crate::pool::{Buffer, OutOfMemory};
use pantile_types::{DType, Scalar, ScalarType};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Lengths, one an axis.
pub type Dims = SmallVec<[usize; 4]>;
/// Strides in bytes, one an axis.
pub type Strides = SmallVec<[isize; 4]>;

/// A strided array in memory.
#[derive(Clone, Debug)]
pub struct Block {
    buffer: Arc<Buffer>,
    offset: isize,
    dtype: DType,
    shape: Dims,
    strides: Strides,
}

/// Strides of a C-ordered array.
pub fn c_strides(shape: &[usize], itemsize: usize) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(0, shape.len());
    let mut step = itemsize as isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = step;
        // Wraps only where another axis is empty and no stride is used.
        step = step.wrapping_mul(shape[axis].max(1) as isize);
    }
    strides
}

/// The number of elements of this shape; more than can be counted are `usize::MAX`.
fn elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product, &n| product.saturating_mul(n))
}

impl Block {
    /// A C-ordered block with arbitrary content. The dtype must be native.
    pub fn alloc(dtype: DType, shape: &[usize]) -> Result<Block, OutOfMemory> {
        let itemsize = dtype.size();
        let buffer = Arc::new(Buffer::alloc(elements(shape).saturating_mul(itemsize))?);
        Ok(Block { buffer, offset: 0, dtype, shape: shape.into(), strides: c_strides(shape, itemsize) })
    }

    /// A C-ordered block of zero bytes.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Block, OutOfMemory> {
        let block = Block::alloc(dtype, shape)?;
        // SAFETY: the buffer was just allocated with `len` bytes and nobody else sees it yet.
        unsafe { std::ptr::write_bytes(block.buffer.ptr(), 0, block.buffer.len()) };
        Ok(block)
    }

    /// A C-ordered block filled with one value, which must have the dtype's storage type.
    pub fn full(dtype: DType, shape: &[usize], value: Scalar) -> Result<Block, OutOfMemory> {
        let block = Block::alloc(dtype, shape)?;
        let bits = value.bits();
        let n = block.len();
        let p = block.ptr();
        // SAFETY: the buffer holds `n` elements of this size, aligned, and is not shared.
        unsafe {
            match dtype.size() {
                1 => std::ptr::write_bytes(p, bits as u8, n),
                2 => std::slice::from_raw_parts_mut(p.cast::<u16>(), n).fill(bits as u16),
                4 => std::slice::from_raw_parts_mut(p.cast::<u32>(), n).fill(bits as u32),
                8 => std::slice::from_raw_parts_mut(p.cast::<u64>(), n).fill(bits as u64),
                _ => std::slice::from_raw_parts_mut(p.cast::<u128>(), n).fill(bits),
            }
        }
        Ok(block)
    }

    /// A block over memory that `buffer` owns.
    ///
    /// # Safety
    /// Every element that shape, strides and offset reach lies inside the buffer.
    pub unsafe fn from_parts(
        buffer: Arc<Buffer>,
        offset: isize,
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
    ) -> Block {
        Block { buffer, offset, dtype, shape: shape.into(), strides: strides.into() }
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The same bytes as another dtype of the same size.
    pub fn with_dtype(mut self, dtype: DType) -> Block {
        debug_assert_eq!(self.dtype.size(), dtype.size());
        self.dtype = dtype;
        self
    }

    /// The storage type of the elements.
    pub fn scalar_type(&self) -> ScalarType {
        self.dtype.scalar().expect("blocks hold native dtypes only")
    }

    /// Lengths.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Strides in bytes.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        elements(&self.shape)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first element's address.
    pub fn ptr(&self) -> *mut u8 {
        self.buffer.ptr().wrapping_offset(self.offset)
    }

    /// The memory that this block keeps alive and that counts against the limit, in bytes.
    pub fn owned_bytes(&self) -> u64 {
        if self.buffer.is_counted() { self.buffer.len() as u64 } else { 0 }
    }

    /// The size of the elements, in bytes, whoever owns them.
    pub fn nbytes(&self) -> u64 {
        self.len().saturating_mul(self.dtype.size()) as u64
    }

    /// Whether the memory is the engine's own, and not a user's array that may change.
    pub fn is_engines(&self) -> bool {
        self.buffer.is_owned()
    }

    /// The addresses of the buffer that it looks into.
    pub fn address_range(&self) -> std::ops::Range<usize> {
        let start = self.buffer.ptr() as usize;
        start..start + self.buffer.len()
    }

    /// Whether both look at the same elements of the same memory in the same order.
    pub fn is_same_view(&self, other: &Block) -> bool {
        let place = |b: &Block| (b.ptr() as usize, b.dtype);
        place(self) == place(other) && self.shape == other.shape && self.strides == other.strides
    }

    /// Whether nobody else refers to the memory and no two elements share theirs, so that it may be overwritten.
    pub fn is_sole_owner(&self) -> bool {
        let repeats = self.shape.iter().zip(&self.strides).any(|(&n, &s)| n > 1 && s == 0);
        if repeats || !self.buffer.is_owned() || Arc::strong_count(&self.buffer) != 1 {
            return false;
        }
        // `strong_count` reads without ordering. Whoever dropped the last other reference released it; with this fence all that
        // they read of the memory (a spill writer, a task on another thread) happened before what the caller will write.
        // Nobody holds weak references, from which another strong one could come.
        fence(Ordering::Acquire);
        true
    }

    /// Whether the elements are contiguous in C order.
    pub fn is_c_contiguous(&self) -> bool {
        let mut step = self.dtype.size() as isize;
        for axis in (0..self.ndim()).rev() {
            if self.shape[axis] != 1 && self.strides[axis] != step {
                return self.is_empty();
            }
            step = step.wrapping_mul(self.shape[axis] as isize);
        }
        true
    }

    /// The elements as a slice.
    ///
    /// # Safety
    /// `T` has the dtype's size and any bit pattern of the dtype is valid for it; the block is C-contiguous.
    pub unsafe fn as_slice<T>(&self) -> &[T] {
        debug_assert!(self.is_c_contiguous() && size_of::<T>() == self.dtype.size());
        if self.is_empty() {
            return &[];
        }
        // SAFETY: the caller states type and contiguity; the buffer outlives the borrow of self.
        unsafe { std::slice::from_raw_parts(self.ptr().cast(), self.len()) }
    }

    /// The view `start, start + step, ...` of `len` elements along one axis.
    pub fn slice_axis(mut self, axis: usize, start: usize, step: isize, len: usize) -> Block {
        debug_assert!(len == 0 || start < self.shape[axis]);
        if len > 0 {
            self.offset += start as isize * self.strides[axis];
        }
        self.strides[axis] *= step;
        self.shape[axis] = len;
        self
    }

    /// A view with freely chosen axes over the same memory.
    ///
    /// # Safety
    /// Every element reached lies inside the buffer. The offset is in bytes, relative to this block's first element.
    pub unsafe fn restride(&self, offset: isize, shape: Dims, strides: Strides) -> Block {
        Block { buffer: self.buffer.clone(), offset: self.offset + offset, dtype: self.dtype, shape, strides }
    }

    /// The axes in another order.
    pub fn transpose(&self, perm: &[usize]) -> Block {
        let shape = perm.iter().map(|&p| self.shape[p]).collect();
        let strides = perm.iter().map(|&p| self.strides[p]).collect();
        Block { shape, strides, ..self.clone() }
    }

    /// The same elements in C order with another shape. Copies unless they are contiguous already.
    pub fn reshape(&self, shape: &[usize]) -> Result<Block, OutOfMemory> {
        debug_assert_eq!(self.len(), elements(shape));
        let mut block = self.to_contiguous()?;
        block.strides = c_strides(shape, self.dtype.size());
        block.shape = shape.into();
        Ok(block)
    }

    /// This block if it is C-contiguous, else a copy that is.
    pub fn to_contiguous(&self) -> Result<Block, OutOfMemory> {
        if self.is_c_contiguous() {
            let mut block = self.clone();
            block.strides = c_strides(&block.shape, self.dtype.size());
            return Ok(block);
        }
        let out = Block::alloc(self.dtype, &self.shape)?;
        // SAFETY: `out` is fresh, not shared, and has this shape.
        unsafe { out.assign(self) };
        Ok(out)
    }

    /// A copy with its own memory.
    pub fn to_owned_block(&self) -> Result<Block, OutOfMemory> {
        let out = Block::alloc(self.dtype, &self.shape)?;
        // SAFETY: `out` is fresh, not shared, and has this shape.
        unsafe { out.assign(self) };
        Ok(out)
    }

    /// Copies `from`, of the same shape and dtype size, into this block's elements.
    ///
    /// # Safety
    /// Nobody else reads or writes these elements meanwhile, and the two do not overlap.
    pub unsafe fn assign(&self, from: &Block) {
        assert_eq!(self.shape, from.shape, "assign: shapes differ. This is a bug in Pantile");
        assert_eq!(
            self.dtype.size(),
            from.dtype.size(),
            "assign: item sizes differ. This is a bug in Pantile"
        );
        // SAFETY: both blocks reach only memory inside their buffers; exclusivity is the caller's promise.
        unsafe {
            crate::copy::copy_strided(
                self.dtype.size(),
                &self.shape,
                self.ptr(),
                &self.strides,
                from.ptr(),
                &from.strides,
            )
        }
    }

    /// The element of a block with exactly one.
    pub fn item(&self) -> Scalar {
        assert_eq!(self.len(), 1, "item: the block has {} elements. This is a bug in Pantile", self.len());
        let mut bits = 0u128;
        // SAFETY: one element lies at `ptr`; at most 16 bytes are read into a 16-byte variable.
        unsafe {
            std::ptr::copy_nonoverlapping(self.ptr(), (&raw mut bits).cast::<u8>(), self.dtype.size());
        }
        Scalar::from_bits(self.scalar_type(), bits)
    }
}
