//! Chunk algebra: how an axis is cut, and how the cuts of several arrays are made to agree.
//!
//! An axis is cut into consecutive chunks. A chunk whose length is not known before the computation (after a boolean
//! mask) has length `UNKNOWN`; an axis is then known by its number of chunks only.

use crate::error::{ArrayError, Result};
use pantile_graph::MAX_TASKS;
use pantile_types::DType;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The length of a chunk that only the computation will tell.
pub const UNKNOWN: u64 = u64::MAX;

/// The most chunks that a length of chunks may cut one axis into. More of them are a mistake: their lengths alone would take
/// gigabytes before the first task exists.
pub const MAX_AXIS_CHUNKS: u64 = 1 << 24;

/// The cuts of one axis. Cheap to clone.
#[derive(Clone)]
pub struct AxisChunks(Arc<Inner>);

struct Inner {
    sizes: Vec<u64>,
    /// `starts[i]` is where chunk `i` begins; one more entry holds the axis' length. Empty when unknown.
    starts: Vec<u64>,
    longest: u64,
    hash: u64,
}

/// The cuts of every axis of an array.
pub type Chunks = SmallVec<[AxisChunks; 4]>;

impl AxisChunks {
    /// An axis with these chunk lengths.
    pub fn new(sizes: Vec<u64>) -> AxisChunks {
        let known = !sizes.contains(&UNKNOWN);
        let mut starts = Vec::new();
        if known {
            starts.reserve(sizes.len() + 1);
            let mut at = 0u64;
            for &s in &sizes {
                starts.push(at);
                // An axis that is too long is refused by `check_size`; until then its length must not wrap.
                at = at.saturating_add(s);
            }
            starts.push(at);
        }
        let mut hasher = rustc_hash::FxHasher::default();
        sizes.hash(&mut hasher);
        let longest = if known { sizes.iter().copied().max().unwrap_or(0) } else { 0 };
        AxisChunks(Arc::new(Inner { hash: hasher.finish(), sizes, starts, longest }))
    }

    /// An axis of `len` elements in one chunk.
    pub fn whole(len: u64) -> AxisChunks {
        AxisChunks::new(vec![len])
    }

    /// An axis of `len` elements in chunks of `size`, the last one possibly smaller. A zero-length axis is one empty chunk.
    pub fn uniform(len: u64, size: u64) -> AxisChunks {
        if len == 0 || size >= len {
            return AxisChunks::whole(len);
        }
        let size = size.max(1);
        let mut sizes = vec![size; (len / size) as usize];
        if !len.is_multiple_of(size) {
            sizes.push(len % size);
        }
        AxisChunks::new(sizes)
    }

    /// The same for lengths that a user chose.
    ///
    /// # Errors
    /// More than `MAX_AXIS_CHUNKS` chunks.
    pub fn try_uniform(len: u64, size: u64) -> Result<AxisChunks> {
        let count = len.div_ceil(size.max(1));
        if count > MAX_AXIS_CHUNKS {
            return Err(ArrayError::value(format!(
                "an axis of {len} elements in chunks of {} has {count} chunks, and at most {MAX_AXIS_CHUNKS} are possible; use \
                 chunks of at least {} elements",
                size.max(1),
                len.div_ceil(MAX_AXIS_CHUNKS)
            )));
        }
        Ok(AxisChunks::uniform(len, size))
    }

    /// `count` chunks of unknown length.
    pub fn unknown(count: usize) -> AxisChunks {
        AxisChunks::new(vec![UNKNOWN; count])
    }

    /// The chunk lengths.
    pub fn sizes(&self) -> &[u64] {
        &self.0.sizes
    }

    /// How many chunks.
    pub fn count(&self) -> usize {
        self.0.sizes.len()
    }

    /// The length of the axis, if known.
    pub fn len(&self) -> Option<u64> {
        self.0.starts.last().copied()
    }

    /// Whether the length is known.
    pub fn is_known(&self) -> bool {
        !self.0.starts.is_empty()
    }

    /// Whether the axis is known to have no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Where chunk `i` starts. The axis must be known.
    pub fn start(&self, i: usize) -> u64 {
        self.0.starts[i]
    }

    /// The chunk that holds element `at`, which must be below the length of a known axis. Empty chunks hold nothing.
    pub fn find(&self, at: u64) -> usize {
        self.0.starts.partition_point(|&s| s <= at) - 1
    }

    /// The longest chunk (0 when unknown).
    pub fn longest(&self) -> u64 {
        self.0.longest
    }

