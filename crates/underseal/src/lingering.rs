//! Lingering close: what was said last reaches the peer, whatever it still sends.
//!
//! TCP resets a connection that is closed while bytes of the peer are unread, or come later: what
//! was sent and not delivered is lost with it, a reply or an alert, and the peer may lose even what
//! it has received (RFC 9112 section 9.6). So the end of the sending side is announced first, then
//! what comes is read and thrown away until the peer closes too, within limits.
//!
//! What comes is not opened: nothing that a peer says can matter any more. A kernel that opens does
//! so all the same, and must be able to: see [`Discard`].

mod blocking;
#[cfg(feature = "tokio")]
mod polled;

use std::io::IoSliceMut;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::RecvFlags;
use underseal_record::ContentType;
use underseal_sys::Errno;
use underseal_sys::tcp::is_closed;

use crate::buffers;
use crate::engine::{Connection, kernel};

pub(crate) use blocking::linger as linger_blocking;
#[cfg(feature = "tokio")]
pub(crate) use polled::Lingering;
#[cfg(feature = "tokio")]
pub use polled::linger;

/// How long a lingering close goes on where the peer does not close: two seconds and 256 KiB by
/// default. When either is used up the connection is closed as it is, and may be reset.
///
/// A kernel that opens gives nothing out of its socket behind a record that it cannot open, and the
/// rest cannot be thrown away. The peer then has the same time to take what was sent and to close;
/// one that first sends more than a receive buffer holds is reset.
///
/// Time is the runtime's: a tokio stream that is polled outside of one waits for nothing.
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

/// What a handshake record counts for: it may be a key update, which costs some microseconds.
const HANDSHAKE_RECORD: usize = 4 * 1024;

/// Time between two looks at a socket that tells of nothing by itself.
const TICK: Duration = Duration::from_millis(50);

/// Throws away what a peer still sends.
///
/// A kernel that opens does not do so with a key that the peer no longer uses, so its key updates
/// are followed. A record that does not open all the same stays in the socket, as half a record does
/// that is the last: closing would reset the connection before the peer has everything. Of such a
/// socket the end of both sides is waited for.
struct Discard {
    /// Bytes that may still be thrown away.
    left: usize,
    /// Whether the socket keeps what it has.
    is_stuck: bool,
}

impl Discard {
    fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_stuck: false,
        }
    }

    /// Learns what is known of the socket's bytes already.
    fn know(&mut self, connection: Option<&Connection>) {
        self.is_stuck |= connection.is_some_and(|connection| connection.rx.keeps_error());
    }

    /// Throws away what `socket` has, as long as there is anything to throw away and the budget
    /// lasts. `EAGAIN` if more may come: when the socket is readable or, of one that is stuck, after
    /// a [`TICK`]; any other end is the end. `connection` is what the socket carries, if that is
    /// known.
    fn discard(
        &mut self,
        socket: BorrowedFd<'_>,
        mut connection: Option<&mut Connection>,
    ) -> Result<(), Errno> {
        while !self.is_stuck {
            if self.left == 0 {
                return Ok(());
            }
            match self.receive(socket, connection.as_deref_mut()) {
                Ok(true) => {}
                Ok(false) if ioctl_fionread(socket)? == 0 => return Ok(()),
                Err(errno) if !kernel::does_not_open(errno) => return Err(errno),
                Ok(false) | Err(_) => self.is_stuck = true,
            }
        }
        match is_closed(socket)? {
            true => Ok(()),
            false => Err(Errno::AGAIN),
        }
    }

    /// Throws away what one call receives. `false` at the end of the stream.
    fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        connection: Option<&mut Connection>,
    ) -> Result<bool, Errno> {
        let mut lent = buffers::lend();
        let slices = &mut [IoSliceMut::new(&mut lent[..PIECE.min(self.left)])];
        // Of a socket that opens records this takes those of all types.
        let received = kernel::receive(socket, slices, RecvFlags::DONTWAIT)?;
        let content_type = received.content_type.map(ContentType);
        let least = match content_type {
            None if received.len == 0 => return Ok(false),
            Some(ContentType::HANDSHAKE) => HANDSHAKE_RECORD,
            _ => LEAST,
        };
        self.left = self.left.saturating_sub(received.len.max(least));
        if let (Some(content_type), Some(connection)) = (content_type, connection) {
            connection.follow(socket, content_type, &lent[..received.len]);
        }
        Ok(true)
    }
}
