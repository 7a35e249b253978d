//! Matrix products: sums over common axes, block by block.
//!
//! The tasks of one output block form a chain over the blocks of the summed axis; each adds its product to the sum so far, in
//! place. So only one block of either operand is needed at a time, and the blocks can be freed early.

use super::elementwise::{astype, broadcast_to_chunks, shape_text};
use super::shape::{expand_dims, squeeze, transpose};
use crate::block::{Block, Dims};
use crate::chunks::{AxisChunks, Chunks, block_bytes};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use num_complex::Complex;
use pantile_linalg::{MatMut, MatRef, Par};
use pantile_types::{DType, ScalarType};
use smallvec::SmallVec;
use std::sync::Arc;

/// `numpy.tensordot`: sums over `left_axes` of one and `right_axes` of the other.
///
/// # Errors
/// Axes of different lengths; dtypes without a product.
pub fn tensordot(left: &Expr, right: &Expr, left_axes: &[usize], right_axes: &[usize]) -> Result<Expr> {
    if left_axes.len() != right_axes.len() {
        return Err(ArrayError::value(format!(
            "tensordot sums over {} axes of the first array and {} of the second",
            left_axes.len(),
            right_axes.len()
        )));
    }
    for (&a, &b) in left_axes.iter().zip(right_axes) {
        if left.chunks()[a].len() != right.chunks()[b].len() {
            return Err(ArrayError::value(format!(
                "shape-mismatch for sum: axis {a} of {} and axis {b} of {}",
                shape_text(&left.shape()),
                shape_text(&right.shape())
            )));
        }
    }
    let free = |e: &Expr, summed: &[usize]| -> Vec<usize> {
        (0..e.ndim()).filter(|a| !summed.contains(a)).collect()
    };
    let (left_free, right_free) = (free(left, left_axes), free(right, right_axes));
    let left_order: Vec<usize> = left_free.iter().chain(left_axes).copied().collect();
    let right_order: Vec<usize> = right_axes.iter().chain(&right_free).copied().collect();
    contract(&transpose(left, &left_order), &transpose(right, &right_order), 0, left_axes.len())
}

/// `numpy.matmul`.
///
/// # Errors
/// Arrays without axes; inner lengths that differ; batch axes that do not broadcast.
pub fn matmul(left: &Expr, right: &Expr) -> Result<Expr> {
    if left.ndim() == 0 || right.ndim() == 0 {
        return Err(ArrayError::value(
            "matmul: Input operand does not have enough dimensions (has 0, gufunc core with signature (n?,k),(k,m?)->(n?,m?) requires 1)",
        ));
    }
    let (row, column) = (left.ndim() == 1, right.ndim() == 1);
    let left = if row { expand_dims(left, &[0]) } else { left.clone() };
    let right = if column { expand_dims(right, &[1]) } else { right.clone() };
    let (k1, k2) = (left.chunks()[left.ndim() - 1].len(), right.chunks()[right.ndim() - 2].len());
    if k1 != k2 {
        return Err(ArrayError::value(format!(
            "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature (n?,k),(k,m?)->(n?,m?) \
             (size {} is different from {})",
            k2.map_or("nan".into(), |n| n.to_string()),
            k1.map_or("nan".into(), |n| n.to_string())
        )));
    }
    // Batch axes are broadcast against each other.
    let batch = left.ndim().max(right.ndim()) - 2;
    let mut cuts: Chunks = SmallVec::new();
    for axis in 0..batch {
        let of = |e: &Expr| (axis + e.ndim()).checked_sub(batch + 2).map(|a| e.chunks()[a].clone());
        cuts.push(match (of(&left), of(&right)) {
            (Some(a), Some(b)) if a == b => a,
            (Some(a), Some(b)) if b.len() == Some(1) => a,
            (Some(a), Some(b)) if a.len() == Some(1) => b,
            (Some(a), Some(b)) if a.is_known() && a.len() == b.len() => a.refine(&b),
            (Some(a), None) | (None, Some(a)) => a,
            _ => {
                return Err(ArrayError::value(format!(
                    "operands could not be broadcast together with remapped shapes: {} and {}",
                    shape_text(&left.shape()),
                    shape_text(&right.shape())
                )));
            }
        });
    }
    let spread = |e: &Expr| {
        let mut all = cuts.clone();
        all.extend(e.chunks()[e.ndim() - 2..].iter().cloned());
        broadcast_to_chunks(e, &all)
    };
    let out = contract(&spread(&left), &spread(&right), batch, 1)?;
    let mut gone: Vec<usize> = Vec::new();
    if row {
        gone.push(batch);
    }
    if column {
        gone.push(batch + 1);
    }
    squeeze(&out, &gone)
}

