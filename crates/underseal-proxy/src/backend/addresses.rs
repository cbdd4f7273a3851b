//! Which of a backend's addresses a connection is made to.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Target;
use super::connect::Failures;

/// How long one address is waited for alone (RFC 8305 section 8: its Connection Attempt Delay).
const ALONE: Duration = Duration::from_millis(250);

/// A connection that is being made: TCP first, then what is spoken on it. If that fails or is given up, others
/// do not ask the same address first: another one may do what it does not.
pub(super) struct Trial<'a> {
    pub(super) target: &'a Target,
    /// The one that accepted, from then on.
    pub(super) address: Option<SocketAddr>,
}

impl Target {
    pub(super) fn trial(&self) -> Trial<'_> {
        Trial {
            target: self,
            address: None,
        }
    }

    /// The addresses of a backend, and first the one that the last connection is to: who comes after does
    /// not wait for another one that does not answer.
    pub(super) fn order(&self, mut sockets: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let last = self.connected.get();
        if let Some(at) = sockets.iter().position(|socket| Some(*socket) == last) {
            sockets[..=at].rotate_right(1);
        }
        sockets
    }
}

impl Trial<'_> {
    /// Has the address asked first by who comes after.
    pub(super) fn succeeded(mut self) {
        self.target.connected.set(self.address.take());
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let connected = &self.target.connected;
        if self.address.is_some() && connected.get() == self.address {
            connected.set(None);
        }
    }
}

/// Attempts that are under way.
struct Attempts<F> {
    list: Vec<(SocketAddr, Pin<Box<F>>)>,
    failures: Failures,
}

/// Connects to the first address that accepts: they are tried in their order, the next one as soon as one
/// has failed or has been silent for a while, and those that are silent are waited for all the same.
pub(super) async fn connect_any(sockets: &[SocketAddr]) -> io::Result<TcpStream> {
    connect_by(sockets, TcpStream::connect).await
}

async fn connect_by<T, F: Future<Output = io::Result<T>>>(
    sockets: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut attempts = Attempts::default();
    let mut left = sockets.iter().copied();
    loop {
        if let Some(socket) = left.next() {
            attempts.list.push((socket, Box::pin(connect(socket))));
        }
        if attempts.list.is_empty() {
            return Err(attempts.failures.told());
        }
        let ended = poll_fn(|cx| attempts.poll(cx));
        let ended = match left.len() {
            0 => Some(ended.await),
            _ => timeout(ALONE, ended).await.ok(),
        };
        if let Some(Some(connected)) = ended {
            return Ok(connected);
        }
    }
}

impl<T, F: Future<Output = io::Result<T>>> Attempts<F> {
    /// The next one that ends: a connection, or none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        for index in 0..self.list.len() {
            let (socket, attempt) = &mut self.list[index];
            let Poll::Ready(ended) = attempt.as_mut().poll(cx) else {
                continue;
            };
            let socket = *socket;
            self.list.remove(index);
            return Poll::Ready(match ended {
                Ok(connected) => Some(connected),
                Err(error) => {
                    self.failures.add(&socket, error);
                    None
                }
            });
        }
        Poll::Pending
    }
}

impl<F> Default for Attempts<F> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            failures: Failures::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::TcpListener;
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore};
    use socket2::{Domain, Socket, Type};
    use underseal::TlsConnector;
    use underseal_server::current::{Current, Latest};
    use underseal_testkit::BlackHole;

    use super::*;
    use crate::backend::testing::{address, process};
    use crate::backend::{Backends, Unreachable};

    /// Where a connection is accepted and closed.
    fn closing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || listener.accept().map(drop));
        address
    }

    /// The address of a socket that does not listen.
    fn bound(socket: &Socket) -> SocketAddr {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a port");
        let address = socket.local_addr().expect("an address");
        address.as_socket().expect("an address")
    }

    /// What trusts nobody.
    fn connector() -> TlsConnector {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("it has them")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_while_one_is_silent() {
        let sockets = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        // One is silent, one refuses, and the third takes longer than it is waited for alone.
        let connect = async |socket: SocketAddr| match socket.port() {
            1 => pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            3 => {
                tokio::time::sleep(2 * ALONE).await;
                Ok(socket)
            }
            _ => pending().await,
        };
        // The clock goes on whenever there is nothing else to do.
        let connected = timeout(4 * ALONE, connect_by(&sockets, connect)).await;
        let connected = connected.expect("in time").expect("it accepts");
        assert_eq!(connected, sockets[2]);
    }

    #[tokio::test]
    async fn the_address_that_accepted_is_the_first_for_who_comes_next() {
        let (dead, listener) = (BlackHole::new(), TcpListener::bind("127.0.0.1:0"));
        // The kernel takes connections for it.
        let listener = listener.expect("a port");
        let live = listener.local_addr().expect("an address");
        let address = address(vec![dead.address, live]);
        let backends = Backends::new(&[address], None, None);
        let process = process(Duration::from_secs(60));
        let deadline = process.deadlines.add();
        let made = backends.connect(&process, &deadline, 0, None).await;
        let made = made.expect("a connection");
        assert_eq!(made.known.address, Some(live));
        let order = backends.targets[0].order(vec![dead.address, live]);
        assert_eq!(order, [live, dead.address]);
    }

    #[tokio::test]
    async fn an_address_that_accepts_and_then_fails_is_not_the_first_for_who_comes_next() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // For now it refuses.
        let (good, bad) = (bound(&socket), closing());
        let mut address = address(vec![good, bad]);
        address.tls = Some("a.test".try_into().expect("a name"));
        let connector = Latest::of(&Current::new(connector()));
        let backends = Backends::new(&[address], Some(connector), None);
        let process = process(Duration::from_secs(60));
        let deadline = process.deadlines.add();
        let made = backends.connect(&process, &deadline, 0, None).await;
        assert_eq!(made.err(), Some(Unreachable::Handshake));
        assert_eq!(backends.targets[0].order(vec![good, bad]), [good, bad]);
    }

    #[tokio::test]
    async fn an_address_that_falls_silent_is_not_the_first_for_who_comes_next() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let live = listener.local_addr().expect("an address");
        let other = SocketAddr::from(([127, 0, 0, 2], 9));
        let backends = Backends::new(&[address(vec![live])], None, None);
        let process = process(Duration::from_secs(60));
        let deadline = process.deadlines.add();
        let made = backends.connect(&process, &deadline, 0, None).await;
        assert!(made.is_ok());
        let order = || backends.targets[0].order(vec![other, live]);
        assert_eq!(order(), [live, other]);
        let begin = async |_| pending::<io::Result<()>>().await;
        let silent = backends.open_and(&process, (0, None), &begin);
        let waited = timeout(Duration::from_millis(50), silent).await;
        assert!(waited.is_err());
        assert_eq!(order(), [other, live]);
    }
}
