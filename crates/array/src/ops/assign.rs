//! Assignment: `x[index] = value` makes a new array in which some elements are other ones.

use super::elementwise::{Arg, astype, broadcast_to, find, map, shape_text};
use super::index::{Index, expand_ellipsis, index, numpy_would_move};
use super::scatter::scatter;
use crate::chunks::{Chunks, block_bytes};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::leaf::{BoxAxis, block_box};
use crate::op::{BlockOp, Request};
use crate::source::Range;
use crate::value::Value;
use crate::view::{View, ViewAxis};
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// The array after `e[indices] = value`. The dtype stays.
///
/// # Errors
/// A value that does not broadcast to the indexed part; index arrays on several axes; an array as the value of a lazy mask.
pub fn assign(e: &Expr, indices: &[Index], value: &Arg) -> Result<Expr> {
    if let [Index::Mask(mask)] = indices {
        return assign_mask(e, mask, value);
    }
    if indices.iter().any(is_fancy) {
        return assign_along(e, indices, value);
    }
    let shape = e.known_shape().ok_or_else(|| {
        ArrayError::value(
            "cannot assign to a part of an array of unknown length: call compute_chunk_sizes() first",
        )
    })?;
    // Indexing the array tells where the part lies: a view.
    let part = index(e, indices)?;
    let view = match part.kind() {
        _ if part == *e => View::identity(e.ndim()),
        Kind::View(input, view) if input == e => view.clone(),
        // The array is a view itself: index something that is not.
        _ => {
            let plain =
                super::elementwise::fill(pantile_types::Scalar::Bool(false), DType::Bool, e.chunks().clone());
            let part = index(&plain, indices)?;
            match part.kind() {
                Kind::View(_, view) => view.clone(),
                _ => View::identity(e.ndim()),
            }
        }
    };
    let value = value.to_expr(e.dtype())?;
    let fits = value.ndim() <= part.ndim()
        || value.chunks()[..value.ndim() - part.ndim()].iter().all(|c| c.len() == Some(1));
    if !fits {
        return Err(ArrayError::value(format!(
            "could not broadcast input array from shape {} into shape {}",
            shape_text(&value.shape()),
            shape_text(&part.shape())
        )));
    }
    let extra: Vec<usize> = (0..value.ndim().saturating_sub(part.ndim())).collect();
    let value = super::shape::squeeze(&value, &extra)?;
    let value = broadcast_to(&value, part.chunks().clone()).map_err(|_| {
        ArrayError::value(format!(
            "could not broadcast input array from shape {} into shape {}",
            shape_text(&value.shape()),
            shape_text(&part.shape())
        ))
    })?;
    // Where each axis of the array lies in the value.
    let regions: Vec<Region> = (0..e.ndim())
        .map(|axis| {
            let walked = view.axes.iter().enumerate().find_map(|(k, a)| match *a {
                ViewAxis::Along { input, start, step } if input as usize == axis => Some((k, start, step)),
                _ => None,
            });
            match walked {
                Some((k, start, step)) => {
                    let len = part.chunks()[k].len().unwrap_or(0);
                    Region { value_axis: Some(k), range: Range { start, step, len } }
                }
                None => {
                    let at = view.fixed[axis].unwrap_or(0);
                    Region { value_axis: None, range: Range { start: at, step: 1, len: 1 } }
                }
            }
        })
        .collect();
    if shape.contains(&0) || regions.iter().any(|r| r.range.len == 0) {
        return Ok(e.clone());
    }
    let op = AssignOp { chunks: e.chunks().clone(), regions, value_ndim: part.ndim(), dtype: e.dtype() };
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e.clone(), value]), e.dtype(), e.chunks().clone()))
}

fn is_fancy(index: &Index) -> bool {
    matches!(index, Index::Take(_) | Index::Flags(..) | Index::Mask(_))
}