/// Axes of `left`: batch, free, summed; of `right`: batch, summed, free. The batch axes are cut alike.
fn contract(left: &Expr, right: &Expr, batch: usize, summed: usize) -> Result<Expr> {
    let dtype = pantile_types::promote(left.dtype(), right.dtype())?;
    let ty = dtype.scalar().filter(|_| !dtype.is_time()).ok_or_else(|| {
        ArrayError::ty(format!("matrix products of dtype {} are not supported", dtype.name()))
    })?;
    let wide = if ty == ScalarType::F16 { DType::F32 } else { dtype };
    let (left, right) = (astype(left, wide)?, astype(right, wide)?);
    let left_free = left.ndim() - batch - summed;
    // The summed axes are cut alike.
    let mut left_cuts = left.chunks().clone();
    let mut right_cuts = right.chunks().clone();
    for k in 0..summed {
        let (a, b) = (&left_cuts[batch + left_free + k], &right_cuts[batch + k]);
        if !a.is_known() || !b.is_known() {
            return Err(ArrayError::value(
                "a matrix product sums over an axis of unknown length: call compute_chunk_sizes() first",
            ));
        }
        let common = a.refine(b);
        left_cuts[batch + left_free + k] = common.clone();
        right_cuts[batch + k] = common;
    }
    let (left, right) = (left.rechunk(left_cuts), right.rechunk(right_cuts));
    let free = |c: &Chunks, from: usize, to: usize| -> Chunks { c[from..to].iter().cloned().collect() };
    let mut output: Chunks = free(left.chunks(), 0, batch + left_free);
    output.extend(right.chunks()[batch + summed..].iter().cloned());
    let op = ProductOp {
        output: output.clone(),
        summed: right.chunks()[batch..batch + summed].iter().cloned().collect(),
        batch,
        left_free,
        dtype: wide,
    };
    let steps = op.steps();
    let mut chain = output.clone();
    chain.push(AxisChunks::unknown(steps as usize));
    let product = Expr::new(Kind::Op(Arc::new(op), vec![left, right]), wide, chain);
    let last = LastStep { output: output.clone(), steps, dtype: wide };
    let out = Expr::new(Kind::Op(Arc::new(last), vec![product]), wide, output);
    astype(&out, dtype)
}

/// The chain of products. Its grid is the output's with one more axis: the step of the chain.
struct ProductOp {
    output: Chunks,
    summed: Chunks,
    batch: usize,
    left_free: usize,
    dtype: DType,
}

impl ProductOp {
    fn steps(&self) -> u32 {
        crate::chunks::block_count(&self.summed) as u32
    }

    fn len_of(&self, at: &[u32], axes: std::ops::Range<usize>) -> usize {
        axes.map(
            |a| if self.output[a].is_known() { self.output[a].sizes()[at[a] as usize] as usize } else { 1 },
        )
        .product()
    }
}

impl BlockOp for ProductOp {
    fn name(&self) -> &str {
        "matmul"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("matmul {} {} {:?}", self.batch, self.left_free, self.output.len()))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).chain(std::iter::once(self.steps())).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let step = at[at.len() - 1];
        if step > 0 {
            let mut index = 0;
            for (&i, n) in at.iter().zip(self.grid()) {
                index = index * n + i;
            }
            out.push(Request::Own(index - 1));
        }
        let k = crate::chunks::unravel(&self.summed, step);
        let split = self.batch + self.left_free;
        let left = at[..split].iter().chain(&k).copied().collect();
        let right = at[..self.batch].iter().chain(&k).chain(&at[split..at.len() - 1]).copied().collect();
        out.push(Request::Chunk { input: 0, at: left });
        out.push(Request::Chunk { input: 1, at: right });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let few = || ArrayError::bug("a product task got fewer inputs than it named");
        let right = inputs.pop().ok_or_else(few)?.into_block()?;
        let left = inputs.pop().ok_or_else(few)?.into_block()?;
        let so_far = inputs.pop().map(Value::into_block).transpose()?;
        let split = self.batch + self.left_free;
        if left.shape()[..self.batch] != right.shape()[..self.batch] {
            return Err(ArrayError::value(format!(
                "operands could not be broadcast together: blocks of shapes {:?} and {:?} (lengths that were unknown \
                 before the computation, after boolean masks)",
                left.shape(),
                right.shape()
            )));
        }
        let batch: usize = left.shape()[..self.batch].iter().product();
        let m: usize = left.shape()[self.batch..split].iter().product();
        let k: usize = left.shape()[split..].iter().product();
        let n: usize = right.shape()[self.batch + self.summed.len()..].iter().product();
        let (left, right) = (
            matrices(&left, self.batch, split)?,
            matrices(&right, self.batch, self.batch + self.summed.len())?,
        );
        let shape: Dims = left.outer.iter().chain(&left.rows).chain(&right.columns).copied().collect();
        let accumulate = so_far.is_some();
        let out = match so_far {
            Some(block) if block.is_sole_owner() && block.is_c_contiguous() => block,
            Some(block) => block.to_owned_block()?,
            None => Block::alloc(self.dtype, &shape)?,
        };
        let size = self.dtype.size();
        debug_assert_eq!(self.len_of(at, 0..0), 1);
        for i in 0..batch {
            let to = out.ptr().wrapping_add(i * m * n * size);
            let (a, b) = (left.matrix(i), right.matrix(i));
            multiply(self.dtype, accumulate, to, [m, k, n], a, b)?;
        }
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, &at[..self.output.len()], self.dtype)
    }
}

