//! What a socket is asked and told besides bytes: the TCP socket answers.

use std::ffi::c_int;

use libc::{sa_family_t, sockaddr, socklen_t};
use rustix::io::Errno;

use crate::call::{flush_and_call, on_socket};
use crate::connection::Socket;
use crate::sys::{address, arg};
use crate::{linger, memory, real};

/// As getsockname(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getsockname(
    fd: c_int,
    name: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let passed_on = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { flush_and_call(socket, libc::SYS_getsockname, [address(name), address(len)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::getsockname(fd, name, len) },
    }
}

/// As getpeername(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getpeername(
    fd: c_int,
    name: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let passed_on = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { flush_and_call(socket, libc::SYS_getpeername, [address(name), address(len)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::getpeername(fd, name, len) },
    }
}

/// As connect(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn connect(fd: c_int, name: *const sockaddr, len: socklen_t) -> c_int {
    let passed_on = |socket: &Socket| {
        // SAFETY: any bytes are a family.
        let family = unsafe { memory::read(name.cast::<sa_family_t>()) }?;
        if family == libc::AF_UNSPEC as sa_family_t {
            // As the kernel: the keys would outlive their connection.
            return Err(Errno::OPNOTSUPP);
        }
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { flush_and_call(socket, libc::SYS_connect, [address(name), len as usize]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::connect(fd, name, len) },
    }
}

/// As bind(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn bind(fd: c_int, name: *const sockaddr, len: socklen_t) -> c_int {
    let passed_on = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { flush_and_call(socket, libc::SYS_bind, [address(name), len as usize]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::bind(fd, name, len) },
    }
}

/// As listen(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn listen(fd: c_int, backlog: c_int) -> c_int {
    let passed_on = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { flush_and_call(socket, libc::SYS_listen, [arg(backlog)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::listen(fd, backlog) },
    }
}

/// As shutdown(2): what the program was told is sent goes before the end.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn shutdown(fd: c_int, how: c_int) -> c_int {
    let passed_on = |socket: &Socket| {
        let waits = matches!(how, libc::SHUT_WR | libc::SHUT_RDWR) && linger::shut_down(socket);
        let now = match (waits, how) {
            (true, libc::SHUT_WR) => return Ok(0),
            (true, _) => libc::SHUT_RD,
            (false, how) => how,
        };
        // SAFETY: the call takes numbers alone.
        unsafe { flush_and_call(socket, libc::SYS_shutdown, [arg(now)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::shutdown(fd, how) },
    }
}
