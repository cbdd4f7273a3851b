//! The socket and the listener for programs without a runtime.

#[cfg(feature = "boring")]
mod boring;
#[cfg(feature = "openssl")]
mod handshake;
#[cfg(all(feature = "openssl", feature = "tokio"))]
mod listener;

use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;
use std::{fmt, io};

use underseal_message::{Filter, MessageDirection, Peer, Program};

use crate::association::Association;
use crate::endpoint::Endpoint;
use crate::turn::Turn;
use crate::{Batch, Counters, Error, Parts};

#[cfg(all(feature = "openssl", feature = "tokio"))]
pub use listener::DtlsListener;

/// A UDP socket whose datagrams are sealed and opened underneath.
///
/// It is used as a connected [`UdpSocket`] is, by any number of threads at once: sending and
/// receiving do not wait for each other.
pub struct DtlsSocket {
    endpoint: Endpoint<UdpSocket>,
}

impl DtlsSocket {
    /// The socket of an association whose handshake was made elsewhere. `socket` is connected to
    /// the peer.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`] if the socket is not connected: datagrams of strangers would be opened.
    pub fn from_parts(socket: UdpSocket, parts: Parts) -> Result<Self, Error> {
        socket.peer_addr()?;
        let association = Association::new(parts, Vec::new());
        Ok(Self {
            endpoint: Endpoint::new(socket, association),
        })
    }

    /// Takes the association apart, with what waits for the peer's ACK, its end and its programs. Datagrams that were
    /// opened and not read yet are lost.
    pub fn into_parts(self) -> (UdpSocket, Parts) {
        self.endpoint.into_parts()
    }

    /// Sends `payload` as one datagram, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] past 2^14 bytes, or where the key may seal no more data: under DTLS 1.3 until the peer's
    /// ACK of a KeyUpdate was received, for which somebody has to [`recv`](Self::recv). [`Error::Closed`] after
    /// [`close`](Self::close) or an end that the peer made; [`Error::Socket`]: `EMSGSIZE` where the
    /// datagram is longer than the path takes. Nothing was sent then.
    pub fn send(&self, payload: &[u8]) -> Result<usize, Error> {
        self.endpoint.send(payload)
    }

