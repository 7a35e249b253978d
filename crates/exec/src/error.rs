//! Why a run did not give its values.

use std::io;
use std::path::PathBuf;

use pantile_graph::TaskRef;
use thiserror::Error;

/// Who can do something about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The caller's function failed, or the caller stopped the run.
    User,
    /// Memory or disk is too small.
    Resource,
    /// A mistake in Pantile itself.
    Bug,
}

/// Why a run did not give its values. `E` is the runner's own error.
#[derive(Debug, Error)]
pub enum RunError<E> {
    /// A task failed. The rest was cancelled; when several failed, this is the first.
    #[error("{label}[{}] failed: {error}", task.index)]
    Task {
        /// Which task.
        task: TaskRef,
        /// The label of its layer.
        label: Box<str>,
        /// What the runner said.
        error: E,
    },
    /// A runner panicked. The rest was cancelled; the pool can be used on.
    #[error("{label}[{}] panicked: {message}. This is a bug in Pantile; please report it", task.index)]
    Panic {
        /// Which task.
        task: TaskRef,
        /// The label of its layer.
        label: Box<str>,
        /// What the panic said.
        message: String,
    },
    /// `Options::cancel` was set.
    #[error("the computation was cancelled")]
    Cancelled,
    /// `Options::check_interrupt` said so.
    #[error("the computation was interrupted")]
    Interrupted,
    /// A value could not be written to the spill folder, or not be read back.
    #[error("cannot {doing} {}: {source}{}. {}", path.display(), errno(source), advice(source))]
    Spill {
        /// What was being done: `create`, `write` or `read`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The graph cannot run within the limit; said before anything ran.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// The operating system refused to start a thread.
    #[error(
        "cannot start the thread that writes to the spill folder: {0}. Raise the limit on processes, or run without a memory limit"
    )]
    Thread(io::Error),
}

/// A graph cannot run within the memory limit.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DoesNotFit {
    /// One task alone needs more than the limit, so spilling cannot help.
    #[error(
        "`{label}[{}]` needs {} at once (inputs {}, output {}, working memory {}), and the memory limit is {}. Use smaller \
         chunks, or raise the limit", task.index, size_text(*needs), size_text(*inputs), size_text(*output), size_text(*scratch), size_text(*limit)
    )]
    Task {
        /// Which task.
        task: TaskRef,
        /// The label of its layer.
        label: Box<str>,
        /// The sum, in bytes.
        needs: u64,
        /// The bytes of its inputs.
        inputs: u64,
        /// The bytes of what it makes.
        output: u64,
        /// The bytes that it needs only while it runs.
        scratch: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The whole needs more than the limit, and spilling is not allowed.
    #[error(
        "the computation is estimated to need {} (at `{label}[{}]`), the memory limit is {}, and spilling to disk is off. \
         Use smaller chunks, raise the limit, or give a spill folder", size_text(*needs), task.index, size_text(*limit)
    )]
    Whole {
        /// The task at which the peak is reached.
        task: TaskRef,
        /// The label of its layer.
        label: Box<str>,
        /// The estimated peak, in bytes.
        needs: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl<E> RunError<E> {
    /// Who can do something about it.
    pub fn family(&self) -> Family {
        match self {
            RunError::Task { .. } | RunError::Cancelled | RunError::Interrupted => Family::User,
            RunError::Spill { .. } | RunError::DoesNotFit(_) | RunError::Thread(_) => Family::Resource,
            RunError::Panic { .. } => Family::Bug,
        }
    }
}

fn errno(error: &io::Error) -> String {
    // The system's own errors name their number in their text already.
    match error.raw_os_error() {
        Some(_) => String::new(),
        None => format!(" ({:?})", error.kind()),
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "The disk is full: free some space, choose a spill folder on another disk, or raise the memory limit"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "The spill folder cannot be written: choose another one, or raise the memory limit"
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "The spill folder does not exist or was removed: choose another one, or raise the memory limit"
        }
        _ => "Choose another spill folder, or raise the memory limit so that nothing needs to be spilled",
    }
}

/// Bytes for people, with the binary units that memory is sold in.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let power = bytes.ilog2() / 10;
    format!("{:.1} {}", bytes as f64 / (1u64 << (10 * power)) as f64, UNITS[power as usize - 1])
}
