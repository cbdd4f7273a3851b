use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use underseal_message::{Filter, MessageDirection, Peer, Program};
use underseal_record::dtls::ConnectionId;
use underseal_sys::udp::{Path, send_train_to};

use super::handshake::HelloTag;
use crate::association::Association;
use crate::{Error, buffers, datagrams};

/// The other end of an association behind a [`DtlsListener`](crate::DtlsListener): what is sent to it
/// goes through here, from any task or thread. What it sends, the listener receives.
///
/// Its clones are the same association. Dropping them ends nothing: the association ends when either
/// side closes it, when it has been silent for too long, or when its listener is dropped.
#[derive(Clone)]
pub struct DtlsPeer(Arc<Slot>);

pub(super) struct Slot {
    pub(super) association: Association,
    /// The listener's, which nobody reads without it: as long as it were open, the kernel would go on to give it clients
    /// of a group.
    socket: Weak<UdpSocket>,
    path: Mutex<Path>,
    /// The way that the newest datagram came.
    newest: Mutex<Path>,
    id: u64,
    /// What finds the association, where it is not its address.
    receive_id: ConnectionId,
    /// Of the handshake that made it: a ClientHello that comes again begins no other.
    hello: Option<HelloTag>,
    /// The origin of `used`.
    since: Instant,
    /// When data was last sent or received, in milliseconds.
    used: AtomicU64,
}

impl DtlsPeer {
    pub(super) fn new(
        association: Association,
        socket: Weak<UdpSocket>,
        path: Path,
        id: u64,
        receive_id: ConnectionId,
        hello: Option<HelloTag>,
    ) -> Self {
        Self(Arc::new(Slot {
            association,
            socket,
            path: Mutex::new(path),
            newest: Mutex::new(path),
            id,
            receive_id,
            hello,
            since: Instant::now(),
            used: AtomicU64::new(0),
        }))
    }

    /// A number that no other association of the listener has or had.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Where datagrams for it go.
    pub fn address(&self) -> SocketAddr {
        self.path().peer
    }

    /// The way there.
    fn path(&self) -> Path {
        *self.0.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to `address` from now on. An association that is found by its connection ID may move there, after a
    /// datagram from there that was the newest ([`Event::Datagram`](crate::Event::Datagram)), and once its peer has
    /// shown that it receives there: that its datagrams come from there proves nothing (RFC 9146 section 6). One
    /// that is found by its address stays.
    pub fn set_address(&self, address: SocketAddr) {
        if !self.0.receive_id.is_empty() {
            let mut path = self.0.path.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = *self.newest();
            // What was asked last is known of that address alone.
            *path = match newest.peer == address {
                true => newest,
                false => address.into(),
            };
        }
    }

    fn newest(&self) -> MutexGuard<'_, Path> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest authentic datagram came by `path`: it tells which address of this host an association that was added
    /// is answered from.
    pub(super) fn came_by(&self, path: Path) {
        *self.newest() = path;
        let mut known = self.0.path.lock().unwrap_or_else(PoisonError::into_inner);
        if known.peer == path.peer {
            known.local = known.local.or(path.local);
        }
    }

    /// The socket, for the length of a call.
    fn socket(&self) -> Result<Arc<UdpSocket>, Error> {
        self.0.socket.upgrade().ok_or(Error::Closed)
    }

    /// Sends `payload` as one datagram, and returns its length. It waits where the socket is full.
    ///
    /// # Errors
    ///
    /// As [`DtlsSocket::send`](crate::DtlsSocket::send).
    pub async fn send(&self, payload: &[u8]) -> Result<usize, Error> {
        loop {
            match self.try_send(payload) {
                Err(Error::Socket(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket()?.writable().await?;
                }
                sent => return sent,
            }
        }
    }

    /// As [`send`](Self::send), without waiting: [`Error::Socket`] of kind `WouldBlock` where the socket is
    /// full, or tokio has not asked yet whether it is.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn try_send(&self, payload: &[u8]) -> Result<usize, Error> {
        let socket = self.socket()?;
        let mut buffer = buffers::lend();
        let len = self.0.association.seal(payload, &mut buffer)?;
        self.transmit(&socket, &buffer[..len], len)?;
        self.sent();
        Ok(payload.len())
    }

    /// Sends `payloads`, each as a datagram of its own, and returns how many were sent. Neighbours of one
    /// length (the last one may be shorter) go down in one call of the system. It waits where the socket is full,
    /// and has taken none.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), where not even the first was sent.
    pub async fn send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        loop {
            match self.try_send_batch(payloads) {
                Err(Error::Socket(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket()?.writable().await?;
                }
                sent => return sent,
            }
        }
    }

    /// As [`send_batch`](Self::send_batch), without waiting, as [`try_send`](Self::try_send).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn try_send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        let socket = self.socket()?;
        let transmit = |sealed: &[u8], segment| self.transmit(&socket, sealed, segment);
        let sent = datagrams::send_batch(self.association(), payloads, transmit)?;
        self.sent();
        Ok(sent)
    }