    /// The cuts of the part `start, start + step, ...` (`len` elements): an output chunk holds what one chunk contributes,
    /// in the order of the output. Chunks that contribute nothing are left out.
    pub fn slice(&self, start: u64, step: i64, len: u64) -> AxisChunks {
        debug_assert!(self.is_known() && step != 0);
        if len == 0 {
            return AxisChunks::whole(0);
        }
        if step == 1 && start == 0 && Some(len) == self.len() {
            return self.clone();
        }
        let mut sizes = Vec::new();
        let mut done = 0;
        while done < len {
            let at = (start as i64 + step * done as i64) as u64;
            let chunk = self.find(at);
            let room = if step > 0 {
                (self.start(chunk) + self.0.sizes[chunk] - at).div_ceil(step as u64)
            } else {
                (at - self.start(chunk)) / step.unsigned_abs() + 1
            };
            let n = room.min(len - done);
            sizes.push(n);
            done += n;
        }
        AxisChunks::new(sizes)
    }

    /// The coarsest cuts that are refined by neither more than needed: every cut of `self` and of `other`.
    pub fn refine(&self, other: &AxisChunks) -> AxisChunks {
        if self == other {
            return self.clone();
        }
        let mut cuts: Vec<u64> = self.0.starts.iter().chain(&other.0.starts).copied().collect();
        cuts.sort_unstable();
        cuts.dedup();
        if cuts.len() < 2 {
            return self.clone();
        }
        AxisChunks::new(cuts.windows(2).map(|w| w[1] - w[0]).collect())
    }
}

impl PartialEq for AxisChunks {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.sizes == other.0.sizes)
    }
}
impl Eq for AxisChunks {}
impl Hash for AxisChunks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}
impl std::fmt::Debug for AxisChunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.sizes)
    }
}

/// What a user asked for on one axis.
#[derive(Clone, Debug, PartialEq)]
pub enum ChunkSpec {
    /// Chosen so that a block has about the configured size.
    Auto,
    /// Chosen so that a block has about this many bytes.
    Bytes(u64),
    /// Chunks of this length.
    Size(u64),
    /// The axis in one chunk.
    Whole,
    /// These lengths.
    Explicit(Vec<u64>),
}

/// Turns what a user asked for into cuts.
///
/// `preferred` is what the source is stored in (or the present chunks): automatic axes become multiples of it.
///
/// # Errors
/// A number of specifications other than the number of axes, explicit lengths that do not add up, a size of zero, an array
/// that is too large (`check_size`).
pub fn normalize(
    specs: &[ChunkSpec],
    shape: &[u64],
    itemsize: u64,
    auto_bytes: u64,
    preferred: Option<&[u64]>,
) -> Result<Chunks> {
    if specs.len() != shape.len() {
        return Err(ArrayError::value(format!(
            "chunks has {} entries but the array has {} dimensions (shape {:?})",
            specs.len(),
            shape.len(),
            shape
        )));
    }
    check_len(shape.iter().copied())?;
    let mut fixed = itemsize.max(1);
    let mut target = None;
    let mut chunks: Vec<Option<AxisChunks>> = Vec::with_capacity(shape.len());
    for (axis, (spec, &len)) in specs.iter().zip(shape).enumerate() {
        let cut = match spec {
            ChunkSpec::Whole => AxisChunks::whole(len),
            ChunkSpec::Size(0) if len > 0 => {
                return Err(ArrayError::value(format!(
                    "chunks along axis {axis} have length 0, but the axis has length {len}; use -1 for the whole axis"
                )));
            }
            ChunkSpec::Size(n) => AxisChunks::try_uniform(len, *n)?,
            ChunkSpec::Explicit(sizes) => {
                let sum = sizes.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
                if sum != len {
                    return Err(ArrayError::value(format!(
                        "chunks do not add up to shape: along axis {axis} they are {} with sum {sum}, but the axis has length {len}",
                        short_list(sizes)
                    )));
                }
                if sizes.is_empty() { AxisChunks::whole(0) } else { AxisChunks::new(sizes.clone()) }
            }
            ChunkSpec::Auto | ChunkSpec::Bytes(_) => {
                let bytes = if let ChunkSpec::Bytes(b) = spec { *b } else { auto_bytes };
                target = Some(target.map_or(bytes, |t: u64| t.min(bytes)));
                chunks.push(None);
                continue;
            }
        };
        fixed = fixed.saturating_mul(cut.longest().max(1));
        chunks.push(Some(cut));
    }
    if let Some(target) = target {
        let open: Vec<usize> = (0..shape.len()).filter(|&a| chunks[a].is_none()).collect();
        let sizes = auto_sizes(&open, shape, preferred, (target / fixed).max(1));
        for (&axis, size) in open.iter().zip(sizes) {
            chunks[axis] = Some(AxisChunks::try_uniform(shape[axis], size)?);
        }
    }
    let chunks: Chunks = chunks.into_iter().map(|c| c.expect("every axis was set above")).collect();
    check_size(&chunks, itemsize)?;
    Ok(chunks)
}

