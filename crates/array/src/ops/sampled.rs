//! Random arrays whose parameters are arrays: each element has a distribution of its own.
//!
//! An element's sample depends on the key, its place in the array and its own parameters, on neither chunks nor neighbours. (It is
//! the one that an array with these parameters everywhere has there, but for the exception at `Sampler::for_few`.) Neighbours
//! with equal parameters are drawn together, which makes a parameter that repeats along the last axis nearly free; where all
//! differ, what is slow is to make a sampler for each.
//!
//! Locations and scales do not come here: the caller applies them to a standard sample, in a kernel (`not_negative` is for
//! those scales).

use super::elementwise::{astype, broadcast_to};
use crate::block::Block;
use crate::chunks::{Chunks, block_count};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::random::{Distribution, Key, Number, Sampler};
use crate::value::Value;
use pantile_types::{DType, ScalarType};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// A parameter of a distribution.
#[derive(Clone)]
pub enum Parameter {
    /// The same for all elements.
    Number(Number),
    /// One for each element, broadcast against the result.
    Array(Expr),
}

/// Independent samples of the distribution with this name. Parameters are checked when they are computed.
///
/// # Errors
/// Names that are none, parameters that do not broadcast to the result, dtypes that the distribution does not have.
pub fn sampled(
    name: &str,
    parameters: &[(String, Parameter)],
    dtype: DType,
    key: Key,
    chunks: Chunks,
) -> Result<Expr> {
    let ty = dtype
        .scalar()
        .ok_or_else(|| ArrayError::ty(format!("random samples of dtype {} do not exist", dtype.name())))?;
    let mut inputs = Vec::new();
    let mut values = Vec::new();
    for (parameter, value) in parameters {
        let value = match value {
            Parameter::Number(number) => Given::Number(*number),
            Parameter::Array(e) => {
                // Whole numbers stay exact; everything else is a double.
                let as_type = match e.dtype().scalar() {
                    Some(ScalarType::U64) => DType::U64,
                    Some(t) if t.is_int() || t == ScalarType::Bool => DType::I64,
                    Some(t) if t.is_float() => DType::F64,
                    _ => {
                        return Err(ArrayError::ty(format!(
                            "{name}: `{parameter}` must be of real numbers, not {}",
                            e.dtype().name()
                        )));
                    }
                };
                inputs.push(broadcast_to(&astype(e, as_type)?, chunks.clone())?);
                Given::Array(as_type)
            }
        };
        values.push((parameter.clone(), value));
    }
    let shape: Option<Vec<u64>> = chunks.iter().map(|c| c.len()).collect();
    let shape = shape.ok_or_else(|| ArrayError::value("random arrays have known shapes"))?;
    let op = Sampled { name: name.into(), values, ty, dtype, key, shape, chunks: chunks.clone() };
    Ok(Expr::new(Kind::Op(Arc::new(op), inputs), dtype, chunks))
}

/// Where a parameter's value is.
enum Given {
    Number(Number),
    /// In the next input, of this dtype.
    Array(DType),
}

struct Sampled {
    name: String,
    values: Vec<(String, Given)>,
    ty: ScalarType,
    dtype: DType,
    key: Key,
    shape: Vec<u64>,
    chunks: Chunks,
}

/// The bits of an element's parameters.
type Bits = SmallVec<[u64; 3]>;

/// So many samplers are kept by a task: enough where parameters repeat, little where they do not.
const KEPT: usize = 256;

impl Sampled {
    fn sampler(&self, bits: &Bits) -> Result<Sampler> {
        let mut arrays = bits.iter();
        let mut numbers = FxHashMap::default();
        for (name, given) in &self.values {
            let number = match given {
                Given::Number(number) => *number,
                Given::Array(dtype) => {
                    let bits = *arrays.next().expect("each array parameter has its bits");
                    match *dtype {
                        DType::U64 => Number::Int(i128::from(bits)),
                        DType::I64 => Number::Int(i128::from(bits as i64)),
                        _ => Number::Float(f64::from_bits(bits)),
                    }
                }
            };
            numbers.insert(name.as_str(), number);
        }
        let distribution = Distribution::named(&self.name, |parameter| {
            numbers
                .get(parameter)
                .copied()
                .ok_or_else(|| ArrayError::ty(format!("{} needs the parameter `{parameter}`", self.name)))
        })?;
        let distribution = distribution
            .ok_or_else(|| ArrayError::value(format!("there is no distribution `{}`", self.name)))?;
        Ok(Sampler::for_few(distribution, self.ty)?)
    }

