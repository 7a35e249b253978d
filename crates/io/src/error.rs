//! Every way in which reading or writing a file can fail, and how each failure reads.
//!
//! A message names the file, the place in it (chunk coordinates, byte offset, array name), what was expected and what was
//! found. Nothing here decides which Python exception is raised: the bindings map [`Family`] and the variant to one.

use std::io;
use std::path::{Path, PathBuf};

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault a failure is, and therefore which kind of exception it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The arguments or the file are wrong.
    User,
    /// The file is fine, and this crate does not read its kind.
    Unsupported,
    /// The machine refused: permissions, full disk, memory.
    Resource,
    /// This crate broke one of its own rules.
    Bug,
}

/// A failure to read or write a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("cannot {action} '{}': {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb: "open", "read", "create".
        action: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file ends before the data that its metadata promises.
    #[error(
        "'{}' is truncated: {what} needs bytes {offset}..{}, but the file has {file_len} bytes",
        path.display(), offset.saturating_add(*needed)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which piece of data is missing.
        what: String,
        /// Where that piece starts.
        offset: u64,
        /// How long it is, in bytes.
        needed: u64,
        /// How long the file is, in bytes.
        file_len: u64,
    },
    /// The stored bytes of one chunk do not decode to what the metadata promises.
    #[error("'{}', dataset '{dataset}': chunk {chunk:?} is corrupt: {fault}", path.display())]
    CorruptChunk {
        /// The file.
        path: PathBuf,
        /// The dataset's name inside the file.
        dataset: String,
        /// The chunk's coordinates in the grid of chunks.
        chunk: Vec<u64>,
        /// What is wrong with it.
        fault: Box<ChunkFault>,
    },
    /// Metadata that contradicts itself or that no file can have.
    #[error("'{}': invalid {what}: {reason}", path.display())]
    Metadata {
        /// The file or store.
        path: PathBuf,
        /// Which metadata: "npy header", "HDF5 layout of '/x'".
        what: String,
        /// The contradiction.
        reason: String,
    },
    /// A region that does not fit the array, or whose arguments disagree on the number of axes.
    #[error("{region} does not fit an array of shape {shape:?}: {reason}")]
    Region {
        /// The region: its starts, steps and counts.
        region: String,
        /// The array's shape.
        shape: Vec<u64>,
        /// Which rule is broken.
        reason: String,
    },
    /// A Zarr store, array or chunk that cannot be read or written.
    #[error("Zarr store '{}', array '{array}'{}: cannot {action}: {reason}", store.display(), chunk_suffix(chunk))]
    Zarr {
        /// The store's folder.
        store: PathBuf,
        /// The array's path in the store.
        array: String,
        /// The chunk's coordinates, where one chunk is to blame.
        chunk: Option<Vec<u64>>,
        /// What was attempted, as a verb.
        action: &'static str,
        /// Why it failed.
        reason: String,
        /// Whose fault it is.
        family: Family,
    },
    /// A format feature that this crate does not read or write.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// The feature, with the file it was met in.
        what: String,
        /// Why, and what to use instead.
        reason: String,
    },
    /// A buffer that could not be allocated.
    #[error("cannot allocate {bytes} bytes for {what}")]
    OutOfMemory {
        /// The size asked for.
        bytes: u64,
        /// What the buffer was for.
        what: String,
    },
    /// A broken promise inside this crate.
    #[error("bug in pantile-io, please report it: {0}")]
    Bug(String),
}

fn chunk_suffix(chunk: &Option<Vec<u64>>) -> String {
    chunk.as_ref().map(|coords| format!(", chunk {coords:?}")).unwrap_or_default()
}

/// What is wrong with the stored bytes of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// A compressed stream that its decompressor rejects.
    #[error("the {codec} stream is damaged ({reason})")]
    Stream {
        /// The compressor.
        codec: &'static str,
        /// The decompressor's reason.
        reason: &'static str,
    },
    /// A stage of the filter pipeline produced the wrong number of bytes.
    #[error("{stage} gives {found} bytes, expected {expected}")]
    Length {
        /// The stage.
        stage: &'static str,
        /// The length that the metadata promises.
        expected: u64,
        /// The length that was found.
        found: u64,
    },
    /// A stream too short to hold a whole chunk whatever its content.
    #[error("{stored} stored bytes cannot decode to the {expected} bytes of a chunk")]
    Implausible {
        /// The stored length.
        stored: u64,
        /// The length that the metadata promises.
        expected: u64,
    },
    /// The checksum stored with the chunk is not that of its bytes.
    #[error("the fletcher32 checksum is {found:#010x}, expected {stored:#010x}")]
    Checksum {
        /// The checksum in the file.
        stored: u32,
        /// The checksum of the bytes in the file.
        found: u32,
    },
}

impl Error {
    /// Whose fault the failure is.
    pub fn family(&self) -> Family {
        match self {
            Error::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::InvalidInput => Family::User,
                _ => Family::Resource,
            },
            Error::Truncated { .. }
            | Error::CorruptChunk { .. }
            | Error::Metadata { .. }
            | Error::Region { .. } => Family::User,
            Error::Zarr { family, .. } => *family,
            Error::Unsupported { .. } => Family::Unsupported,
            Error::OutOfMemory { .. } => Family::Resource,
            Error::Bug(_) => Family::Bug,
        }
    }

    /// The operating system's error, where one caused the failure: the bindings raise the matching `OSError`.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Error::File { source, .. } => Some(source),
            _ => None,
        }
    }

    pub(crate) fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { path, action, source }
    }

    pub(crate) fn metadata(path: &Path, what: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Metadata { path: path.to_path_buf(), what: what.into(), reason: reason.into() }
    }
}
