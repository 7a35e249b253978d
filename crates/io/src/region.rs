//! Regions of an array, and copying boxes of elements between two strided buffers.
//!
//! A region is `count` indices on each axis, the first at `start`, each `step` after the one before. Everything here is
//! arithmetic on sizes and raw pointers; files are elsewhere.

use crate::error::{Error, Result};

/// A validated region: every index it names lies inside the array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region<'a> {
    pub start: &'a [u64],
    pub step: &'a [u64],
    pub count: &'a [u64],
}

impl<'a> Region<'a> {
    /// Checks the region against the array's shape. `strides_len` is how many output strides the caller gave.
    pub fn new(
        shape: &[u64],
        start: &'a [u64],
        step: &'a [u64],
        count: &'a [u64],
        strides_len: usize,
    ) -> Result<Self> {
        let fail = |reason: String| Error::Region {
            region: format!("region start {start:?}, step {step:?}, count {count:?}"),
            shape: shape.to_vec(),
            reason,
        };
        let ndim = shape.len();
        if [start.len(), step.len(), count.len(), strides_len] != [ndim; 4] {
            return Err(fail(format!(
                "the array has {ndim} axes, the region {} starts, {} steps and {} counts, the buffer {strides_len} strides",
                start.len(),
                step.len(),
                count.len()
            )));
        }
        for axis in 0..ndim {
            if step[axis] == 0 {
                return Err(fail(format!("the step on axis {axis} is 0; it must be at least 1")));
            }
            let last =
                count[axis].checked_sub(1).map(|n| n.checked_mul(step[axis])?.checked_add(start[axis]));
            match last {
                None if start[axis] <= shape[axis] => {}
                Some(Some(last)) if last < shape[axis] => {}
                None => return Err(fail(format!("axis {axis} starts beyond its end"))),
                Some(Some(last)) => {
                    return Err(fail(format!(
                        "on axis {axis} the last index is {last}, the length {}",
                        shape[axis]
                    )));
                }
                Some(None) => return Err(fail(format!("the last index on axis {axis} overflows"))),
            }
        }
        Ok(Self { start, step, count })
    }

    /// Whether the region names no element.
    pub fn is_empty(&self) -> bool {
        self.count.contains(&0)
    }
}

/// The part of one axis of a region that falls into one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisPiece {
    /// The chunk's coordinate on this axis.
    pub chunk: u64,
    /// The first index inside the chunk.
    pub start: u64,
    /// How many indices.
    pub count: u64,
    /// The position of the first one in the region.
    pub position: u64,
}

/// Cuts one axis of a region at the chunk boundaries, leaving out chunks that hold none of its indices.
pub(crate) fn axis_pieces(start: u64, step: u64, count: u64, chunk_len: u64) -> Vec<AxisPiece> {
    let mut pieces = Vec::new();
    let mut position = 0;
    while position < count {
        let index = start + position * step;
        let chunk = index / chunk_len;
        let inside = index - chunk * chunk_len;
        let pieces_count = (chunk_len - inside).div_ceil(step).min(count - position);
        pieces.push(AxisPiece { chunk, start: inside, count: pieces_count, position });
        position += pieces_count;
    }
    pieces
}

/// Calls `visit` with one piece from each axis, for every combination, the last axis running fastest.
pub(crate) fn for_each_chunk(
    axes: &[Vec<AxisPiece>],
    mut visit: impl FnMut(&[AxisPiece]) -> Result<()>,
) -> Result<()> {
    if axes.iter().any(Vec::is_empty) {
        return Ok(());
    }
    let mut current: Vec<AxisPiece> = axes.iter().map(|pieces| pieces[0]).collect();
    let mut odometer = vec![0; axes.len()];
    loop {
        visit(&current)?;
        let mut axis = axes.len();
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            odometer[axis] += 1;
            if odometer[axis] < axes[axis].len() {
                current[axis] = axes[axis][odometer[axis]];
                break;
            }
            odometer[axis] = 0;
            current[axis] = axes[axis][0];
        }
    }
}

/// The number of bytes of `shape` elements, or `None` when it does not fit this machine's address space.
pub(crate) fn byte_len(shape: &[u64], itemsize: usize) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let bytes = shape.iter().try_fold(u64::try_from(itemsize).ok()?, |product, &n| product.checked_mul(n))?;
    usize::try_from(bytes).ok().filter(|&n| isize::try_from(n).is_ok())
}

/// Byte strides of a row-major array. The caller has checked that the whole fits an `isize`.
pub(crate) fn row_major_strides(shape: &[u64], itemsize: usize) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = itemsize as isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride = stride.saturating_mul(shape[axis].max(1) as isize);
    }
    strides
}

/// Whether the axes from `first` on are packed without gaps in row-major order.
pub(crate) fn is_packed(count: &[u64], strides: &[isize], itemsize: usize) -> bool {
    let mut expected = itemsize as isize;
    for axis in (0..count.len()).rev() {
        if count[axis] != 1 && strides[axis] != expected {
            return false;
        }
        expected *= count[axis] as isize;
    }
    true
}

