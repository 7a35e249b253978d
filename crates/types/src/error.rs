//! The one error type of this crate.
//!
//! Messages follow NumPy's wording where NumPy has one, and add the valid choices. Nothing here decides which Python
//! exception is raised: `python_kind` names the builtin that NumPy's exception derives from, and the bindings map it.

use crate::dtype::{DType, Foreign};
use crate::promote::Casting;

/// Who can do something about an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// The caller passed something wrong.
    User,
    /// The request makes sense, but it is not built.
    Unsupported,
    /// The machine ran out of something.
    Resource,
    /// Our mistake.
    Bug,
}

/// The Python builtin that NumPy's exception for the same mistake derives from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PythonKind {
    /// `TypeError`.
    Type,
    /// `ValueError`.
    Value,
    /// `OverflowError`.
    Overflow,
}

/// What can go wrong with data types and operations on them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TypeError {
    /// A data type's spelling means nothing.
    #[error(
        "data type {text:?} not understood; valid names are {}, and the character codes of NumPy such as '<f8'",
        crate::dtype::VALID_NAMES
    )]
    UnknownDType {
        /// What was given.
        text: String,
    },
    /// NumPy has the data type, this engine does not.
    #[error("data type {text:?} is not supported: {reason}; supported are {}", crate::dtype::VALID_NAMES)]
    UnsupportedDType {
        /// What was given.
        text: String,
        /// Why it is out of reach.
        reason: &'static str,
    },
    /// A unit in brackets means nothing.
    #[error(
        "invalid datetime unit in {text:?}; a unit is an optional positive count and one of Y, M, W, D, h, m, s, ms, us, ns, ps, fs, as, for example 'datetime64[25s]'"
    )]
    BadUnit {
        /// What was given.
        text: String,
    },
    /// No data type holds the values of both.
    #[error("the data types {a} and {b} have no common data type")]
    NoCommonDType {
        /// The first data type.
        a: DType,
        /// The second data type.
        b: DType,
    },
    /// Years and months cannot be counted in days, for durations.
    #[error(
        "cannot get a common unit of {a} and {b}: a year or a month is not a fixed number of weeks, days or shorter units"
    )]
    NonlinearUnits {
        /// The first data type.
        a: DType,
        /// The second data type.
        b: DType,
    },
    /// The common unit does not fit.
    #[error("integer overflow getting a common unit of {a} and {b}")]
    UnitOverflow {
        /// The first data type.
        a: DType,
        /// The second data type.
        b: DType,
    },
    /// A Python integer meets a data type that cannot hold it.
    #[error("Python integer {} out of bounds for {dtype}", integer_text(*.value))]
    IntegerOutOfBounds {
        /// The integer. The ends of the range stand for whatever is beyond it.
        value: i128,
        /// The data type that was to hold it.
        dtype: DType,
    },
    /// The operation has no loop for these inputs.
    #[error("ufunc '{op}' not supported for the input types ({inputs}){hint}")]
    NoLoop {
        /// The operation's NumPy name.
        op: &'static str,
        /// The inputs, comma separated.
        inputs: String,
        /// What to do instead, with its leading punctuation; or empty.
        hint: &'static str,
    },
    /// A result may not be stored where it was to go.
    #[error("Cannot cast ufunc '{op}' output from dtype('{from}') to dtype('{to}') with casting rule '{}'", casting.name())]
    OutputCast {
        /// The operation's NumPy name.
        op: &'static str,
        /// The result's data type.
        from: DType,
        /// The data type of the place.
        to: DType,
        /// The rule that forbids it.
        casting: Casting,
    },
    /// A conversion is forbidden by the rule that the caller chose.
    #[error("Cannot cast array data from dtype('{from}') to dtype('{to}') according to the rule '{}'", casting.name())]
    Cast {
        /// The data type given.
        from: DType,
        /// The data type asked for.
        to: DType,
        /// The rule that forbids it.
        casting: Casting,
    },
    /// Integer powers have no negative exponents.
    #[error("Integers to negative integer powers are not allowed.")]
    NegativeIntegerPower,
    /// The wrong number of inputs.
    #[error("{op}() takes {expected} inputs, but {given} were given")]
    Arity {
        /// The operation's NumPy name.
        op: &'static str,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// A promotion of nothing.
    #[error("at least one array or dtype is required")]
    NoOperands,
    /// A reduction has no meaning for this data type.
    #[error("reduction '{op}' not supported for the input type {dtype}{hint}")]
    NoReduction {
        /// The reduction's name.
        op: &'static str,
        /// The input's data type.
        dtype: DType,
        /// What to do instead, with its leading punctuation; or empty.
        hint: &'static str,
    },
    /// The operation exists, but only NumPy's own code does it for these types.
    #[error("'{op}' has no native form for {dtype}: {reason}")]
    NotNative {
        /// The operation's NumPy name.
        op: &'static str,
        /// The data type it would have to work on.
        dtype: DType,
        /// Why.
        reason: &'static str,
    },
}

fn integer_text(value: i128) -> String {
    match value {
        i128::MAX => "beyond 128 bits".to_owned(),
        i128::MIN => "below 128 bits".to_owned(),
        value => value.to_string(),
    }
}

impl TypeError {
    /// Who can do something about it.
    pub const fn family(&self) -> Family {
        match self {
            TypeError::UnsupportedDType { .. } | TypeError::NotNative { .. } => Family::Unsupported,
            TypeError::UnknownDType { .. }
            | TypeError::BadUnit { .. }
            | TypeError::NoCommonDType { .. }
            | TypeError::NonlinearUnits { .. }
            | TypeError::UnitOverflow { .. }
            | TypeError::IntegerOutOfBounds { .. }
            | TypeError::NoLoop { .. }
            | TypeError::OutputCast { .. }
            | TypeError::Cast { .. }
            | TypeError::NegativeIntegerPower
            | TypeError::Arity { .. }
            | TypeError::NoOperands
            | TypeError::NoReduction { .. } => Family::User,
        }
    }

    /// The Python builtin that NumPy's exception derives from.
    pub const fn python_kind(&self) -> PythonKind {
        match self {
            TypeError::UnitOverflow { .. } | TypeError::IntegerOutOfBounds { .. } => PythonKind::Overflow,
            TypeError::NegativeIntegerPower | TypeError::NoOperands => PythonKind::Value,
            TypeError::UnknownDType { .. }
            | TypeError::UnsupportedDType { .. }
            | TypeError::BadUnit { .. }
            | TypeError::NoCommonDType { .. }
            | TypeError::NonlinearUnits { .. }
            | TypeError::NoLoop { .. }
            | TypeError::OutputCast { .. }
            | TypeError::Cast { .. }
            | TypeError::Arity { .. }
            | TypeError::NoReduction { .. }
            | TypeError::NotNative { .. } => PythonKind::Type,
        }
    }

    /// The error for a foreign data type that reached a place where only native ones have a meaning.
    pub fn foreign(op: &'static str, dtype: DType) -> TypeError {
        let reason = match dtype {
            DType::Foreign(Foreign::Object) => "object arrays are computed by NumPy under the GIL",
            _ => "strings and records are computed by NumPy under the GIL",
        };
        TypeError::NotNative { op, dtype, reason }
    }
}
