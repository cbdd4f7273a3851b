//! Pipes: splice(2) for sockets that seal themselves, read and write for the others.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::Timeout;
use rustix::pipe::{SpliceFlags, splice};

use crate::backoff::Backoff;
use crate::engine::Spliced;

/// Moves up to `len` bytes out of `pipe` into a socket.
pub(crate) fn into_socket(
    pipe: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    moving(socket, Timeout::Send, |flags| {
        let moved = splice(pipe, None, socket, None, len, flags);
        spliced(moved, pipe, PollFlags::IN)
    })
}

/// Moves up to `len` bytes out of a socket into `pipe`.
pub(crate) fn out_of_socket(
    socket: BorrowedFd<'_>,
    pipe: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    moving(socket, Timeout::Recv, |flags| {
        let moved = splice(socket, None, pipe, None, len, flags);
        spliced(moved, pipe, PollFlags::OUT)
    })
}

/// Splices as the socket does: one that does not wait makes the pipe not wait either, and one that
/// waits does so beside a pipe that does not, which the kernel takes for a wish of both
/// (`do_splice` in fs/splice.c).
fn moving(
    socket: BorrowedFd<'_>,
    timeout: Timeout,
    mut call: impl FnMut(SpliceFlags) -> Result<Spliced, Errno>,
) -> Result<Spliced, Errno> {
    if !waits(socket)? {
        return retry_on_intr(|| call(SpliceFlags::NONBLOCK));
    }
    let mut backoff = Backoff::default();
    loop {
        match retry_on_intr(|| call(SpliceFlags::empty())) {
            Err(Errno::AGAIN) => backoff.wait_as(socket, timeout)?,
            result => return result,
        };
    }
}

/// Whether calls on the socket wait.
#[doc(alias = "O_NONBLOCK")]
pub(crate) fn waits(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(!fcntl_getfl(socket)?.contains(OFlags::NONBLOCK))
}

/// `EAGAIN` does not say which of the two was not ready: the pipe is asked.
fn spliced(
    moved: Result<usize, Errno>,
    pipe: BorrowedFd<'_>,
    wanted: PollFlags,
) -> Result<Spliced, Errno> {
    match moved {
        Ok(n) => Ok(Spliced::Moved(n)),
        Err(Errno::AGAIN) if !is_ready(pipe, wanted) => Ok(Spliced::PipeNotReady),
        Err(errno) => Err(errno),
    }
}

/// Refuses what is no pipe, as splice(2) does: what is read and written here would do with others too.
pub(crate) fn require_pipe(pipe: BorrowedFd<'_>) -> Result<(), Errno> {
    match FileType::from_raw_mode(fstat(pipe)?.st_mode) {
        FileType::Fifo => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// Whether the pipe can be read from or written to, or has something to say about it.
pub(crate) fn is_ready(pipe: BorrowedFd<'_>, wanted: PollFlags) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pipe, wanted)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).map_or(true, |ready| ready > 0)
}

pub(crate) fn read(pipe: BorrowedFd<'_>, piece: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::read(pipe, &mut *piece))
}

pub(crate) fn write(pipe: BorrowedFd<'_>, plaintext: &[u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::write(pipe, plaintext))
}
