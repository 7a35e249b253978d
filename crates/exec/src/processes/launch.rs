//! A worker process: how it starts, how it is talked to, how it ends; and the worker's own side of that.
//!
//! It is started by the standard library's `Command`, which uses `posix_spawn`: no code of ours runs in a fork of this process. Its
//! standard input is its end of the socket; it puts `/dev/null` there when it takes the socket. Its standard error is a file in
//! memory until it is ready, so that a failing start can say why; the real one comes with the first message.

use std::ffi::OsString;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::channel::{Channel, Frame, Kind, Message};
use super::error::ProcessError;
use super::segment::{CACHED_MOST_IN_WORKER, limit_cache};
use super::sys::{self, Want};

/// How often a waiting caller asks whether to stop.
const ASK_MS: i32 = 20;
/// How long an idle worker may take to end by itself when its parent is gone.
const GRACE: Duration = Duration::from_secs(3);

/// How to start a worker.
pub struct Launch {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What its environment has beside the parent's.
    pub environment: Vec<(OsString, OsString)>,
    /// The first message.
    pub setup: Vec<u8>,
}

/// A worker process, as its parent sees it. Killed when dropped.
pub struct Worker {
    child: Child,
    /// Readable when the process has ended.
    ended: Option<OwnedFd>,
    channel: Channel,
    /// A number for those who send `Kind::Setup`: which one this worker had last.
    pub setup: u64,
    /// What the worker keeps for its callers, by number and by what it is.
    pub kept: super::pool::Kept,
}

