//! The TCP socket of a connection, with the flags of one call.

use std::ffi::c_int;

use rustix::io::Errno;
use underseal_ulp::{Source, Wire};

use crate::sys;

/// Places in `SO_MEMINFO`: `SK_MEMINFO_*` of `include/uapi/linux/sock_diag.h`.
const SNDBUF: usize = 3;
const WMEM_QUEUED: usize = 5;

/// Where ciphertext goes to.
pub(crate) struct TcpWire {
    fd: c_int,
    flags: c_int,
}

impl TcpWire {
    pub(super) fn new(fd: c_int, flags: c_int) -> Self {
        Self { fd, flags }
    }
}

impl Wire for TcpWire {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        sys::send(self.fd, bytes, self.flags)
    }

    fn room(&mut self) -> Option<usize> {
        const VALUES: usize = 9;
        let values: [u32; VALUES] =
            sys::option(self.fd, libc::SOL_SOCKET, libc::SO_MEMINFO).ok()?;
        let room = values[SNDBUF].saturating_sub(values[WMEM_QUEUED]);
        Some(room as usize)
    }
}

/// Where it comes from.
pub(crate) struct TcpSource {
    fd: c_int,
    flags: c_int,
}

impl TcpSource {
    /// Of the program's flags it is `MSG_DONTWAIT` that matters here.
    pub(super) fn new(fd: c_int, flags: c_int) -> Self {
        let flags = flags & libc::MSG_DONTWAIT;
        Self { fd, flags }
    }

    fn flags(&self, waits: bool) -> c_int {
        match waits {
            true => self.flags,
            false => libc::MSG_DONTWAIT,
        }
    }
}

impl Source for TcpSource {
    fn take(&mut self, bytes: &mut [u8], waits: bool) -> Result<usize, Errno> {
        sys::receive(self.fd, bytes, self.flags(waits))
    }

    fn peek(&mut self, waits: bool) -> Result<Option<u8>, Errno> {
        let mut byte = [0];
        let flags = self.flags(waits) | libc::MSG_PEEK;
        let count = sys::receive(self.fd, &mut byte, flags)?;
        Ok((count > 0).then_some(byte[0]))
    }
}
