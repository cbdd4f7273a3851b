//! The socket that clients send to: a DTLS listener, or plain UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use underseal_dtls::{
    Discard, DtlsAcceptor, DtlsListener, DtlsPeer, Error, Event, ListenerConfig, Unadmitted,
    is_icmp,
};
use underseal_server::current::Latest;

use super::client::Facts;
use crate::process::Process;
use crate::worker::Worker;

/// How much longer than a client's task the listener waits for the next datagram: the task, which also
/// knows of the backend, ends the association.
const LONGER: Duration = Duration::from_secs(60);

pub(super) enum Front {
    Dtls(Box<Listener>),
    Plain {
        socket: Arc<UdpSocket>,
        admits: bool,
    },
}

pub(super) struct Listener {
    listener: DtlsListener,
    acceptor: Latest<DtlsAcceptor>,
    /// The one that the listener has.
    current: Arc<DtlsAcceptor>,
}

/// Which client it is: of several associations of one address, one after the other, which of them.
pub(super) type Key = (SocketAddr, u64);

/// What happened at the socket.
pub(super) enum Arrival {
    /// A client has finished its handshake.
    Client(Client, Box<Facts>),
    /// A payload of so many bytes is in the buffer.
    Datagram(Client, usize),
    /// A client has left.
    Ended(Key),
    HandshakeFailed(SocketAddr, Error),
}

/// A client, as it is answered.
#[derive(Clone)]
pub(super) enum Client {
    Dtls(DtlsPeer),
    Plain(Arc<UdpSocket>, SocketAddr),
}

impl Front {
    pub(super) fn new(worker: &Worker, socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        let settings = &worker.listener.settings;
        let Some(acceptor) = &settings.dtls_acceptor else {
            return Ok(Self::Plain {
                socket: Arc::new(socket),
                admits: true,
            });
        };
        let acceptor = Latest::of(acceptor);
        let current = Arc::clone(&acceptor.get());
        let mut config = ListenerConfig::default();
        config.max_associations = settings.max_clients;
        config.handshake_timeout = worker.process.timeouts().header;
        config.idle_timeout = worker.process.timeouts().idle.saturating_add(LONGER);
        let listener = DtlsListener::new(socket, (*current).clone(), config)?;
        Ok(Self::Dtls(Box::new(Listener {
            listener,
            acceptor,
            current,
        })))
    }

    /// Waits for what is next; a payload is in `buffer`. A call that is cancelled has lost nothing.
    pub(super) async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Arrival> {
        loop {
            match self {
                Self::Dtls(own) => {
                    if let Some(arrival) = arrival(own.listener.recv(buffer).await?) {
                        return Ok(arrival);
                    }
                }
                Self::Plain { socket, .. } => match socket.recv_from(buffer).await {
                    Ok((len, from)) => {
                        let client = Client::Plain(Arc::clone(socket), from);
                        return Ok(Arrival::Datagram(client, len));
                    }
                    // What ICMP says of a datagram that was sent, anybody can say.
                    Err(error) if is_icmp(&error) => {}
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Takes no new clients any more.
    pub(super) fn admit_nobody(&mut self) {
        match self {
            Self::Dtls(own) => own.listener.set_admitting(false),
            Self::Plain { admits, .. } => *admits = false,
        }
    }

    /// Whether a client begins with its first datagram.
    pub(super) fn begins_with_datagrams(&self) -> bool {
        matches!(self, Self::Plain { admits: true, .. })
    }

    /// Takes over a certificate that was loaded again, and counts.
    pub(super) fn tick(&mut self, process: &Process) {
        let Self::Dtls(own) = self else {
            return;
        };
        let latest = Arc::clone(&own.acceptor.get());
        if !Arc::ptr_eq(&latest, &own.current) {
            own.listener.set_acceptor((*latest).clone());
            own.current = latest;
        }
        let counters = own.listener.counters();
        let records = Discard::ALL.map(|why| (why.name(), counters.records.dropped(why)));
        let others = Unadmitted::ALL.map(|why| (why.name(), counters.unadmitted(why)));
        let dropped = records.into_iter().chain(others);
        process.tally.datagrams(counters.verify_requests, dropped);
    }
}

fn arrival(event: Event) -> Option<Arrival> {
    match event {
        Event::Established(new) => {
            let facts = Facts::new(new.server_name, new.cipher_suite, new.certificate);
            Some(Arrival::Client(Client::Dtls(new.peer), Box::new(facts)))
        }
        Event::Datagram { peer, len, .. } => Some(Arrival::Datagram(Client::Dtls(peer), len)),
        Event::Ended { peer, why, .. } => {
            tracing::debug!("association with {} ended: {why}", peer.address());
            Some(Arrival::Ended(Client::Dtls(peer).key()))
        }
        Event::HandshakeFailed { address, why, .. } => Some(Arrival::HandshakeFailed(address, why)),
        _ => None,
    }
}

impl Client {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Dtls(peer) => (peer.address(), peer.id()),
            Self::Plain(_, address) => (*address, 0),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.key().0
    }

    /// Sends a datagram, as far as that is UDP's business: one that is lost here might have been lost
    /// elsewhere.
    ///
    /// # Errors
    /// If the payload is too long for a record; any other means that the association is over.
    pub(super) async fn send(&self, payload: &[u8]) -> Result<(), Error> {
        let sent = match self {
            Self::Dtls(peer) => peer.send(payload).await,
            Self::Plain(socket, address) => {
                let sent = socket.send_to(payload, *address).await;
                sent.map_err(Error::from)
            }
        };
        match sent {
            Ok(_) | Err(Error::Socket(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) fn close(&self) {
        if let Self::Dtls(peer) = self {
            peer.close();
        }
    }
}
