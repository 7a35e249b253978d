//! Messages between two processes, over a pair of sockets.
//!
//! A frame on the wire, all numbers little-endian:
//!
//! ```text
//!   header    kind u32, files u32, tag u64, then u32 each: parts, notes, released, dropped, forgotten, version; inline bytes u64
//!   parts     for each: segment u64 (0: inline), length u64, size of the segment u64 (announcements only)
//!   lists     notes, released, dropped, forgotten: u64 each
//!   bytes     the inline parts, one after the other
//! ```
//!
//! Descriptors go with the frame's first byte, and a frame says how many. Segments are announced before the frame that uses them, in
//! frames of their own (`Kind::Segments`), a few at a time, so that a message of ten thousand arrays needs few descriptors at once.
//! The lists `released`, `dropped` and `forgotten` ride on whatever frame is sent next; `segment` says what they mean.
//!
//! A channel does not know how to wait: who calls says how, and so decides what ends a wait. The two ends take turns, except for
//! notices about segments, which a receiver takes at any time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::error::ProcessError;
use super::segment::{Incoming, Outgoing, Received, SHARED_FROM, Shared, count_socket};
use super::sys::{self, MOST_FILES, Want};

/// Changes with the layout of frames.
const VERSION: u32 = 1;
const HEADER: usize = 48;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// To the worker: what it needs before calls. Answered by `Ready` the first time.
    Setup = 1,
    /// To the worker: a call.
    Call,
    /// To the worker: end.
    End,
    /// From the worker: it is ready for calls.
    Ready,
    /// From the worker: what a call returned.
    Value,
    /// From the worker: what a call raised.
    Failure,
    /// Either way, inside the channel: segments that later frames use.
    Segments,
    /// Either way, inside the channel: news about segments, and nothing else.
    Notice,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::{Call, End, Failure, Notice, Ready, Segments, Setup, Value};
        [Setup, Call, End, Ready, Value, Failure, Segments, Notice]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }
}

/// What to send.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What it is for.
    pub kind: Kind,
    /// A number for whoever receives it.
    pub tag: u64,
    /// More numbers.
    pub notes: &'a [u64],
    /// The bytes. Long parts go through shared memory.
    pub parts: &'a [&'a [u8]],
    /// Descriptors to pass on, at most 64.
    pub files: &'a [BorrowedFd<'a>],
}

impl<'a> Message<'a> {
    /// A message of bytes only.
    pub fn new(kind: Kind, parts: &'a [&'a [u8]]) -> Message<'a> {
        Message { kind, tag: 0, notes: &[], parts, files: &[] }
    }
}

/// Bytes that were received.
pub enum Part {
    /// Through the socket, or copied from a segment.
    Inline(Vec<u8>),
    /// In shared memory.
    Shared(Shared),
}

impl Part {
    /// The bytes, copied if they are in shared memory.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Part::Inline(bytes) => bytes,
            Part::Shared(shared) => shared.to_vec(),
        }
    }
}

/// What was received.
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// The sender's number.
    pub tag: u64,
    /// The sender's other numbers.
    pub notes: Vec<u64>,
    /// The bytes.
    pub parts: Vec<Part>,
    /// Descriptors that came along.
    pub files: Vec<OwnedFd>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({:?}, {} parts)", self.kind, self.parts.len())
    }
}

/// Waits until a socket can be read, or written.
pub(super) type Waiter<'w> = dyn FnMut(BorrowedFd<'_>, Want) -> Result<(), ProcessError> + 'w;

