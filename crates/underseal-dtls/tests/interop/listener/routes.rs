//! Clients whose datagrams the kernel gives to another worker than theirs.

use std::net::UdpSocket;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{
    ConnectionIds, DtlsListener, Error, Event, ListenerConfig, ListenerCounters, Unadmitted,
};
use underseal_record::ContentType;
use underseal_record::dtls::{ConnectionId, Sealer};
use underseal_testkit::PATIENCE;

use super::Echo;
use super::addresses::{ids, keys};
use super::paths::parts;
use super::workers::{adopt, shared};
use crate::{SUITES, certificates, client, server_context, socket_to, sockets};

/// Two workers, of which the second has every client and is driven by the test.
struct Workers {
    first: Echo,
    picked: DtlsListener,
    /// A client's socket, which the kernel gives to the first.
    socket: UdpSocket,
    runtime: Runtime,
}

impl Workers {
    fn start() -> Self {
        let certificates = Arc::new(certificates());
        let first = shared(([127, 0, 0, 1], 0).into());
        let second = shared(first.local_addr().unwrap());
        let socket = heard_by_first(&first, &second);
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let own = [&first, &second].map(adopt).into();
        let (context, config) = (server_context(&certificates), ListenerConfig::default());
        let listeners = DtlsListener::group(own, context, &config, |_, _| 1).unwrap();
        let [listener, picked] = <[_; 2]>::try_from(listeners).unwrap();
        drop(guard);
        Self {
            first: Echo::with(certificates, first, move |_| listener),
            picked,
            socket,
            runtime,
        }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Event {
        let received = self.picked.recv(buffer);
        let event = async { timeout(PATIENCE, received).await };
        self.runtime.block_on(event).expect("it is told").unwrap()
    }
}

/// Neither of the two sockets has anything left afterwards.
fn heard_by_first(first: &UdpSocket, second: &UdpSocket) -> UdpSocket {
    for socket in [first, second] {
        socket.set_nonblocking(true).unwrap();
    }
    loop {
        let socket = socket_to(first.local_addr().unwrap());
        socket.send(b"x").unwrap();
        let heard = [first, second].map(|socket| socket.recv(&mut [0; 1]).is_ok());
        if heard == [true, false] {
            return socket;
        }
    }
}

/// Carries datagrams between a client and `to`, and tells of those that the client sends.
fn relay(client: UdpSocket, to: UdpSocket) -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    let (back_from, back_to) = (to.try_clone().unwrap(), client.try_clone().unwrap());
    let carry = |from: UdpSocket, to: UdpSocket, tell: Option<mpsc::Sender<_>>| {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = from.recv(&mut buffer) {
            to.send(&buffer[..len]).unwrap();
            tell.iter()
                .for_each(|tell| drop(tell.send(buffer[..len].to_vec())));
        }
    };
    thread::spawn(move || carry(client, to, Some(tell)));
    thread::spawn(move || carry(back_from, back_to, None));
    told
}

/// The hello of a client's next handshake may wait for its worker behind the end of what the client had there.
#[test]
fn a_client_whose_hello_waits_behind_its_end_makes_its_next_handshake() {
    const ALERT: u8 = 21;
    let mut workers = Workers::start();
    let (near, far) = sockets();
    let sent = relay(far, workers.socket.try_clone().unwrap());
    let certificates = Arc::clone(&workers.first.certificates);
    let connect = || {
        let ssl = client(&certificates, SUITES[0]);
        let socket = near.try_clone().unwrap();
        thread::spawn(move || DtlsSocket::connect(ssl, socket, PATIENCE).unwrap())
    };
    let connecting = connect();
    let event = workers.next(&mut []);
    assert!(matches!(event, Event::Established(_)), "{event:?}");
    connecting.join().unwrap().close();
    while sent.recv_timeout(PATIENCE).unwrap()[0] != ALERT {}
    let connecting = connect();
    // Without a cookie, and with one.
    for _ in 0..2 {
        sent.recv_timeout(PATIENCE).unwrap();
    }
    // Behind it comes what tells that the first worker has handed it on.
    workers.socket.send(b"x").unwrap();
    workers.first.await_counters(one(Unadmitted::Truncated));
    let ended = workers.next(&mut []);
    assert!(
        matches!(
            &ended,
            Event::Ended {
                why: Error::ClosedByPeer,
                ..
            }
        ),
        "{ended:?}"
    );
    let event = workers.next(&mut []);
    assert!(matches!(event, Event::Established(_)), "{event:?}");
    connecting.join().unwrap().send(b"here").unwrap();
    let event = workers.next(&mut []);
    assert!(matches!(event, Event::Datagram { len: 0, .. }), "{event:?}");
}

