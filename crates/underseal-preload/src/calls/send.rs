//! write(2), send(2) and what is like them.

use std::ffi::{c_int, c_uint, c_void};

use libc::{iovec, mmsghdr, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t};
use rustix::io::Errno;
use underseal_ulp::{Plaintext, Stored};

use super::messages::{self, Done};
use super::receive::flags_of_message;
use crate::call::{lend, on_socket, plainly};
use crate::connection::Socket;
use crate::file::{Gathered, Memory};
use crate::sys::{address, arg};
use crate::{head, linger, memory, real};

mod control;

/// Flags that a TLS socket takes; anything else is refused.
const KNOWN_FLAGS: c_int = libc::MSG_MORE | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_EOR;

/// Most pieces of one call, as in the kernel.
pub(super) const MOST_PIECES: usize = 1024;

/// Most bytes of one call, as in the kernel: whole pages below two gibibytes.
pub(super) const MOST_BYTES: usize = 0x7fff_f000;

/// The flags that go to TCP with the records.
pub(super) fn flags_of_wire(flags: c_int) -> Result<c_int, Errno> {
    if flags & !KNOWN_FLAGS != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    if flags & libc::MSG_MORE != 0 && flags & libc::MSG_EOR != 0 {
        return Err(Errno::INVAL);
    }
    Ok(flags & (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
}

/// Sends `len` bytes of data. With `MSG_MORE` what does not fill a record waits for what follows, where somebody sees
/// to it that it does not wait for ever.
pub(super) fn send_data(
    socket: &Socket,
    data: &mut impl Plaintext,
    len: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    let more_follows = flags & libc::MSG_MORE != 0 && linger::is_possible();
    let flags = flags_of_wire(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let len = len.min(MOST_BYTES);
    let sent = lend(|lent| {
        socket.send(flags, |transmit, wire| match more_follows {
            true => transmit.send_more(data, len, wire, lent),
            false => transmit.send(data, len, wire, lent),
        })
    })?;
    if more_follows {
        // An error that comes after something was sent is for the next call to find.
        let _ = linger::watch_open_record(socket, flags);
    }
    count(socket, sent);
    Ok(sent)
}

/// Sends `len` bytes that are in a file.
pub(super) fn send_stored(
    socket: &Socket,
    data: &mut impl Stored,
    len: usize,
) -> Result<usize, Errno> {
    let len = len.min(MOST_BYTES);
    if len == 0 {
        return Ok(0);
    }
    let sent = lend(|lent| {
        socket.send(0, |transmit, wire| {
            transmit.send_stored(data, len, wire, lent)
        })
    })?;
    count(socket, sent);
    Ok(sent)
}

/// Lists that data was sent.
fn count(socket: &Socket, bytes: usize) {
    if let Some(registration) = socket.registration() {
        registration.sent(bytes);
    }
}

fn send_memory(
    socket: &Socket,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    let pointer = buffer.cast();
    if flags == 0 && head::is_likely(len) {
        // SAFETY: the program has asked for these bytes to be sent, and waits for the call's end.
        let bytes = unsafe { memory::bytes(pointer, len) }?;
        if head::hold(socket, bytes)? {
            count(socket, len);
            return Ok(len);
        }
    }
    if flags & libc::MSG_MORE == 0 {
        head::is_write(socket, len);
    }
    send_data(socket, &mut Memory { pointer, len }, len, flags)
}

fn send_pieces(
    socket: &Socket,
    pieces: *const iovec,
    count: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    let (pieces, len) = pieces_at(pieces, count)?;
    send_data(socket, &mut Gathered::new(pieces), len, flags)
}

/// The pieces that a program points to, and how many bytes they are.
pub(super) fn pieces_at(pieces: *const iovec, count: usize) -> Result<(Vec<iovec>, usize), Errno> {
    if count > MOST_PIECES {
        return Err(Errno::INVAL);
    }
    let mut own = Vec::new();
    own.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
    let mut len = 0_usize;
    for index in 0..count {
        // SAFETY: any bytes are an address and a length.
        let piece = unsafe { memory::read(pieces.wrapping_add(index)) }?;
        len = len.checked_add(piece.iov_len).ok_or(Errno::INVAL)?;
        own.push(piece);
    }
    match isize::try_from(len) {
        Ok(_) => Ok((own, len)),
        Err(_) => Err(Errno::INVAL),
    }
}

fn send_message(socket: &Socket, message: *const msghdr, flags: c_int) -> Result<Done, Errno> {
    // SAFETY: any bytes are a message header: addresses and lengths.
    let message = unsafe { memory::read(message) }?;
    let (pieces, len) = pieces_at(message.msg_iov, message.msg_iovlen)?;
    let mut data = Gathered::new(pieces);
    let sent = if message.msg_controllen == 0 {
        send_data(socket, &mut data, len, flags)
    } else {
        let content_type = control::record_type(&message)?;
        if flags & libc::MSG_MORE != 0 {
            return Err(Errno::INVAL);
        }
        let flags = flags_of_wire(flags)?;
        control::send(socket, content_type, &mut data, len, flags)
    }?;
    // What comes behind a part would be taken for the rest of it.
    let goes_on = sent == len;
    Ok(Done { len: sent, goes_on })
}

/// As write(2).
///
/// # Safety
///
/// As the C library's; an address of a connection's bytes is tried first.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    let arguments = [address(buffer), len];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_write, arguments) };
        plainly.unwrap_or_else(|| send_memory(socket, buffer, len, 0))
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::write(fd, buffer, len) },
    }
}

