//! Datagrams that come faster than anybody reads them.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use underseal_dtls::{Discard, DtlsListener, Event, ListenerConfig, ListenerCounters, Unadmitted};
use underseal_testkit::PATIENCE;

use super::Echo;
use super::cookies::{first_hello, proven};
use super::workers::{half_done, pair};
use crate::{SUITES, certificates, client, server_context, socket_to};

#[tokio::test]
async fn a_flood_of_authentic_datagrams_leaves_other_tasks_running() {
    const SENT: usize = 200;
    let certificates = certificates();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let context = server_context(&certificates);
    let mut listener = DtlsListener::new(socket, context, ListenerConfig::default()).unwrap();
    let connected = tokio::task::spawn_blocking(move || {
        let ssl = client(&certificates, SUITES[0]);
        underseal_dtls::blocking::DtlsSocket::connect(ssl, socket_to(address), PATIENCE).unwrap()
    });
    let mut buffer = [0; 100];
    let event = listener.recv(&mut buffer).await.unwrap();
    assert!(matches!(event, Event::Established(_)));
    let client = connected.await.unwrap();
    for _ in 0..SENT {
        client.send(b"fast").unwrap();
    }
    listener.socket().readable().await.unwrap();
    let received = Cell::new(0);
    let receive = async {
        for _ in 0..SENT {
            listener.recv(&mut buffer).await.unwrap();
            received.set(received.get() + 1);
        }
    };
    let ((), seen) = tokio::join!(receive, async { received.get() });
    assert!(seen < SENT);
}

/// A worker that keeps up, and one that nobody drives, to whom every client belongs. Its inbox has no room for any.
fn overfull(runtime: &Runtime) -> (Echo, DtlsListener) {
    let (quick, slow) = pair(runtime, |_, _| 1);
    // Each leaves half of the room that it finds.
    while flood(&quick) {}
    (quick, slow)
}

/// A client sends so many hellos that there is no room for another one; whether there was any.
fn flood(quick: &Echo) -> bool {
    let (client, hello) = client_of(quick);
    let before = quick.counters();
    let refused = |counters: &ListenerCounters| {
        counters.unadmitted(Unadmitted::Worker) > before.unadmitted(Unadmitted::Worker)
    };
    client.send(&hello).unwrap();
    // Behind it comes what tells that the hello was looked at.
    client.send(b"x").unwrap();
    let looked = |counters: &ListenerCounters| {
        counters.unadmitted(Unadmitted::Truncated) > before.unadmitted(Unadmitted::Truncated)
    };
    if refused(&quick.await_counters(looked)) {
        return false;
    }
    let deadline = Instant::now() + PATIENCE;
    while !refused(&quick.counters()) {
        assert!(Instant::now() < deadline);
        client.send(&hello).unwrap();
    }
    true
}

/// A client whose datagrams the kernel gives to `worker`, and its ClientHello with a cookie.
fn client_of(worker: &Echo) -> (UdpSocket, Vec<u8>) {
    let hello = first_hello(worker);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline);
        let socket = socket_to(worker.address);
        socket.send(&hello).unwrap();
        let patience = Some(Duration::from_millis(200));
        socket.set_read_timeout(patience).unwrap();
        if socket.peek(&mut [0; 1]).is_ok() {
            let hello = proven(&hello, &socket);
            return (socket, hello);
        }
    }
}

#[test]
fn a_client_whose_worker_has_no_room_is_nobodys() {
    let runtime = Runtime::new().unwrap();
    let (quick, _slow) = overfull(&runtime);
    let (client, hello) = client_of(&quick);
    let before = quick.counters().unadmitted(Unadmitted::Worker);
    client.send(&hello).unwrap();
    quick.await_counters(|counters| counters.unadmitted(Unadmitted::Worker) == before + 1);
    let mut record = [7; 13 + 40];
    record[..13].copy_from_slice(&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 40]);
    client.send(&record).unwrap();
    quick.await_counters(|counters| counters.unadmitted(Unadmitted::Address) == 1);
}

#[test]
fn a_worker_reads_its_socket_although_others_have_much_for_it() {
    let runtime = Runtime::new().unwrap();
    let (quick, mut slow) = pair(&runtime, |_, _| 1);
    assert!(flood(&quick));
    let hello = first_hello(&quick);
    // As likely as not, each is the slow one's.
    for _ in 0..32 {
        socket_to(quick.address).send(&hello).unwrap();
    }
    let mut buffer = [0; 100];
    runtime.block_on(async {
        slow.socket().readable().await.unwrap();
        // As far as it goes on without waiting.
        tokio::select! {
            biased;
            event = slow.recv(&mut buffer) => panic!("{event:?}"),
            () = async {} => {}
        }
    });
    assert!(slow.counters().verify_requests > 0);
}

/// Who sends in the name of a client whose handshake is under way keeps it out no longer than he sends: neither by data
/// nor by messages of a handshake.
#[test]
fn a_flood_in_the_name_of_a_client_does_not_refuse_its_handshake() {
    for content_type in [23, 22] {
        flood_the_handshake(content_type);
    }
}

fn flood_the_handshake(content_type: u8) {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let flooding = socket.try_clone().unwrap();
    let mut client = half_done(&server, socket);
    let mut forged = vec![content_type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0];
    forged.extend([4, 0]);
    forged.resize(13 + (4 << 8), 7);
    // More than is kept, in steps that the server's socket takes.
    for seq in 0..100 {
        forged[10] = seq;
        flooding.send(&forged).unwrap();
        if seq % 10 == 0 {
            server.counters();
        }
    }
    client.do_handshake().unwrap();
    server.established();
    let counters = server.counters().records;
    let [displaced, forged] =
        [Discard::Displaced, Discard::Forged].map(|why| counters.dropped(why));
    assert!(displaced > 0);
    assert_eq!(displaced + forged, 100);
    client.write_all(b"hello").unwrap();
    assert_eq!(client.read(&mut [0; 100]).unwrap(), 5);
}
