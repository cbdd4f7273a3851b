//! Several workers with a socket each, and a hook that picks who has which client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use openssl::ssl::SslStream;
use socket2::{Domain, Socket, Type};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{DtlsListener, Error, Event, ListenerConfig};
use underseal_record::ContentType;
use underseal_record::dtls::{ClientHello, Sealer};
use underseal_testkit::PATIENCE;

use super::addresses::{ids, keys};
use super::paths::parts;
use super::{Echo, Told, exchange};
use crate::{SUITES, certificates, client, recv, server_context, socket_to};

pub(super) fn shared(address: SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.into()
}

/// A worker in a thread of its own, and one that the caller drives. The sockets are the runtime's.
pub(crate) fn pair(
    runtime: &tokio::runtime::Runtime,
    pick: impl Fn(SocketAddr, &ClientHello<'_>) -> usize + Send + Sync + 'static,
) -> (Echo, DtlsListener) {
    let certificates = Arc::new(certificates());
    let first = shared(([127, 0, 0, 1], 0).into());
    let second = shared(first.local_addr().unwrap());
    let context = server_context(&certificates);
    let _guard = runtime.enter();
    let own = [&first, &second].map(adopt).into();
    let listeners = DtlsListener::group(own, context, &ListenerConfig::default(), pick);
    let mut listeners = listeners.unwrap();
    let (driven, listener) = (listeners.pop().unwrap(), listeners.pop().unwrap());
    (Echo::with(certificates, first, move |_| listener), driven)
}

pub(super) fn adopt(socket: &UdpSocket) -> tokio::net::UdpSocket {
    let socket = socket.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(socket).unwrap()
}

/// Whatever socket the kernel gives a client to, its worker is the one that was picked, from the
/// handshake on.
#[test]
fn a_new_association_is_the_pickeds_and_stays_so() {
    let certificates = Arc::new(certificates());
    let first = shared(([127, 0, 0, 1], 0).into());
    let second = shared(first.local_addr().unwrap());
    let sockets = [first, second];
    let context = server_context(&certificates);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let own = sockets.iter().map(adopt).collect();
    let config = ListenerConfig::default();
    let listeners = DtlsListener::group(own, context, &config, |from, _| {
        usize::from(from.port() % 2)
    });
    let listeners = listeners.unwrap();
    let mut workers = Vec::new();
    for (listener, socket) in listeners.into_iter().zip(sockets) {
        let certificates = Arc::clone(&certificates);
        workers.push(Echo::with(certificates, socket, move |_| listener));
    }
    let clients: Vec<_> = (0..16).map(|_| workers[0].connect()).collect();
    for round in 0..2 {
        for client in &clients {
            exchange(client, &format!("round {round}"));
        }
    }
    for (index, worker) in workers.iter().enumerate() {
        let ports = worker.ask(|listener| {
            let ports = listener.peers().map(|peer| peer.address().port());
            ports.collect::<Vec<_>>()
        });
        let expected = clients
            .iter()
            .map(|client| client.socket().local_addr().unwrap().port());
        let expected = expected.filter(|port| usize::from(port % 2) == index);
        assert_eq!(ports.len(), expected.count());
        assert!(ports.iter().all(|port| usize::from(port % 2) == index));
        assert_eq!(worker.counters().all_unadmitted(), 0);
    }
    clients.iter().for_each(|client| client.close());
    for (index, worker) in workers.iter().enumerate() {
        let of_worker = clients.iter().filter(|client| {
            usize::from(client.socket().local_addr().unwrap().port() % 2) == index
        });
        for _ in of_worker {
            while !matches!(worker.next(), Told::Ended(Error::ClosedByPeer)) {}
        }
    }
}

/// A client's socket that reads no more than it may.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) socket: UdpSocket,
    reads: usize,
}

impl Read for Allowed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reads = self.reads.checked_sub(1);
        self.reads = reads.ok_or(io::ErrorKind::WouldBlock)?;
        self.socket.recv(buffer)
    }
}