/// As writev(2).
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    let all = |socket: &Socket| {
        let arguments = [address(pieces), arg(count)];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        if let Some(sent) = unsafe { plainly(socket, libc::SYS_writev, arguments) } {
            return sent;
        }
        let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
        send_pieces(socket, pieces, count, 0)
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::writev(fd, pieces, count) },
    }
}

/// As pwritev2(2), which a socket has at no offset.
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pwritev2(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    let all = |socket: &Socket| {
        let arguments = [address(pieces), arg(count), offset as usize, 0, arg(flags)];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        if let Some(sent) = unsafe { plainly(socket, libc::SYS_pwritev2, arguments) } {
            return sent;
        }
        let flags = flags_of_message(offset, flags)?;
        let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
        send_pieces(socket, pieces, count, flags)
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::pwritev2(fd, pieces, count, offset, flags) },
    }
}

/// As pwritev64v2(3): the same, where offsets have 64 bits.
///
/// # Safety
///
/// As [`pwritev2`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pwritev64v2(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the arguments are the program's.
    unsafe { pwritev2(fd, pieces, count, offset, flags) }
}

/// As send(2).
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn send(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let arguments = [address(buffer), len, arg(flags), 0, 0];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_sendto, arguments) };
        plainly.unwrap_or_else(|| send_memory(socket, buffer, len, flags))
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::send(fd, buffer, len, flags) },
    }
}

/// As sendto(2); a connected socket has its address already.
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    let arguments = [
        address(buffer),
        len,
        arg(flags),
        address(to),
        to_len as usize,
    ];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_sendto, arguments) };
        plainly.unwrap_or_else(|| send_memory(socket, buffer, len, flags))
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::sendto(fd, buffer, len, flags, to, to_len) },
    }
}

/// As sendmsg(2).
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let arguments = [address(message), arg(flags)];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_sendmsg, arguments) };
        plainly.unwrap_or_else(|| send_message(socket, message, flags).map(|done| done.len))
    };
    match on_socket(fd, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::sendmsg(fd, message, flags) },
    }
}

/// As sendmmsg(2).
///
/// # Safety
///
/// As [`write()`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    array: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let arguments = [address(array), count as usize, arg(flags)];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_sendmmsg, arguments) };
        plainly.unwrap_or_else(|| {
            messages::each(array, count, |_, message| {
                send_message(socket, message, flags)
            })
        })
    };
    match on_socket(fd, all) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::sendmmsg(fd, array, count, flags) },
    }
}