/// Assignment through one index array along one axis, beside basic indices: the part that the latter mean is changed along the
/// axis, and assigned.
fn assign_along(e: &Expr, indices: &[Index], value: &Arg) -> Result<Expr> {
    let moves = numpy_would_move(indices);
    let indices = expand_ellipsis(e, indices)?;
    let fancy: Vec<usize> = (0..indices.len()).filter(|&k| is_fancy(&indices[k])).collect();
    let &[k] = fancy.as_slice() else {
        return Err(ArrayError::Unsupported(
            "assignment through index arrays on several axes is not supported; use a boolean mask of the array's shape, or \
             where()"
                .into(),
        ));
    };
    if indices.iter().any(|i| matches!(i, Index::Int(_))) && moves {
        return Err(ArrayError::Unsupported(
            "an integer and an index array separated by a slice: NumPy moves the axis to the front; assign in two steps"
                .into(),
        ));
    }
    let axis = indices[..k].iter().filter(|i| !matches!(i, Index::Int(_))).count();
    let original = indices[..k].iter().filter(|i| !matches!(i, Index::NewAxis)).count();
    let mut basic = indices.clone();
    basic[k] = Index::Slice(None, None, None);
    let whole = basic.iter().all(|i| matches!(i, Index::Slice(None, None, None)));
    let part = if whole { e.clone() } else { index(e, &basic)? };
    let changed = match &indices[k] {
        Index::Take(positions) => scatter(&part, positions, axis, original, &value.to_expr(e.dtype())?)?,
        Index::Flags(len, positions) => {
            if let Some(n) = part.chunks()[axis].len().filter(|n| n != len) {
                return Err(ArrayError::index(format!(
                    "boolean index did not match indexed array along axis {original}; size of axis is {n} but size of \
                     corresponding boolean axis is {len}"
                )));
            }
            scatter(&part, positions, axis, original, &value.to_expr(e.dtype())?)?
        }
        Index::Mask(mask) if mask.ndim() == 1 => {
            let behind: Vec<usize> = (1..part.ndim() - axis).collect();
            if mask.chunks()[0].len() != part.chunks()[axis].len() {
                return Err(ArrayError::index(format!(
                    "boolean index did not match indexed array along axis {original}; shapes are {} and {}",
                    shape_text(&part.shape()),
                    shape_text(&mask.shape())
                )));
            }
            if let Arg::Array(v) = value
                && v.ndim() > behind.len()
                && v.chunks()[v.ndim() - 1 - behind.len()].len() != Some(1)
            {
                return Err(ArrayError::Unsupported(format!(
                    "assigning an array of shape {} through a lazy mask along axis {original} needs the number of true \
                     elements: compute the mask first, or use where()",
                    shape_text(&v.shape())
                )));
            }
            // Seen with the part's axes from `axis` on, the mask applies to all of the rest.
            assign_mask_to(&part, &super::shape::expand_dims(mask, &behind), value)?
        }
        _ => {
            return Err(ArrayError::Unsupported(
                "assignment through a mask over some of several axes; use a mask of all axes, or of one"
                    .into(),
            ));
        }
    };
    if whole { Ok(changed) } else { assign(e, &basic, &Arg::Array(changed)) }
}

fn assign_mask(e: &Expr, mask: &Expr, value: &Arg) -> Result<Expr> {
    if mask.dtype() != DType::Bool {
        return Err(ArrayError::index("a lazy index array must be boolean"));
    }
    let mut mask = mask.clone();
    if mask.ndim() > e.ndim() || mask.shape()[..] != e.shape()[..mask.ndim()] {
        return Err(ArrayError::index(format!(
            "boolean index did not match indexed array; shapes are {} and {}",
            shape_text(&e.shape()),
            shape_text(&mask.shape())
        )));
    }
    // A mask of the leading axes applies to all of the rest.
    let missing: Vec<usize> = (mask.ndim()..e.ndim()).collect();
    mask = super::shape::expand_dims(&mask, &missing);
    if let Arg::Array(v) = value
        && v.ndim() > 0
        && v.size() != Some(1)
    {
        return Err(ArrayError::Unsupported(
                "assigning an array through a lazy mask needs the number of true elements; assign a scalar, or use where()".into(),
            ));
    }
    assign_mask_to(e, &mask, value)
}

