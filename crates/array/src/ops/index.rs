//! Indexing: basic indices become views; an array of integers or booleans along one axis, and a lazy mask, become operations on
//! blocks.

use crate::block::{Block, Dims};
use crate::chunks::{AxisChunks, Chunks, block_bytes, elements};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::ops::elementwise::shape_text;
use crate::ops::shape::expand_dims;
use crate::source::Range;
use crate::value::Value;
use crate::view::{View, ViewAxis};
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// One entry of an index.
#[derive(Clone, Debug)]
pub enum Index {
    /// A position; the axis goes away.
    Int(i64),
    /// `start:stop:step`.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// A new axis of length one.
    NewAxis,
    /// As many full slices as are missing.
    Ellipsis,
    /// Positions along one axis.
    Take(Arc<[i64]>),
    /// Positions along one axis where a boolean array of this length is true.
    Flags(u64, Arc<[i64]>),
    /// Which positions along one axis, or (with as many axes as the array) which elements.
    Mask(Expr),
}

/// `e[indices]`.
///
/// # Errors
/// `IndexError` for positions out of range, too many indices, masks of another length; unsupported combinations.
pub fn index(e: &Expr, indices: &[Index]) -> Result<Expr> {
    let moved = numpy_would_move(indices);
    let indices = expand_ellipsis(e, indices)?;
    if let [Index::Mask(mask)] = indices.as_slice()
        && mask.ndim() == 0
    {
        return mask_axis(&expand_dims(e, &[0]), &expand_dims(mask, &[0]), 0);
    }
    if let [Index::Mask(mask)] = indices.as_slice()
        && mask.ndim() == e.ndim()
        && e.ndim() != 1
    {
        return mask_all(e, mask);
    }
    let basic: Vec<Index> = indices
        .iter()
        .map(|i| match i {
            Index::Take(_) | Index::Flags(..) | Index::Mask(_) => Index::Slice(None, None, None),
            other => other.clone(),
        })
        .collect();
    let fancy: Vec<usize> = (0..indices.len())
        .filter(|&k| matches!(indices[k], Index::Take(_) | Index::Flags(..) | Index::Mask(_)))
        .collect();
    if fancy.len() > 1 {
        return Err(ArrayError::Unsupported(
            "index arrays on several axes at once are not supported; index one axis after the other, or use map_blocks".into(),
        ));
    }
    let mut out = basic_index(e, &basic)?;
    if let Some(&k) = fancy.first() {
        // Where the axis is after the basic part.
        let axis = indices[..k].iter().filter(|i| !matches!(i, Index::Int(_))).count();
        let original = indices[..k].iter().filter(|i| !matches!(i, Index::NewAxis)).count();
        let crossed = indices.iter().any(|i| matches!(i, Index::Int(_)));
        if crossed && moved {
            return Err(ArrayError::Unsupported(
                "an integer and an index array separated by a slice, an ellipsis or a new axis: NumPy moves the axis to the \
                 front; index in two steps"
                    .into(),
            ));
        }
        out = match &indices[k] {
            Index::Take(positions) => take(&out, positions, axis, original)?,
            Index::Flags(len, positions) => {
                if out.chunks()[axis].len().is_some_and(|n| n != *len) {
                    return Err(ArrayError::index(format!(
                        "boolean index did not match indexed array along axis {original}; size of axis is {} but size of \
                         corresponding boolean axis is {len}",
                        out.chunks()[axis].len().unwrap_or(0)
                    )));
                }
                take(&out, positions, axis, original)?
            }
            Index::Mask(mask) => mask_axis(&out, mask, axis)?,
            _ => out,
        };
    }
    Ok(out)
}

