//! Cumulative sums and products along an axis: a chain of blocks, each starting from the last element of the one before.

use super::elementwise::astype;
use crate::block::Block;
use crate::chunks::{Chunks, block_bytes};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use half::f16;
use num_complex::Complex;
use pantile_types::{DType, ScalarType};
use smallvec::SmallVec;
use std::sync::Arc;

/// `numpy.cumsum` (`product` false) or `numpy.cumprod` along one axis.
///
/// # Errors
/// dtypes without the operation.
pub fn scan(e: &Expr, axis: usize, product: bool, dtype: Option<DType>) -> Result<Expr> {
    // NumPy has no other loop for durations, so a dtype asked for changes at most the unit.
    let dtype = dtype.filter(|d| d.is_time() || !e.dtype().is_time()).unwrap_or(match e.dtype() {
        DType::Bool | DType::I8 | DType::I16 | DType::I32 => DType::I64,
        DType::U8 | DType::U16 | DType::U32 => DType::U64,
        other => other,
    });
    if dtype.is_foreign() || matches!(dtype, DType::DateTime(_)) || (product && dtype.is_time()) {
        let name = if product { "cumprod" } else { "cumsum" };
        return Err(ArrayError::ty(format!("{name} of dtype {} is not supported", dtype.name())));
    }
    let e = astype(e, dtype)?;
    let chunks = e.chunks().clone();
    let hands_on = !chunks[axis].is_known();
    let op = ScanOp { chunks: chunks.clone(), axis, product, dtype, hands_on };
    let scanned = Expr::new(Kind::Op(Arc::new(op), vec![e]), dtype, chunks.clone());
    if !hands_on {
        return Ok(scanned);
    }
    let blocks = ScannedBlocks { chunks: chunks.clone(), dtype };
    Ok(Expr::new(Kind::Op(Arc::new(blocks), vec![scanned]), dtype, chunks))
}

struct ScanOp {
    chunks: Chunks,
    axis: usize,
    product: bool,
    dtype: DType,
    /// Whether a task's value is the block and, beside it, the slice where the next block goes on. Along an axis of
    /// unknown length the block before may turn out to be empty, and then the slice comes from further up.
    hands_on: bool,
}

impl ScanOp {
    /// The block where this one starts from: the one before along the axis, except those known to be empty.
    fn before(&self, at: &[u32]) -> Option<u32> {
        let cut = &self.chunks[self.axis];
        (0..at[self.axis]).rev().find(|&i| !cut.is_known() || cut.sizes()[i as usize] > 0)
    }
}

impl BlockOp for ScanOp {
    fn name(&self) -> &str {
        if self.product { "cumprod" } else { "cumsum" }
    }
    fn identity(&self) -> Option<String> {
        Some(format!("scan {} {}", self.axis, self.product))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        if let Some(i) = self.before(at) {
            let mut before: SmallVec<[u32; 4]> = at.into();
            before[self.axis] = i;
            out.push(Request::Own(crate::chunks::ravel(&self.chunks, &before)));
        }
        out.push(Request::Chunk { input: 0, at: at.into() });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let block = inputs.pop().ok_or_else(|| ArrayError::bug("a scan task got no block"))?.into_block()?;
        let last = |b: Block| {
            let n = b.shape()[self.axis];
            (n > 0).then(|| b.slice_axis(self.axis, n - 1, 1, 1))
        };
        let carry = match inputs.pop() {
            None => None,
            Some(Value::Many(parts)) => parts.get(1).cloned().map(Value::into_block).transpose()?,
            Some(before) => last(before.into_block()?),
        };
        // The block is overwritten where it is ours alone.
        let out =
            if block.is_sole_owner() && block.is_c_contiguous() { block } else { block.to_owned_block()? };
        if !out.is_empty() {
            run_scan(&out, carry.as_ref(), self.axis, self.product)?;
        }
        if !self.hands_on {
            return Ok(Value::Block(out));
        }
        let next = match last(out.clone()) {
            Some(own) => Some(own.to_owned_block()?),
            None => carry,
        };
        Ok(Value::Many(Arc::new(std::iter::once(out).chain(next).map(Value::Block).collect())))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.chunks, at, self.dtype)
    }
}

