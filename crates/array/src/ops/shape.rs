//! Changes of shape that are views, and `reshape`, which needs whole rows.

use crate::block::Dims;
use crate::chunks::{AxisChunks, Chunks, block_bytes, elements};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use crate::view::{View, ViewAxis};
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// The axes in another order.
pub fn transpose(e: &Expr, perm: &[usize]) -> Expr {
    let view = View {
        axes: perm.iter().map(|&p| ViewAxis::Along { input: p as u32, start: 0, step: 1 }).collect(),
        fixed: SmallVec::from_elem(None, e.ndim()),
    };
    e.view(view, perm.iter().map(|&p| e.chunks()[p].clone()).collect())
}

/// New axes of length one at these positions of the result (ascending).
pub fn expand_dims(e: &Expr, at: &[usize]) -> Expr {
    let mut view = View { axes: SmallVec::new(), fixed: SmallVec::from_elem(None, e.ndim()) };
    let mut chunks: Chunks = SmallVec::new();
    let mut own = 0;
    for axis in 0..e.ndim() + at.len() {
        if at.contains(&axis) {
            view.axes.push(ViewAxis::New);
            chunks.push(AxisChunks::whole(1));
        } else {
            view.axes.push(ViewAxis::Along { input: own as u32, start: 0, step: 1 });
            chunks.push(e.chunks()[own].clone());
            own += 1;
        }
    }
    e.view(view, chunks)
}

/// Without these axes, which have length one.
pub fn squeeze(e: &Expr, axes: &[usize]) -> Result<Expr> {
    let mut view = View { axes: SmallVec::new(), fixed: SmallVec::from_elem(None, e.ndim()) };
    let mut chunks: Chunks = SmallVec::new();
    for axis in 0..e.ndim() {
        if axes.contains(&axis) {
            if e.chunks()[axis].len() != Some(1) {
                return Err(ArrayError::value(
                    "cannot select an axis to squeeze out which has size not equal to one",
                ));
            }
            view.fixed[axis] = Some(0);
        } else {
            view.axes.push(ViewAxis::Along { input: axis as u32, start: 0, step: 1 });
            chunks.push(e.chunks()[axis].clone());
        }
    }
    Ok(e.view(view, chunks))
}

/// The same elements in C order with another shape; one entry may be -1.
///
/// # Errors
/// A size that does not match; an axis of unknown length.
pub fn reshape(e: &Expr, to: &[i64]) -> Result<Expr> {
    let from = e.known_shape().ok_or_else(|| {
        ArrayError::value(format!(
            "cannot reshape an array of shape {} to {to:?}: a length is unknown (after a boolean mask); \
             call compute_chunk_sizes() first",
            super::elementwise::shape_text(&e.shape())
        ))
    })?;
    let size = elements(from.iter().copied());
    let complain = || {
        ArrayError::value(format!(
            "cannot reshape array of size {size} into shape ({})",
            to.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(",")
        ))
    };
    if to.iter().filter(|&&n| n < 0).count() > 1 {
        return Err(ArrayError::value("can only specify one unknown dimension"));
    }
    let known = elements(to.iter().filter(|&&n| n >= 0).map(|&n| n as u64));
    let mut target: SmallVec<[u64; 4]> = SmallVec::new();
    for &n in to {
        target.push(match n {
            n if n >= 0 => n as u64,
            -1 if known > 0 && size.is_multiple_of(known) => size / known,
            _ => return Err(complain()),
        });
    }
    if elements(target.iter().copied()) != size {
        return Err(complain());
    }
    if target == from {
        return Ok(e.clone());
    }
    let (input, output) = matching_cuts(e, &from, &target)?;
    let e = e.rechunk(input.clone());
    let op = ReshapeOp { output: output.clone(), dtype: e.dtype(), input };
    let dtype = e.dtype();
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e]), dtype, output))
}