/// One end.
pub struct Channel {
    socket: Arc<UnixStream>,
    outgoing: Outgoing,
    pub(super) incoming: Arc<Incoming>,
    /// Bytes that were read beyond the last frame.
    buffer: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

/// One entry of a frame's table of parts.
#[derive(Clone, Copy)]
struct Entry {
    segment: u64,
    len: u64,
    size: u64,
}

fn socket_error(doing: &'static str) -> impl Fn(io::Error) -> ProcessError {
    move |source| match source.raw_os_error() {
        Some(libc::EPIPE | libc::ECONNRESET) => ProcessError::Closed,
        _ => ProcessError::Socket { doing, source },
    }
}

/// Everything of a frame except its inline bytes.
fn head(kind: Kind, tag: u64, files: usize, table: &[Entry], lists: [&[u64]; 4], inline: u64) -> Vec<u8> {
    let numbers: usize = lists.iter().map(|l| l.len()).sum();
    let mut out = Vec::with_capacity(HEADER + table.len() * 24 + numbers * 8);
    out.extend((kind as u32).to_le_bytes());
    out.extend((files as u32).to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend((table.len() as u32).to_le_bytes());
    for list in lists {
        out.extend((list.len() as u32).to_le_bytes());
    }
    out.extend(VERSION.to_le_bytes());
    out.extend(inline.to_le_bytes());
    out.extend(table.iter().flat_map(|e| [e.segment, e.len, e.size]).flat_map(u64::to_le_bytes));
    out.extend(lists.into_iter().flatten().copied().flat_map(u64::to_le_bytes));
    out
}

/// A frame that tells about dropped segments only.
pub(super) fn notice(dropped: &[u64]) -> Vec<u8> {
    head(Kind::Notice, 0, 0, &[], [&[], &[], dropped, &[]], 0)
}

impl Channel {
    /// A channel over one of a pair of sockets.
    pub fn new(socket: UnixStream) -> Channel {
        let socket = Arc::new(socket);
        Channel {
            incoming: Arc::new(Incoming::new(Arc::clone(&socket))),
            socket,
            outgoing: Outgoing::default(),
            buffer: Vec::new(),
            files: VecDeque::new(),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// A descriptor of the same socket.
    pub(super) fn share_socket(&self) -> Arc<UnixStream> {
        Arc::clone(&self.socket)
    }

    /// Whether something was received that belongs to no frame yet.
    pub(super) fn is_quiet(&self) -> bool {
        self.buffer.is_empty() && self.files.is_empty()
    }

    /// Sends a message. After `ProcessError::Segment` the channel is as it was, and another message can be sent.
    pub(super) fn send(&mut self, message: &Message<'_>, wait: &mut Waiter<'_>) -> Result<(), ProcessError> {
        let mut table = Vec::with_capacity(message.parts.len());
        if let Err(e) = self.share(message.parts, &mut table, wait) {
            // The receiver has not seen a frame that uses these segments.
            let used: Vec<u64> = table.iter().map(|e: &Entry| e.segment).filter(|id| *id != 0).collect();
            self.outgoing.released(&used);
            return Err(e);
        }
        let inline = |entry: &Entry| entry.segment == 0;
        let bytes = table.iter().filter(|e| inline(e)).map(|e| e.len).sum();
        let (released, dropped) = self.incoming.news();
        let forgotten = std::mem::take(&mut self.outgoing.forgotten);
        let lists = [message.notes, &released[..], &dropped, &forgotten];
        let head = head(message.kind, message.tag, message.files.len(), &table, lists, bytes);
        let parts = message.parts.iter().zip(&table).filter(|(_, e)| inline(e)).map(|(p, _)| *p);
        let slices: Vec<&[u8]> = std::iter::once(&head[..]).chain(parts).collect();
        write(self.socket.as_fd(), &slices, message.files, wait)
    }

    /// Puts the long parts into segments, and announces the new ones.
    fn share(
        &mut self,
        parts: &[&[u8]],
        table: &mut Vec<Entry>,
        wait: &mut Waiter<'_>,
    ) -> Result<(), ProcessError> {
        let mut fresh: Vec<(Entry, File)> = Vec::new();
        for part in parts {
            let len = part.len() as u64;
            if part.len() < SHARED_FROM {
                table.push(Entry { segment: 0, len, size: 0 });
                continue;
            }
            let filled = match self.outgoing.fill(part) {
                Ok(filled) => filled,
                Err(e) => {
                    // What the receiver was not told of must not be used again.
                    let unknown: Vec<u64> = fresh.iter().map(|(e, _)| e.segment).collect();
                    self.outgoing.dropped(&unknown);
                    return Err(e);
                }
            };
            table.push(Entry { segment: filled.id, len, size: 0 });
            if let Some(file) = filled.file {
                fresh.push((Entry { segment: filled.id, len: 0, size: filled.size as u64 }, file));
                if fresh.len() == MOST_FILES {
                    self.announce(&mut fresh, wait)?;
                }
            }
        }
        self.announce(&mut fresh, wait)
    }

    fn announce(
        &mut self,
        fresh: &mut Vec<(Entry, File)>,
        wait: &mut Waiter<'_>,
    ) -> Result<(), ProcessError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let table: Vec<Entry> = fresh.iter().map(|(entry, _)| *entry).collect();
        let head = head(Kind::Segments, 0, fresh.len(), &table, [&[]; 4], 0);
        let files: Vec<BorrowedFd<'_>> = fresh.iter().map(|(_, file)| file.as_fd()).collect();
        let result = write(self.socket.as_fd(), &[&head], &files, wait);
        fresh.clear();
        result
    }

    /// The next message for whoever holds this end.
    pub(super) fn receive(&mut self, wait: &mut Waiter<'_>) -> Result<Frame, ProcessError> {
        loop {
            self.read_to(HEADER, wait)?;
            let u32_at = |at: usize| {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(&self.buffer[at..at + 4]);
                u32::from_le_bytes(bytes)
            };
            let [number, files, parts, notes, released, dropped, forgotten, version] =
                [0, 4, 16, 20, 24, 28, 32, 36].map(u32_at);
            let kind = Kind::from_number(number).filter(|_| version == VERSION);
            let Some(kind) = kind else {
                return Err(ProcessError::Malformed(format!("kind {number}, version {version}")));
            };
            let counts = [notes, released, dropped, forgotten].map(|n| n as usize);
            let numbers = parts as usize * 3 + counts.iter().sum::<usize>();
            let body = HEADER + numbers * 8;
            self.read_to(body, wait)?;
            let mut words = self.buffer[8..body].chunks_exact(8).map(|chunk| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(chunk);
                u64::from_le_bytes(bytes)
            });
            let tag = words.next().unwrap_or(0);
            let inline = words.nth(3).unwrap_or(0) as usize;
            let words: Vec<u64> = words.collect();
            self.read_to(body + inline, wait)?;

            let (table, mut rest) = words.split_at(parts as usize * 3);
            let [notes, released, dropped, forgotten] = counts.map(|count| {
                let (list, after) = rest.split_at(count);
                rest = after;
                list
            });
            self.outgoing.released(released);
            self.outgoing.dropped(dropped);
            self.incoming.forget(forgotten);
            if files as usize > self.files.len() {
                return Err(ProcessError::Malformed("descriptors are missing".into()));
            }
            let mut files: Vec<OwnedFd> = self.files.drain(..files as usize).collect();
            let entries = table.chunks_exact(3).map(|e| Entry { segment: e[0], len: e[1], size: e[2] });
            if kind == Kind::Segments {
                for (entry, file) in entries.zip(files.drain(..)) {
                    self.incoming.announced(entry.segment, entry.size as usize, file)?;
                }
                self.buffer.drain(..body + inline);
                continue;
            }
            let mut at = body;
            let mut received = Vec::with_capacity(parts as usize);
            for entry in entries {
                let len = entry.len as usize;
                received.push(if entry.segment == 0 {
                    let bytes = self
                        .buffer
                        .get(at..at.saturating_add(len).min(body + inline))
                        .filter(|bytes| bytes.len() == len)
                        .ok_or_else(|| ProcessError::Malformed("a part is cut short".into()))?;
                    at += len;
                    Part::Inline(bytes.to_vec())
                } else {
                    match self.incoming.view(entry.segment, len)? {
                        Received::Mapped(shared) => Part::Shared(shared),
                        Received::Copied(bytes) => Part::Inline(bytes),
                    }
                });
            }
            let notes = notes.to_vec();
            self.buffer.drain(..body + inline);
            if kind != Kind::Notice {
                return Ok(Frame { kind, tag, notes, parts: received, files });
            }
        }
    }

    /// Reads until the buffer has so many bytes.
    fn read_to(&mut self, len: usize, wait: &mut Waiter<'_>) -> Result<(), ProcessError> {
        while self.buffer.len() < len {
            let have = self.buffer.len();
            // Small frames come with one call; of long ones not more than is missing is asked for, but that at once.
            let room = (len - have).clamp(16 << 10, 1 << 20);
            self.buffer.resize(have + room, 0);
            let result = sys::receive(self.socket.as_fd(), &mut self.buffer[have..], &mut self.files);
            self.buffer.truncate(have + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => return Err(ProcessError::Closed),
                Ok(got) => count_socket(got),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(self.socket.as_fd(), Want::Read)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(socket_error("read from")(e)),
            }
        }
        Ok(())
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.incoming.close();
    }
}

/// Writes all slices; the descriptors go with the first byte.
fn write(
    socket: BorrowedFd<'_>,
    slices: &[&[u8]],
    mut files: &[BorrowedFd<'_>],
    wait: &mut Waiter<'_>,
) -> Result<(), ProcessError> {
    let mut slices: Vec<IoSlice<'_>> = slices.iter().map(|s| IoSlice::new(s)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match sys::send(socket, left, files) {
            Ok(sent) => {
                count_socket(sent);
                files = &[];
                IoSlice::advance_slices(&mut left, sent);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(socket, Want::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(socket_error("write to")(e)),
        }
    }
    Ok(())
}
