//! What a socket is asked and told besides bytes: the TCP socket answers.

use std::ffi::c_int;

use libc::{sockaddr, socklen_t};

use crate::call::on_socket;
use crate::connection::Socket;
use crate::real;
use crate::sys::{self, address, arg};

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
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            sys::call(
                libc::SYS_getsockname,
                [arg(socket.tcp()), address(name), address(len)],
            )
        }
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
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            sys::call(
                libc::SYS_getpeername,
                [arg(socket.tcp()), address(name), address(len)],
            )
        }
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
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            sys::call(
                libc::SYS_connect,
                [arg(socket.tcp()), address(name), len as usize],
            )
        }
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
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe {
            sys::call(
                libc::SYS_bind,
                [arg(socket.tcp()), address(name), len as usize],
            )
        }
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
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { sys::call(libc::SYS_listen, [arg(socket.tcp()), arg(backlog)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::listen(fd, backlog) },
    }
}

/// As shutdown(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn shutdown(fd: c_int, how: c_int) -> c_int {
    let passed_on = |socket: &Socket| {
        // What is not taken now goes with a later call.
        let _ = socket.try_flush();
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { sys::call(libc::SYS_shutdown, [arg(socket.tcp()), arg(how)]) }
    };
    match on_socket(fd, passed_on) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::shutdown(fd, how) },
    }
}