    /// As [`send`](Self::send), for callers without a runtime: the thread waits where the socket is full.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn blocking_send(&self, payload: &[u8]) -> Result<usize, Error> {
        let socket = self.socket()?;
        let mut buffer = buffers::lend();
        let len = self.0.association.seal(payload, &mut buffer)?;
        self.transmit_patiently(&socket, &buffer[..len], len)?;
        self.sent();
        Ok(payload.len())
    }

    /// As [`send_batch`](Self::send_batch), for callers without a runtime, as [`blocking_send`](Self::blocking_send).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn blocking_send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        let socket = self.socket()?;
        let transmit = |sealed: &[u8], segment| self.transmit_patiently(&socket, sealed, segment);
        let sent = datagrams::send_batch(self.association(), payloads, transmit)?;
        self.sent();
        Ok(sent)
    }

    /// As [`transmit`](Self::transmit), and waits while the socket is full. tokio is not asked, which learns of that
    /// only while somebody drives it.
    fn transmit_patiently(
        &self,
        socket: &UdpSocket,
        sealed: &[u8],
        segment: usize,
    ) -> io::Result<usize> {
        let segment = u16::try_from(segment).map_err(|_| Errno::MSGSIZE)?;
        datagrams::send_patiently(socket, || {
            send_train_to(socket, sealed, segment, &self.path())
        })
    }

    /// Sends sealed datagrams of `segment` bytes, the last one with what is left.
    fn transmit(&self, socket: &UdpSocket, sealed: &[u8], segment: usize) -> io::Result<usize> {
        let segment = u16::try_from(segment).map_err(|_| Errno::MSGSIZE)?;
        let path = self.path();
        socket.try_io(Interest::WRITABLE, || {
            Ok(send_train_to(socket, sealed, segment, &path)?)
        })
    }

    /// Data was sent.
    fn sent(&self) {
        self.touch();
        self.0
            .association
            .refresh(&mut |message| self.answer(message));
    }

    /// Sends a close_notify, once, if the socket has room for it. The listener forgets the association
    /// when the peer answers, and soon in any case.
    pub fn close(&self) {
        self.0.association.close(&mut |alert| self.answer(alert));
    }

    /// As [`blocking::DtlsSocket::attach`](crate::blocking::DtlsSocket::attach), but that what the listener has
    /// opened before is delivered as it was. Nothing was when it tells of an association
    /// ([`Event::Established`](crate::Event::Established)) or has added one. A program that ends what is received
    /// ends the association: its peer is told by a close_notify.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn attach<P>(&self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        self.0.association.attach(filter)
    }

    /// As [`blocking::DtlsSocket::detach`](crate::blocking::DtlsSocket::detach).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn detach(&self, direction: MessageDirection) -> Result<(), Error> {
        self.0.association.detach(direction)
    }

    /// As [`blocking::DtlsSocket::update_keys`](crate::blocking::DtlsSocket::update_keys); the listener repeats
    /// a KeyUpdate that is not acknowledged.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn update_keys(&self, request: bool) -> Result<(), Error> {
        let answer = &mut |message: &[u8]| self.answer(message);
        self.0.association.update_keys(request, answer)
    }

    /// Bytes that a datagram is longer than its payload.
    pub fn overhead(&self) -> usize {
        self.0.association.overhead()
    }

    /// Whether the key has sealed nearly all that it may: make a new association soon.
    pub fn wants_new_keys(&self) -> bool {
        self.0.association.wants_new_keys()
    }

    pub(super) fn association(&self) -> &Association {
        &self.0.association
    }

    pub(super) fn receive_id(&self) -> &ConnectionId {
        &self.0.receive_id
    }

    /// Whether it comes of the handshake with this ClientHello.
    pub(super) fn is_of(&self, hello: HelloTag) -> bool {
        self.0.hello == Some(hello)
    }

    /// Sends what need not arrive.
    pub(super) fn answer(&self, datagram: &[u8]) {
        if let Ok(socket) = self.socket() {
            send_once(&*socket, datagram, &self.path());
        }
    }

    /// Data was sent or received.
    pub(super) fn touch(&self) {
        let used = self.0.since.elapsed().as_millis();
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        self.0.used.store(used, Ordering::Relaxed);
    }

    pub(super) fn is_silent(&self, now: Instant, limit: Duration) -> bool {
        let age = now.saturating_duration_since(self.0.since);
        age.saturating_sub(Duration::from_millis(self.0.used.load(Ordering::Relaxed))) >= limit
    }
}

/// Sends what need not arrive, if the socket has room for it: also where tokio has not asked yet whether
/// it has. Neither end of it nor anybody between them is owed more.
pub(super) fn send_once(socket: impl AsFd, datagram: &[u8], path: &Path) {
    let segment = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
    let _ = send_train_to(socket, datagram, segment, path);
}

impl PartialEq for DtlsPeer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DtlsPeer {}

impl fmt::Debug for DtlsPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsPeer")
            .field("id", &self.id())
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
