//! Why a call in a worker process gave no answer. It is an enum beside `RunError`, since here is no run and no task.

use std::io;
use std::process::ExitStatus;

use thiserror::Error;

use crate::error::size_text;

/// Why a call in a worker process gave no answer.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The caller's `stop` said so. The worker was killed if it was at work.
    #[error("the call was stopped")]
    Stopped,
    /// The worker ended before it answered.
    #[error("worker process {pid} {}", ending(*status))]
    Died {
        /// Its process id.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
    },
    /// The worker ended before it was ready for calls.
    #[error("worker process {pid} {} while it started{}", ending(*status), said(stderr))]
    DiedAtStart {
        /// Its process id.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// What prepares a new worker failed; the frame is the worker's answer.
    #[error("a worker process could not be prepared")]
    Prepare(Box<super::Frame>),
    /// The system refused to start a process.
    #[error("cannot start a worker process ({program}): {source}{}", advice(source))]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Shared memory was refused.
    #[error("cannot {doing} a segment of shared memory of {}: {source}{}", size_text(*bytes), advice(source))]
    Segment {
        /// What was being done: `make`, `map` or `fill`.
        doing: &'static str,
        /// Its size.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The other end of the socket is closed. Those who hold a `Worker` get `Died` instead.
    #[error("the other process has closed its end")]
    Closed,
    /// The socket failed.
    #[error("cannot {doing} a worker process' socket: {source}{}", advice(source))]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The other end said something that makes no sense.
    #[error("a message between processes is malformed ({0}). This is a bug in Pantile; please report it")]
    Malformed(String),
    /// The pool was closed.
    #[error("the pool of worker processes is closed")]
    PoolClosed,
    /// The pool belongs to the process that forked this one.
    #[error("this pool of worker processes belongs to the process that forked this one; make a new one here")]
    Forked,
}

/// How a process ended, as the end of a sentence that begins with the process.
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(libc::SIGKILL)) => {
            "was killed by signal 9 (SIGKILL), as the system does when memory runs out".to_string()
        }
        (None, Some(signal)) => match NAMES.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => format!("was killed by signal {signal} ({name})"),
            None => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".to_string(),
    }
}

const NAMES: [(i32, &str); 8] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGXCPU, "SIGXCPU"),
];

fn said(stderr: &str) -> String {
    match stderr.trim_end() {
        "" => " and wrote nothing to its standard error".to_string(),
        text => format!(". Its standard error was:\n{text}"),
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ETOOMANYREFS) => {
            ". Too many files are open: close some, or raise the limit (`ulimit -n`)"
        }
        Some(libc::ENOMEM | libc::ENOSPC) => {
            ". Memory is short, or this process has too many mappings (`vm.max_map_count`): keep fewer results, or use fewer workers"
        }
        Some(libc::EFBIG) => {
            ". The limit on file sizes (`ulimit -f`) holds for shared memory as well: raise it"
        }
        Some(libc::EAGAIN) => {
            ". The limit on processes (`ulimit -u`) may be reached: raise it, or use fewer workers"
        }
        _ => "",
    }
}