/// NumPy puts the fancy axis first when an integer (which counts as an index array then) is not next to it. An ellipsis
/// between them counts even where it stands for no axis, so this looks at the entries as they were given.
pub(super) fn numpy_would_move(indices: &[Index]) -> bool {
    let advanced =
        |i: &Index| matches!(i, Index::Int(_) | Index::Take(_) | Index::Flags(..) | Index::Mask(_));
    let (Some(first), Some(last)) = (indices.iter().position(advanced), indices.iter().rposition(advanced))
    else {
        return false;
    };
    indices[first..=last].iter().any(|i| !advanced(i))
}

pub(super) fn expand_ellipsis(e: &Expr, indices: &[Index]) -> Result<Vec<Index>> {
    let uses = |i: &Index| match i {
        Index::NewAxis | Index::Ellipsis => 0,
        Index::Mask(m) => m.ndim(),
        _ => 1,
    };
    let used: usize = indices.iter().map(uses).sum();
    if used > e.ndim() {
        return Err(ArrayError::index(format!(
            "too many indices for array: array is {}-dimensional, but {used} were indexed",
            e.ndim()
        )));
    }
    if indices.iter().filter(|i| matches!(i, Index::Ellipsis)).count() > 1 {
        return Err(ArrayError::index("an index can only have a single ellipsis ('...')"));
    }
    let mut out = Vec::with_capacity(e.ndim() + 1);
    let missing = e.ndim() - used;
    let mut filled = false;
    for i in indices {
        if matches!(i, Index::Ellipsis) {
            out.extend((0..missing).map(|_| Index::Slice(None, None, None)));
            filled = true;
        } else {
            out.push(i.clone());
        }
    }
    if !filled {
        out.extend((0..missing).map(|_| Index::Slice(None, None, None)));
    }
    Ok(out)
}

/// Start, step and length of a Python slice on an axis.
pub fn slice_range(len: u64, start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Result<Range> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(ArrayError::value("slice step cannot be zero"));
    }
    let n = len as i64;
    let clamp = |v: i64, lo: i64, hi: i64| (if v < 0 { v.saturating_add(n) } else { v }).clamp(lo, hi);
    let (start, stop) = if step > 0 {
        (start.map_or(0, |v| clamp(v, 0, n)), stop.map_or(n, |v| clamp(v, 0, n)))
    } else {
        (start.map_or(n - 1, |v| clamp(v, -1, n - 1)), stop.map_or(-1, |v| clamp(v, -1, n - 1)))
    };
    let distance = if step > 0 { stop - start } else { start - stop };
    let count = if distance <= 0 { 0 } else { (distance as u64).div_ceil(step.unsigned_abs()) };
    Ok(Range { start: if count == 0 { 0 } else { start as u64 }, step, len: count })
}

fn basic_index(e: &Expr, indices: &[Index]) -> Result<Expr> {
    let mut view = View { axes: SmallVec::new(), fixed: SmallVec::from_elem(None, e.ndim()) };
    let mut chunks: Chunks = SmallVec::new();
    let mut axis = 0;
    for i in indices {
        match i {
            Index::NewAxis => {
                view.axes.push(ViewAxis::New);
                chunks.push(AxisChunks::whole(1));
                continue;
            }
            Index::Slice(None, None, None | Some(1)) => {
                view.axes.push(ViewAxis::Along { input: axis as u32, start: 0, step: 1 });
                chunks.push(e.chunks()[axis].clone());
            }
            Index::Slice(start, stop, step) => {
                let len = e.chunks()[axis].len().ok_or_else(|| unknown_axis(axis))?;
                let r = slice_range(len, *start, *stop, *step)?;
                view.axes.push(ViewAxis::Along { input: axis as u32, start: r.start, step: r.step });
                chunks.push(e.chunks()[axis].slice(r.start, r.step, r.len));
            }
            Index::Int(at) => {
                let len = e.chunks()[axis].len().ok_or_else(|| unknown_axis(axis))?;
                let position = if *at < 0 { at + len as i64 } else { *at };
                if position < 0 || position >= len as i64 {
                    return Err(ArrayError::index(format!(
                        "index {at} is out of bounds for axis {axis} with size {len}"
                    )));
                }
                view.fixed[axis] = Some(position as u64);
            }
            Index::Ellipsis | Index::Take(_) | Index::Flags(..) | Index::Mask(_) => {
                return Err(ArrayError::bug("an index array reached the basic part"));
            }
        }
        axis += 1;
    }
    Ok(e.view(view, chunks))
}

