//! Lingering close: what was said last reaches the peer, whatever it still sends.
//!
//! TCP resets a connection that is closed while bytes of the peer are unread, or come later: what
//! was sent and not delivered is lost with it, a reply or an alert, and the peer may lose even what
//! it has received (RFC 9112 section 9.6). So the end of the sending side is announced first, then
//! what comes is read and thrown away until the peer closes too, within limits.
//!
//! What comes is not opened: nothing that a peer says can matter any more.

mod blocking;
#[cfg(feature = "tokio")]
mod polled;

use std::io::IoSliceMut;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::net::RecvFlags;
use underseal_sys::{Errno, message};

use crate::buffers;

pub(crate) use blocking::linger as linger_blocking;
#[cfg(feature = "tokio")]
pub(crate) use polled::Lingering;
#[cfg(feature = "tokio")]
pub use polled::linger;

/// How long a lingering close goes on where the peer does not close: two seconds and 256 KiB by
/// default. When either is used up the connection is closed as it is, and may be reset. So it is
/// where the kernel opens and the peer updates its key meanwhile: behind a key update the kernel
/// receives nothing before it has the next key (`EKEYEXPIRED`), which nobody gives it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// Time to wait for the peer's end.
    pub time: Duration,
    /// Bytes to throw away.
    pub bytes: usize,
}

impl Default for Linger {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            bytes: 256 * 1024,
        }
    }
}

/// Bytes thrown away at once.
const PIECE: usize = 64 * 1024;

/// What a record without content counts for, so that a peer cannot send them without end.
const LEAST: usize = 32;

/// Bytes that may still be thrown away.
struct Budget(usize);

impl Budget {
    /// Throws away what `socket` has, as long as there is anything to throw away and the budget
    /// lasts. `EAGAIN` if more may come; any other end is the end.
    fn discard(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut lent = buffers::lend();
        while self.0 > 0 {
            let slices = &mut [IoSliceMut::new(&mut lent[..PIECE.min(self.0)])];
            // Of a socket that opens records this takes those of all types.
            let received = message::receive(socket, slices, RecvFlags::DONTWAIT)?;
            if received.len == 0 && received.content_type.is_none() {
                return Ok(());
            }
            self.0 = self.0.saturating_sub(received.len.max(LEAST));
        }
        Ok(())
    }
}
