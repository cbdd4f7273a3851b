//! Numbers that come and go: close, dup and what is like them.

use std::ffi::{c_int, c_uint, c_ulong, c_void};

use rustix::io::Errno;

use crate::call::{close_later, guarded, on_socket, returned};
use crate::connection::Socket;
use crate::sys::{self, arg};
use crate::table::{self, Duplicating, Known};
use crate::{call, process, real};

/// Forgets what is known of a number that is about to be closed, and sends what waits. Its TCP socket
/// is closed with the last number of the connection.
///
/// # Errors
///
/// `EAGAIN` in a signal handler that interrupts this library.
fn forget(fd: c_int) -> Result<(), Errno> {
    let errno = sys::saved_errno();
    let forgotten = guarded(|| {
        forget_inside(fd);
        Ok(())
    });
    sys::set_errno(errno);
    forgotten
}

fn forget_inside(fd: c_int) {
    if !table::has_place(fd) {
        return;
    }
    if process::is_guest() {
        // The lock is its owner's: a child that is killed in it would leave it so.
        table::look_again();
    } else if let Some(known) = used(fd) {
        known.end();
    }
}

/// What is to be forgotten with a number, if anything is.
fn used(fd: c_int) -> Option<Known> {
    Known::at(fd).filter(Known::is_used)
}

/// As close(2). A signal handler that interrupts this library has a connection closed behind the call that it
/// interrupts, which may hold what closing needs.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    if table::is_private(fd) {
        return returned(Err(Errno::BADF)) as c_int;
    }
    let errno = sys::saved_errno();
    let closed = guarded(|| Ok(close_inside(fd)));
    sys::set_errno(errno);
    match closed {
        Ok(Some(closed)) => returned(closed.map(|()| 0)) as c_int,
        Err(Errno::AGAIN) if table::is_known(fd) && closes_later() => {
            returned(close_later(fd)) as c_int
        }
        // SAFETY: the argument is the program's.
        _ => unsafe { real::close(fd) },
    }
}

/// Whether a connection that a signal handler closes in the midst of a call is closed behind that. One that is being given
/// up is closed at once, as if unseen.
fn closes_later() -> bool {
    !process::is_guest() && !process::gives_up()
}

/// Closes a connection's number; of another, forgets what is known of it.
fn close_inside(fd: c_int) -> Option<Result<(), Errno>> {
    if !table::is_known(fd) || process::is_guest() {
        forget_inside(fd);
        return None;
    }
    Known::at(fd).map(|known| known.close(fd))
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
        // Before: once it is closed, the number may be another thread's. POSIX allows no handler to call this.
        let _ = forget(fd);
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
    let is_guest = is_guest();
    if flags & libc::CLOSE_RANGE_UNSHARE as c_int != 0 && process::is_in_use() && !is_guest {
        // One thread would have numbers of its own, and what is known is of those of all threads.
        return returned(Err(Errno::INVAL)) as c_int;
    }
    if first > last || is_guest {
        // SAFETY: the arguments are the program's; what is private is closed by exec too.
        return unsafe { real::close_range(first, last, flags) };
    }
    // Nothing is forgotten for a call that the kernel refuses: it is asked about a number that no file has.
    // SAFETY: the flags are the program's.
    let allowed = unsafe { real::close_range(c_uint::MAX, c_uint::MAX, flags) };
    if allowed != 0 {
        return allowed;
    }
    let (from, to) = (bounded(first), bounded(last));
    if flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
        forget_range(from, to);
    }
    let mut start = first;
    for kept in table::kept_numbers(from, to) {
        let kept = kept as c_uint;
        if start < kept {
            // SAFETY: a part of what the program asked for.
            let closed = unsafe { real::close_range(start, kept - 1, flags) };
            if closed != 0 {
                return closed;
            }
        }
        start = kept + 1;
    }
    if start > last {
        return 0;
    }
    // SAFETY: the rest of what the program asked for.
    unsafe { real::close_range(start, last, flags) }
}

/// Forgets what is known of the numbers from `from` to `to`; in a signal handler as [`close`].
fn forget_range(from: c_int, to: c_int) {
    let errno = sys::saved_errno();
    let forgotten = guarded(|| {
        table::used(from, to).for_each(forget_inside);
        Ok(())
    });
    if forgotten == Err(Errno::AGAIN) && closes_later() {
        for fd in table::known(from, to) {
            let _ = close_later(fd);
        }
    }
    sys::set_errno(errno);
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
    let first = first.max(0);
    // SAFETY: the argument is the program's.
    if unsafe { close_range(first as c_uint, c_uint::MAX, 0) } == 0 {
        return;
    }
    // Kernels before 5.9, and filters that do not know the call.
    if close_listed(first).is_err() {
        // Nobody says which there are. If that is for want of a number, those that it may have are few.
        for fd in first..most_numbers() {
            // SAFETY: as above.
            let _ = unsafe { close(fd) };
        }
        let _ = close_listed(first);
    }
}

