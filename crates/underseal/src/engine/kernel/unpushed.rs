//! What lies in TCP's queue and is not sent: Linux before 6.5 says of each page of a splice or a
//! sendfile but the last that more is to come (`MSG_SENDPAGE_NOTLAST`), also to TCP, which then
//! sends nothing. If the queue is full before the last page and nothing is on its way, so that no
//! acknowledgement comes, TLS waits for room that nobody will make (`tls_sw_do_sendpage`, and
//! `do_tcp_sendpages` in net/ipv4/tcp.c).

use std::os::fd::BorrowedFd;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt;

use underseal_sys::Errno;

use crate::engine::Spliced;

/// A send buffer of this size, in bytes as the kernel counts, is never full of what TCP gathers for
/// one segment: 64 KiB at most, and a record.
const ENOUGH: usize = 256 * 1024;

/// The bytes that one call may send, of `len`. A socket that waits does so in the kernel, where
/// nothing can be pushed: a call for it ends before the queue can be full of what it gave.
pub(super) fn room(socket: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    let size = sockopt::socket_send_buffer_size(socket)?;
    if size >= ENOUGH || fcntl_getfl(socket)?.contains(OFlags::NONBLOCK) {
        return Ok(len);
    }
    Ok(len.min(size / 4))
}

/// How much a call for `len` bytes moved.
pub(super) trait Moved {
    fn is_all(&self, len: usize) -> bool;
}

impl Moved for usize {
    fn is_all(&self, len: usize) -> bool {
        *self == len
    }
}

impl Moved for Spliced {
    fn is_all(&self, len: usize) -> bool {
        *self == Self::Moved(len)
    }
}

/// Has TCP send what it holds after a call that ended before its last page. What the call moved
/// counts whatever comes of it: a socket that is gone says so the next time.
pub(super) fn push_unless_all<T: Moved>(
    socket: BorrowedFd<'_>,
    len: usize,
    moved: Result<T, Errno>,
) -> Result<T, Errno> {
    let is_cut_short = match &moved {
        Ok(moved) => !moved.is_all(len),
        Err(errno) => *errno == Errno::AGAIN,
    };
    if is_cut_short {
        let _ = push(socket);
    }
    moved
}

/// Uncorking pushes, whether the socket was corked or not.
fn push(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let corked = sockopt::tcp_cork(socket)?;
    sockopt::set_tcp_cork(socket, false)?;
    if corked {
        sockopt::set_tcp_cork(socket, true)?;
    }
    Ok(())
}
