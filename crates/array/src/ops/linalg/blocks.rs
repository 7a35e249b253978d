//! The passage between blocks and dense kernels: blocks seen as matrices, matrices turned into blocks, errors translated.
//!
//! Everything unsafe in the chunked linear algebra is in this file.

use crate::block::Block;
use crate::error::{ArrayError, Result, UserKind};
use crate::value::Value;
use num_complex::{Complex32, Complex64};
use pantile_linalg::{Elem, Error, Mat, MatMut, MatRef};
use pantile_types::DType;

/// An element type of the kernels, with its dtype.
pub(super) trait Num: Elem {
    /// The dtype.
    const DTYPE: DType;
}

impl Num for f32 {
    const DTYPE: DType = DType::F32;
}
impl Num for f64 {
    const DTYPE: DType = DType::F64;
}
impl Num for Complex32 {
    const DTYPE: DType = DType::C64;
}
impl Num for Complex64 {
    const DTYPE: DType = DType::C128;
}

/// Evaluates an expression with `$T` standing for the element type of a dtype.
macro_rules! with_num {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            pantile_types::DType::F32 => {
                type $T = f32;
                $body
            }
            pantile_types::DType::F64 => {
                type $T = f64;
                $body
            }
            pantile_types::DType::C64 => {
                type $T = num_complex::Complex32;
                $body
            }
            pantile_types::DType::C128 => {
                type $T = num_complex::Complex64;
                $body
            }
            other => {
                Err($crate::error::ArrayError::bug(format!("linear algebra got blocks of {}", other.name())))
            }
        }
    };
}
pub(super) use with_num;

/// The dtype of the moduli of a dtype's elements.
pub(super) fn real_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::C64 => DType::F32,
        _ => DType::F64,
    }
}

/// Whether the kernels can address the block: two axes, aligned elements.
fn is_matrix<T: Num>(block: &Block) -> bool {
    let size = size_of::<T>() as isize;
    block.ptr().addr().is_multiple_of(align_of::<T>()) && block.strides().iter().all(|s| s % size == 0)
}

/// A task's input as a block that `mat` takes. Copies only what is not aligned (a field of a packed NumPy record).
pub(super) fn matrix<T: Num>(value: Value) -> Result<Block> {
    let block = value.into_block()?;
    if block.ndim() != 2 || block.dtype() != T::DTYPE {
        return Err(ArrayError::bug(format!(
            "a dense kernel for {} got a {}-dimensional block of {}",
            T::DTYPE.name(),
            block.ndim(),
            block.dtype().name()
        )));
    }
    if is_matrix::<T>(&block) || block.is_empty() { Ok(block) } else { Ok(block.to_owned_block()?) }
}

/// Whether the block may be overwritten: nobody else sees it, and no two elements share memory.
fn is_writable(block: &Block) -> bool {
    let overlaps = block.shape().iter().zip(block.strides()).any(|(&n, &s)| n > 1 && s == 0);
    block.is_sole_owner() && !overlaps
}

/// A task's input as a block that `mat_mut` takes: itself if the task is its sole owner, else a copy.
pub(super) fn writable<T: Num>(value: Value) -> Result<Block> {
    let block = matrix::<T>(value)?;
    if is_writable(&block) { Ok(block) } else { Ok(block.to_owned_block()?) }
}

/// A block as a matrix.
pub(super) fn mat<T: Num>(block: &Block) -> MatRef<'_, T> {
    assert!(block.ndim() == 2 && block.dtype() == T::DTYPE, "a block is no matrix. This is a bug in Pantile");
    if block.is_empty() {
        return MatRef::from_slice(&[], block.shape()[0], block.shape()[1]);
    }
    assert!(is_matrix::<T>(block), "a block is not aligned. This is a bug in Pantile");
    let size = size_of::<T>() as isize;
    let (shape, strides) = (block.shape(), block.strides());
    // SAFETY: shape and strides reach only elements inside the block's buffer, which lives as long as the borrow; they
    // are aligned (checked above) and were written by the task that made the block. Nobody writes into a shared block.
    unsafe { MatRef::from_raw(block.ptr().cast(), shape[0], shape[1], strides[0] / size, strides[1] / size) }
}

