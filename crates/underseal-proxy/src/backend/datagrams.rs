//! Sockets to backends that are sent datagrams: one for each client.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustls_pki_types::CertificateDer;
use tokio::net::UdpSocket;
use underseal_dtls::{DtlsSocket, Error, is_icmp};
use underseal_server::deadline::Deadline;
use underseal_server::live::{Established, Registration};

use super::addresses::Trial;
use super::connect::{Failure, Failures, refused};
use super::{Backends, Known, Sockets, Target, Unreachable};
use crate::datagrams::VERSION;
use crate::exchange::Connected;
use crate::metrics::{Handshake, Open, Side};
use crate::principal::Principal;
use crate::process::Process;
use crate::service::Service;

/// A socket to a backend.
pub(crate) struct DatagramBackend {
    socket: Socket,
    pub(crate) known: Known,
    pub(crate) registration: Option<Registration>,
    _open: Open,
}

enum Socket {
    Plain(UdpSocket),
    Dtls(Box<DtlsSocket>),
}

impl Connected for DatagramBackend {
    fn known(&self) -> &Known {
        &self.known
    }
}

/// A socket, where it leads, the SPIFFE ID that was proved, and the registration among the connections.
type Opened = (Socket, SocketAddr, Option<Rc<str>>, Option<Registration>);

impl Backends {
    /// A socket to the backend whose turn it is. Whether anybody listens there, only DTLS finds out.
    ///
    /// # Errors
    /// What the last backend did.
    pub(crate) async fn connect_datagrams(
        &self,
        process: &Process,
        service: &Service,
        deadline: &Deadline,
    ) -> Result<DatagramBackend, Unreachable> {
        let first = self.pick();
        let open = async |trial: &Trial<'_>| {
            let opened = open(process, service, trial.target).await?;
            let (socket, address, principal, registration) = opened;
            Ok(DatagramBackend {
                socket,
                known: Known {
                    target: trial.index(),
                    address: Some(address),
                    principal,
                    sni: trial.target.sni.clone(),
                },
                registration,
                _open: process.tally.connection(Side::Backend),
            })
        };
        self.connect_by(process, deadline, first, open).await
    }
}

async fn open(process: &Process, service: &Service, target: &Target) -> Result<Opened, Failure> {
    let sockets = match &target.sockets {
        Sockets::Addresses(sockets) => sockets.get().to_vec(),
        // No datagrams are sent there.
        Sockets::Path(_) => Vec::new(),
    };
    let socket = connect_any(&sockets).await.map_err(refused)?;
    if service.settings.reserve.is_reached_by(&socket) {
        return Err(refused(Errno::MFILE.into()));
    }
    let (local, address) = ends(&socket).map_err(refused)?;
    let (Some(name), Some(connector)) = (&target.address.tls, &service.dtls_connector) else {
        return Ok((Socket::Plain(socket), address, None, None));
    };
    let connector = Arc::clone(&connector.get());
    let failed = |error: io::Error| {
        process.tally.handshake(Side::Backend, Handshake::Failed);
        (Unreachable::Handshake, error)
    };
    let limit = process.timeouts().connect;
    let agreed = Box::pin(connector.connect(name, socket, limit)).await;
    let (socket, suite, certificate) = agreed.map_err(failed)?;
    let certificate = certificate.map(CertificateDer::from);
    let principal = Principal::of_backend(Some(certificate.as_slice())).map_err(failed)?;
    process.tally.handshake(Side::Backend, Handshake::Complete);
    let registration = process.connections.add(Established {
        local,
        peer: address,
        tls: Some(VERSION),
        suite,
    });
    let socket = Socket::Dtls(Box::new(socket));
    Ok((socket, address, principal, Some(registration)))
}

fn ends(socket: &UdpSocket) -> io::Result<(SocketAddr, SocketAddr)> {
    Ok((socket.local_addr()?, socket.peer_addr()?))
}

/// A socket that hears only the first address that there is a way to.
async fn connect_any(sockets: &[SocketAddr]) -> io::Result<UdpSocket> {
    let mut failures = Failures::default();
    for address in sockets {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let connected = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await.map(|()| socket)
        };
        match connected.await {
            Ok(socket) => return Ok(socket),
            Err(error) => failures.add(address, error),
        }
    }
    Err(failures.told())
}

impl DatagramBackend {
    /// Sends a datagram, as far as that is UDP's business.
    ///
    /// # Errors
    /// If the payload is too long for a record; any other means that the association is over.
    pub(crate) async fn send(&self, payload: &[u8]) -> Result<(), Error> {
        let sent = match &self.socket {
            Socket::Plain(socket) => socket.send(payload).await.map_err(Error::from),
            Socket::Dtls(socket) => socket.send(payload).await,
        };
        match sent {
            Ok(_) | Err(Error::Socket(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until there may be a datagram.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Plain(socket) => socket.readable().await,
            Socket::Dtls(socket) => socket.socket().readable().await,
        }
    }

    /// What [`recv`](Self::recv) has without waiting.
    pub(crate) fn try_recv(
        &self,
        buffer: &mut [u8],
    ) -> Option<Result<Option<usize>, Option<&'static str>>> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.recv(buffer)).poll(&mut context) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        }
    }

    /// Waits for a datagram; `None` where the backend's host says that nobody listens, which may be over
    /// soon.
    ///
    /// # Errors
    /// If the association is over, or the socket fails: the [`word`] for it.
    async fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, Option<&'static str>> {
        let received = match &self.socket {
            Socket::Plain(socket) => socket.recv(buffer).await.map_err(Error::from),
            Socket::Dtls(socket) => socket.recv(buffer).await,
        };
        match received {
            Ok(len) => Ok(Some(len)),
            Err(Error::Socket(error)) if is_icmp(&error) => Ok(None),
            Err(error) => Err(word(&error)),
        }
    }
}

/// How it is logged that the association is over; `None` where the backend closed it in order.
pub(crate) fn word(error: &Error) -> Option<&'static str> {
    match error {
        Error::ClosedByPeer | Error::Closed => None,
        _ => Some("backend-cut"),
    }
}

impl Drop for DatagramBackend {
    fn drop(&mut self) {
        if let Socket::Dtls(socket) = &self.socket {
            socket.close();
        }
    }
}