/// Cuts of input and output under which each output block is one input block in another shape.
///
/// The axes fall into groups with equal products. Inside a group only the first axis of either side may be cut, at places
/// that are whole rows of both.
fn matching_cuts(e: &Expr, from: &[u64], to: &[u64]) -> Result<(Chunks, Chunks)> {
    let whole = |shape: &[u64]| -> Chunks { shape.iter().map(|&n| AxisChunks::whole(n)).collect() };
    if from.contains(&0) || from.is_empty() || to.is_empty() {
        return Ok((whole(from), whole(to)));
    }
    let budget = elements(e.chunks().iter().map(|c| c.longest().max(1)));
    let (mut input, mut output): (Chunks, Chunks) = (SmallVec::new(), SmallVec::new());
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        // Between groups, axes of length one stand alone: they must not be the first axis of a group, which is the one
        // that can be cut.
        if i < from.len() && from[i] == 1 {
            input.push(AxisChunks::whole(1));
            i += 1;
            continue;
        }
        if j < to.len() && to[j] == 1 {
            output.push(AxisChunks::whole(1));
            j += 1;
            continue;
        }
        let (i0, j0) = (i, j);
        let (mut a, mut b) = (1u64, 1u64);
        // A group ends where the products agree; lengths of one join it.
        loop {
            if a == b && (i > i0 || j > j0) && a > 1 {
                break;
            }
            if a <= b && i < from.len() {
                a *= from[i];
                i += 1;
            } else if j < to.len() {
                b *= to[j];
                j += 1;
            } else if i < from.len() {
                a *= from[i];
                i += 1;
            } else {
                break;
            }
        }
        if i - i0 == 1 && j - j0 == 1 {
            input.push(e.chunks()[i0].clone());
            output.push(e.chunks()[i0].clone());
            continue;
        }
        if i == i0 || j == j0 {
            input.extend(whole(&from[i0..i]));
            output.extend(whole(&to[j0..j]));
            continue;
        }
        let in_row = elements(from[i0 + 1..i].iter().copied());
        let out_row = elements(to[j0 + 1..j].iter().copied());
        // Both sides are cut at multiples of `unit` elements.
        let unit = in_row / gcd(in_row, out_row) * out_row;
        let group = elements(from[i0..i].iter().copied());
        // As many elements of this group in a block as the input's blocks have.
        let present = elements(e.chunks()[i0..i].iter().map(|c| c.longest().max(1)));
        let per_block = (present.min(budget) / unit).max(1) * unit;
        let cuts = AxisChunks::try_uniform(group, per_block.min(group))?;
        input.push(AxisChunks::new(cuts.sizes().iter().map(|n| n / in_row).collect()));
        input.extend(whole(&from[i0 + 1..i]));
        output.push(AxisChunks::new(cuts.sizes().iter().map(|n| n / out_row).collect()));
        output.extend(whole(&to[j0 + 1..j]));
    }
    Ok((input, output))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

struct ReshapeOp {
    input: Chunks,
    output: Chunks,
    dtype: DType,
}

impl ReshapeOp {
    /// Both grids have the same blocks in the same C order; axes that are not cut have one.
    fn input_at(&self, at: &[u32]) -> SmallVec<[u32; 4]> {
        crate::chunks::unravel(&self.input, crate::chunks::ravel(&self.output, at))
    }
}

impl BlockOp for ReshapeOp {
    fn name(&self) -> &str {
        "reshape"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("reshape {:?}", self.output))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: self.input_at(at) });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let block =
            inputs.pop().ok_or_else(|| ArrayError::bug("a reshape task got no block"))?.into_block()?;
        let shape: Dims = self.output.iter().zip(at).map(|(c, &i)| c.sizes()[i as usize] as usize).collect();
        Ok(Value::Block(block.reshape(&shape)?))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, at, self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::elementwise::fill;
    use pantile_types::Scalar;

    fn cuts(shape: &[u64], chunk: &[u64], to: &[u64]) -> (Vec<Vec<u64>>, Vec<Vec<u64>>) {
        let chunks: Chunks = shape.iter().zip(chunk).map(|(&n, &c)| AxisChunks::uniform(n, c)).collect();
        let e = fill(Scalar::F64(1.0), DType::F64, chunks);
        let (a, b) = matching_cuts(&e, shape, to).unwrap();
        let list = |c: Chunks| c.iter().map(|x| x.sizes().to_vec()).collect();
        (list(a), list(b))
    }

    #[test]
    fn equal_axes_keep_their_cuts() {
        let (a, b) = cuts(&[10, 6], &[5, 3], &[10, 2, 3]);
        assert_eq!(a[0], [5, 5]);
        assert_eq!(b[0], [5, 5]);
        assert_eq!(a[1].iter().sum::<u64>(), 6);
    }

    #[test]
    fn raveling_cuts_the_first_axis() {
        let (a, b) = cuts(&[8, 4], &[4, 2], &[32]);
        assert_eq!(a, [vec![2, 2, 2, 2], vec![4]]);
        assert_eq!(b, [vec![8, 8, 8, 8]]);
    }

    #[test]
    fn block_counts_agree() {
        for (shape, to) in [
            (vec![6u64, 4], vec![3u64, 8]),
            (vec![24], vec![2, 3, 4]),
            (vec![1, 6, 1], vec![6]),
            (vec![5, 1], vec![1, 5]),
        ] {
            let (a, b) = cuts(&shape, &vec![2; shape.len()], &to);
            let n = |c: &Vec<Vec<u64>>| c.iter().map(Vec::len).product::<usize>();
            assert_eq!(n(&a), n(&b), "{shape:?} -> {to:?}");
        }
    }
}
