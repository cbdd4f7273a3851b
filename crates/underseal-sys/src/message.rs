//! sendmsg(2) and recvmsg(2) with the type of a record (`net/tls/tls_sw.c`).
//!
//! Calls that a signal interrupted before they did anything are repeated here: `EINTR` never
//! reaches the caller.

mod control;

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::socket_option::last;
use control::RecordType;

/// What [`receive`] received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of plaintext.
    pub len: usize,
    /// The type of the records that they come from. `None` at the end of the stream.
    pub content_type: Option<u8>,
    /// Whether the last record was received to its end.
    #[doc(alias = "MSG_EOR")]
    pub end_of_record: bool,
}

/// Sends application data: cut into records of 2^14 bytes, the last of them closed unless
/// `flags` has `MORE`. Returns the bytes taken; what is taken may stay in an open record until the
/// next send without `MORE`.
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and is full |
/// | `EPIPE`, `ECONNRESET` | the peer is gone; not every call says so: ask [`can_send`](crate::tcp::can_send). `SIGPIPE` is never raised |
/// | `EINVAL`, `EMSGSIZE`, `EBADMSG` | of the receiving direction, if the kernel has that: a header is bad |
/// | `EOPNOTSUPP` | a flag that kernel TLS does not take |
/// | `EBADMSG` | sealing failed, or sequence numbers ran out: the connection is dead |
/// | `ENOMEM` | no memory; nothing was taken |
pub fn send(fd: impl AsFd, slices: &[IoSlice<'_>], flags: SendFlags) -> Result<usize, Errno> {
    let mut header = empty_header();
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len() as _;
    // SAFETY: `IoSlice` has the layout of `iovec` on Unix, and `slices` is borrowed for longer
    // than the header is used. sendmsg only reads through both.
    unsafe { send_header(fd.as_fd(), &header, flags) }
}

/// Sends records of type `content_type`, behind the data that an open record may hold. Without
/// any bytes it sends nothing but that open record. Errors are those of [`send`], and `EINVAL` if
/// `flags` has `MORE`.
#[doc(alias = "TLS_SET_RECORD_TYPE")]
pub fn send_typed(
    fd: impl AsFd,
    content_type: u8,
    slices: &[IoSlice<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let control = RecordType::new(content_type);
    let mut header = empty_header();
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len() as _;
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = RecordType::LEN as _;
    // SAFETY: as in `send`; `control` lives until the end of this function, and is LEN bytes long.
    unsafe { send_header(fd.as_fd(), &header, flags) }
}

/// Receives data of one or more records of one type, never of two types.
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and no whole record is there |
/// | `EBADMSG` | a record did not authenticate, has no type, or is too short; the direction is dead |
/// | `EMSGSIZE` | a record is too long; the direction is dead |
/// | `EINVAL` | a record has not the version 0x0303; the direction is dead |
/// | `EKEYEXPIRED` | a KeyUpdate was received: set the new keys (Linux 6.14 on) |
/// | `ENOMEM` | no memory |
#[doc(alias = "TLS_GET_RECORD_TYPE")]
pub fn receive(
    fd: impl AsFd,
    slices: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received, Errno> {
    let mut control = RecordType::new(0);
    let mut header = empty_header();
    header.msg_iov = slices.as_mut_ptr().cast();
    header.msg_iovlen = slices.len() as _;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = RecordType::LEN as _;
    // SAFETY: `IoSliceMut` has the layout of `iovec` on Unix; slices and `control` are borrowed
    // mutably for longer than the header is used, and the lengths are theirs.
    let len = unsafe { receive_header(fd.as_fd(), &mut header, flags) }?;
    Ok(Received {
        len,
        content_type: control.content_type(header.msg_controllen as _),
        end_of_record: header.msg_flags & libc::MSG_EOR != 0,
    })
}

/// # Safety
///
/// The pointers in `header` are valid to read for the lengths beside them.
pub(crate) unsafe fn send_header(
    fd: BorrowedFd<'_>,
    header: &libc::msghdr,
    flags: SendFlags,
) -> Result<usize, Errno> {
    let flags = (flags | SendFlags::NOSIGNAL).bits().cast_signed();
    loop {
        // SAFETY: the caller vouches for the header; the descriptor is open while it is borrowed.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), header, flags) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => match last() {
                Errno::INTR => {}
                error => return Err(error),
            },
        }
    }
}

/// Fills what `header` points to, and its lengths and flags.
///
/// # Safety
///
/// The pointers in `header` are valid to write for the lengths beside them.
pub(crate) unsafe fn receive_header(
    fd: BorrowedFd<'_>,
    header: &mut libc::msghdr,
    flags: RecvFlags,
) -> Result<usize, Errno> {
    let (flags, control_len) = (flags.bits().cast_signed(), header.msg_controllen);
    loop {
        header.msg_controllen = control_len;
        // SAFETY: the caller vouches for the header; the descriptor is open while it is borrowed.
        let received = unsafe { libc::recvmsg(fd.as_raw_fd(), header, flags) };
        match usize::try_from(received) {
            Ok(received) => return Ok(received),
            Err(_) => match last() {
                Errno::INTR => {}
                error => return Err(error),
            },
        }
    }
}

/// A header with nothing in it.
pub(crate) fn empty_header() -> libc::msghdr {
    // SAFETY: all fields are integers and pointers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}
