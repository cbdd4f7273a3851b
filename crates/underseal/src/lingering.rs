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

/// Bytes that one call throws away.
const PIECE: usize = 64 * 1024;

/// Bytes thrown away in a row: a peer that sends as fast as they are must not keep anybody from looking
/// at the clock, or a task from letting others have their turn.
const MOST: usize = 2 * PIECE;

/// What a record without content counts for, so that a peer cannot send them without end.
const LEAST: usize = 32;

/// What a handshake record counts for: it may be a key update, which costs some microseconds.
const HANDSHAKE_RECORD: usize = 4 * 1024;

/// Time between two looks at a socket that tells of nothing by itself.
const TICK: Duration = Duration::from_millis(50);

/// What was thrown away.
#[derive(Debug, PartialEq, Eq)]
enum Discarded {
    /// All that came to the end of the stream, or as much as is to be.
    All,
    /// [`MOST`] bytes of it, and there may be more.
    Much,
}

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
    ) -> Result<Discarded, Errno> {
        let least = self.left.saturating_sub(MOST);
        while !self.is_stuck {
            match self.left {
                0 => return Ok(Discarded::All),
                left if left <= least => return Ok(Discarded::Much),
                _ => {}
            }
            match self.receive(socket, connection.as_deref_mut()) {
                Ok(true) => {}
                Ok(false) if ioctl_fionread(socket)? == 0 => return Ok(Discarded::All),
                Err(errno) if !kernel::does_not_open(errno) => return Err(errno),
                Ok(false) | Err(_) => self.is_stuck = true,
            }
        }
        match is_closed(socket)? {
            true => Ok(Discarded::All),
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use rustix::net::sockopt::set_socket_recv_buffer_size;

    use super::*;

    #[test]
    fn whoever_throws_away_can_look_at_the_clock() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        set_socket_recv_buffer_size(&listener, 8 * MOST)?;
        let mut peer = TcpStream::connect(listener.local_addr()?)?;
        let (socket, _) = listener.accept()?;
        peer.write_all(&[1; MOST + 1])?;
        drop(peer);
        while ioctl_fionread(&socket)? <= MOST as u64 {
            std::thread::yield_now();
        }
        let mut discard = Discard::new(usize::MAX);
        let mut discarded = || discard.discard(socket.as_fd(), None);
        assert_eq!(discarded(), Ok(Discarded::Much));
        assert_eq!(discarded(), Ok(Discarded::All));
        Ok(())
    }
}
