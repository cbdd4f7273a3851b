//! epoll, poll and select: it is the TCP socket that is watched.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::null_mut;

use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};
use rustix::io::Errno;

use crate::call::{guarded, on_socket, returned};
use crate::connection::Socket;
use crate::sys::{self, address, arg};
use crate::table::{self, Known};
use crate::{linger, memory, process, real};

mod select;
mod wait;

use wait::wait;

/// Most descriptors that are asked about at once.
const MOST: usize = 1 << 20;

/// The thread is about to wait: what is held is sent, and what happens meanwhile is unknown.
#[inline]
fn before_waiting() {
    linger::release();
    table::look_again();
}

/// As epoll_ctl(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let watch = |socket: &Socket| {
        let arguments = [
            arg(epoll),
            arg(operation),
            arg(socket.tcp()),
            address(event),
        ];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let done = unsafe { sys::call(libc::SYS_epoll_ctl, arguments) };
        if done.is_ok() {
            note(epoll, operation, fd, event);
        }
        done
    };
    match on_socket(fd, watch) {
        Some(returned) => returned as c_int,
        None => {
            // SAFETY: the arguments are the program's.
            let answer = unsafe { real::epoll_ctl(epoll, operation, fd, event) };
            if answer == 0 {
                // A signal handler in the midst of another call is refused: what it does is not known then.
                let _ = guarded(|| {
                    note(epoll, operation, fd, event);
                    Ok(())
                });
            }
            answer
        }
    }
}

/// As epoll_wait(2): what is held is sent before the thread waits.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    before_waiting();
    // SAFETY: the arguments are the program's.
    unsafe { real::epoll_wait(epoll, events, most, timeout) }
}

/// As epoll_pwait(2).
///
/// # Safety
///
/// As [`epoll_wait`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    signals: *const sigset_t,
) -> c_int {
    before_waiting();
    // SAFETY: the arguments are the program's.
    unsafe { real::epoll_pwait(epoll, events, most, timeout, signals) }
}

/// As epoll_pwait2(3).
///
/// # Safety
///
/// As [`epoll_wait`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    signals: *const sigset_t,
) -> c_int {
    before_waiting();
    // SAFETY: the arguments are the program's.
    unsafe { real::epoll_pwait2(epoll, events, most, timeout, signals) }
}

/// Notes who watches a number, in case that its socket moves, or outlives it.
fn note(epoll: c_int, operation: c_int, fd: c_int, event: *const epoll_event) {
    let event = match operation {
        libc::EPOLL_CTL_DEL => (0, 0),
        _ => {
            // SAFETY: the kernel has just read the event there.
            let event = unsafe { event.read_unaligned() };
            (event.events, event.u64)
        }
    };
    if let Some(mut known) = Known::made_at(fd) {
        known.entry().watches.note(epoll, operation, event);
    }
}

/// Whether any of them is a connection.
///
/// # Errors
///
/// `EFAULT`.
fn has_connections(fds: *const pollfd, count: nfds_t) -> Result<bool, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
    if !process::is_in_use() || count == 0 || count > MOST {
        return Ok(false);
    }
    memory::readable(fds, count * size_of::<pollfd>())?;
    // SAFETY: the array can be read, and any bytes are entries.
    Ok((0..count)
        .any(|index| table::is_known(unsafe { fds.wrapping_add(index).read_unaligned() }.fd)))
}

/// Whether a number is a connection's by now of which a plain poll(2) says that it is connected to nobody: another thread
/// has asked for TLS while this one slept.
fn has_moved(fds: *const pollfd, count: nfds_t, ready: c_int) -> bool {
    const GONE: i16 = libc::POLLHUP | libc::POLLNVAL;
    // SAFETY: the kernel has just written to each entry, and any bytes are one.
    let entry = |index| unsafe { fds.wrapping_add(index).read_unaligned() };
    ready > 0
        && process::is_in_use()
        && (0..count as usize)
            .map(entry)
            .any(|entry| entry.revents & GONE != 0 && table::is_known(entry.fd))
}