/// Closes the numbers from `first` on that the process has: it may be allowed a thousand million, and have some
/// above what it is allowed now.
fn close_listed(first: c_int) -> std::io::Result<()> {
    for fd in sys::numbers()?.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: the program has asked for it.
        let _ = unsafe { close(fd) };
    }
    Ok(())
}

/// How many numbers the process may have.
fn most_numbers() -> c_int {
    c_int::try_from(sys::limit(libc::RLIMIT_NOFILE)).unwrap_or(c_int::MAX)
}

/// Has another number of a connection made by `make`, and makes it one of the connection too.
fn duplicate(socket: &Socket, make: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    let other = socket.duplicate()?;
    let number = make()? as c_int;
    let Some(known) = Known::made_at(number) else {
        let _ = sys::close(number);
        return Err(Errno::MFILE);
    };
    known.become_socket(other);
    Ok(number as usize)
}

/// Whether this process only borrows the memory: its descriptors are its own, what is known is its owner's. What it
/// makes of a connection is inert.
fn is_guest() -> bool {
    // First: a process that came by fork unseen is nobody's guest.
    process::adopt(call::is_inside());
    let is_guest = process::is_guest();
    if is_guest {
        table::look_again();
    }
    is_guest
}

/// Gives a number's file another number: by `shared` where it is a connection's, by `plain` where it is another's. What
/// `plain` makes is noted as one of two.
fn give_another(
    fd: c_int,
    shared: impl FnOnce(&Socket) -> Result<usize, Errno>,
    plain: impl FnOnce() -> c_int,
) -> c_int {
    if is_guest() && !table::is_private(fd) {
        return plain();
    }
    if process::gives_up() {
        return returned(Err(Errno::AGAIN)) as c_int;
    }
    let duplicating = match Duplicating::of(fd) {
        Ok(duplicating) => duplicating,
        Err(error) => return returned(Err(error)) as c_int,
    };
    if let Some(returned) = on_socket(fd, shared) {
        return returned as c_int;
    }
    let other = plain();
    if other < 0 || other == fd {
        return other;
    }
    let errno = sys::saved_errno();
    table::look_again();
    if table::is_known(other) {
        // A connection that had the number, and was closed unseen, is forgotten before anything is noted.
        let _ = guarded(|| {
            drop(table::find(other));
            Ok(())
        });
    }
    if let Err(error) = duplicating.note(other) {
        let _ = sys::close(other);
        return returned(Err(error)) as c_int;
    }
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
    // SAFETY: the argument is the program's.
    give_another(fd, shared, || unsafe { real::dup(fd) })
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

/// Gives a number's file another number: by `real` where that is no connection's. What the other number was is
/// forgotten once its file is gone, and not if the kernel refuses.
fn duplicate_to(fd: c_int, to: c_int, flags: c_int, real: impl Fn() -> c_int) -> c_int {
    let is_guest = is_guest();
    if table::is_private(to) || table::is_private(fd) {
        return returned(Err(Errno::BADF)) as c_int;
    }
    if is_guest {
        return real();
    }
    let shared = |socket: &Socket| {
        let other = socket.duplicate()?;
        let known = Known::made_at(to).ok_or(Errno::BADF)?;
        // SAFETY: the call takes numbers alone.
        let number = unsafe { sys::call(libc::SYS_dup3, [arg(fd), arg(to), arg(flags)]) }?;
        known.become_socket(other);
        Ok(number)
    };
    // Before: what `to` was is gone once the call is made.
    if let Err(error) = table::make_place(to) {
        return returned(Err(error)) as c_int;
    }
    give_another(fd, shared, || replace(to, real))
}

/// Has `real` give a number another file.
fn replace(to: c_int, real: impl Fn() -> c_int) -> c_int {
    let errno = sys::saved_errno();
    let replaced = guarded(|| {
        let known = used(to);
        let number = real();
        if let Some(known) = known.filter(|_| number >= 0) {
            known.end();
            sys::set_errno(errno);
        }
        Ok(number)
    });
    match replaced {
        Ok(number) => number,
        Err(Errno::AGAIN) if !table::is_known(to) => real(),
        // A signal handler interrupts this library, which may hold what closing a connection needs.
        Err(_) => returned(Err(Errno::BUSY)) as c_int,
    }
}

/// As fcntl(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the arguments are the program's; one that it did not pass is passed on as it is.
    let plain = || unsafe { real::fcntl(fd, command, argument) };
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        let shared = |socket: &Socket| duplicate(socket, || sys::fcntl(fd, command, argument));
        return give_another(fd, shared, plain);
    }
    let on_connection = |socket: &Socket| match command {
        libc::F_GETFD | libc::F_SETFD => sys::fcntl(fd, command, argument),
        _ => sys::fcntl(socket.tcp(), command, argument),
    };
    on_socket(fd, on_connection).map_or_else(plain, |returned| returned as c_int)
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
