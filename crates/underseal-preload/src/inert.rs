//! What stands at the program's number: a socket that is connected to nobody. Reads and writes that
//! go past this library fail there, whoever makes them.

use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::connection::Private;
use crate::sys::{self, arg};

/// The file at the program's number.
static INERT: Mutex<Option<Private>> = Mutex::new(None);
/// Set in a process that came by fork: what it inherited stands at numbers of its parent's connections.
static FORGOTTEN: AtomicBool = AtomicBool::new(false);

/// Forgets the one that was inherited: its lock may be held by a thread that is not here.
pub(crate) fn forget() {
    FORGOTTEN.store(true, Ordering::Relaxed);
    INERT.clear_poison();
    if let Ok(mut inert) = INERT.try_lock() {
        *inert = None;
        FORGOTTEN.store(false, Ordering::Relaxed);
    }
}

/// Puts the inert socket at `fd`, with the close-on-exec flag that was there. Returns its identity.
///
/// # Errors
///
/// If there is none to be had, or the number was closed meanwhile.
pub(crate) fn replace(fd: c_int) -> Result<(u64, u64), Errno> {
    if FORGOTTEN.load(Ordering::Relaxed) {
        return Err(Errno::NOMEM);
    }
    let mut inert = INERT.lock().map_err(|_| Errno::NOMEM)?;
    if !inert.as_ref().is_some_and(Private::is_intact) {
        *inert = Some(open()?);
    }
    let inert = inert.as_ref().ok_or(Errno::NOMEM)?;
    let flags = sys::fcntl(fd, libc::F_GETFD, 0)?;
    let cloexec = match flags & libc::FD_CLOEXEC as usize {
        0 => 0,
        _ => libc::O_CLOEXEC,
    };
    let arguments = [arg(inert.number()), arg(fd), arg(cloexec)];
    // SAFETY: the program's number gets another file; its own stays open at a private number.
    unsafe { sys::call(libc::SYS_dup3, arguments) }?;
    Ok(inert.identity())
}

fn open() -> Result<Private, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes numbers alone.
    let low = unsafe { sys::call(libc::SYS_socket, [arg(libc::AF_UNIX), arg(kind), 0]) }?;
    let low = low as c_int;
    let descriptor = Private::of(low);
    // Nobody else knows the number.
    let _ = sys::close(low);
    descriptor
}
