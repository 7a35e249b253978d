//! The system calls that the standard library lacks, each behind a safe function. All unsafe code of `processes` is here.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// The most descriptors that travel with one message. Linux allows 253.
pub(super) const MOST_FILES: usize = 64;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// An anonymous file in memory.
pub(super) fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a C string; the result is checked.
    let fd = check(unsafe { libc::memfd_create(c"pantile".as_ptr(), libc::MFD_CLOEXEC) }.into())?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

/// Shared memory, mapped into this process until dropped.
pub(super) struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to no thread, and what is done with its address is the business of those who ask for it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a file, which must have them; `len` is not zero.
    pub(super) fn new(file: &File, len: usize) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address that the system chooses touches no other memory.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast())
            .map(|address| Mapping { address, len })
            .ok_or_else(|| io::Error::other("the system mapped memory at address zero"))
    }

    pub(super) fn address(&self) -> *mut u8 {
        self.address.as_ptr()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes the page faults of all pages at once. Older kernels cannot; then each page faults when it is touched.
    pub(super) fn populate(&self, len: usize) {
        // SAFETY: the range is within the mapping, and contents do not change.
        unsafe { libc::madvise(self.address.as_ptr().cast(), len.min(self.len), libc::MADV_POPULATE_WRITE) };
    }

    /// Copies bytes to the mapping's beginning. The caller knows that no view on the segment exists in any process; should
    /// that be wrong, its holder sees bytes change, which is what shared memory may do.
    pub(super) fn fill(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.len);
        // SAFETY: the mapping is as long as was just checked, and a slice of ordinary memory does not overlap it: slices on
        // mappings are only made from `Shared`, of segments that came from the other process.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.as_ptr(), bytes.len()) };
    }

    /// The first `len` bytes, copied out.
    pub(super) fn read(&self, len: usize) -> Vec<u8> {
        assert!(len <= self.len);
        let mut bytes = Vec::<u8>::with_capacity(len);
        // SAFETY: both are long enough, and `set_len` comes after all bytes are written.
        unsafe {
            ptr::copy_nonoverlapping(self.address.as_ptr(), bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this length; whoever has the address also holds the mapping.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

/// Room for the control data of a message, aligned as its header wants.
#[repr(C, align(8))]
struct Control([u8; 320]);

const _: () = assert!(mem::size_of::<Control>() >= 16 + MOST_FILES * 4);

/// Sends what fits without waiting; descriptors go with the first byte.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[IoSlice<'_>],
    files: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    assert!(files.len() <= MOST_FILES);
    let mut control = Control([0; 320]);
    // SAFETY: zeros are a valid empty message header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    // IoSlice has the layout of iovec; sendmsg only reads through it.
    header.msg_iov = bytes.as_ptr() as *mut libc::iovec;
    header.msg_iovlen = bytes.len().min(1024);
    if !files.is_empty() {
        let data = mem::size_of_val(files) as u32;
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: arithmetic only.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(data) } as usize;
        // SAFETY: `control` has room for the header and the descriptors, as the assertion above shows, and is aligned.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(data) as usize;
            let numbers = libc::CMSG_DATA(first).cast::<i32>();
            for (i, file) in files.iter().enumerate() {
                numbers.add(i).write_unaligned(file.as_raw_fd());
            }
        }
    }
    // SAFETY: the header points to slices and control data that live through the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    check(sent as libc::c_long).map(|n| n as usize)
}

/// Receives what is there without waiting; zero is the end of the stream. Descriptors are appended to `files`.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    files: &mut impl Extend<OwnedFd>,
) -> io::Result<usize> {
    let mut control = Control([0; 320]);
    let mut slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: zeros are a valid empty message header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &mut slice;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to writable memory of the lengths that it states.
    let got = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) } as libc::c_long)?;
    // SAFETY: the kernel has filled in the control data that the header now describes.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let count = ((*at).cmsg_len - libc::CMSG_LEN(0) as usize) / 4;
                let numbers = libc::CMSG_DATA(at).cast::<i32>();
                files.extend((0..count).map(|i| OwnedFd::from_raw_fd(numbers.add(i).read_unaligned())));
            }
            at = libc::CMSG_NXTHDR(&header, at);
        }
    }
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        // The kernel had no free descriptor for one of them.
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    Ok(got as usize)
}

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    Read,
    Write,
    /// Only the other end's closing.
    End,
}

/// Waits until one of the descriptors is ready, or for so many milliseconds (-1: for ever); tells which are ready or at their
/// end. A signal ends the wait early.
pub(super) fn wait<const N: usize>(
    of: [Option<(BorrowedFd<'_>, Want)>; N],
    timeout_ms: i32,
) -> io::Result<[bool; N]> {
    let mut polled = of.map(|entry| match entry {
        Some((fd, want)) => libc::pollfd {
            fd: fd.as_raw_fd(),
            events: match want {
                Want::Read => libc::POLLIN,
                Want::Write => libc::POLLOUT,
                Want::End => 0,
            },
            revents: 0,
        },
        // Negative descriptors are skipped.
        None => libc::pollfd { fd: -1, events: 0, revents: 0 },
    });
    // SAFETY: the array has N entries.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout_ms) };
    if result < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok([false; N]) } else { Err(error) };
    }
    Ok(polled.map(|p| p.revents != 0))
}

/// A descriptor that becomes readable when a process ends. `None` where the kernel has none (before Linux 5.3).
pub(super) fn process_file(pid: u32) -> io::Result<Option<OwnedFd>> {
    // SAFETY: the call takes two integers.
    match check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) }) {
        // SAFETY: a new descriptor that nobody else knows. The kernel sets close-on-exec.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The parent's process id.
pub(super) fn parent() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// Kills a process with SIGKILL. The caller knows that it has not been waited for, so that its number is still its own.
pub(super) fn kill(pid: u32) {
    // SAFETY: takes integers.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
}

/// Ends the process without a word to anybody, from any thread.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: never returns; nothing of this process is looked at any more.
    unsafe { libc::_exit(status) }
}

/// A second descriptor of standard input, closed on exec, and `/dev/null` in its place.
pub(super) fn take_stdin() -> io::Result<OwnedFd> {
    // SAFETY: takes integers; the result is checked.
    let fd = check(unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    // SAFETY: a new descriptor that nobody else knows.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    replace(File::open("/dev/null")?.into(), 0)?;
    Ok(socket)
}

/// Makes a descriptor's number stand for what another descriptor stands for. For the standard streams.
pub(super) fn replace(by: OwnedFd, number: i32) -> io::Result<()> {
    // SAFETY: the standard streams' numbers belong to the process as a whole; no Rust object owns them.
    check(unsafe { libc::dup2(by.as_raw_fd(), number) }.into()).map(|_| ())
}

/// While it lives, SIGINT is not delivered to this thread, and processes started by it begin with SIGINT blocked.
pub(super) struct WithoutInterrupt(libc::sigset_t);

impl WithoutInterrupt {
    pub(super) fn begin() -> WithoutInterrupt {
        // SAFETY: the sets are initialised by the calls that are given them.
        unsafe {
            let (mut block, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
            libc::sigemptyset(&mut block);
            libc::sigaddset(&mut block, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &block, &mut before);
            WithoutInterrupt(before)
        }
    }
}

impl Drop for WithoutInterrupt {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `begin`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// Lets SIGINT be delivered again: the other half of `WithoutInterrupt`, in the process that was started.
pub(super) fn allow_interrupt() {
    // SAFETY: as above.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
    }
}
