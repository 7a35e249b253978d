//! What can be wrong with a request for random numbers.

use pantile_types::ScalarType;
use thiserror::Error;

/// A request that cannot be served. The first four are the user's, the last is ours.
#[derive(Clone, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum RandomError {
    /// A parameter outside its domain; NumPy's `ValueError`.
    #[error("{distribution}: {problem}")]
    Parameter {
        /// The method's name: `gamma`.
        distribution: &'static str,
        /// The parameter and what it breaks: `shape < 0 (it is -1)`.
        problem: String,
    },
    /// A request that is impossible as a whole; NumPy's `ValueError`.
    #[error("{0}")]
    Value(String),
    /// A range that `f64` cannot hold; NumPy's `OverflowError`.
    #[error("{distribution}: {problem}")]
    Overflow {
        /// The method's name.
        distribution: &'static str,
        /// The parameters and their values.
        problem: String,
    },
    /// A dtype that the distribution does not have; NumPy's `TypeError`.
    #[error("{distribution}: unsupported dtype {}; it has {}", numpy_name(*.dtype), names(.valid))]
    Dtype {
        /// The method's name.
        distribution: &'static str,
        /// What was asked for.
        dtype: ScalarType,
        /// What there is.
        valid: &'static [ScalarType],
    },
    /// A contract between our own parts is broken.
    #[error("{0}; this is a bug in pantile")]
    Bug(String),
}

impl RandomError {
    /// The family: `"user"` or `"bug"`.
    pub fn family(&self) -> &'static str {
        match self {
            RandomError::Parameter { .. }
            | RandomError::Value(_)
            | RandomError::Overflow { .. }
            | RandomError::Dtype { .. } => "user",
            RandomError::Bug(_) => "bug",
        }
    }
}

/// The dtype as users write it.
pub(super) fn numpy_name(dtype: ScalarType) -> String {
    let bits = 8 * dtype.size();
    match dtype {
        ScalarType::Bool => "bool".into(),
        t if t.is_signed() => format!("int{bits}"),
        t if t.is_unsigned() => format!("uint{bits}"),
        t if t.is_complex() => format!("complex{bits}"),
        _ => format!("float{bits}"),
    }
}

fn names(types: &[ScalarType]) -> String {
    types.iter().map(|&t| numpy_name(t)).collect::<Vec<_>>().join(", ")
}
