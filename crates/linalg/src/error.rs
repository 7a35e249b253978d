//! The errors of this crate, grouped in families as everywhere in the project. Messages name the function and the
//! shapes; the Python layer turns the numerical ones into NumPy's `LinAlgError`.

use thiserror::Error;

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The caller passed something that cannot work: a wrong shape, a singular matrix.
    User,
    /// The input is valid, but this crate has no method for it.
    Unsupported,
}

/// What can go wrong in a dense kernel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The shapes of two operands do not fit together.
    #[error("{op}: shapes do not fit: {detail}")]
    Shape {
        /// The function that was called.
        op: &'static str,
        /// Which shapes were given and which were expected.
        detail: String,
    },
    /// A square matrix is required.
    #[error("{op}: the matrix must be square, it is {nrows}x{ncols}")]
    NotSquare {
        /// The function that was called.
        op: &'static str,
        /// Rows given.
        nrows: usize,
        /// Columns given.
        ncols: usize,
    },
    /// An exact zero pivot: the matrix has no inverse.
    #[error("{op}: singular matrix (pivot {index} is exactly zero)")]
    Singular {
        /// The function that was called.
        op: &'static str,
        /// Position of the first zero pivot.
        index: usize,
    },
    /// The Cholesky factor does not exist.
    #[error("cholesky: matrix is not positive definite (leading minor of order {order})")]
    NotPositiveDefinite {
        /// Order of the first leading minor that is not positive.
        order: usize,
    },
    /// The input holds NaN or infinity, for which an iterative method has no answer.
    #[error("{op}: did not converge, the input holds NaN or infinity")]
    NonFinite {
        /// The function that was called.
        op: &'static str,
    },
    /// The iteration gave up on finite input.
    #[error("{op}: did not converge")]
    DidNotConverge {
        /// The function that was called.
        op: &'static str,
    },
    /// A valid request that these kernels do not serve.
    #[error("{op}: {reason}")]
    Unsupported {
        /// The function that was called.
        op: &'static str,
        /// What is missing and what to do instead.
        reason: String,
    },
}

impl Error {
    /// The family that decides how the error is reported.
    pub fn family(&self) -> Family {
        match self {
            Error::Shape { .. }
            | Error::NotSquare { .. }
            | Error::Singular { .. }
            | Error::NotPositiveDefinite { .. }
            | Error::NonFinite { .. }
            | Error::DidNotConverge { .. } => Family::User,
            Error::Unsupported { .. } => Family::Unsupported,
        }
    }
}

/// The result of a kernel.
pub type Result<T> = std::result::Result<T, Error>;

/// Returns the order of a square matrix, or the error that says it is not square.
pub(crate) fn square(op: &'static str, nrows: usize, ncols: usize) -> Result<usize> {
    if nrows == ncols { Ok(nrows) } else { Err(Error::NotSquare { op, nrows, ncols }) }
}