fn unknown_axis(axis: usize) -> ArrayError {
    ArrayError::value(format!(
        "axis {axis} has an unknown length (after a boolean mask), so positions along it are not known either; \
         call compute_chunk_sizes() first"
    ))
}

/// Positions along an axis, counted from its start.
pub(super) fn wrap(e: &Expr, positions: &[i64], axis: usize, original: usize) -> Result<Vec<u64>> {
    let len = e.chunks()[axis].len().ok_or_else(|| unknown_axis(original))?;
    let mut wrapped = Vec::with_capacity(positions.len());
    for &p in positions {
        let q = if p < 0 { p + len as i64 } else { p };
        if q < 0 || q >= len as i64 {
            return Err(ArrayError::index(format!(
                "index {p} is out of bounds for axis {original} with size {len}"
            )));
        }
        wrapped.push(q as u64);
    }
    Ok(wrapped)
}

/// `numpy.take(e, positions, axis)`; `original` is the axis' number in the user's array, for the message.
pub fn take(e: &Expr, positions: &[i64], axis: usize, original: usize) -> Result<Expr> {
    let wrapped = wrap(e, positions, axis, original)?;
    // An arithmetic progression is a slice.
    if let [first, second, ..] = wrapped.as_slice() {
        let step = *second as i64 - *first as i64;
        if step != 0 && wrapped.windows(2).all(|w| w[1] as i64 - w[0] as i64 == step) {
            let mut view = View::identity(e.ndim());
            view.axes[axis] = ViewAxis::Along { input: axis as u32, start: *first, step };
            let mut chunks = e.chunks().clone();
            chunks[axis] = chunks[axis].slice(*first, step, wrapped.len() as u64);
            return Ok(e.view(view, chunks));
        }
    }
    let cut = take_cuts(&e.chunks()[axis], &wrapped);
    let mut chunks = e.chunks().clone();
    chunks[axis] = cut;
    let op = TakeOp {
        input: e.chunks().clone(),
        output: chunks.clone(),
        axis,
        positions: wrapped,
        dtype: e.dtype(),
    };
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e.clone()]), e.dtype(), chunks))
}

/// Ascending positions are cut where the input is; others into chunks as long as the input's.
pub(super) fn take_cuts(input: &AxisChunks, positions: &[u64]) -> AxisChunks {
    let ascending = positions.windows(2).all(|w| w[0] <= w[1]);
    let longest = input.longest().max(1);
    if !ascending || positions.is_empty() {
        return AxisChunks::uniform(positions.len() as u64, longest);
    }
    let mut sizes: Vec<u64> = Vec::new();
    let mut last = None;
    for &p in positions {
        let chunk = input.find(p);
        match sizes.last_mut() {
            Some(n) if last == Some(chunk) && *n < longest => *n += 1,
            _ => sizes.push(1),
        }
        last = Some(chunk);
    }
    AxisChunks::new(sizes)
}

struct TakeOp {
    input: Chunks,
    output: Chunks,
    axis: usize,
    positions: Vec<u64>,
    dtype: DType,
}

impl TakeOp {
    fn positions(&self, at: &[u32]) -> &[u64] {
        let cut = &self.output[self.axis];
        let start = cut.start(at[self.axis] as usize) as usize;
        &self.positions[start..start + cut.sizes()[at[self.axis] as usize] as usize]
    }

