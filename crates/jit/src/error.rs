//! Every error of this crate, with the family that decides which Python exception it becomes.

use crate::backend::CompileError;
use crate::text::ParseError;
use crate::verify::VerifyError;

/// What kind of trouble an error is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The user asked for something that cannot be.
    User,
    /// Pantile cannot do it, although it makes sense.
    Unsupported,
    /// Memory, files or time ran out.
    Resource,
    /// Our mistake.
    Bug,
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that is no module.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A module that breaks a rule.
    #[error("{0}. This is a bug in Pantile")]
    Verify(#[from] VerifyError),
    /// A backend could not compile a module.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl Error {
    /// What kind of trouble it is.
    pub fn family(&self) -> Family {
        match self {
            Error::Parse(_) => Family::User,
            Error::Verify(_) | Error::Compile(_) => Family::Bug,
        }
    }
}
