//! Many associations behind one UDP socket.

mod acceptor;
mod config;
mod counters;
mod demultiplexer;
mod event;
mod group;
mod handshake;
mod memory_io;
mod peer;
mod table;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use openssl::rand::rand_bytes;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use underseal_record::dtls::{ClientHello, CookieKey};
use underseal_sys::udp::{Path, receive_train_from, set_gro, set_packet_info};
use zeroize::Zeroizing;

use self::demultiplexer::{Cookies, Demultiplexer};
use self::group::{Inbox, Member, Steered};
use crate::datagrams::is_icmp;
use crate::{ConnectionIds, Error, Parts, buffers};

pub use acceptor::DtlsAcceptor;
pub use config::ListenerConfig;
pub use counters::{ListenerCounters, Unadmitted};
pub use event::{Established, Event};
pub use peer::DtlsPeer;

/// A UDP socket with many DTLS associations behind it.
///
/// Nothing is kept of a client before it has shown, by a cookie, that it receives at its address (RFC
/// 6347 section 4.2.1). Its handshake is then OpenSSL's, in memory, and its records are the
/// association's: found by the address that they come from, or by a connection ID.
///
/// [`recv`](Self::recv) is what drives it: datagrams are received, handshakes go on and silent
/// associations end while it is called, and wait in the socket otherwise. Nobody holds datagrams for an
/// application that has no time for them.
///
/// Dropping it ends its associations, each with a close_notify, and closes its socket, whoever has a [`DtlsPeer`] still; only a
/// [`send`](DtlsPeer::send) that waits for room keeps the socket until it is polled again or dropped. What the socket has not
/// given yet is lost, as with every UDP socket.
pub struct DtlsListener {
    socket: Arc<UdpSocket>,
    demultiplexer: Demultiplexer,
    inbox: Option<Inbox>,
    /// Whose turn it is, of inbox and socket: neither keeps the other waiting.
    is_inbox_turn: bool,
    buffer: Box<[u8]>,
    /// What is in the buffer, and was not looked at yet.
    train: Arrived,
    ticked: Instant,
}

/// Datagrams that came together.
struct Arrived {
    left: Range<usize>,
    /// Bytes of each, the last one excepted, which may be shorter.
    segment: usize,
    path: Path,
}

impl DtlsListener {
    /// Listens on `socket`, which is bound and not connected.
    ///
    /// # Errors
    ///
    /// [`Error::Setup`] if the system has no random bytes for a secret.
    pub fn new(
        socket: UdpSocket,
        acceptor: impl Into<DtlsAcceptor>,
        config: ListenerConfig,
    ) -> Result<Self, Error> {
        let cookies = Arc::new(cookies()?);
        Ok(Self::with(socket, acceptor.into(), config, cookies, None))
    }

    /// Listens on several sockets of one address (`SO_REUSEPORT`), one for each worker. `pick` says which
    /// worker a new association is for, by the client's address and its ClientHello, as a place in the list.
    ///
    /// The kernel spreads clients over the sockets by their addresses; where `pick` says otherwise, the
    /// client's datagrams are handed on from worker to worker, which costs a copy each. Handshakes are
    /// made by the worker that was picked, too. So are the datagrams of an association that was added with a connection
    /// ID: they are its worker's, whatever address they come from. `config` is for each worker, and the length of
    /// connection IDs is the same for all.
    ///
    /// With a listener that is dropped its socket leaves the group, and the kernel spreads the clients over those that are left,
    /// unless somebody has a duplicate of the socket's descriptor.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn group(
        sockets: Vec<UdpSocket>,
        acceptor: impl Into<DtlsAcceptor>,
        config: &ListenerConfig,
        pick: impl Fn(SocketAddr, &ClientHello<'_>) -> usize + Send + Sync + 'static,
    ) -> Result<Vec<Self>, Error> {
        let (acceptor, cookies) = (acceptor.into(), Arc::new(cookies()?));
        let members = group::members(sockets.len(), Box::new(pick));
        let listener = |(socket, member)| {
            let (acceptor, config) = (acceptor.clone(), config.clone());
            Self::with(socket, acceptor, config, Arc::clone(&cookies), Some(member))
        };
        Ok(sockets.into_iter().zip(members).map(listener).collect())
    }

    fn with(
        socket: UdpSocket,
        acceptor: DtlsAcceptor,
        config: ListenerConfig,
        cookies: Arc<Cookies>,
        member: Option<(Member, Inbox)>,
    ) -> Self {
        // Where the kernel knows neither, datagrams come one by one, and answers leave as its routes say.
        let _ = set_gro(&socket, true);
        let _ = set_packet_info(&socket, true);
        let socket = Arc::new(socket);
        let (member, inbox) = member.unzip();
        let shared = Arc::clone(&socket);
        Self {
            socket,
            demultiplexer: Demultiplexer::new(shared, acceptor, config, cookies, member),
            inbox,
            is_inbox_turn: false,
            buffer: vec![0; buffers::LEN].into_boxed_slice(),
            train: Arrived::none(),
            ticked: Instant::now(),
        }
    }

