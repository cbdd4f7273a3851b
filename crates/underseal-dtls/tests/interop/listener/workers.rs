//! Several workers with a socket each, and a hook that picks who has which client.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use underseal_dtls::{DtlsListener, Error, ListenerConfig};
use underseal_record::dtls::ClientHello;

use super::{Echo, Told, exchange};
use crate::{certificates, server_context};

fn shared(address: SocketAddr) -> UdpSocket {
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

fn adopt(socket: &UdpSocket) -> tokio::net::UdpSocket {
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
