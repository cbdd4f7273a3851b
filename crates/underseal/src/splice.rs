//! Pipes: splice(2) for sockets that seal themselves, read and write for the others.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};
use rustix::pipe::{PIPE_BUF, SpliceFlags, splice};

use crate::engine::Spliced;

/// A look with poll(2), which waits for nothing.
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Moves up to `len` bytes out of `pipe` into a socket. The pipe is not waited for; room in the
/// socket is, if the socket waits: the flag that a splice has is only for the pipe
/// (`splice_to_socket` in fs/splice.c).
pub(crate) fn into_socket(
    pipe: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    let moved = retry_on_intr(|| splice(pipe, None, socket, None, len, SpliceFlags::NONBLOCK));
    spliced(moved, pipe, PollFlags::IN)
}

/// Moves up to `len` bytes out of a socket into `pipe`, and waits for neither: who waits in the
/// kernel has the pipe locked, so that nobody can read from it or close it.
pub(crate) fn out_of_socket(
    socket: BorrowedFd<'_>,
    pipe: BorrowedFd<'_>,
    len: usize,
) -> Result<Spliced, Errno> {
    let moved = retry_on_intr(|| splice(socket, None, pipe, None, len, SpliceFlags::NONBLOCK));
    spliced(moved, pipe, PollFlags::OUT)
}

/// Whether calls on a socket or a pipe wait.
#[doc(alias = "O_NONBLOCK")]
pub(crate) fn waits(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(!fcntl_getfl(file)?.contains(OFlags::NONBLOCK))
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
    // Of the other end poll(2) has nothing to say; whoever tries to use it learns more.
    if is_other_end(pipe, wanted) {
        return true;
    }
    let mut polled = [PollFd::from_borrowed_fd(pipe, wanted)];
    poll(&mut polled, Some(&AT_ONCE)).map_or(true, |ready| ready > 0)
}

/// Whether this is the end to write to of a pipe that is to be read from, or the other way round.
pub(crate) fn is_other_end(pipe: BorrowedFd<'_>, wanted: PollFlags) -> bool {
    let other = match wanted.contains(PollFlags::IN) {
        true => OFlags::WRONLY,
        false => OFlags::RDONLY,
    };
    fcntl_getfl(pipe).is_ok_and(|flags| flags & OFlags::RWMODE == other)
}

/// Whether all of the pipe was read, and nobody is left who could write to it.
pub(crate) fn is_at_end(pipe: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pipe, PollFlags::IN)];
    let is_polled = poll(&mut polled, Some(&AT_ONCE)).is_ok();
    is_polled && polled[0].revents() == PollFlags::HUP
}

/// How many of the next `len` bytes are in the pipe: all of them where it does not say, or is at
/// its end.
pub(crate) fn at_hand(pipe: BorrowedFd<'_>, len: usize) -> usize {
    match ioctl_fionread(pipe).map(usize::try_from) {
        Ok(Ok(n)) if n > 0 => len.min(n),
        _ => len,
    }
}

/// Reads what is in the pipe. `EAGAIN` if there is nothing, also of a pipe that waits: what was read
/// before would wait with it.
pub(crate) fn read(pipe: BorrowedFd<'_>, piece: &mut [u8]) -> Result<usize, Errno> {
    if waits(pipe)? && !is_ready(pipe, PollFlags::IN) {
        return Err(Errno::AGAIN);
    }
    retry_on_intr(|| rustix::io::read(pipe, &mut *piece))
}

/// Writes what the pipe has room for. `EAGAIN` if it has none, also of a pipe that waits: of that
/// no more is known than that there is room for [`PIPE_BUF`] bytes.
pub(crate) fn write(pipe: BorrowedFd<'_>, plaintext: &[u8]) -> Result<usize, Errno> {
    if plaintext.is_empty() || !waits(pipe)? {
        return retry_on_intr(|| rustix::io::write(pipe, plaintext));
    }
    let mut written = 0;
    for piece in plaintext.chunks(PIPE_BUF) {
        if !is_ready(pipe, PollFlags::OUT) {
            break;
        }
        match retry_on_intr(|| rustix::io::write(pipe, piece)) {
            Ok(n) => written += n,
            Err(errno) if written == 0 => return Err(errno),
            // The next call fails in the same way.
            Err(_) => break,
        }
    }
    match written {
        0 => Err(Errno::AGAIN),
        written => Ok(written),
    }
}