    /// Waits for a datagram and copies its payload to `buffer`, as far as it fits; the rest is lost,
    /// as with [`UdpSocket::recv`]. A payload may have no bytes.
    ///
    /// What does not open is dropped, and waited on. The socket's read timeout bounds all of that, and where several
    /// threads receive, the wait for one's turn, too.
    ///
    /// # Errors
    ///
    /// [`Error::ClosedByPeer`], [`Error::AlertReceived`], [`Error::IntegrityLimit`], [`Error::Record`] where the peer
    /// sent a message that it may not send: for good, and nothing is sent any more. [`Error::Denied`] where a program
    /// has ended receiving.
    /// [`Error::Socket`] of kind `WouldBlock` where the socket does not wait, or not as long.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.patiently(|turn| self.endpoint.recv(turn, buffer))
    }

    /// Sends `payloads`, each as a datagram of its own, and returns how many were sent. Neighbours of
    /// one length (the last one may be shorter) go down in one call of the system.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), where not even the first was sent.
    pub fn send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        self.endpoint.send_batch(payloads)
    }

    /// Waits for datagrams, and returns how many payloads `batch` has then: at least one. What it had
    /// before is gone. It is several where [`set_gro`](Self::set_gro) was called.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_batch(&self, batch: &mut Batch) -> Result<usize, Error> {
        self.patiently(|turn| self.endpoint.recv_batch(turn, batch))
    }

    /// Has a program of [`underseal_message`](crate::message) look at each datagram of one direction: before it is
    /// sealed, or after it was opened. Each is a message of its own ([`Filter::judge`]).
    ///
    /// A datagram that it refuses is not sent, and [`send`](Self::send) fails with [`Error::Denied`]; one that was
    /// received vanishes, and is counted ([`Counters::refused`]). A program that panics or ends the stream ends its direction.
    /// What was received before and nobody has read, at the hand-over for example, is judged at once, in this call.
    /// A datagram that the socket did not take is judged again when it comes again. The program is run while the
    /// direction is locked, so that it must not use that direction itself; one on what is received may send, here or elsewhere.
    /// Two on what is sent must not send by each other.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramAttached`] if the direction has one.
    pub fn attach<P>(&self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        self.endpoint.association().attach(filter)
    }

    /// Takes the program of a direction away, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if it has ended the direction, which would go on without it.
    pub fn detach(&self, direction: MessageDirection) -> Result<(), Error> {
        self.endpoint.association().detach(direction)
    }

    /// Sends a KeyUpdate of DTLS 1.3; `request` asks the peer for one, too. Sending goes on under the key that
    /// is used until the peer has acknowledged it, and it is repeated meanwhile, while somebody sends or
    /// receives. Of itself that happens when a key has sealed nearly all that it may. The ACK is taken by those who
    /// receive: who only sends never gets a new key. A thread that waits in [`recv`](Self::recv) already, without a
    /// read timeout, repeats nothing before something has come.
    ///
    /// One that is under way already is enough, but where `request` asks for more: it goes out behind it then.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyUpdates`] under DTLS 1.2; [`Error::Closed`] as [`send`](Self::send).
    pub fn update_keys(&self, request: bool) -> Result<(), Error> {
        self.endpoint.update_keys(request)
    }

    /// Lets the kernel hand over several datagrams at once (`UDP_GRO`): for those who receive in
    /// batches. A single [`recv`](Self::recv) has to keep the others then.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`] before Linux 5.0.
    pub fn set_gro(&self, on: bool) -> Result<(), Error> {
        self.endpoint.set_gro(on)
    }

    /// Tries until something was received, or the socket's read timeout is over.
    fn patiently(
        &self,
        mut attempt: impl FnMut(&Turn<'_>) -> Option<Result<usize, Error>>,
    ) -> Result<usize, Error> {
        let start = Instant::now();
        // The socket keeps its read timeout, as long as nothing else was waited for.
        if let Some(turn) = self.endpoint.turns().now()
            && let Some(received) = attempt(&turn)
        {
            return received;
        }
        let timeout = self.socket().read_timeout()?;
        let until = timeout.and_then(|timeout| start.checked_add(timeout));
        loop {
            let turn = self.turn(until)?;
            if let Some(received) = attempt(&turn) {
                return received;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
            }
        }
    }

    /// Waits for the turn to receive.
    fn turn(&self, until: Option<Instant>) -> Result<Turn<'_>, Error> {
        let turns = self.endpoint.turns();
        let turn = match until {
            Some(until) => turns.until(until),
            None => Some(turns.next()),
        };
        turn.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock).into())
    }

    /// Sends a close_notify, once. Receiving goes on until the peer closes, too.
    pub fn close(&self) {
        self.endpoint.close();
    }

    /// What was sent, received and dropped so far.
    pub fn counters(&self) -> Counters {
        self.endpoint.counters()
    }

    /// Bytes that a datagram is longer than its payload.
    pub fn overhead(&self) -> usize {
        self.endpoint.overhead()
    }

    /// Whether the key has sealed nearly all that it may: make a new association soon, under DTLS 1.2. DTLS 1.3
    /// updates its keys then.
    pub fn wants_new_keys(&self) -> bool {
        self.endpoint.wants_new_keys()
    }

    /// The socket underneath: for its addresses, timeouts and options. Whatever is sent through it
    /// is not sealed.
    pub fn socket(&self) -> &UdpSocket {
        self.endpoint.socket()
    }
}

impl AsFd for DtlsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl AsRawFd for DtlsSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket().as_raw_fd()
    }
}

impl fmt::Debug for DtlsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsSocket")
            .field("endpoint", &self.endpoint)
            .finish()
    }
}
