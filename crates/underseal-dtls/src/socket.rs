#[cfg(feature = "boring")]
mod boring;
#[cfg(feature = "openssl")]
mod handshake;

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::pin;

use tokio::net::UdpSocket;
use tokio::sync::Notify;
use underseal_message::{Filter, MessageDirection, Peer, Program};

use crate::association::Association;
use crate::endpoint::Endpoint;
use crate::turn::Turn;
use crate::{Batch, Counters, Error, Parts};

/// A UDP socket of tokio whose datagrams are sealed and opened underneath.
///
/// It is used as a connected [`UdpSocket`] is, by any number of tasks at once: sending and receiving
/// do not wait for each other. Every method may be cancelled: a datagram was sent or received as a
/// whole, or it was not.
pub struct DtlsSocket {
    endpoint: Endpoint<UdpSocket>,
    /// Tells those who wait that something is due, or later than it was.
    armed: Notify,
}

impl DtlsSocket {
    /// As [`blocking::DtlsSocket::from_parts`](crate::blocking::DtlsSocket::from_parts).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_parts(socket: UdpSocket, parts: Parts) -> Result<Self, Error> {
        socket.peer_addr()?;
        let association = Association::new(parts, Vec::new());
        Ok(Self::of(Endpoint::new(socket, association)))
    }

    fn of(endpoint: Endpoint<UdpSocket>) -> Self {
        let armed = Notify::new();
        Self { endpoint, armed }
    }

    /// Takes the association apart, with what waits for the peer's ACK, its end and its programs. Datagrams that were
    /// opened and not read yet are lost.
    pub fn into_parts(self) -> (UdpSocket, Parts) {
        self.endpoint.into_parts()
    }

    /// As [`blocking::DtlsSocket::send`](crate::blocking::DtlsSocket::send).
    ///
    /// # Errors
    ///
    /// The same, but that it waits where the socket is full.
    pub async fn send(&self, payload: &[u8]) -> Result<usize, Error> {
        loop {
            match self.endpoint.send(payload) {
                Err(Error::Socket(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket().writable().await?;
                }
                sent => {
                    self.arm();
                    return sent;
                }
            }
        }
    }

    /// As [`blocking::DtlsSocket::recv`](crate::blocking::DtlsSocket::recv), without a timeout.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.patiently(|turn| self.endpoint.recv(turn, buffer))
            .await
    }

    /// As [`blocking::DtlsSocket::send_batch`](crate::blocking::DtlsSocket::send_batch).
    ///
    /// # Errors
    ///
    /// The same, but that it waits where the socket is full.
    pub async fn send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        loop {
            match self.endpoint.send_batch(payloads) {
                Err(Error::Socket(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket().writable().await?;
                }
                sent => {
                    self.arm();
                    return sent;
                }
            }
        }
    }

    /// As [`blocking::DtlsSocket::recv_batch`](crate::blocking::DtlsSocket::recv_batch).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn recv_batch(&self, batch: &mut Batch) -> Result<usize, Error> {
        self.patiently(|turn| self.endpoint.recv_batch(turn, batch))
            .await
    }

    /// As [`blocking::DtlsSocket::set_gro`](crate::blocking::DtlsSocket::set_gro).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn set_gro(&self, on: bool) -> Result<(), Error> {
        self.endpoint.set_gro(on)
    }

    /// Tries until something was received.
    async fn patiently(
        &self,
        mut attempt: impl FnMut(&Turn<'_>) -> Option<Result<usize, Error>>,
    ) -> Result<usize, Error> {
        loop {
            // Whoever sends much, forged or not, is no reason to keep the thread.
            tokio::task::coop::consume_budget().await;
            // An attempt does not wait, so that nobody has the turn for long.
            let attempted = attempt(&self.endpoint.turns().next());
            match attempted {
                Some(Err(Error::Socket(error))) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable().await?;
                }
                Some(received) => return received,
                None => {}
            }
        }
    }

    /// Waits for a datagram, or until something is due.
    async fn readable(&self) -> io::Result<()> {
        if !self.endpoint.is_timed() {
            return self.socket().readable().await;
        }
        let mut armed = pin!(self.armed.notified());
        // From here on nothing is missed, which may have become due meanwhile.
        armed.as_mut().enable();
        let due = self.endpoint.due();
        let expired = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            readable = self.socket().readable() => readable,
            () = expired => Ok(()),
            () = armed => Ok(()),
        }
    }

    fn arm(&self) {
        if self.endpoint.due().is_some() {
            self.armed.notify_waiters();
        }
    }

    /// As [`blocking::DtlsSocket::attach`](crate::blocking::DtlsSocket::attach).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn attach<P>(&self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        self.endpoint.association().attach(filter)
    }

    /// As [`blocking::DtlsSocket::detach`](crate::blocking::DtlsSocket::detach).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn detach(&self, direction: MessageDirection) -> Result<(), Error> {
        self.endpoint.association().detach(direction)
    }

    /// As [`blocking::DtlsSocket::update_keys`](crate::blocking::DtlsSocket::update_keys); it is repeated while
    /// somebody receives.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn update_keys(&self, request: bool) -> Result<(), Error> {
        self.endpoint.update_keys(request)?;
        self.arm();
        Ok(())
    }

    /// Sends a close_notify, once, if the socket has room for it. Receiving goes on until the peer
    /// closes, too.
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

    /// As [`blocking::DtlsSocket::wants_new_keys`](crate::blocking::DtlsSocket::wants_new_keys).
    pub fn wants_new_keys(&self) -> bool {
        self.endpoint.wants_new_keys()
    }

    /// The socket underneath: for its addresses and options. Whatever is sent through it is not
    /// sealed.
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