/// The array with the value where a mask holds that broadcasts against it.
fn assign_mask_to(e: &Expr, mask: &Expr, value: &Arg) -> Result<Expr> {
    if mask.dtype() != DType::Bool {
        return Err(ArrayError::index("a lazy index array must be boolean"));
    }
    let value = Arg::Array(value.to_expr(e.dtype())?);
    let out = map(find("where")?, &[Arg::Array(mask.clone()), value, Arg::Array(e.clone())])?.swap_remove(0);
    if out.ndim() > e.ndim() && out.shape()[out.ndim() - e.ndim()..] != e.shape()[..]
        || out.ndim() == e.ndim() && out.shape() != e.shape()
    {
        return Err(ArrayError::value(format!(
            "could not broadcast the value to the array of shape {}",
            shape_text(&e.shape())
        )));
    }
    if out.ndim() != e.ndim() {
        let extra: Vec<usize> = (0..out.ndim() - e.ndim()).collect();
        return astype(&super::shape::squeeze(&out, &extra)?, e.dtype());
    }
    astype(&out, e.dtype())
}

/// Which positions of an axis are assigned, and which axis of the value they come from.
struct Region {
    value_axis: Option<usize>,
    range: Range,
}

struct AssignOp {
    chunks: Chunks,
    regions: Vec<Region>,
    value_ndim: usize,
    dtype: DType,
}

impl AssignOp {
    /// For each axis the positions `lo .. hi` of the value that fall into the block at `at`; `None` if there are none.
    fn overlap(&self, at: &[u32]) -> Option<SmallVec<[(u64, u64); 4]>> {
        let mut out = SmallVec::new();
        for (axis, b) in block_box(&self.chunks, at).into_iter().enumerate() {
            let BoxAxis::Range(block) = b else { return None };
            let r = self.regions[axis].range;
            let (lo, hi) = crate::leaf::positions_in(r, block.start, block.start + block.len);
            if lo >= hi {
                return None;
            }
            out.push((lo, hi));
        }
        Some(out)
    }
}

impl BlockOp for AssignOp {
    fn name(&self) -> &str {
        "assign"
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: at.into() });
        if let Some(overlap) = self.overlap(at) {
            let mut ranges: SmallVec<[Range; 4]> =
                SmallVec::from_elem(Range { start: 0, step: 1, len: 1 }, self.value_ndim);
            for (region, (lo, hi)) in self.regions.iter().zip(overlap) {
                if let Some(k) = region.value_axis {
                    ranges[k] = Range { start: lo, step: 1, len: hi - lo };
                }
            }
            out.push(Request::Box { input: 1, ranges });
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let Some(overlap) = self.overlap(at) else {
            return inputs.pop().ok_or_else(|| ArrayError::bug("an assign task got no block"));
        };
        let value =
            inputs.pop().ok_or_else(|| ArrayError::bug("an assign task got no value"))?.into_block()?;
        let block =
            inputs.pop().ok_or_else(|| ArrayError::bug("an assign task got no block"))?.into_block()?;
        let out = if block.is_sole_owner() { block } else { block.to_owned_block()? };
        let mut target = out.clone();
        let mut shape: crate::block::Dims = SmallVec::new();
        let mut strides: crate::block::Strides = SmallVec::new();
        for (axis, (region, &(lo, hi))) in self.regions.iter().zip(&overlap).enumerate() {
            let begin = self.chunks[axis].start(at[axis] as usize);
            let start = (region.range.start as i64 + region.range.step * lo as i64) as u64 - begin;
            target = target.slice_axis(axis, start as usize, region.range.step as isize, (hi - lo) as usize);
            // The value seen with the array's axes.
            shape.push((hi - lo) as usize);
            strides.push(region.value_axis.map_or(0, |k| value.strides()[k]));
        }
        // SAFETY: axes of the value keep their lengths and strides, fixed ones repeat its elements.
        let source = unsafe { value.restride(0, shape, strides) };
        // SAFETY: `out` is this task's alone, and the value is another block.
        unsafe { target.assign(&source) };
        drop(target);
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.chunks, at, self.dtype)
    }
}