/// Copies a box of elements.
///
/// # Safety
/// For every index below `count`, `itemsize` bytes at `source + index·source_strides` must be readable and `itemsize` bytes at
/// `target + index·target_strides` writable, and the two sets must not overlap.
pub(crate) unsafe fn copy_box(
    source: *const u8,
    source_strides: &[isize],
    target: *mut u8,
    target_strides: &[isize],
    count: &[u64],
    itemsize: usize,
) {
    if count.contains(&0) {
        return;
    }
    // Axes of length one say nothing, and two axes that both sides walk in one stride are one axis: most copies between
    // row-major buffers end as a single memcpy or as one long loop of them.
    let mut axes: Vec<(isize, isize, isize)> = Vec::with_capacity(count.len());
    for axis in 0..count.len() {
        let n = count[axis] as isize;
        let (from, to) = (source_strides[axis], target_strides[axis]);
        if n == 1 {
            continue;
        }
        match axes.last_mut() {
            Some(outer) if outer.1 == from.wrapping_mul(n) && outer.2 == to.wrapping_mul(n) => {
                *outer = (outer.0 * n, from, to)
            }
            _ => axes.push((n, from, to)),
        }
    }
    let item = itemsize as isize;
    let mut run = itemsize;
    if let Some(&(n, from, to)) = axes.last()
        && from == item
        && to == item
    {
        run = itemsize * n as usize;
        axes.pop();
    }
    // SAFETY: merging axes keeps the set of addresses, so the caller's promise covers every copy below.
    unsafe { copy_axes(source, target, &axes, run) }
}

/// # Safety
/// As [`copy_box`], for the merged axes and runs of `run` bytes.
unsafe fn copy_axes(source: *const u8, target: *mut u8, axes: &[(isize, isize, isize)], run: usize) {
    match *axes {
        // SAFETY: the caller's promise for the only run.
        [] => unsafe { std::ptr::copy_nonoverlapping(source, target, run) },
        // SAFETY: the caller's promise; small runs get a fixed size so that each copy is one load and one store.
        [(n, from, to)] => unsafe {
            match run {
                1 => copy_items::<1>(source, target, n, from, to),
                2 => copy_items::<2>(source, target, n, from, to),
                4 => copy_items::<4>(source, target, n, from, to),
                8 => copy_items::<8>(source, target, n, from, to),
                16 => copy_items::<16>(source, target, n, from, to),
                _ => {
                    for index in 0..n {
                        std::ptr::copy_nonoverlapping(
                            source.offset(index * from),
                            target.offset(index * to),
                            run,
                        );
                    }
                }
            }
        },
        [(n, from, to), ref inner @ ..] => {
            for index in 0..n {
                // SAFETY: `index` is below the axis' length, so the caller's promise holds for the inner box.
                unsafe { copy_axes(source.offset(index * from), target.offset(index * to), inner, run) }
            }
        }
    }
}

/// # Safety
/// As [`copy_box`], for `n` elements of `N` bytes.
unsafe fn copy_items<const N: usize>(source: *const u8, target: *mut u8, n: isize, from: isize, to: isize) {
    for index in 0..n {
        // SAFETY: the caller's promise for this element.
        unsafe { std::ptr::copy_nonoverlapping(source.offset(index * from), target.offset(index * to), N) }
    }
}

/// Writes one element everywhere in a box.
///
/// # Safety
/// For every index below `count`, `element.len()` bytes at `target + index·strides` must be writable.
pub(crate) unsafe fn fill_box(element: &[u8], target: *mut u8, strides: &[isize], count: &[u64]) {
    let packed = is_packed(count, strides, element.len());
    if packed && element.iter().all(|&byte| byte == element[0]) {
        let elements: u64 = count.iter().product();
        // SAFETY: the box is packed, so its elements fill exactly this many bytes, all writable.
        unsafe { std::ptr::write_bytes(target, element[0], elements as usize * element.len()) }
        return;
    }
    // A source that stands still on every axis repeats its one element.
    let still = vec![0; count.len()];
    // SAFETY: the source is one readable element, apart from the target, and the caller vouches for the target.
    unsafe { copy_box(element.as_ptr(), &still, target, strides, count, element.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_skip_chunks_between_steps() {
        let pieces = axis_pieces(1, 5, 4, 4);
        let found: Vec<_> = pieces.iter().map(|p| (p.chunk, p.start, p.count, p.position)).collect();
        assert_eq!(found, [(0, 1, 1, 0), (1, 2, 1, 1), (2, 3, 1, 2), (4, 0, 1, 3)]);
        assert_eq!(axis_pieces(3, 2, 3, 6).len(), 2);
        assert!(axis_pieces(3, 2, 0, 6).is_empty());
    }

    #[test]
    fn regions_outside_the_array_are_refused() {
        let check = |start, step, count| Region::new(&[10], &[start], &[step], &[count], 1).map(|_| ());
        assert!(check(0, 3, 4).is_ok());
        assert!(check(10, 1, 0).is_ok());
        for (start, step, count) in [(0, 3, 5), (0, 0, 1), (11, 1, 0), (1, u64::MAX, 3), (u64::MAX, 1, 2)] {
            assert!(check(start, step, count).is_err(), "{start} {step} {count}");
        }
        assert!(Region::new(&[10, 2], &[0], &[1], &[1], 1).is_err());
    }

    #[test]
    fn copies_transpose_and_fill() {
        let source: Vec<u8> = (0..6).collect();
        let mut target = vec![9; 6];
        // SAFETY: both buffers hold 2 × 3 bytes with these strides.
        unsafe { copy_box(source.as_ptr(), &[3, 1], target.as_mut_ptr(), &[1, 2], &[2, 3], 1) };
        assert_eq!(target, [0, 3, 1, 4, 2, 5]);
        // SAFETY: the middle column of a 2 × 3 buffer.
        unsafe { fill_box(&[7], target.as_mut_ptr().add(1), &[3, 1], &[2, 1]) };
        assert_eq!(target, [0, 7, 1, 4, 7, 5]);
        assert_eq!(byte_len(&[u64::MAX, 2], 8), None);
        assert_eq!(byte_len(&[u64::MAX, 0], 8), Some(0));
    }
}
