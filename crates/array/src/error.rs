//! The crate's errors: one enum, in four families. The Python layer maps them to the exceptions that NumPy would raise.

use crate::pool::OutOfMemory;
use std::fmt;

/// Result with `ArrayError`.
pub type Result<T> = std::result::Result<T, ArrayError>;

/// Which Python exception a user's mistake becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserKind {
    /// `ValueError`: shapes, chunks, parameters.
    Value,
    /// `TypeError`: dtypes, kinds of arguments.
    Type,
    /// `IndexError`: indices and axes of indexing.
    Index,
    /// `numpy.exceptions.AxisError`: an axis out of range.
    Axis,
    /// `OverflowError`: a Python integer that does not fit.
    Overflow,
    /// `numpy.linalg.LinAlgError`: singular and the like.
    LinAlg,
    /// `OSError`: a file that is missing, truncated or corrupt.
    File,
}

/// Whatever can go wrong between an expression and its blocks.
#[derive(Debug, Clone)]
pub enum ArrayError {
    /// The user asked for something impossible.
    User(UserKind, String),
    /// Possible, but not here; the text says what to do instead.
    Unsupported(String),
    /// Memory, disk.
    Resource(String),
    /// Our mistake.
    Bug(String),
    /// The run was stopped while the task ran. Whoever stopped it knows why.
    Stopped,
    /// A Python function raised; the payload is the exception, opaque to this crate.
    Foreign(std::sync::Arc<dyn std::any::Any + Send + Sync>, String),
}

impl ArrayError {
    /// A `ValueError`.
    pub fn value(text: impl Into<String>) -> ArrayError {
        ArrayError::User(UserKind::Value, text.into())
    }
    /// A `TypeError`.
    pub fn ty(text: impl Into<String>) -> ArrayError {
        ArrayError::User(UserKind::Type, text.into())
    }
    /// An `IndexError`.
    pub fn index(text: impl Into<String>) -> ArrayError {
        ArrayError::User(UserKind::Index, text.into())
    }
    /// An `AxisError`, in NumPy's words.
    pub fn axis(axis: i64, ndim: usize) -> ArrayError {
        ArrayError::User(
            UserKind::Axis,
            format!("axis {axis} is out of bounds for array of dimension {ndim}"),
        )
    }
    /// An internal error.
    pub fn bug(text: impl Into<String>) -> ArrayError {
        ArrayError::Bug(text.into())
    }
    /// The family: `"user"`, `"unsupported"`, `"resource"` or `"bug"`.
    pub fn family(&self) -> &'static str {
        match self {
            ArrayError::User(..) | ArrayError::Foreign(..) | ArrayError::Stopped => "user",
            ArrayError::Unsupported(_) => "unsupported",
            ArrayError::Resource(_) => "resource",
            ArrayError::Bug(_) => "bug",
        }
    }
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArrayError::User(_, text) | ArrayError::Unsupported(text) | ArrayError::Resource(text) => {
                f.write_str(text)
            }
            ArrayError::Bug(text) => write!(f, "{text}. This is a bug in Pantile: please report it"),
            ArrayError::Stopped => f.write_str("the computation was stopped"),
            ArrayError::Foreign(_, text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ArrayError {}

impl From<OutOfMemory> for ArrayError {
    fn from(e: OutOfMemory) -> ArrayError {
        ArrayError::Resource(e.to_string())
    }
}

/// Checks an axis and makes it non-negative.
pub fn normalize_axis(axis: i64, ndim: usize) -> Result<usize> {
    let n = ndim as i64;
    if axis < -n || axis >= n {
        return Err(ArrayError::axis(axis, ndim));
    }
    Ok(if axis < 0 { axis + n } else { axis } as usize)
}