/// A block as a batch of matrices with element strides.
struct Matrices {
    block: Block,
    outer: Dims,
    rows: Dims,
    columns: Dims,
    row_stride: isize,
    column_stride: isize,
}

/// Axes `..batch` are the batch, `batch..split` the rows, `split..` the columns. Copies where the axes of one side cannot be walked
/// with one stride.
fn matrices(block: &Block, batch: usize, split: usize) -> Result<Matrices> {
    let size = block.dtype().size() as isize;
    let one_stride = |axes: std::ops::Range<usize>| -> Option<isize> {
        let mut stride: Option<isize> = None;
        let mut length = 1;
        for a in axes.rev() {
            let (n, s) = (block.shape()[a], block.strides()[a]);
            if n == 1 {
                continue;
            }
            match stride {
                None => stride = Some(s),
                Some(inner) if s == inner * length as isize => {}
                Some(_) => return None,
            }
            length *= n;
        }
        Some(stride.unwrap_or(size))
    };
    let strides = one_stride(batch..split).zip(one_stride(split..block.ndim()));
    let usable = |s: isize| s % size == 0;
    let (block, (row_stride, column_stride)) = match strides {
        Some((r, c)) if usable(r) && usable(c) => (block.clone(), (r, c)),
        _ => {
            let copy = block.to_contiguous()?;
            let columns: usize = copy.shape()[split..].iter().product();
            (copy, (columns as isize * size, size))
        }
    };
    Ok(Matrices {
        outer: block.shape()[..batch].into(),
        rows: block.shape()[batch..split].into(),
        columns: block.shape()[split..].into(),
        block,
        row_stride: row_stride / size,
        column_stride: column_stride / size,
    })
}

impl Matrices {
    /// First element and strides of the `i`-th matrix.
    fn matrix(&self, mut i: usize) -> (*mut u8, isize, isize) {
        let mut offset = 0;
        for axis in (0..self.outer.len()).rev() {
            offset += (i % self.outer[axis]) as isize * self.block.strides()[axis];
            i /= self.outer[axis];
        }
        (self.block.ptr().wrapping_offset(offset), self.row_stride, self.column_stride)
    }
}

/// `to (+)= a @ b` for one dtype; `to` is C-ordered with `m` rows and `n` columns.
fn multiply(
    dtype: DType,
    accumulate: bool,
    to: *mut u8,
    [m, k, n]: [usize; 3],
    a: (*mut u8, isize, isize),
    b: (*mut u8, isize, isize),
) -> Result<()> {
    macro_rules! run {
        ($t:ty, |$dst:ident, $lhs:ident, $rhs:ident| $body:expr) => {{
            // SAFETY: the three matrices lie inside blocks of this dtype with these lengths and strides; `to` belongs to
            // the calling task alone.
            let ($dst, $lhs, $rhs) = unsafe {
                (
                    MatMut::<$t>::from_raw(to.cast(), m, n, n as isize, 1),
                    MatRef::<$t>::from_raw(a.0.cast_const().cast(), m, k, a.1, a.2),
                    MatRef::<$t>::from_raw(b.0.cast_const().cast(), k, n, b.1, b.2),
                )
            };
            $body.map_err(|e| ArrayError::bug(e.to_string()))
        }};
    }
    macro_rules! float {
        ($t:ty, $one:expr) => {
            run!($t, |d, l, r| pantile_linalg::gemm(d, accumulate, $one, l, r, Par::Seq))
        };
    }
    macro_rules! int {
        ($t:ty) => {
            run!($t, |d, l, r| pantile_linalg::matmul_int(d, accumulate, l, r, Par::Seq))
        };
    }
    match dtype.scalar() {
        Some(ScalarType::F64) => float!(f64, 1.0),
        Some(ScalarType::F32) => float!(f32, 1.0),
        Some(ScalarType::C64) => float!(Complex<f32>, Complex::new(1.0, 0.0)),
        Some(ScalarType::C128) => float!(Complex<f64>, Complex::new(1.0, 0.0)),
        Some(ScalarType::I8) => int!(i8),
        Some(ScalarType::I16) => int!(i16),
        Some(ScalarType::I32) => int!(i32),
        Some(ScalarType::I64) => int!(i64),
        Some(ScalarType::U8) => int!(u8),
        Some(ScalarType::U16) => int!(u16),
        Some(ScalarType::U32) => int!(u32),
        Some(ScalarType::U64) => int!(u64),
        Some(ScalarType::Bool) => int!(bool),
        Some(ScalarType::F16) | None => Err(ArrayError::bug("a product of a dtype that is converted before")),
    }
}

/// The end of each chain.
struct LastStep {
    output: Chunks,
    steps: u32,
    dtype: DType,
}

impl BlockOp for LastStep {
    fn name(&self) -> &str {
        "matmul"
    }
    fn identity(&self) -> Option<String> {
        Some("last step".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.output.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let mut at: SmallVec<[u32; 4]> = at.into();
        at.push(self.steps - 1);
        out.push(Request::Chunk { input: 0, at });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        inputs.pop().ok_or_else(|| ArrayError::bug("the end of a product got nothing"))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.output, at, self.dtype)
    }
}
