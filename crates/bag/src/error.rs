//! What can go wrong. What Python itself would raise is not here: the escape raises it, and it passes as [`Error::Foreign`].

use std::any::Any;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a partition failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A compressed file ends too early.
    #[error(
        "{}: compressed file ended before the end-of-stream marker was reached ({kind}, at byte {offset})",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The compression.
        kind: &'static str,
        /// How much of the file had been read.
        offset: u64,
    },
    /// A compressed file that is damaged.
    #[error("{}: not valid {kind} near byte {offset}: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The compression.
        kind: &'static str,
        /// How much of the file had been read.
        offset: u64,
        /// What the decoder said.
        why: String,
    },
    /// Bytes that the encoding does not have.
    #[error("byte {at} of the data is not valid {encoding}")]
    Decode {
        /// The encoding's name in Python.
        encoding: &'static str,
        /// Where the first bad byte is.
        at: usize,
        /// The bytes around it: from a character's beginning, up to a few dozen.
        window: Vec<u8>,
        /// Where in `window` the bad byte is.
        within: usize,
    },
    /// Nothing is wrong, but this part has no native form.
    #[error("{0}")]
    NotNative(String),
    /// A caller's mistake in an argument.
    #[error("{0}")]
    Argument(String),
    /// An error of whoever listens to escapes, carried through.
    #[error("raised by the element's Python function")]
    Foreign(Box<dyn Any + Send>),
}

impl Error {
    /// A part that must be done elsewhere.
    pub fn not_native(why: impl Into<String>) -> Error {
        Error::NotNative(why.into())
    }
}
