//! Which of a backend's addresses a connection is made to.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use tokio::time::timeout;

use super::Target;
use super::connect::Failures;

/// How long one address is waited for alone (RFC 8305 section 8: its Connection Attempt Delay).
const ALONE: Duration = Duration::from_millis(250);

/// What came of a backend's addresses. A connection is one once TLS, and HTTP/2, have begun.
#[derive(Default)]
pub(super) struct Tried {
    /// The one that the last connection is to.
    connected: Cell<Option<SocketAddr>>,
    /// Those that accepted and then failed, or said nothing in time, the last of them last.
    failed: RefCell<Vec<SocketAddr>>,
}

impl Tried {
    /// The addresses, and first the one that the last connection is to: who comes after does not wait for
    /// another one that does not answer. Last are those that accept and do nothing else.
    fn order(&self, mut sockets: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let connected = self.connected.get();
        let mut failed = self.failed.borrow_mut();
        // The name may stand for others now.
        failed.retain(|known| sockets.contains(known));
        let failure = |socket: &SocketAddr| failed.iter().position(|known| known == socket);
        sockets.sort_by_key(|socket| (failure(socket), Some(*socket) != connected));
        sockets
    }

    fn succeeded(&self, address: SocketAddr) {
        self.connected.set(Some(address));
        self.failed.borrow_mut().retain(|known| *known != address);
    }

    fn failed(&self, address: SocketAddr) {
        if self.connected.get() == Some(address) {
            self.connected.set(None);
        }
        let mut failed = self.failed.borrow_mut();
        failed.retain(|known| *known != address);
        failed.push(address);
    }
}

/// A connection that is being made: TCP first, then what is spoken on it. One that is dropped has found out
/// nothing: whoever wanted it may have left.
pub(crate) struct Trial<'a> {
    index: usize,
    pub(super) target: &'a Target,
    /// The one that accepted, until it is known what came of it.
    address: Cell<Option<SocketAddr>>,
}

impl Target {
    /// A connection that is to be made to this backend, the one of number `index`.
    pub(super) fn trial(&self, index: usize) -> Trial<'_> {
        Trial {
            index,
            target: self,
            address: Cell::new(None),
        }
    }

    /// Its addresses, in the order in which they are to be tried.
    pub(super) fn order(&self, sockets: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.tried.order(sockets)
    }
}

impl Trial<'_> {
    /// Which of the backends it is of.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Notes which address accepted.
    pub(super) fn accepted(&self, address: SocketAddr) {
        self.address.set(Some(address));
    }

    /// Has the address that accepted asked first by who comes after.
    pub(super) fn succeeded(&self) {
        if let Some(address) = self.address.take() {
            self.target.tried.succeeded(address);
        }
    }

    /// Has it asked last: another one may do what it does not.
    pub(super) fn failed(&self) {
        if let Some(address) = self.address.take() {
            self.target.tried.failed(address);
        }
    }
}

/// Connects to one address after the other, in their order: to the next one as soon as one has failed or has
/// been silent for a while, and those that are silent are waited for all the same.
pub(super) struct Dialing<C, F> {
    connect: C,
    left: vec::IntoIter<SocketAddr>,
    /// Attempts that are under way.
    attempts: Vec<(SocketAddr, Pin<Box<F>>)>,
    failures: Failures,
}

