//! Waiting for what a program would get. The TCP socket of a connection with TLS_RX is readable as soon as a part of a
//! record is there, which is nothing to a reader.

use super::*;
use crate::table::Found;

/// Bytes of the kernel's set of signals.
const SIGNALS: usize = 8;

/// What readers wait for.
const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;

/// As ppoll(2), with the numbers that the program knows. The timeout becomes what is left of it.
pub(super) fn wait(
    asked: &mut [pollfd],
    timeout: &mut Option<timespec>,
    signals: *const sigset_t,
) -> Result<usize, Errno> {
    let mut own = guarded(|| translated(asked))?;
    loop {
        let left = timeout.as_mut().map_or(null_mut(), std::ptr::from_mut);
        let arguments = [
            address(own.as_mut_ptr()),
            own.len(),
            address(left),
            address(signals),
            SIGNALS,
        ];
        // SAFETY: the kernel writes to an array that is as long; the signals are the program's, and checked.
        let ready = unsafe { sys::call(libc::SYS_ppoll, arguments) }?;
        let parts = guarded(|| Ok(hide_parts(asked, &mut own)))?;
        if ready == 0 || ready > parts {
            for (asked, own) in asked.iter_mut().zip(&own) {
                asked.revents = own.revents;
            }
            return Ok(ready - parts);
        }
    }
}

/// What a program asks about, with the TCP sockets in the place of connections.
fn translated(asked: &[pollfd]) -> Result<Vec<pollfd>, Errno> {
    let mut own = Vec::new();
    let reserved = own.try_reserve_exact(asked.len());
    reserved.map_err(|_| Errno::NOMEM)?;
    let entry = |entry: &pollfd| pollfd {
        fd: watched(entry.fd),
        ..*entry
    };
    own.extend(asked.iter().map(entry));
    Ok(own)
}

/// The number whose readiness is that of `fd`.
fn watched(fd: c_int) -> c_int {
    if !table::is_known(fd) {
        return fd;
    }
    match table::find(fd) {
        Some(Found::Socket(socket)) => socket.tcp(),
        // No number at all: the kernel says POLLNVAL.
        Some(Found::Refused(Errno::BADF)) => c_int::MAX,
        _ => fd,
    }
}

/// Takes back that sockets are readable that have a part of a record. Returns how many are ready for nothing else.
fn hide_parts(asked: &[pollfd], own: &mut [pollfd]) -> usize {
    let mut hidden = 0;
    for (asked, own) in asked.iter().zip(own) {
        let tells_of_data = own.revents & READABLE != 0;
        let tells_of_the_end = own.revents & !(READABLE | libc::POLLOUT | libc::POLLWRNORM) != 0;
        if tells_of_data && !tells_of_the_end && has_a_part(asked.fd) {
            own.revents &= !READABLE;
            hidden += usize::from(own.revents == 0);
        }
    }
    hidden
}

fn has_a_part(fd: c_int) -> bool {
    table::is_known(fd)
        && match table::find(fd) {
            Some(Found::Socket(socket)) => socket.opens() && !socket.is_readable(),
            _ => false,
        }
}