/// Polls what a program asks about, and answers it.
fn poll_array(
    fds: *mut pollfd,
    count: nfds_t,
    mut timeout: Option<timespec>,
    signals: *const sigset_t,
) -> Result<usize, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
    if count > MOST {
        return Err(Errno::INVAL);
    }
    // SAFETY: the array was read when it was looked for connections, and any bytes are an entry.
    let entry = |index| unsafe { fds.wrapping_add(index).read_unaligned() };
    let mut asked = Vec::new();
    asked.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
    asked.extend((0..count).map(entry));
    let ready = wait(&mut asked, &mut timeout, signals)?;
    let is_writable = memory::is_writable(fds.cast(), size_of_val(&asked[..]));
    for (index, entry) in asked.iter().enumerate() {
        let place = fds.wrapping_add(index).cast::<u8>();
        let place = place.wrapping_add(std::mem::offset_of!(pollfd, revents));
        match is_writable {
            // SAFETY: it can be written there, and the program waits for the call's end.
            true => unsafe { place.cast::<i16>().write_unaligned(entry.revents) },
            false => memory::put_value(place.cast(), entry.revents)?,
        }
    }
    Ok(ready)
}

/// As poll(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    before_waiting();
    // SAFETY: the arguments are the program's.
    let plain = || unsafe { real::poll(fds, count, timeout) };
    poll_by(plain, fds, count, || {
        poll_array(fds, count, milliseconds(timeout), null_mut())
    })
}

/// As ppoll(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    signals: *const sigset_t,
) -> c_int {
    before_waiting();
    // SAFETY: the arguments are the program's.
    let plain = || unsafe { real::ppoll(fds, count, timeout, signals) };
    poll_by(plain, fds, count, || {
        poll_array(fds, count, own_timeout(timeout)?, signals)
    })
}

/// Polls by `plain` where no number is a connection's, or else by `own`.
fn poll_by(
    plain: impl FnOnce() -> c_int,
    fds: *const pollfd,
    count: nfds_t,
    own: impl FnOnce() -> Result<usize, Errno>,
) -> c_int {
    match has_connections(fds, count) {
        Ok(true) => kept(own),
        Ok(false) => match plain() {
            ready if has_moved(fds, count, ready) => kept(own),
            ready => ready,
        },
        Err(error) => returned(Err(error)) as c_int,
    }
}

/// A timeout of poll's; none is for ever.
fn milliseconds(timeout: c_int) -> Option<timespec> {
    let timeout = i64::from(timeout);
    (timeout >= 0).then_some(timespec {
        tv_sec: timeout / 1000,
        tv_nsec: timeout % 1000 * 1_000_000,
    })
}

/// The timeout, which the kernel writes to and the C library does not.
fn own_timeout(timeout: *const timespec) -> Result<Option<timespec>, Errno> {
    match timeout.is_null() {
        true => Ok(None),
        // SAFETY: any bytes are two numbers.
        false => unsafe { memory::read(timeout) }.map(Some),
    }
}

/// Keeps errno where the call succeeds.
fn kept(call: impl FnOnce() -> Result<usize, Errno>) -> c_int {
    let errno = sys::saved_errno();
    let outcome = call();
    sys::set_errno(errno);
    returned(outcome) as c_int
}

/// As poll(2), where the compiler knows the array's length.
///
/// # Safety
///
/// As [`poll`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __poll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    room: size_t,
) -> c_int {
    let count = count.min((room / size_of::<pollfd>()) as nfds_t);
    // SAFETY: no more is asked than there is room for; the C library would end the program.
    unsafe { poll(fds, count, timeout) }
}

/// As ppoll(2), where the compiler knows the array's length.
///
/// # Safety
///
/// As [`ppoll`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __ppoll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    signals: *const sigset_t,
    room: size_t,
) -> c_int {
    let count = count.min((room / size_of::<pollfd>()) as nfds_t);
    // SAFETY: no more is asked than there is room for; the C library would end the program.
    unsafe { ppoll(fds, count, timeout, signals) }
}