/// The blocks alone, of a scan that hands on more than them.
struct ScannedBlocks {
    chunks: Chunks,
    dtype: DType,
}

impl BlockOp for ScannedBlocks {
    fn name(&self) -> &str {
        "scan"
    }
    fn identity(&self) -> Option<String> {
        Some("scanned blocks".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: at.into() });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let value = inputs.pop().ok_or_else(|| ArrayError::bug("a task got no scanned block"))?;
        value.parts()?.first().cloned().ok_or_else(|| ArrayError::bug("a scan made no block"))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.chunks, at, self.dtype)
    }
}

/// Scans a C-contiguous block in place. `carry` is the slice before it.
fn run_scan(block: &Block, carry: Option<&Block>, axis: usize, product: bool) -> Result<()> {
    let carry = carry.map(Block::to_contiguous).transpose()?;
    let outer: usize = block.shape()[..axis].iter().product();
    let n = block.shape()[axis];
    let inner: usize = block.shape()[axis + 1..].iter().product();
    macro_rules! go {
        ($t:ty, $add:expr, $mul:expr) => {{
            // SAFETY: the block is contiguous with `outer * n * inner` elements of this type, and this task's alone; the
            // carry is contiguous with `outer * inner`.
            let data = unsafe { std::slice::from_raw_parts_mut(block.ptr().cast::<$t>(), outer * n * inner) };
            // SAFETY: the carry is contiguous and of the block's dtype.
            let start: Option<&[$t]> = carry.as_ref().map(|c| unsafe { c.as_slice::<$t>() });
            let op: fn($t, $t) -> $t = if product { $mul } else { $add };
            for o in 0..outer {
                let rows = &mut data[o * n * inner..(o + 1) * n * inner];
                if let Some(start) = start {
                    for (x, &c) in rows[..inner].iter_mut().zip(&start[o * inner..(o + 1) * inner]) {
                        *x = op(c, *x);
                    }
                }
                for k in 1..n {
                    let (done, rest) = rows.split_at_mut(k * inner);
                    for (x, &p) in rest[..inner].iter_mut().zip(&done[(k - 1) * inner..]) {
                        *x = op(p, *x);
                    }
                }
            }
        }};
    }
    macro_rules! int {
        ($t:ty) => {
            go!($t, |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b))
        };
    }
    match block.scalar_type() {
        // NaT, the smallest integer, stays.
        ScalarType::I64 if block.dtype().is_time() => {
            let add = |a: i64, b: i64| {
                if a == i64::MIN || b == i64::MIN { i64::MIN } else { a.wrapping_add(b) }
            };
            go!(i64, add, add)
        }
        ScalarType::Bool => go!(u8, |a, b| a | b, |a, b| a & b),
        ScalarType::I8 => int!(i8),
        ScalarType::I16 => int!(i16),
        ScalarType::I32 => int!(i32),
        ScalarType::I64 => int!(i64),
        ScalarType::U8 => int!(u8),
        ScalarType::U16 => int!(u16),
        ScalarType::U32 => int!(u32),
        ScalarType::U64 => int!(u64),
        ScalarType::F16 => go!(f16, |a, b| a + b, |a, b| a * b),
        ScalarType::F32 => go!(f32, |a, b| a + b, |a, b| a * b),
        ScalarType::F64 => go!(f64, |a, b| a + b, |a, b| a * b),
        ScalarType::C64 => go!(Complex<f32>, |a, b| a + b, |a, b| a * b),
        ScalarType::C128 => go!(Complex<f64>, |a, b| a + b, |a, b| a * b),
    }
    Ok(())
}