impl Write for Allowed {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send(datagram)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client's handshake up to where the server waits for its second flight.
pub(super) fn half_done(server: &Echo, socket: UdpSocket) -> SslStream<Allowed> {
    let mut ssl = client(&server.certificates, SUITES[0]);
    ssl.set_connect_state();
    // The request for a cookie.
    let mut stream = SslStream::new(ssl, Allowed { socket, reads: 1 }).unwrap();
    assert!(stream.do_handshake().is_err(), "it may read no more");
    stream.get_ref().socket.peek(&mut [0; 1]).unwrap();
    stream.get_mut().reads = usize::MAX;
    stream
}

/// Which is so for as many clients as the kernel gives to the other worker: half of them.
#[test]
fn a_client_that_ends_its_association_during_its_next_handshake_keeps_its_worker() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (picked, mut other) = pair(&runtime, |_, _| 0);
    runtime.spawn(async move { while other.recv(&mut []).await.is_ok() {} });
    for round in 0..10 {
        let socket = socket_to(picked.address);
        let again = socket.try_clone().unwrap();
        let before = picked.connect_by(socket);
        picked.established();
        let mut next = half_done(&picked, again);
        before.close();
        assert!(matches!(picked.next(), Told::Ended(Error::ClosedByPeer)));
        next.do_handshake().unwrap();
        picked.established();
        next.write_all(&[round]).unwrap();
        let mut answer = [0; 100];
        assert_eq!(next.read(&mut answer).unwrap(), 1);
        assert_eq!(answer[0], round);
        assert!(matches!(picked.next(), Told::Datagram(..)));
    }
}

/// The kernel spreads datagrams by their address, and a connection ID comes from many.
#[tokio::test]
async fn a_connection_id_finds_its_worker_whatever_socket_its_datagrams_come_to() {
    const CLIENTS: usize = 32;
    let first = shared(([127, 0, 0, 1], 0).into());
    let second = shared(first.local_addr().unwrap());
    let (address, context) = (first.local_addr().unwrap(), server_context(&certificates()));
    let (own, config) = (
        [&first, &second].map(adopt).into(),
        ListenerConfig::default(),
    );
    let listeners = DtlsListener::group(own, context, &config, |_, _| 0).unwrap();
    let [mut other, mut owner] = <[_; 2]>::try_from(listeners).unwrap();
    owner.add(address, parts(0), ids()).unwrap();
    let taken = other.add(address, parts(0), ids());
    assert!(matches!(taken, Err(Error::ConnectionId)), "{taken:?}");
    tokio::spawn(async move { while other.recv(&mut []).await.is_ok() {} });
    let mut sealer = Sealer::new(keys(1));
    sealer.set_connection_id(ids().receive);
    for _ in 0..CLIENTS {
        let client = socket_to(address);
        let mut datagram = vec![0; 1 + sealer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        sealer.seal(data, b"x", &mut datagram).unwrap();
        client.send(&datagram).unwrap();
        let mut buffer = [0; 100];
        let event = tokio::time::timeout(PATIENCE, owner.recv(&mut buffer)).await;
        match event.expect("it is handed on").unwrap() {
            Event::Datagram { from, .. } => assert_eq!(from, client.local_addr().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

/// Whoever holds a peer of a worker that is gone keeps nobody out: of as many new clients the kernel would give that worker's
/// socket half.
#[test]
fn a_worker_that_is_gone_has_no_new_clients_although_somebody_holds_a_peer_of_it() {
    let certificates = Arc::new(certificates());
    let first = shared(([127, 0, 0, 1], 0).into());
    let second = shared(first.local_addr().unwrap());
    let context = server_context(&certificates);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let guard = runtime.enter();
    let sockets = [&first, &second].map(adopt).into();
    drop(second);
    let config = ListenerConfig::default();
    let listeners = DtlsListener::group(sockets, context, &config, |_, _| 1).unwrap();
    let [left, mut leaves] = <[_; 2]>::try_from(listeners).unwrap();
    drop(guard);
    let left = Echo::with(certificates, first, move |_| left);
    let (address, certificates) = (left.address, Arc::clone(&left.certificates));
    let connecting = std::thread::spawn(move || {
        let ssl = client(&certificates, SUITES[0]);
        DtlsSocket::connect(ssl, socket_to(address), PATIENCE).unwrap()
    });
    let established = runtime.block_on(leaves.recv(&mut [])).unwrap();
    let Event::Established(established) = established else {
        panic!("{established:?}");
    };
    let its_client = connecting.join().unwrap();
    drop(leaves);
    // Its clients learn of it, and may begin anew.
    assert!(matches!(recv(&its_client), Err(Error::ClosedByPeer)));
    let sent = established.peer.try_send(b"more");
    assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
    for _ in 0..16 {
        exchange(&left.connect(), "another worker's");
    }
}