/// How many elements an array of these lengths has; more than 64 bits hold count as `u64::MAX`.
pub fn elements(lens: impl IntoIterator<Item = u64>) -> u64 {
    lens.into_iter().fold(1, u64::saturating_mul)
}

fn check_len(lens: impl IntoIterator<Item = u64> + Clone) -> Result<()> {
    if elements(lens.clone()) > i64::MAX as u64 {
        let lens: Vec<String> = lens.into_iter().map(|n| n.to_string()).collect();
        return Err(ArrayError::value(format!(
            "array is too big: shape ({}) has more than 2**63 - 1 elements",
            lens.join(", ")
        )));
    }
    Ok(())
}

/// Whether an array in these cuts can be worked with at all. Whatever passes has a number of elements that fits 63 bits, blocks
/// that an allocation could hold, and block numbers of 32 bits; the arithmetic of plans relies on that.
///
/// # Errors
/// More than 2^63 - 1 elements, a block of more than `isize::MAX` bytes, more blocks than a graph has numbers for.
pub fn check_size(chunks: &[AxisChunks], itemsize: u64) -> Result<()> {
    check_len(chunks.iter().map(|c| c.len().unwrap_or(1)).collect::<SmallVec<[u64; 4]>>())?;
    let largest = elements(chunks.iter().map(|c| if c.is_known() { c.longest() } else { 1 }));
    if largest.saturating_mul(itemsize) > isize::MAX as u64 {
        return Err(ArrayError::value(format!(
            "the largest block has {largest} elements of {itemsize} bytes, more bytes than memory can be addressed with; use \
             smaller chunks"
        )));
    }
    let count = block_count(chunks);
    if count > MAX_TASKS {
        let counts: Vec<String> = chunks.iter().map(|c| c.count().to_string()).collect();
        let count = if count == u64::MAX { "more than 2**63".to_string() } else { count.to_string() };
        return Err(ArrayError::value(format!(
            "an array cut into {} blocks has {count} of them, and at most {MAX_TASKS} are possible; use larger chunks",
            counts.join(" x ")
        )));
    }
    Ok(())
}

/// The size of the block at `at`. An unknown length counts as one.
pub fn block_bytes(chunks: &[AxisChunks], at: &[u32], dtype: DType) -> u64 {
    let len = |(c, &i): (&AxisChunks, &u32)| if c.is_known() { c.sizes()[i as usize] } else { 1 };
    elements(chunks.iter().zip(at).map(len)).saturating_mul(dtype.size() as u64)
}

/// Lengths for the open axes whose product is close to, and not above, `budget` elements (where one element fits).
///
/// With stored chunks the result is a whole number of them on each axis, grown on the last axes first, because those
/// are contiguous. Without, all open axes shrink by the same factor, so that blocks are cubes.
fn auto_sizes(open: &[usize], shape: &[u64], preferred: Option<&[u64]>, budget: u64) -> Vec<u64> {
    let len = |k: usize| shape[open[k]].max(1);
    if let Some(preferred) = preferred {
        let mut sizes: Vec<u64> = (0..open.len()).map(|k| preferred[open[k]].clamp(1, len(k))).collect();
        loop {
            let product: u64 = sizes.iter().fold(1u64, |a, &b| a.saturating_mul(b));
            if product.saturating_mul(2) > budget {
                break;
            }
            // Double the axis that has the fewest stored chunks in its block, the last one among equals.
            let Some(k) = (0..open.len())
                .filter(|&k| sizes[k] < len(k))
                .min_by_key(|&k| (sizes[k] / preferred[open[k]].max(1), std::cmp::Reverse(k)))
            else {
                break;
            };
            sizes[k] = (sizes[k] * 2).min(len(k));
        }
        return sizes;
    }
    let mut sizes = vec![0u64; open.len()];
    let mut rest: Vec<usize> = (0..open.len()).collect();
    let mut budget = budget as f64;
    while !rest.is_empty() {
        let side = budget.powf(1.0 / rest.len() as f64).max(1.0);
        let small: Vec<usize> = rest.iter().copied().filter(|&k| len(k) as f64 <= side).collect();
        if small.is_empty() {
            for &k in &rest {
                // Chunks of nearly equal length rather than full ones and a sliver.
                let count = (len(k) as f64 / side.floor().max(1.0)).ceil();
                sizes[k] = (len(k) as f64 / count).ceil() as u64;
            }
            break;
        }
        for k in small {
            sizes[k] = len(k);
            budget /= len(k) as f64;
            rest.retain(|&r| r != k);
        }
        budget = budget.max(1.0);
    }
    sizes
}