    /// Fills a row of `len` elements, the first of which is element `first` of the array.
    fn row(
        &self,
        samplers: &mut FxHashMap<Bits, Sampler>,
        first: u64,
        len: usize,
        bits_at: &dyn Fn(usize) -> Bits,
        out: *mut u8,
    ) -> Result<()> {
        let total: u64 = self.shape.iter().product();
        let mut from = 0;
        while from < len {
            let bits = bits_at(from);
            let run = 1 + (from + 1..len).take_while(|&j| bits_at(j) == bits).count();
            if !samplers.contains_key(&bits) {
                if samplers.len() == KEPT {
                    samplers.clear();
                }
                samplers.insert(bits.clone(), self.sampler(&bits)?);
            }
            // SAFETY: the row has room for `len` elements of the samplers' type, of which these are `from .. from + run`.
            unsafe {
                let to = out.add(from * self.ty.size());
                samplers[&bits].fill(self.key, &[total], &[first + from as u64], &[run as u64], to)?;
            }
            from += run;
        }
        Ok(())
    }
}

impl BlockOp for Sampled {
    fn name(&self) -> &str {
        &self.name
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let arrays = self.values.iter().filter(|(_, given)| matches!(given, Given::Array(_))).count();
        out.extend((0..arrays).map(|input| Request::Chunk { input, at: at.into() }));
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let parameters = inputs.drain(..).map(Value::into_block).collect::<Result<Vec<Block>>>()?;
        let starts: Vec<u64> = self.chunks.iter().zip(at).map(|(c, &i)| c.start(i as usize)).collect();
        let shape: Vec<usize> =
            self.chunks.iter().zip(at).map(|(c, &i)| c.sizes()[i as usize] as usize).collect();
        let out = Block::alloc(self.dtype, &shape)?;
        if out.is_empty() {
            return Ok(Value::Block(out));
        }
        for p in &parameters {
            if p.shape() != shape {
                return Err(ArrayError::bug("a parameter's block has another shape than the samples'"));
            }
        }
        let len = shape.last().copied().unwrap_or(1);
        let mut samplers = FxHashMap::default();
        for row in 0..out.len() / len {
            // Where the row is: in the block, and in the whole array.
            let (mut rest, mut first, mut step) = (row * len, 0u64, 1u64);
            let mut offsets: SmallVec<[isize; 3]> = SmallVec::from_elem(0, parameters.len());
            for axis in (0..shape.len()).rev() {
                let i = rest % shape[axis];
                rest /= shape[axis];
                first += (starts[axis] + i as u64) * step;
                step *= self.shape[axis];
                for (offset, p) in offsets.iter_mut().zip(&parameters) {
                    *offset += i as isize * p.strides()[axis];
                }
            }
            let bits_at = |j: usize| -> Bits {
                let read = |(p, &offset): (&Block, &isize)| {
                    let along = p.strides().last().copied().unwrap_or(0);
                    // SAFETY: the element at `(row, j)` of a block with this shape; all three dtypes have eight bytes.
                    unsafe { p.ptr().offset(offset + j as isize * along).cast::<u64>().read_unaligned() }
                };
                parameters.iter().zip(&offsets).map(read).collect()
            };
            // SAFETY: `out` is contiguous, and has this row.
            let to = unsafe { out.ptr().add(row * len * self.ty.size()) };
            self.row(&mut samplers, first, len, &bits_at, to)?;
        }
        Ok(Value::Block(out))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let sizes = self.chunks.iter().zip(at).map(|(c, &i)| c.sizes()[i as usize]);
        sizes.product::<u64>() * self.ty.size() as u64
    }
}

/// The same doubles, of which none may be negative (nor minus zero): `message` is the error's text. NaN passes.
///
/// # Errors
/// Arrays of other dtypes.
pub fn not_negative(e: &Expr, message: &str) -> Result<Expr> {
    let e = astype(e, DType::F64)?;
    let (dtype, chunks) = (e.dtype(), e.chunks().clone());
    if block_count(&chunks) == 0 {
        return Ok(e);
    }
    let op = NotNegative { message: message.into(), chunks: chunks.clone() };
    Ok(Expr::new(Kind::Op(Arc::new(op), vec![e]), dtype, chunks))
}

struct NotNegative {
    message: String,
    chunks: Chunks,
}

impl BlockOp for NotNegative {
    fn name(&self) -> &str {
        "not-negative"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("not-negative {}", self.message))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: at.into() });
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let block = inputs.pop().ok_or_else(|| ArrayError::bug("a check got no block"))?.into_block()?;
        let block = block.to_contiguous()?;
        // SAFETY: the block is contiguous and of doubles (`not_negative` converts).
        let values: &[f64] = unsafe { block.as_slice() };
        if values.iter().any(|v| v.is_sign_negative() && !v.is_nan()) {
            return Err(ArrayError::value(self.message.clone()));
        }
        Ok(Value::Block(block))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let sizes =
            self.chunks.iter().zip(at).map(|(c, &i)| if c.is_known() { c.sizes()[i as usize] } else { 1 });
        sizes.product::<u64>() * 8
    }
}
