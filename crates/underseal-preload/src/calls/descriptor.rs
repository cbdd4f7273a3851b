//! Numbers that come and go: close, dup and what is like them.

use std::ffi::{c_int, c_uint, c_ulong, c_void};

use rustix::io::Errno;

use crate::call::{guarded, on_socket, returned};
use crate::connection::Socket;
use crate::sys::{self, arg};
use crate::table::{self, Known};
use crate::{linger, process, real};

/// Forgets what is known of a number that is about to be closed, and sends what waits. Its TCP socket
/// is closed with the last number of the connection.
fn forget(fd: c_int) {
    let errno = sys::saved_errno();
    let _ = guarded(|| {
        if !has_anything(fd) {
            return Ok(());
        }
        if process::is_guest() {
            table::look_again();
            return Ok(());
        }
        let known = Known::at(fd).and_then(|mut known| known.clear());
        if let Some((socket, watches)) = known {
            let _ = socket.try_end_record();
            linger::take(socket, &watches);
        }
        Ok(())
    });
    sys::set_errno(errno);
}

/// Whether there is anything to forget.
fn has_anything(fd: c_int) -> bool {
    table::is_known(fd) || Known::at(fd).is_some_and(|mut known| known.entry().is_used())
}

/// As close(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    if table::is_private(fd) {
        return returned(Err(Errno::BADF)) as c_int;
    }
    forget(fd);
    // SAFETY: the argument is the program's.
    unsafe { real::close(fd) }
}

/// As fclose(3), which closes without close(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fclose(file: *mut libc::FILE) -> c_int {
    let errno = sys::saved_errno();
    // SAFETY: the argument is the program's, and an open file as far as it knows.
    let fd = unsafe { libc::fileno(file) };
    // A stream in memory has no number, and that is no error.
    sys::set_errno(errno);
    if fd >= 0 && !table::is_private(fd) {
        // Before: once it is closed, the number may be another thread's.
        forget(fd);
    }
    // SAFETY: as above.
    unsafe { real::fclose(file) }
}

/// As close_range(2), but for the numbers that the program does not know.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    process::adopt();
    if first > last || process::is_guest() {
        table::look_again();
        // SAFETY: the arguments are the program's; what is private is closed by exec too.
        return unsafe { real::close_range(first, last, flags) };
    }
    let (from, to) = (bounded(first), bounded(last));
    if flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
        table::used(from, to).for_each(forget);
    }
    let mut start = first;
    for hidden in table::private_numbers(from, to) {
        let hidden = hidden as c_uint;
        if start < hidden {
            // SAFETY: a part of what the program asked for.
            let closed = unsafe { real::close_range(start, hidden - 1, flags) };
            if closed != 0 {
                return closed;
            }
        }
        start = hidden + 1;
    }
    if start > last {
        return 0;
    }
    // SAFETY: the rest of what the program asked for.
    unsafe { real::close_range(start, last, flags) }
}

fn bounded(fd: c_uint) -> c_int {
    c_int::try_from(fd).unwrap_or(c_int::MAX)
}

/// As closefrom(3).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn closefrom(first: c_int) {
    // SAFETY: the argument is the program's.
    let _ = unsafe { close_range(first.max(0) as c_uint, c_uint::MAX, 0) };
}

/// Has another number of a connection made by `make`, and makes it one of the connection too.
fn duplicate(socket: &Socket, make: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    let other = socket.duplicate()?;
    let number = make()? as c_int;
    let Some(mut known) = Known::made_at(number) else {
        let _ = sys::close(number);
        return Err(Errno::MFILE);
    };
    let before = known.clear();
    known.entry().socket = Some(other);
    known.announce();
    drop(known);
    drop(before);
    Ok(number as usize)
}

/// Notes that a file has two numbers, if a call made one.
fn note_duplicate(fd: c_int, other: c_int) -> c_int {
    if other < 0 || other == fd {
        return other;
    }
    let errno = sys::saved_errno();
    let _ = guarded(|| {
        for number in [fd, other] {
            if let Some(mut known) = Known::made_at(number) {
                known.entry().is_duplicated = true;
            }
        }
        Ok(())
    });
    sys::set_errno(errno);
    other
}

/// As dup(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn dup(fd: c_int) -> c_int {
    let shared = |socket: &Socket| {
        // SAFETY: the call takes a number alone.
        duplicate(socket, || unsafe { sys::call(libc::SYS_dup, [arg(fd)]) })
    };
    match on_socket(fd, shared) {
        Some(returned) => returned as c_int,
        // SAFETY: the argument is the program's.
        None => note_duplicate(fd, unsafe { real::dup(fd) }),
    }
}

/// As dup2(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn dup2(fd: c_int, to: c_int) -> c_int {
    if fd == to {
        // SAFETY: the arguments are the program's; nothing changes.
        return unsafe { real::dup2(fd, to) };
    }
    // SAFETY: the arguments are the program's.
    duplicate_to(fd, to, 0, || unsafe { real::dup2(fd, to) })
}

/// As dup3(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    if fd == to {
        return returned(Err(Errno::INVAL)) as c_int;
    }
    // SAFETY: the arguments are the program's.
    duplicate_to(fd, to, flags, || unsafe { real::dup3(fd, to, flags) })
}

/// Gives a number's file another number, which is closed before: by `real` where that is no connection's.
fn duplicate_to(fd: c_int, to: c_int, flags: c_int, real: impl FnOnce() -> c_int) -> c_int {
    if table::is_private(to) || table::is_private(fd) {
        return returned(Err(Errno::BADF)) as c_int;
    }
    if process::is_guest() {
        table::look_again();
        // Its descriptors are its own, what is known is the owner's: what it gets is inert.
        return real();
    }
    forget(to);
    let shared = |socket: &Socket| {
        // SAFETY: the call takes numbers alone.
        let make = || unsafe { sys::call(libc::SYS_dup3, [arg(fd), arg(to), arg(flags)]) };
        duplicate(socket, make)
    };
    match on_socket(fd, shared) {
        Some(returned) => returned as c_int,
        None => note_duplicate(fd, real()),
    }
}

/// As fcntl(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    let is_dup = matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC);
    let on_connection = |socket: &Socket| match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => {
            duplicate(socket, || sys::fcntl(fd, command, argument))
        }
        libc::F_GETFD | libc::F_SETFD => sys::fcntl(fd, command, argument),
        _ => sys::fcntl(socket.tcp(), command, argument),
    };
    match on_socket(fd, on_connection) {
        Some(returned) => returned as c_int,
        None => {
            // SAFETY: the arguments are the program's; one that it did not pass is passed on as it is.
            let answer = unsafe { real::fcntl(fd, command, argument) };
            match is_dup {
                true => note_duplicate(fd, answer),
                false => answer,
            }
        }
    }
}

/// As fcntl(2), where offsets have 64 bits.
///
/// # Safety
///
/// As [`fcntl`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the arguments are the program's.
    unsafe { fcntl(fd, command, argument) }
}

/// As ioctl(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let on_connection = |socket: &Socket| {
        let fd = match request {
            // Flags of the number, not of the file.
            libc::FIOCLEX | libc::FIONCLEX => fd,
            _ => socket.tcp(),
        };
        let arguments = [arg(fd), request as usize, argument as usize];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { sys::call(libc::SYS_ioctl, arguments) }
    };
    match on_socket(fd, on_connection) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::ioctl(fd, request, argument as usize) },
    }
}
