//! Whether the peer has left. TCP says so to every call. Kernel TLS seals first, and a call that took
//! anything returns how much, without the error of sending it, which the socket has forgotten then
//! (`tls_sw_sendmsg`, `sk_stream_error`). No later call looks at the state of the connection before it
//! seals: what is taken is kept until the socket is closed, as much as TCP has memory for, and a
//! sendfile goes on to the end of the file.

use std::os::fd::BorrowedFd;

use underseal_sys::{Errno, tcp};

/// So many calls in a row that took all of what they were given are made before the next look: only
/// one that waited for room can have hidden that the peer left.
const UNWATCHED: u8 = 8;

/// When to look for the peer again.
#[derive(Default)]
pub(super) struct Departure {
    /// Calls since the last look.
    unwatched: u8,
}

impl Departure {
    /// A call took `taken` of `given` bytes.
    pub(super) fn taken(&mut self, taken: usize, given: usize) {
        match taken < given {
            true => self.suspect(),
            false => self.unwatched = self.unwatched.saturating_add(1),
        }
    }

    /// The next look is due: many bytes were taken, or fewer than given.
    pub(super) fn suspect(&mut self) {
        self.unwatched = UNWATCHED;
    }

    /// Fails if a look is due and the socket does not send any more.
    pub(super) fn look(&mut self, socket: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        if self.unwatched < UNWATCHED {
            return Ok(());
        }
        self.unwatched = 0;
        match tcp::can_send(socket.ok_or(Errno::NOTSOCK)?)? {
            true => Ok(()),
            false => Err(Errno::PIPE),
        }
    }
}
