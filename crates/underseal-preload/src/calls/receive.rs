//! read(2), recv(2) and what is like them: what comes is as TCP has it, or opened where the program has asked for
//! that. A reader is a chance to send what waits.

use std::ffi::{c_int, c_uint, c_void};

use libc::{iovec, mmsghdr, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t, timespec};
use rustix::io::Errno;

use crate::call::{flush_and_call, on_socket, receive_plainly};
use crate::connection::Socket;
use crate::real;
use crate::sys::{address, arg};

pub(super) mod opened;

/// As read(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if socket.opens() {
            return opened::bytes(socket, (buffer, len), 0);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { receive_plainly(socket, libc::SYS_read, [address(buffer), len]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::read(fd, buffer, len) },
    }
}

/// As readv(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if socket.opens() {
            return opened::pieces(socket, pieces, count, 0);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { receive_plainly(socket, libc::SYS_readv, [address(pieces), arg(count)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::readv(fd, pieces, count) },
    }
}

/// As recv(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if opened::is_asked(socket, flags) {
            return opened::bytes(socket, (buffer, len), flags);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            receive_plainly(
                socket,
                libc::SYS_recvfrom,
                [address(buffer), len, arg(flags), 0, 0],
            )
        }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::recv(fd, buffer, len, flags) },
    }
}

/// As recvfrom(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if opened::is_asked(socket, flags) {
            return opened::from(socket, (buffer, len), flags, (from, from_len));
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            receive_plainly(
                socket,
                libc::SYS_recvfrom,
                [
                    address(buffer),
                    len,
                    arg(flags),
                    address(from),
                    address(from_len),
                ],
            )
        }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::recvfrom(fd, buffer, len, flags, from, from_len) },
    }
}

/// As recvmsg(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if opened::is_asked(socket, flags) {
            return opened::message(socket, message, flags);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { receive_plainly(socket, libc::SYS_recvmsg, [address(message), arg(flags)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::recvmsg(fd, message, flags) },
    }
}

/// As recvmmsg(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let passed_on = |socket: &Socket| {
        if opened::is_asked(socket, flags) {
            return opened::messages(socket, messages, count, flags);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            flush_and_call(
                socket,
                libc::SYS_recvmmsg,
                [
                    address(messages),
                    count as usize,
                    arg(flags),
                    address(timeout),
                ],
            )
        }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::recvmmsg(fd, messages, count, flags, timeout) },
    }
}

/// As preadv2(2), which a socket has at no offset.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn preadv2(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    let passed_on = |socket: &Socket| {
        if socket.opens() {
            let flags = flags_of_message(offset, flags)?;
            return opened::pieces(socket, pieces, count, flags);
        }
        let others = [address(pieces), arg(count), offset as usize, 0, arg(flags)];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { receive_plainly(socket, libc::SYS_preadv2, others) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::preadv2(fd, pieces, count, offset, flags) },
    }
}

/// As preadv64v2(3): the same, where offsets have 64 bits.
///
/// # Safety
///
/// As [`preadv2`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn preadv64v2(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the arguments are the program's.
    unsafe { preadv2(fd, pieces, count, offset, flags) }
}

/// The flags of a message for those of preadv2(2) and pwritev2(2).
///
/// # Errors
///
/// As the kernel: `ESPIPE` for an offset, `EOPNOTSUPP` for what a socket cannot do.
pub(super) fn flags_of_message(offset: off_t, flags: c_int) -> Result<c_int, Errno> {
    match (offset, flags) {
        (-1, 0) => Ok(0),
        (-1, libc::RWF_NOWAIT) => Ok(libc::MSG_DONTWAIT),
        (-1, _) => Err(Errno::OPNOTSUPP),
        _ => Err(Errno::SPIPE),
    }
}

/// As read(2), where the compiler knows the buffer's length.
///
/// # Safety
///
/// As [`read`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    // SAFETY: no more is read than there is room for; the C library would end the program.
    unsafe { read(fd, buffer, len.min(room)) }
}

/// As recv(2), where the compiler knows the buffer's length.
///
/// # Safety
///
/// As [`recv`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recv_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: no more is read than there is room for; the C library would end the program.
    unsafe { recv(fd, buffer, len.min(room), flags) }
}

/// As recvfrom(2), where the compiler knows the buffer's length.
///
/// # Safety
///
/// As [`recvfrom`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recvfrom_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: no more is read than there is room for; the C library would end the program.
    unsafe { recvfrom(fd, buffer, len.min(room), flags, from, from_len) }
}
