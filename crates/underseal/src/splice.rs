//! Pipes: splice(2) for sockets that seal themselves, read and write for the others.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::engine::Spliced;

/// Moves up to `len` bytes out of `pipe` into a socket.
pub(crate) fn into_socket(
    pipe: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    let moved = moving(socket, |flags| splice(pipe, None, socket, None, len, flags));
    spliced(moved, pipe, PollFlags::IN)
}

/// Moves up to `len` bytes out of a socket into `pipe`.
pub(crate) fn out_of_socket(
    socket: BorrowedFd<'_>,
    pipe: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    let moved = moving(socket, |flags| splice(socket, None, pipe, None, len, flags));
    spliced(moved, pipe, PollFlags::OUT)
}

/// Splices as the socket does: a socket that does not wait makes the pipe not wait either.
fn moving(
    socket: BorrowedFd<'_>,
    mut call: impl FnMut(SpliceFlags) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let waits = !fcntl_getfl(socket)?.contains(OFlags::NONBLOCK);
    let flags = match waits {
        true => SpliceFlags::empty(),
        false => SpliceFlags::NONBLOCK,
    };
    uninterrupted(|| call(flags))
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
    uninterrupted(|| rustix::io::read(pipe, &mut *piece))
}

pub(crate) fn write(pipe: BorrowedFd<'_>, plaintext: &[u8]) -> Result<usize, Errno> {
    uninterrupted(|| rustix::io::write(pipe, plaintext))
}

fn uninterrupted(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