impl<T, C, F> Dialing<C, F>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    /// To these addresses, by `connect`.
    pub(super) fn new(sockets: Vec<SocketAddr>, connect: C) -> Self {
        Self {
            connect,
            left: sockets.into_iter(),
            attempts: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// The next address that accepts. Whoever is called once more has no use for the one before.
    ///
    /// # Errors
    /// What all that did not accept did, once there is no other.
    pub(super) async fn next(&mut self) -> io::Result<(SocketAddr, T)> {
        loop {
            if let Some(socket) = self.left.next() {
                self.attempts
                    .push((socket, Box::pin((self.connect)(socket))));
            }
            if self.attempts.is_empty() {
                return Err(std::mem::take(&mut self.failures).told());
            }
            let is_last = self.left.len() == 0;
            let ended = poll_fn(|cx| self.poll(cx));
            let ended = match is_last {
                true => Some(ended.await),
                false => timeout(ALONE, ended).await.ok(),
            };
            if let Some(Some(connected)) = ended {
                return Ok(connected);
            }
        }
    }

    /// The next attempt that ends: a connection, or none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(SocketAddr, T)>> {
        for index in 0..self.attempts.len() {
            let (socket, attempt) = &mut self.attempts[index];
            let Poll::Ready(ended) = attempt.as_mut().poll(cx) else {
                continue;
            };
            let socket = *socket;
            self.attempts.remove(index);
            return Poll::Ready(match ended {
                Ok(connected) => Some((socket, connected)),
                Err(error) => {
                    self.failures.add(&socket, error);
                    None
                }
            });
        }
        Poll::Pending
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
    use underseal_server::deadline::Deadline;
    use underseal_testkit::BlackHole;

    use super::*;
    use crate::backend::testing::{address, process};
    use crate::backend::{Backend, Backends, Unreachable};
    use crate::process::Process;

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
        let mut dialing = Dialing::new(sockets.to_vec(), connect);
        let connected = timeout(4 * ALONE, dialing.next()).await;
        let connected = connected.expect("in time").expect("it accepts");
        assert_eq!(connected, (sockets[2], sockets[2]));
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
    async fn an_address_behind_one_that_accepts_and_fails_is_tried_at_once() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [bad, good] = listeners.each_ref().map(|listener| {
            let address = listener.local_addr();
            address.expect("an address")
        });
        let backends = Backends::new(&[address(vec![bad, good])], None, None);
        let process = process(Duration::from_secs(60));
        let begin = async |backend: Box<Backend>| match backend.known.address {
            Some(address) if address == bad => Err(io::ErrorKind::UnexpectedEof.into()),
            address => Ok(address),
        };
        let began = || async {
            let trial = backends.targets[0].trial(0);
            backends.open_and(&process, &trial, None, &begin).await
        };
        assert_eq!(began().await.expect("a connection"), Some(good));
        assert_eq!(backends.targets[0].order(vec![bad, good]), [good, bad]);
        // As soon as it does what it should, it is what it was.
        backends.targets[0].tried.succeeded(bad);
        assert_eq!(backends.targets[0].order(vec![good, bad]), [bad, good]);
    }

    #[tokio::test]
    async fn of_addresses_that_all_fail_the_one_that_failed_last_is_the_last() {
        let [one, other] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], 9)));
        let tried = Tried::default();
        for (failed, order) in [
            (one, [other, one]),
            (other, [one, other]),
            (one, [other, one]),
        ] {
            tried.failed(failed);
            assert_eq!(tried.order(vec![one, other]), order);
        }
        // What the name does not stand for any more is forgotten.
        assert_eq!(tried.order(vec![other]), [other]);
        assert_eq!(tried.order(vec![one, other]), [one, other]);
    }

    /// A backend at `live`, and what is asked of it: a connection that then is silent.
    async fn silence(backends: &Backends, process: &Process, deadline: &Deadline) {
        let begin = async |_| pending::<io::Result<()>>().await;
        let open = async |trial: &Trial<'_>| backends.open_and(process, trial, None, &begin).await;
        let opened = backends.connect_by(process, deadline, 0, open).await;
        assert_eq!(opened, Err(Unreachable::TimedOut));
    }

    #[tokio::test]
    async fn an_address_that_falls_silent_is_not_the_first_for_who_comes_next() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let live = listener.local_addr().expect("an address");
        let other = SocketAddr::from(([127, 0, 0, 2], 9));
        let backends = Backends::new(&[address(vec![live])], None, None);
        let process = process(Duration::from_millis(50));
        let deadline = process.deadlines.add();
        let sweeps = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                process.deadlines.sweep();
            }
        };
        tokio::select! {
            () = silence(&backends, &process, &deadline) => {}
            () = sweeps => {}
        }
        let order = backends.targets[0].order(vec![live, other]);
        assert_eq!(order, [other, live]);
    }

    #[tokio::test]
    async fn a_client_that_leaves_meanwhile_says_nothing_of_an_address() {
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
        let asked = silence(&backends, &process, &deadline);
        let left = timeout(Duration::from_millis(50), asked).await;
        assert!(left.is_err());
        assert_eq!(order(), [live, other]);
    }
}