    /// The input chunks along the axis that hold these positions, ascending.
    fn sources(&self, at: &[u32]) -> Vec<u32> {
        let cut = &self.input[self.axis];
        let mut chunks: Vec<u32> = self.positions(at).iter().map(|&p| cut.find(p) as u32).collect();
        chunks.sort_unstable();
        chunks.dedup();
        chunks
    }
}

impl BlockOp for TakeOp {
    fn name(&self) -> &str {
        "take"
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        for chunk in self.sources(at) {
            let mut from: SmallVec<[u32; 4]> = at.into();
            from[self.axis] = chunk;
            out.push(Request::Chunk { input: 0, at: from });
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let sources = self.sources(at);
        let blocks = inputs.drain(..).map(Value::into_block).collect::<Result<Vec<Block>>>()?;
        let positions = self.positions(at);
        let Some(first) = blocks.first() else {
            let shape: Dims = self
                .output
                .iter()
                .zip(at)
                .map(|(c, &i)| if c.is_known() { c.sizes()[i as usize] as usize } else { 0 })
                .collect();
            return Ok(Value::Block(Block::alloc(self.dtype, &shape)?));
        };
        let mut shape: Dims = first.shape().into();
        shape[self.axis] = positions.len();
        let out = Block::alloc(self.dtype, &shape)?;
        let cut = &self.input[self.axis];
        let mut k = 0;
        while k < positions.len() {
            let chunk = cut.find(positions[k]);
            let start = cut.start(chunk);
            // Runs of neighbours are copied together.
            let mut n = 1;
            while k + n < positions.len()
                && positions[k + n] == positions[k] + n as u64
                && positions[k + n] < start + cut.sizes()[chunk]
            {
                n += 1;
            }
            let block = &blocks[sources.binary_search(&(chunk as u32)).expect("every source was requested")];
            let from = block.clone().slice_axis(self.axis, (positions[k] - start) as usize, 1, n);
            // SAFETY: `out` is fresh and each run fills its own part.
            unsafe { out.clone().slice_axis(self.axis, k, 1, n).assign(&from) };
            k += n;
        }
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, at, self.dtype)
    }
}

/// `e[:, mask, :]` with a lazy mask along one axis: the chunks along it get unknown lengths.
fn mask_axis(e: &Expr, mask: &Expr, axis: usize) -> Result<Expr> {
    if mask.dtype() != DType::Bool {
        return Err(ArrayError::index("a lazy index array must be boolean; compute integer indices first"));
    }
    if mask.ndim() != 1 {
        return Err(ArrayError::Unsupported(
            "a mask over some of several axes; use a mask of all axes, or of one".into(),
        ));
    }
    let (a, b) = (e.chunks()[axis].len(), mask.chunks()[0].len());
    if a != b {
        return Err(ArrayError::index(format!(
            "boolean index did not match indexed array along axis {axis}; size of axis is {} but size of corresponding boolean axis is {}",
            a.map_or("unknown".into(), |n| n.to_string()),
            b.map_or("unknown".into(), |n| n.to_string())
        )));
    }
    if a.is_none() && e.chunks()[axis].count() != mask.chunks()[0].count() {
        return Err(unknown_axis(axis));
    }
    let mask = mask.rechunk([e.chunks()[axis].clone()].into_iter().collect());
    let mut chunks = e.chunks().clone();
    chunks[axis] = AxisChunks::unknown(chunks[axis].count());
    let op = MaskOp { input: e.chunks().clone(), axis: Some(axis), dtype: e.dtype() };
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e.clone(), mask]), e.dtype(), chunks))
}

