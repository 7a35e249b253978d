//! Copying between strided memory: what transposes, rechunking and assembling come down to.
//!
//! Axes are sorted and merged first, so that most copies end as a few `memcpy`s. Where the two sides disagree about the
//! contiguous axis, the copy runs in square tiles that fit the first-level cache.

use smallvec::SmallVec;

#[derive(Clone, Copy)]
struct Axis {
    len: usize,
    to: isize,
    from: isize,
}

/// Copies elements of `itemsize` bytes (1, 2, 4, 8 or 16) from one strided array to another of the same shape.
///
/// # Safety
/// All elements reached on both sides are valid, `to` is written by nobody else, and the two sides do not overlap.
pub unsafe fn copy_strided(
    itemsize: usize,
    shape: &[usize],
    mut to: *mut u8,
    to_strides: &[isize],
    mut from: *const u8,
    from_strides: &[isize],
) {
    if shape.contains(&0) {
        return;
    }
    let mut axes: SmallVec<[Axis; 6]> = SmallVec::new();
    for ((&len, &t), &f) in shape.iter().zip(to_strides).zip(from_strides) {
        if len == 1 {
            continue;
        }
        let mut axis = Axis { len, to: t, from: f };
        if axis.to < 0 {
            // Walk every axis so that the destination ascends.
            to = to.wrapping_offset(axis.to * (len as isize - 1));
            from = from.wrapping_offset(axis.from * (len as isize - 1));
            axis.to = -axis.to;
            axis.from = -axis.from;
        }
        axes.push(axis);
    }
    axes.sort_by_key(|a| std::cmp::Reverse((a.to, a.from.abs())));
    let mut merged: SmallVec<[Axis; 6]> = SmallVec::new();
    for axis in axes {
        if let Some(last) = merged.last_mut() {
            let outer: &mut Axis = last;
            if outer.to == axis.to * axis.len as isize && outer.from == axis.from * axis.len as isize {
                *outer = Axis { len: outer.len * axis.len, ..axis };
                continue;
            }
        }
        merged.push(axis);
    }
    // SAFETY: the merged axes reach the same elements as the ones passed in.
    unsafe {
        match itemsize {
            1 => walk::<u8>(&merged, to, from),
            2 => walk::<u16>(&merged, to, from),
            4 => walk::<u32>(&merged, to, from),
            8 => walk::<u64>(&merged, to, from),
            16 => walk::<[u64; 2]>(&merged, to, from),
            other => {
                // Odd sizes (fixed strings) get an innermost axis of bytes.
                merged.push(Axis { len: other, to: 1, from: 1 });
                walk::<u8>(&merged, to, from)
            }
        }
    }
}

/// # Safety
/// As `copy_strided`.
unsafe fn walk<T: Copy>(axes: &[Axis], to: *mut u8, from: *const u8) {
    let size = size_of::<T>() as isize;
    // SAFETY: each branch touches exactly the elements that the axes describe.
    unsafe {
        match axes {
            [] => to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned()),
            [a] if a.to == size && a.from == size => {
                std::ptr::copy_nonoverlapping(from, to, a.len * size as usize)
            }
            [a] if a.to == size && a.from == 0 => {
                let v = from.cast::<T>().read_unaligned();
                for i in 0..a.len {
                    to.cast::<T>().add(i).write_unaligned(v);
                }
            }
            [a] => {
                for i in 0..a.len as isize {
                    to.offset(i * a.to)
                        .cast::<T>()
                        .write_unaligned(from.offset(i * a.from).cast::<T>().read_unaligned());
                }
            }
            [a, b] if a.from.abs() < b.from.abs() => transpose_tiles::<T>(*a, *b, to, from),
            [a, b] if b.from.abs() != size || b.to != size => {
                for i in 0..a.len as isize {
                    walk::<T>(&[*b], to.offset(i * a.to), from.offset(i * a.from));
                }
            }
            [a, rest @ ..] => {
                for i in 0..a.len as isize {
                    walk::<T>(rest, to.offset(i * a.to), from.offset(i * a.from));
                }
            }
        }
    }
}

/// # Safety
/// As `copy_strided`.
unsafe fn transpose_tiles<T: Copy>(a: Axis, b: Axis, to: *mut u8, from: *const u8) {
    const TILE: usize = 32;
    for i0 in (0..a.len).step_by(TILE) {
        for j0 in (0..b.len).step_by(TILE) {
            for i in i0..(i0 + TILE).min(a.len) {
                for j in j0..(j0 + TILE).min(b.len) {
                    let (i, j) = (i as isize, j as isize);
                    // SAFETY: i and j are within the axes' lengths.
                    unsafe {
                        let v = from.offset(i * a.from + j * b.from).cast::<T>().read_unaligned();
                        to.offset(i * a.to + j * b.to).cast::<T>().write_unaligned(v);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::copy_strided;

    #[test]
    fn every_layout_copies_like_a_naive_loop() {
        let shape = [3usize, 5, 4];
        let source: Vec<u32> = (0..60).collect();
        for perm in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]] {
            for flip in [false, true] {
                let base = [80isize, 16, 4];
                let mut from = source.as_ptr().cast::<u8>();
                let mut strides: Vec<isize> = perm.iter().map(|&p| base[p]).collect();
                let lens: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
                if flip {
                    from = from.wrapping_offset(strides[1] * (lens[1] as isize - 1));
                    strides[1] = -strides[1];
                }
                let mut out = vec![0u32; 60];
                let to_strides = [4 * (lens[1] * lens[2]) as isize, 4 * lens[2] as isize, 4];
                // SAFETY: shapes and strides describe exactly the two vectors.
                unsafe { copy_strided(4, &lens, out.as_mut_ptr().cast(), &to_strides, from, &strides) };
                let mut k = 0;
                for i in 0..lens[0] as isize {
                    for j in 0..lens[1] as isize {
                        for l in 0..lens[2] as isize {
                            // SAFETY: indices are within the lengths.
                            let want = unsafe {
                                *from.offset(i * strides[0] + j * strides[1] + l * strides[2]).cast::<u32>()
                            };
                            assert_eq!(out[k], want);
                            k += 1;
                        }
                    }
                }
            }
        }
    }
}
