//! The TCP socket of a connection, with the flags of one call.

use std::ffi::{c_int, c_long};
use std::io::IoSlice;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use underseal_ulp::{Source, Wire};

use crate::sys;

/// Places in `SO_MEMINFO`: `SK_MEMINFO_*` of `include/uapi/linux/sock_diag.h`.
const SNDBUF: usize = 3;
const WMEM_QUEUED: usize = 5;

/// Whether the socket says it once, as the end that its peer or the network put to the connection.
fn is_said_once(error: Errno) -> bool {
    let is_said_again = matches!(
        error,
        Errno::AGAIN
            | Errno::INTR
            | Errno::PIPE
            | Errno::NOTCONN
            | Errno::BADF
            | Errno::FAULT
            | Errno::NOMEM
            | Errno::NOBUFS
    );
    !is_said_again
}

/// What the socket said that it does not say again.
fn once<T>(outcome: &Result<T, Errno>) -> Option<Errno> {
    outcome
        .as_ref()
        .err()
        .copied()
        .filter(|error| is_said_once(*error))
}

/// Where ciphertext goes to.
pub(crate) struct TcpWire {
    fd: c_int,
    flags: c_int,
    /// Whether it took a part the last time.
    is_full: bool,
    /// When a call began to wait for it, if it has.
    waits_since: Option<Instant>,
    failed: Option<Errno>,
}

impl TcpWire {
    pub(super) fn new(fd: c_int, flags: c_int) -> Self {
        Self {
            fd,
            flags,
            is_full: false,
            waits_since: None,
            failed: None,
        }
    }

    /// What the socket said that it does not say again.
    pub(super) fn failed(&self) -> Option<&Errno> {
        self.failed.as_ref()
    }

    /// Whether the program lets a call wait for the socket.
    fn may_wait(&self) -> bool {
        let nonblocking = libc::O_NONBLOCK as usize;
        self.flags & libc::MSG_DONTWAIT == 0
            && sys::fcntl(self.fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & nonblocking == 0)
    }

    /// Whether a call that began to wait then is to wait no longer. The kernel counts `SO_SNDTIMEO` anew for each wait.
    fn is_overdue(&self, since: Instant) -> bool {
        let time = sys::option::<[c_long; 2]>(self.fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO);
        let [seconds, micros] = time.unwrap_or_default().map(c_long::unsigned_abs);
        let most = Duration::from_secs(seconds) + Duration::from_micros(micros);
        !most.is_zero() && since.elapsed() >= most
    }

    /// Waits until the socket takes one byte, of so many that are to be sent. The kernel tells a signal, or that
    /// `SO_SNDTIMEO` is over, to nobody of whom it has taken something: who waited with more would wait anew, for a signal
    /// that has come. The byte leaves with what follows it.
    fn wait_with(&mut self, byte: u8, len: usize) -> Result<usize, Errno> {
        match self.waits_since {
            Some(since) if self.is_overdue(since) => return Err(Errno::AGAIN),
            Some(_) => {}
            None => self.waits_since = Some(Instant::now()),
        }
        let more_follows = match len {
            1 => 0,
            _ => libc::MSG_MORE,
        };
        sys::send(self.fd, &[byte], self.flags | more_follows)
    }

    /// Has `send` give `len` bytes to the socket, the first of which is `first`, by a call with flags.
    fn send_or_wait(
        &mut self,
        len: usize,
        first: Option<u8>,
        send: impl FnOnce(c_int, c_int) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if !std::mem::take(&mut self.is_full) {
            let taken = send(self.fd, self.flags | libc::MSG_DONTWAIT);
            if taken != Err(Errno::AGAIN) {
                self.is_full = taken.is_ok_and(|taken| taken < len);
                return taken;
            }
        }
        match first {
            Some(byte) if self.may_wait() => self.wait_with(byte, len),
            _ => Err(Errno::AGAIN),
        }
    }

    fn note(&mut self, outcome: Result<usize, Errno>) -> Result<usize, Errno> {
        self.failed = self.failed.or(once(&outcome));
        outcome
    }
}

impl Wire for TcpWire {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let first = bytes.first().copied();
        let outcome =
            self.send_or_wait(bytes.len(), first, |fd, flags| sys::send(fd, bytes, flags));
        self.note(outcome)
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let first = pieces.iter().find_map(|piece| piece.first()).copied();
        let outcome =
            self.send_or_wait(len, first, |fd, flags| sys::send_pieces(fd, pieces, flags));
        self.note(outcome)
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
    failed: Option<Errno>,
}

impl TcpSource {
    /// Of the program's flags it is `MSG_DONTWAIT` that matters here.
    pub(super) fn new(fd: c_int, flags: c_int) -> Self {
        let flags = flags & libc::MSG_DONTWAIT;
        Self {
            fd,
            flags,
            failed: None,
        }
    }

    /// What the socket said that it does not say again.
    pub(super) fn failed(&self) -> Option<&Errno> {
        self.failed.as_ref()
    }

    fn receive(&mut self, bytes: &mut [u8], flags: c_int) -> Result<usize, Errno> {
        let outcome = sys::receive(self.fd, bytes, flags);
        self.failed = self.failed.or(once(&outcome));
        outcome
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
        self.receive(bytes, self.flags(waits))
    }

    fn peek(&mut self, waits: bool) -> Result<Option<u8>, Errno> {
        let mut byte = [0];
        let flags = self.flags(waits) | libc::MSG_PEEK;
        let count = self.receive(&mut byte, flags)?;
        Ok((count > 0).then_some(byte[0]))
    }
}