/// `e[mask]` with a mask of the array's shape: one axis, in C order.
fn mask_all(e: &Expr, mask: &Expr) -> Result<Expr> {
    if mask.dtype() != DType::Bool {
        return Err(ArrayError::index("a lazy index array must be boolean; compute integer indices first"));
    }
    let (Some(a), Some(b)) = (e.known_shape(), mask.known_shape()) else { return Err(unknown_axis(0)) };
    if a != b {
        return Err(ArrayError::index(format!(
            "boolean index did not match indexed array; shapes are {} and {}",
            shape_text(&e.shape()),
            shape_text(&mask.shape())
        )));
    }
    // In C order a block must hold whole rows: only the first axis may be cut.
    let mut cuts = e.chunks().clone();
    let row = elements(cuts.iter().skip(1).map(|c| c.len().unwrap_or(1)));
    let budget = elements(cuts.iter().map(|c| c.longest().max(1)));
    let rows = (budget / row.max(1)).max(1);
    if cuts[1..].iter().any(|c| c.count() > 1) {
        cuts[0] = AxisChunks::try_uniform(a[0], rows.min(cuts[0].longest().max(1)))?;
    }
    for (cut, &n) in cuts.iter_mut().zip(&a).skip(1) {
        *cut = AxisChunks::whole(n);
    }
    let (e, mask) = (e.rechunk(cuts.clone()), mask.rechunk(cuts.clone()));
    let out = AxisChunks::unknown(cuts[0].count());
    let op = MaskOp { input: cuts, axis: None, dtype: e.dtype() };
    let dtype = e.dtype();
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e, mask]), dtype, [out].into_iter().collect()))
}

struct MaskOp {
    input: Chunks,
    /// The axis that the mask runs along; `None` for a mask of all axes.
    axis: Option<usize>,
    dtype: DType,
}

impl BlockOp for MaskOp {
    fn name(&self) -> &str {
        "mask"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("mask {:?}", self.axis))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        match self.axis {
            Some(_) => self.input.iter().map(|c| c.count() as u32).collect(),
            None => [self.input[0].count() as u32].into_iter().collect(),
        }
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let mut from: SmallVec<[u32; 4]> = at.into();
        from.resize(self.input.len(), 0);
        let mask = match self.axis {
            Some(axis) => [at[axis]].into_iter().collect(),
            None => from.clone(),
        };
        out.push(Request::Chunk { input: 0, at: from });
        out.push(Request::Chunk { input: 1, at: mask });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let mask = inputs
            .pop()
            .ok_or_else(|| ArrayError::bug("a mask task got no mask"))?
            .into_block()?
            .to_contiguous()?;
        let block = inputs.pop().ok_or_else(|| ArrayError::bug("a mask task got no block"))?.into_block()?;
        // SAFETY: a bool block's elements are bytes 0 or 1, and it is contiguous.
        let flags: &[u8] = unsafe { mask.as_slice() };
        let (block, axis) = match self.axis {
            Some(axis) => (block, axis),
            None => {
                let n = block.len();
                (block.reshape(&[n])?, 0)
            }
        };
        if flags.len() != block.shape()[axis] {
            return Err(ArrayError::index(format!(
                "boolean index did not match indexed array along axis {axis}; a block has {} elements along it, its \
                 mask {}",
                block.shape()[axis],
                flags.len()
            )));
        }
        let count = flags.iter().filter(|&&f| f != 0).count();
        let mut shape: Dims = block.shape().into();
        shape[axis] = count;
        let out = Block::alloc(self.dtype, &shape)?;
        let (mut from, mut to) = (0, 0);
        while from < flags.len() {
            if flags[from] == 0 {
                from += 1;
                continue;
            }
            let n = flags[from..].iter().take_while(|&&f| f != 0).count();
            let part = block.clone().slice_axis(axis, from, 1, n);
            // SAFETY: `out` is fresh and each run fills its own part.
            unsafe { out.clone().slice_axis(axis, to, 1, n).assign(&part) };
            from += n;
            to += n;
        }
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        // At most everything.
        let len = elements(self.input.iter().enumerate().map(|(axis, c)| match at.get(axis) {
            Some(&i) if c.is_known() => c.sizes()[i as usize],
            _ => c.longest().max(1),
        }));
        len.saturating_mul(self.dtype.size() as u64)
    }
}
