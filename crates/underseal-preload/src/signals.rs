//! Signals that wait while this thread is at something.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::time::Duration;

use rustix::io::Errno;

use crate::sys::{self, address};

/// Bytes of a set of signals, for the kernel.
const SET: usize = 8;

/// All signals wait, but for those of the C library's own.
pub(crate) struct Held {
    before: libc::sigset_t,
}

impl Held {
    pub(crate) fn all() -> Self {
        // SAFETY: zeros are a set of signals.
        let mut all: libc::sigset_t = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut before = all;
        // SAFETY: the set is ours.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: both sets are ours.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        Self { before }
    }

    /// Waits that long, and has signals come.
    ///
    /// # Errors
    ///
    /// `EINTR` when one comes that the program handles, or has come since signals are held.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Errno> {
        self.poll(&mut [], time)
    }

    /// The same, until a socket takes bytes, or has failed.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause), where the socket takes nothing.
    pub(crate) fn wait_for_room(&self, fd: c_int, time: Duration) -> Result<(), Errno> {
        let asked = libc::pollfd {
            fd,
            events: libc::POLLOUT,
            revents: 0,
        };
        self.poll(&mut [asked], time)
    }

    fn poll(&self, asked: &mut [libc::pollfd], time: Duration) -> Result<(), Errno> {
        let mut time = sys::timespec(time);
        let arguments = [
            address(asked.as_mut_ptr()),
            asked.len(),
            address(&raw mut time),
            address(&raw const self.before),
            SET,
        ];
        // SAFETY: the kernel writes to an array of that many and to a time, and reads a set, which are ours.
        unsafe { sys::call(libc::SYS_ppoll, arguments) }.map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the set was filled in when signals were held.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, null_mut()) };
    }
}