impl Worker {
    /// Starts a process and waits until it is ready. `stop` is asked every 20 ms.
    ///
    /// # Errors
    /// When the system refuses, when the process ends before it is ready, or when `stop` says so.
    pub fn start(launch: &Launch, stop: &dyn Fn() -> bool) -> Result<Worker, ProcessError> {
        let program = launch.program.to_string_lossy();
        let failed = |source| ProcessError::Start { program: program.to_string(), source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut said = sys::memory_file().map_err(failed)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments);
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stderr(Stdio::from(said.try_clone().map_err(failed)?));
        let child = {
            // Ctrl-C in a terminal reaches all its processes. Until the worker has decided what it means, it means nothing.
            let _quiet = sys::WithoutInterrupt::begin();
            command.spawn().map_err(failed)?
        };
        // The parent's copy of the worker's end must go, or the socket never ends.
        drop(command);
        let mut worker = Worker {
            child,
            ended: None,
            channel: Channel::new(ours),
            setup: 0,
            kept: super::pool::Kept::default(),
        };
        worker.ended = sys::process_file(worker.pid()).map_err(failed)?;

        let stderr = std::io::stderr();
        // A program may have closed its standard error.
        let open = stderr.as_fd().try_clone_to_owned().is_ok();
        let files: &[BorrowedFd<'_>] = if open { &[stderr.as_fd()] } else { &[] };
        let parts = [&launch.setup[..]];
        let setup = Message { files, ..Message::new(Kind::Setup, &parts) };
        let ready = worker.exchange(&setup, stop);
        let mut text = Vec::new();
        if said.rewind().is_ok() {
            let _ = said.read_to_end(&mut text);
        }
        match ready {
            Ok(Frame { kind: Kind::Ready, .. }) => {
                if !text.is_empty() {
                    let _ = stderr.lock().write_all(&text);
                }
                Ok(worker)
            }
            Ok(frame) => Err(ProcessError::Malformed(format!("{:?} while starting", frame.kind))),
            Err(ProcessError::Died { pid, status }) => Err(ProcessError::DiedAtStart {
                pid,
                status,
                stderr: String::from_utf8_lossy(&text).into_owned(),
            }),
            Err(e) => Err(e),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a message and waits for the answer. After an error other than `Segment` the worker is of no use any more.
    ///
    /// # Errors
    /// `Died` when the process ends before it has answered, `Stopped` when `stop` says so.
    pub fn exchange(
        &mut self,
        message: &Message<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Frame, ProcessError> {
        self.tell(message, stop)?;
        let answer = self.channel.receive(&mut waiter(self.ended.as_ref(), stop));
        answer.map_err(|e| self.explain(e))
    }

    /// Sends a message that has no answer.
    ///
    /// # Errors
    /// As `exchange`.
    pub fn tell(&mut self, message: &Message<'_>, stop: &dyn Fn() -> bool) -> Result<(), ProcessError> {
        let sent = self.channel.send(message, &mut waiter(self.ended.as_ref(), stop));
        sent.map_err(|e| self.explain(e))
    }

    fn explain(&mut self, error: ProcessError) -> ProcessError {
        match error {
            ProcessError::Closed => {
                // Its end of the socket is closed, but the process may need a moment to be gone; one that lives on without
                // its socket is of no use.
                let deadline = Instant::now() + Duration::from_secs(1);
                self.join(deadline);
                match self.kill() {
                    Ok(status) => ProcessError::Died { pid: self.pid(), status },
                    Err(source) => ProcessError::Socket { doing: "wait for the end of", source },
                }
            }
            other => other,
        }
    }

    /// Whether it can take a call: it lives, and has nothing to say.
    pub(super) fn is_good(&self) -> bool {
        let ended = self.ended.as_ref().map(|fd| (fd.as_fd(), Want::Read));
        let said = Some((self.channel.socket(), Want::Read));
        self.channel.is_quiet() && matches!(sys::wait([said, ended], 0), Ok([false, false]))
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.channel.incoming.set_idle(idle);
    }

    /// Asks an idle worker to end.
    pub(super) fn dismiss(&mut self) {
        let mut wait = |_: BorrowedFd<'_>, _| Err(ProcessError::Stopped);
        let _ = self.channel.send(&Message::new(Kind::End, &[]), &mut wait);
    }

    /// Waits for its end, until a deadline.
    pub(super) fn join(&mut self, deadline: Instant) {
        while let Ok(None) = self.child.try_wait() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match &self.ended {
                Some(fd) => {
                    let _ = sys::wait([Some((fd.as_fd(), Want::Read))], left.as_millis() as i32 + 1);
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn kill(&mut self) -> std::io::Result<ExitStatus> {
        // Neither does anything to a process that has been waited for.
        let _ = self.child.kill();
        self.child.wait()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// How a caller waits: for the socket, for the worker's end, and for its own reasons to stop.
fn waiter<'w>(
    ended: Option<&'w OwnedFd>,
    stop: &'w dyn Fn() -> bool,
) -> impl FnMut(BorrowedFd<'_>, Want) -> Result<(), ProcessError> + 'w {
    move |socket, want| loop {
        let end = ended.map(|fd| (fd.as_fd(), Want::Read));
        let waited = sys::wait([Some((socket, want)), end], ASK_MS);
        let [ready, gone] = waited.map_err(|source| ProcessError::Socket { doing: "wait for", source })?;
        if ready {
            return Ok(());
        }
        if gone {
            // What it said before it ended would have made the socket ready.
            return Err(ProcessError::Closed);
        }
        if stop() {
            return Err(ProcessError::Stopped);
        }
    }
}

/// The worker's side: its channel, and a thread that ends the process when its parent is gone.
pub struct Watch {
    channel: Channel,
    /// Waiting for a message, and so able to notice the end by itself.
    waiting: Arc<AtomicBool>,
}

impl Watch {
    /// Takes the socket from standard input and begins to watch. `parent` is the process that started this one.
    ///
    /// # Errors
    /// When standard input is no socket, or a thread cannot be started.
    pub fn begin(parent: u32) -> Result<Watch, ProcessError> {
        let failed = |source| ProcessError::Socket { doing: "take", source };
        let socket = UnixStream::from(sys::take_stdin().map_err(failed)?);
        let channel = Channel::new(socket);
        limit_cache(CACHED_MOST_IN_WORKER);
        let waiting = Arc::new(AtomicBool::new(false));
        let ended = sys::process_file(parent);
        if sys::parent() != parent {
            // It ended before this line.
            sys::exit_now(1);
        }
        let ended = ended.map_err(failed)?;
        let (socket, flag) = (channel.share_socket(), Arc::clone(&waiting));
        std::thread::Builder::new()
            .name("pantile-watch".into())
            // It makes system calls only.
            .stack_size(64 << 10)
            .spawn(move || {
                let parent = ended.as_ref().map(|fd| (fd.as_fd(), Want::Read));
                let socket = Some((socket.as_fd(), Want::End));
                while matches!(sys::wait([socket, parent], -1), Ok([false, false])) {}
                if flag.load(Ordering::SeqCst) {
                    // The main thread reads the end of the stream and lets the interpreter end as it should.
                    std::thread::sleep(GRACE);
                }
                sys::exit_now(1)
            })
            .map_err(failed)?;
        Ok(Watch { channel, waiting })
    }

    /// Lets SIGINT through, which was held back while the process started. Call it when a handler is there.
    pub fn allow_interrupt() {
        sys::allow_interrupt();
    }

    /// Makes a descriptor this process' standard error.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_stderr(file: OwnedFd) -> std::io::Result<()> {
        sys::replace(file, 2)
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When the socket or a segment fails.
    pub fn receive(&mut self) -> Result<Option<Frame>, ProcessError> {
        self.waiting.store(true, Ordering::SeqCst);
        let frame = self.channel.receive(&mut patiently);
        match frame {
            Ok(frame) if frame.kind == Kind::End => Ok(None),
            Ok(frame) => {
                self.waiting.store(false, Ordering::SeqCst);
                Ok(Some(frame))
            }
            Err(ProcessError::Closed) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sends an answer. After `ProcessError::Segment` another one can be sent.
    ///
    /// # Errors
    /// When the socket or a segment fails.
    pub fn answer(&mut self, message: &Message<'_>) -> Result<(), ProcessError> {
        self.channel.send(message, &mut patiently)
    }
}

fn patiently(socket: BorrowedFd<'_>, want: Want) -> Result<(), ProcessError> {
    sys::wait([Some((socket, want))], -1)
        .map(|_| ())
        .map_err(|source| ProcessError::Socket { doing: "wait for", source })
}