/// One datagram was dropped for this reason.
fn one(reason: Unadmitted) -> impl Fn(&ListenerCounters) -> bool {
    move |counters| counters.unadmitted(reason) == 1
}

#[test]
fn an_association_that_was_added_by_its_address_is_found_by_every_worker() {
    let mut workers = Workers::start();
    let address = workers.socket.local_addr().unwrap();
    let none = ConnectionIds::default();
    let peer = workers.picked.add(address, parts(0), none).unwrap();
    let client = DtlsSocket::from_parts(workers.socket.try_clone().unwrap(), parts(1)).unwrap();
    client.send(b"found").unwrap();
    let mut buffer = [0; 100];
    let event = workers.next(&mut buffer);
    assert!(matches!(event, Event::Datagram { len: 5, .. }), "{event:?}");
    // And by nobody any more once it is over.
    peer.close();
    let event = workers.next(&mut buffer);
    assert!(
        matches!(
            event,
            Event::Ended {
                why: Error::Closed,
                ..
            }
        ),
        "{event:?}"
    );
    client.send(b"lost").unwrap();
    workers.first.await_counters(one(Unadmitted::Address));
}

#[test]
fn what_a_worker_had_is_another_ones_when_it_is_gone() {
    let mut workers = Workers::start();
    let address = workers.socket.local_addr().unwrap();
    workers.picked.add(address, parts(0), ids()).unwrap();
    let add =
        |first: &Echo| first.ask(move |listener| listener.add(address, parts(0), ids()).map(drop));
    assert!(matches!(add(&workers.first), Err(Error::ConnectionId)));
    drop(workers.picked);
    add(&workers.first).unwrap();
    // Clients that would be picked for it are whose the kernel says.
    let client = workers.first.connect_by(workers.socket);
    super::exchange(&client, "hello");
}

/// Whoever has seen one connection ID sends datagrams with it in any number, and keeps nobody else's out.
#[test]
fn a_flood_with_one_connection_id_leaves_room_for_those_with_others() {
    let mut workers = Workers::start();
    let address = workers.socket.local_addr().unwrap();
    let another = ConnectionIds {
        receive: ConnectionId::new(b"another!").unwrap(),
        ..ids()
    };
    for ids in [ids(), another] {
        workers.picked.add(address, parts(0), ids).unwrap();
    }
    let mut forged = vec![25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0];
    forged.extend(ids().receive.as_bytes());
    forged.extend([4, 0]);
    forged.resize(13 + 8 + (4 << 8), 7);
    let deadline = Instant::now() + PATIENCE;
    while workers.first.counters().unadmitted(Unadmitted::Worker) == 0 {
        assert!(Instant::now() < deadline);
        workers.socket.send(&forged).unwrap();
    }
    let mut sealer = Sealer::new(keys(1));
    sealer.set_connection_id(another.receive);
    // Longer than what is left where one more of the flood has no room.
    let payload = [7; 1200];
    let mut datagram = vec![0; payload.len() + sealer.overhead()];
    let data = ContentType::APPLICATION_DATA;
    sealer.seal(data, &payload, &mut datagram).unwrap();
    workers.socket.send(&datagram).unwrap();
    let event = workers.next(&mut [0; 1200]);
    let len = payload.len();
    assert!(
        matches!(event, Event::Datagram { len: received, .. } if received == len),
        "{event:?}"
    );
}