/// A list for an error message: all of it if it is short.
pub fn short_list(values: &[u64]) -> String {
    if values.len() <= 8 {
        return format!("{values:?}");
    }
    let head: Vec<String> = values[..4].iter().map(u64::to_string).collect();
    format!("[{}, ... {} in all]", head.join(", "), values.len())
}

/// The number of blocks; more than 64 bits hold count as `u64::MAX`. Of arrays that passed `check_size` it fits 32 bits.
pub fn block_count(chunks: &[AxisChunks]) -> u64 {
    elements(chunks.iter().map(|c| c.count() as u64))
}

/// The lengths of the axes, `None` where unknown.
pub fn shape_of(chunks: &[AxisChunks]) -> SmallVec<[Option<u64>; 4]> {
    chunks.iter().map(AxisChunks::len).collect()
}

/// Splits a block's number (C order over the grid) into its position on each axis.
pub fn unravel(chunks: &[AxisChunks], mut index: u32) -> SmallVec<[u32; 4]> {
    let mut at: SmallVec<[u32; 4]> = SmallVec::from_elem(0, chunks.len());
    for axis in (0..chunks.len()).rev() {
        let n = chunks[axis].count() as u32;
        at[axis] = index % n;
        index /= n;
    }
    at
}

/// The inverse of `unravel`.
pub fn ravel(chunks: &[AxisChunks], at: &[u32]) -> u32 {
    chunks.iter().zip(at).fold(0, |index, (c, &i)| index * c.count() as u32 + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_the_cuts() {
        let axis = AxisChunks::new(vec![4, 4, 2]);
        assert_eq!(axis.slice(0, 1, 10), axis);
        assert_eq!(axis.slice(1, 2, 5).sizes(), [2, 2, 1]);
        assert_eq!(axis.slice(9, -1, 10).sizes(), [2, 4, 4]);
        assert_eq!(axis.slice(9, -3, 4).sizes(), [1, 1, 2]);
        assert_eq!(axis.slice(3, 1, 2).sizes(), [1, 1]);
        assert_eq!(axis.slice(5, 1, 0).sizes(), [0]);
    }

    #[test]
    fn refining_keeps_every_cut() {
        let a = AxisChunks::new(vec![4, 4, 2]);
        let b = AxisChunks::new(vec![5, 5]);
        assert_eq!(a.refine(&b).sizes(), [4, 1, 3, 2]);
    }

    #[test]
    fn auto_is_near_the_target_and_not_above() {
        let shape = [10_000, 10_000];
        let c = normalize(&[ChunkSpec::Auto, ChunkSpec::Auto], &shape, 8, 16 << 20, None).unwrap();
        let bytes = c[0].longest() * c[1].longest() * 8;
        assert!(bytes <= 16 << 20 && bytes > 8 << 20, "{bytes}");
        let c = normalize(&[ChunkSpec::Auto, ChunkSpec::Whole], &shape, 8, 16 << 20, None).unwrap();
        assert_eq!(c[1].count(), 1);
        assert!(c[0].longest() * 80_000 <= 16 << 20);
    }

    #[test]
    fn auto_follows_stored_chunks() {
        let c = normalize(&[ChunkSpec::Auto, ChunkSpec::Auto], &[1000, 1000], 8, 800_000, Some(&[10, 100]))
            .unwrap();
        assert_eq!(c[0].longest() % 10, 0);
        assert_eq!(c[1].longest() % 100, 0);
    }

    #[test]
    fn wrong_sums_are_said() {
        let e = normalize(&[ChunkSpec::Explicit(vec![3, 3])], &[7], 8, 100, None).unwrap_err();
        assert!(e.to_string().contains("sum 6"), "{e}");
    }
}
