//! What stands at the program's number: a socket that is connected to nobody. Reads and writes that
//! go past this library fail there, whoever makes them.

use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::connection::Private;
use crate::sys::{self, arg};

/// Of `include/uapi/asm-generic/fcntl.h`.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;

/// The file at the program's number.
static INERT: Mutex<Option<Private>> = Mutex::new(None);
/// The signal that the inert socket would send where it is told to send any: the C library's own, which no program
/// names. It tells the file by a system call of half the time that fstat(2) takes.
const MARK: c_int = 33;
/// Whether there is an inert socket without it.
static IS_UNMARKED: AtomicBool = AtomicBool::new(false);
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

/// Whether the inert socket of this identity stands at `fd`.
pub(crate) fn is_at(fd: c_int, identity: (u64, u64)) -> bool {
    let is_marked =
        !IS_UNMARKED.load(Ordering::Acquire) && sys::fcntl(fd, F_GETSIG, 0) == Ok(MARK as usize);
    // A filter may forbid the first call, and whoever has the file from here may give it another signal.
    is_marked || sys::identity(fd) == Ok(identity)
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
    let is_there = |inert: &Private| is_at(inert.number(), inert.identity());
    if !inert.as_ref().is_some_and(is_there) {
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
    if sys::fcntl(low, F_SETSIG, arg(MARK)).is_err() {
        IS_UNMARKED.store(true, Ordering::Release);
    }
    // Nobody else knows the number.
    let _ = sys::close(low);
    descriptor
}