/// A block as a matrix to write into.
pub(super) fn mat_mut<T: Num>(block: &mut Block) -> MatMut<'_, T> {
    assert!(block.ndim() == 2 && block.dtype() == T::DTYPE, "a block is no matrix. This is a bug in Pantile");
    assert!(is_writable(block), "a task writes into a block that it shares. This is a bug in Pantile");
    let size = size_of::<T>() as isize;
    let (shape, strides) = (block.shape(), block.strides());
    if block.is_empty() {
        return MatMut::from_slice(&mut [], shape[0], shape[1]);
    }
    assert!(is_matrix::<T>(block), "a block is not aligned. This is a bug in Pantile");
    // SAFETY: as in `mat`; the block is the only one over its buffer (checked above) and borrowed exclusively, and its
    // strides are those of distinct elements.
    unsafe { MatMut::from_raw(block.ptr().cast(), shape[0], shape[1], strides[0] / size, strides[1] / size) }
}

/// A matrix as a block of the pool, where it is counted.
pub(super) fn block<T: Num>(from: MatRef<'_, T>) -> Result<Block> {
    let mut out = Block::alloc(T::DTYPE, &[from.nrows(), from.ncols()])?;
    mat_mut::<T>(&mut out).copy_from(from);
    Ok(out)
}

/// A vector as a one-dimensional block.
pub(super) fn vector<T: Num>(values: &[T]) -> Result<Block> {
    let column = block(MatRef::from_slice(values, values.len(), 1))?;
    Ok(column.reshape(&[values.len()])?)
}

/// A block of zeros.
pub(super) fn zeros<T: Num>(rows: usize, cols: usize) -> Result<Block> {
    Ok(Block::zeros(T::DTYPE, &[rows, cols])?)
}

/// A block of zeros with ones on the diagonal that starts at its first element.
pub(super) fn identity<T: Num>(rows: usize, cols: usize) -> Result<Block> {
    let mut out = zeros::<T>(rows, cols)?;
    let mut m = mat_mut::<T>(&mut out);
    for i in 0..rows.min(cols) {
        m.set(i, i, T::ONE);
    }
    Ok(out)
}

/// Calls `f` with the conjugate transpose. Real matrices are only looked at the other way; complex ones are copied, since the
/// product kernels do not conjugate.
pub(super) fn with_adjoint<T: Num, R>(a: MatRef<'_, T>, f: impl FnOnce(MatRef<'_, T>) -> R) -> R {
    if !T::IS_COMPLEX {
        return f(a.transpose());
    }
    let conjugated = Mat::from_fn(a.ncols(), a.nrows(), |i, j| a.at(j, i).conjugate());
    f(conjugated.as_ref())
}

/// Some rows of a block.
pub(super) fn rows(block: &Block, start: usize, len: usize) -> Block {
    block.clone().slice_axis(0, start, 1, len)
}

/// Some columns of a block.
pub(super) fn cols(block: &Block, start: usize, len: usize) -> Block {
    block.clone().slice_axis(1, start, 1, len)
}

/// A kernel's error as this crate's.
pub(super) fn kernel_error(error: Error) -> ArrayError {
    let text = match &error {
        Error::Singular { index, .. } => format!("Singular matrix: pivot {index} is exactly zero"),
        Error::NotPositiveDefinite { order } => {
            format!("Matrix is not positive definite: its leading minor of order {order} is not positive")
        }
        Error::NonFinite { op } => {
            format!("{} did not converge: the matrix holds NaN or infinity", op.to_uppercase())
        }
        Error::DidNotConverge { op } => format!("{} did not converge", op.to_uppercase()),
        Error::Unsupported { .. } => return ArrayError::Unsupported(error.to_string()),
        Error::Shape { .. } | Error::NotSquare { .. } => return ArrayError::bug(error.to_string()),
    };
    ArrayError::User(UserKind::LinAlg, text)
}

/// Positions as a block of `int64`.
pub(super) fn positions(values: &[i64]) -> Result<Block> {
    let out = Block::alloc(DType::I64, &[values.len()])?;
    // SAFETY: the block is fresh, contiguous and has exactly this many elements of eight bytes.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), out.ptr().cast::<i64>(), values.len()) };
    Ok(out)
}

/// The positions that `positions` stored.
pub(super) fn read_positions(value: &Value) -> Result<&[i64]> {
    match value {
        Value::Block(b) if b.dtype() == DType::I64 && b.is_c_contiguous() => {
            // SAFETY: dtype and contiguity were just checked; every bit pattern is an i64.
            Ok(unsafe { b.as_slice::<i64>() })
        }
        _ => Err(ArrayError::bug("a permutation is no block of int64")),
    }
}

/// An error of one block: what, and where in the matrix.
pub(super) fn in_block(error: Error, row: u32, col: u32) -> ArrayError {
    match kernel_error(error) {
        ArrayError::User(kind, text) => {
            ArrayError::User(kind, format!("{text} (within block ({row}, {col}))"))
        }
        other => other,
    }
}