    /// Waits until something happens that the application is to know of. Of a payload, as much as fits is
    /// copied to `buffer`, and the rest is lost.
    ///
    /// What belongs to nobody, or does not open, is dropped, counted, and waited on. A call that is
    /// cancelled has lost nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`]: the socket's own.
    pub async fn recv(&mut self, buffer: &mut [u8]) -> Result<Event, Error> {
        loop {
            // Whoever sends much, forged or not, is no reason to keep the thread.
            tokio::task::coop::consume_budget().await;
            self.tick();
            if let Some(event) = self.demultiplexer.next(buffer) {
                return Ok(event);
            }
            if !self.take(buffer)?
                && let Some(steered) = self.wait().await?
            {
                self.arrive(steered, buffer);
            }
            // What was copied to the buffer is this call's: nothing may come in between.
            if let Some(event) = self.demultiplexer.next(buffer) {
                return Ok(event);
            }
        }
    }

    /// Takes one datagram of the socket's or of another worker's; `false` where there is none.
    fn take(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        self.is_inbox_turn = !self.is_inbox_turn;
        Ok(match self.is_inbox_turn {
            true => self.take_steered(buffer) || self.receive(buffer)?,
            false => self.receive(buffer)? || self.take_steered(buffer),
        })
    }

    fn take_steered(&mut self, buffer: &mut [u8]) -> bool {
        let Some(Ok(steered)) = self.inbox.as_mut().map(Inbox::try_recv) else {
            return false;
        };
        self.arrive(steered, buffer);
        true
    }

    fn arrive(&mut self, steered: Steered, buffer: &mut [u8]) {
        let Steered {
            path, mut datagram, ..
        } = steered;
        self.demultiplexer.arrive(path, &mut datagram, buffer);
    }

    /// Takes one datagram that the socket has, or had; `false` where there is none.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        if self.train.left.is_empty() {
            match self.receive_train() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if is_icmp(&error) => {
                    self.demultiplexer.tally.records.icmp_errors.one();
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let (place, path) = (self.train.next(), self.train.path);
        let datagram = &mut self.buffer[place];
        self.demultiplexer.arrive(path, datagram, buffer);
        Ok(true)
    }

    /// Receives a datagram, or several of one peer and size.
    fn receive_train(&mut self) -> io::Result<()> {
        let (socket, buffer) = (&*self.socket, &mut self.buffer);
        let (train, path) = socket.try_io(Interest::READABLE, || {
            Ok(receive_train_from(socket, buffer)?)
        })?;
        self.train = Arrived {
            left: 0..train.len,
            segment: train.segment,
            path,
        };
        Ok(())
    }

    /// Waits for the socket, for another worker, or until something is due.
    async fn wait(&mut self) -> Result<Option<Steered>, Error> {
        let pace = self.demultiplexer.pace();
        let due = pace.map(|pace| tokio::time::Instant::from_std(self.ticked + pace));
        let tick = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let steered = async {
            match &mut self.inbox {
                Some(inbox) => inbox.recv().await,
                None => None,
            }
        };
        tokio::select! {
            readable = self.socket.readable() => {
                readable?;
                Ok(None)
            }
            Some(steered) = steered => Ok(Some(steered)),
            () = tick => Ok(None),
        }
    }

    fn tick(&mut self) {
        let Some(pace) = self.demultiplexer.pace() else {
            return;
        };
        let now = Instant::now();
        if now.saturating_duration_since(self.ticked) >= pace {
            self.ticked = now;
            self.demultiplexer.tick(now);
        }
    }

    /// Adds an association whose handshake was made elsewhere, found by the connection ID in
    /// `ids.receive` or, where that is empty, by `address`. In a [`group`](Self::group) it is found whichever worker the
    /// kernel gives its datagrams to, unless that one has another association with the same address.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyAssociations`]; [`Error::ConnectionId`] for one of another length than
    /// [`ListenerConfig::connection_id_len`], that another association of any worker has, or in `ids.receive` under DTLS 1.3, whose
    /// records are found by their address alone.
    pub fn add(
        &mut self,
        address: SocketAddr,
        parts: Parts,
        ids: ConnectionIds,
    ) -> Result<DtlsPeer, Error> {
        self.demultiplexer.add(address, parts, ids)
    }

    /// Makes the handshakes that begin from now on with `acceptor`: other certificates, for example.
    pub fn set_acceptor(&mut self, acceptor: impl Into<DtlsAcceptor>) {
        self.demultiplexer.acceptor = acceptor.into();
    }

    /// Whether handshakes are begun; those under way and the associations go on.
    pub fn set_admitting(&mut self, admits: bool) {
        self.demultiplexer.admits = admits;
    }

    /// The associations there are, in no order.
    pub fn peers(&self) -> impl Iterator<Item = &DtlsPeer> {
        self.demultiplexer.table.peers()
    }

    /// What was sent, received and dropped so far.
    pub fn counters(&self) -> ListenerCounters {
        self.demultiplexer.tally.read()
    }

    /// The socket: for its address and options. Whatever is sent through it is not sealed.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}

impl Arrived {
    fn none() -> Self {
        Self {
            left: 0..0,
            segment: 0,
            path: Path::from(SocketAddr::from(([0; 4], 0))),
        }
    }

    /// The place of the next datagram.
    fn next(&mut self) -> Range<usize> {
        let start = self.left.start;
        self.left.start = self.left.end.min(start + self.segment);
        start..self.left.start
    }
}

fn cookies() -> Result<Cookies, Error> {
    let mut secret = Zeroizing::new([0; 32]);
    rand_bytes(&mut secret[..])?;
    Ok(Cookies {
        key: CookieKey::new(&secret),
        since: Instant::now(),
    })
}

impl fmt::Debug for DtlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsListener")
            .field("socket", &self.socket)
            .field("associations", &self.demultiplexer.table.len())
            .finish_non_exhaustive()
    }
}
