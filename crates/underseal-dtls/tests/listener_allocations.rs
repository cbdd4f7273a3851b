//! What a listener keeps of an association, and of strangers: nothing.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::alloc::System;
use std::net::{SocketAddr, UdpSocket};

use openssl::ssl::{SslContext, SslMethod};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_dtls::{
    ConnectionIds, Discard, DtlsListener, Event, ListenerConfig, Parts, Unadmitted,
};
use underseal_record::dtls::{ConnectionId, EpochKeys, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an idle association may hold, its places in the tables included.
const IDLE: usize = 2560;
const ASSOCIATIONS: usize = 5000;

fn keys(side: u8) -> EpochKeys {
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes256Gcm);
    let keys = TrafficKeys::new(version, algorithm, &[side; 32], [9; 12], SeqNo(0)).unwrap();
    EpochKeys::new(keys, 1).unwrap()
}

fn parts() -> Parts {
    Parts::new(keys(0), keys(1), ReplayWindow::default())
}

fn ids(number: usize) -> ConnectionIds {
    let id = |number: usize| ConnectionId::new(&number.to_be_bytes()).unwrap();
    ConnectionIds {
        receive: id(number),
        send: id(number),
    }
}

/// Not a test of a runner, which would allocate beside it.
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let context = SslContext::builder(SslMethod::dtls_server()).unwrap();
    let mut listener = DtlsListener::new(socket, context, ListenerConfig::default()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .connect(listener.socket().local_addr().unwrap())
        .unwrap();
    let address = client.local_addr().unwrap();

    for by_id in [false, true] {
        let region = Region::new(ALLOCATOR);
        for number in 0..ASSOCIATIONS {
            let at = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 4433));
            let ids = if by_id {
                ids(number)
            } else {
                ConnectionIds::default()
            };
            listener.add(at, parts(), ids).unwrap();
        }
        let change = region.change();
        let held = (change.bytes_allocated - change.bytes_deallocated) / ASSOCIATIONS;
        println!("bytes of an idle association, by connection ID {by_id}: {held}");
        assert!(held <= IDLE, "{held}");
    }

    listener
        .add(address, parts(), ConnectionIds::default())
        .unwrap();
    let mut peer = Sealer::new(keys(1));
    let mut good = || {
        let mut datagram = vec![0; 4 + peer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        peer.seal(data, b"good", &mut datagram).unwrap();
        datagram
    };
    let mut buffer = [0; 100];
    // Whatever is made once, the runtime's own lists among it.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    client.send(&good()).unwrap();
    listener.recv(&mut buffer).await.unwrap();
    let forged = record(23, 1);
    let (of_nobody, with_id) = (record(23, 1), record(25, 1));
    let hello = hello();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger
        .connect(listener.socket().local_addr().unwrap())
        .unwrap();
    let marks: Vec<_> = (0..100).map(|_| good()).collect();
    let region = Region::new(ALLOCATOR);
    for mark in &marks {
        client.send(&forged).unwrap();
        client.send(&forged[..5]).unwrap();
        stranger.send(&of_nobody).unwrap();
        stranger.send(&with_id).unwrap();
        stranger.send(&hello).unwrap();
        client.send(mark).unwrap();
        let event = listener.recv(&mut buffer).await.unwrap();
        assert!(matches!(event, Event::Datagram { len: 4, .. }));
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    let counters = listener.counters();
    assert_eq!(counters.records.dropped(Discard::Forged), 100);
    for reason in [
        Unadmitted::Truncated,
        Unadmitted::Address,
        Unadmitted::ConnectionId,
    ] {
        assert_eq!(counters.unadmitted(reason), 100, "{reason}");
    }
    assert_eq!(counters.verify_requests, 100);
    // The counters count.
    drop(listener);
    assert!(region.change().deallocations > 0);
}

fn record(first: u8, epoch: u8) -> Vec<u8> {
    let mut record = vec![first, 0xfe, 0xfd, 0, epoch, 0, 9, 9, 9, 9, 9, 0, 40];
    record.resize(13 + 40, 0xee);
    record
}

/// A ClientHello without cookie.
fn hello() -> Vec<u8> {
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12 + 42];
    hello.extend([1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd]);
    hello.extend([5; 32]);
    hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    hello
}
