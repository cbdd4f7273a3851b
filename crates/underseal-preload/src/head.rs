//! The head of a response that its file follows: written alone it would be a record and a system call of its
//! own, which is more than the file's where that is small. It is held for the file's first record where the
//! program was seen to send one right behind such a write. In such a program records of handshakes wait for each
//! other, too: OpenSSL writes each ticket by a call of its own, at a socket that is the kernel's.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use underseal_record::ContentType;
use underseal_ulp::Transmit;

use crate::connection::Socket;
use crate::linger;

/// Most bytes of a head.
const MOST: usize = 4096;

thread_local! {
    /// The connection that this thread's last call wrote a head to, as an address that is compared alone.
    static WROTE: Cell<usize> = const { Cell::new(0) };
    /// That of the call before.
    static WROTE_BEFORE: Cell<usize> = const { Cell::new(0) };
}

/// Whether a file was sent right behind a head.
static IS_FOLLOWED: AtomicBool = AtomicBool::new(false);

fn address(socket: &Socket) -> usize {
    std::ptr::from_ref(socket).addr()
}

/// A call on a connection begins.
pub(crate) fn next_call() {
    WROTE_BEFORE.set(WROTE.replace(0));
}

/// The call sends a file.
pub(crate) fn is_file(socket: &Socket) {
    if WROTE_BEFORE.get() == address(socket) {
        IS_FOLLOWED.store(true, Ordering::Relaxed);
    }
}

/// The call writes `len` bytes, which may be a head.
pub(crate) fn is_write(socket: &Socket, len: usize) {
    if (1..=MOST).contains(&len) {
        WROTE.set(address(socket));
    }
}

/// Whether a write of `len` bytes is worth holding.
pub(crate) fn is_likely(len: usize) -> bool {
    (1..=MOST).contains(&len) && holds()
}

/// Whether this program goes on with calls that send what is held.
fn holds() -> bool {
    IS_FOLLOWED.load(Ordering::Relaxed) && linger::is_possible()
}

/// Holds records of a type until the next call on the connection, or the next wait, for a call with `flags`.
///
/// # Errors
///
/// As [`Socket::send`].
pub(crate) fn hold_record(
    socket: &Socket,
    content_type: ContentType,
    bytes: &[u8],
    flags: c_int,
) -> Result<bool, Errno> {
    let hold = |transmit: &mut Transmit, _: &mut _| transmit.hold_control(content_type, bytes);
    let is_held = holds() && socket.send(flags, hold)?;
    if is_held {
        linger::watch_head(socket, None, flags)?;
    }
    Ok(is_held)
}

/// Holds a head, unless the socket has not taken what was before it.
pub(crate) fn hold(socket: &Socket, bytes: &[u8]) -> Result<bool, Errno> {
    let record = socket.send(0, |transmit, _| {
        let is_held = transmit.pending_len() == 0 && transmit.hold(bytes);
        Ok(transmit.held_record().filter(|_| is_held))
    })?;
    if record.is_some() {
        linger::watch_head(socket, record, 0)?;
    }
    Ok(record.is_some())
}
