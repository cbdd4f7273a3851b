//! 2^20 forged datagrams against a listener with associations: they go on, and nothing is allocated for any
//! forged one. A count, not a time: how fast it goes is the machine's.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::alloc::System;
use std::net::UdpSocket;

use openssl::ssl::{SslContext, SslMethod};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{
    ConnectionIds, Discard, DtlsListener, DtlsPeer, Event, ListenerConfig, Parts, Unadmitted,
};
use underseal_record::dtls::{ConnectionId, EpochKeys, ReplayWindow};
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};
use underseal_sys::udp::send_train;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FORGED: u64 = 1 << 20;
/// Forged datagrams in one call of the system.
const TRAIN: usize = 64;
/// Bytes of each.
const LEN: usize = 100;
/// Associations that go on meanwhile.
const CLIENTS: usize = 8;
/// Forged trains between two datagrams of one client's, there and back.
const BETWEEN: u64 = 16;

fn keys(side: u8) -> EpochKeys {
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
    let keys = TrafficKeys::new(version, algorithm, &[side; 16], [9; 12], SeqNo(0)).unwrap();
    EpochKeys::new(keys, 1).unwrap()
}

fn parts(side: u8) -> Parts {
    Parts::new(keys(side), keys(1 - side), ReplayWindow::default())
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
    let connected = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .connect(listener.socket().local_addr().unwrap())
            .unwrap();
        socket
    };
    let sockets: Vec<_> = (0..CLIENTS).map(|_| connected()).collect();
    // The forger of a client's records is behind its address, as somebody on the path is.
    let forgers: Vec<_> = sockets
        .iter()
        .map(|socket| socket.try_clone().unwrap())
        .collect();
    let stranger = connected();
    let mut clients = Vec::new();
    for socket in sockets {
        let address = socket.local_addr().unwrap();
        let ids = ConnectionIds::default();
        listener.add(address, parts(0), ids).unwrap();
        clients.push(DtlsSocket::from_parts(socket, parts(1)).unwrap());
    }
    let by_id = ConnectionIds {
        receive: ConnectionId::new(&[7; 8]).unwrap(),
        send: ConnectionId::EMPTY,
    };
    listener
        .add("192.0.2.1:9".parse().unwrap(), parts(0), by_id)
        .unwrap();
    let (forged, of_nobody, with_id) = (train(23, 0), train(23, 0), train(25, 7));
    let mut buffer = [0; 200];
    // Whatever is made once.
    exchange(&mut listener, &clients[0], &mut buffer).await;
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    drain(&mut listener, 0, &mut buffer).await;
    exchange(&mut listener, &clients[0], &mut buffer).await;

    let trains = FORGED / TRAIN as u64;
    let (mut allocated, mut exchanged) = (0, 0);
    for number in 0..trains {
        let (socket, datagrams) = match number % 4 {
            0 => (&stranger, &of_nobody),
            1 => (&stranger, &with_id),
            _ => (&forgers[number as usize % CLIENTS], &forged),
        };
        assert_eq!(
            send_train(socket, datagrams, LEN as u16).unwrap(),
            datagrams.len()
        );
        let region = Region::new(ALLOCATOR);
        drain(&mut listener, (number + 1) * TRAIN as u64, &mut buffer).await;
        let change = region.change();
        allocated += change.allocations + change.reallocations;
        if number % BETWEEN == 0 {
            let client = &clients[exchanged % CLIENTS];
            exchange(&mut listener, client, &mut buffer).await;
            exchanged += 1;
        }
    }
    assert_eq!(allocated, 0, "nothing is allocated for a forged datagram");
    let counters = listener.counters();
    let quarter = FORGED / 4;
    assert_eq!(counters.records.dropped(Discard::Forged), 3 * quarter);
    assert_eq!(counters.unadmitted(Unadmitted::Address), quarter);
    println!(
        "{FORGED} forged datagrams, {exchanged} exchanges between them, {allocated} allocations"
    );
}

/// Datagrams of a record that nobody sealed, with eight bytes of connection ID where its type has one.
fn train(content_type: u8, id: u8) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0x77, 0x77];
    if content_type == 25 {
        record.extend([id; 8]);
    }
    let body = LEN - record.len() - 2;
    record.extend((body as u16).to_be_bytes());
    record.resize(LEN, 0xee);
    record.repeat(TRAIN)
}

/// Has the listener drop as many datagrams as were sent that nobody sealed: nothing is told of any.
async fn drain(listener: &mut DtlsListener, sent: u64, buffer: &mut [u8]) {
    loop {
        tokio::select! {
            biased;
            told = listener.recv(buffer) => panic!("{told:?}"),
            () = tokio::task::yield_now() => {}
        }
        let counters = listener.counters();
        if counters.records.all_dropped() + counters.all_unadmitted() >= sent {
            return;
        }
    }
}

/// A datagram there and back.
async fn exchange(listener: &mut DtlsListener, client: &DtlsSocket, buffer: &mut [u8]) {
    client.send(b"question").unwrap();
    let peer: DtlsPeer = match listener.recv(buffer).await.unwrap() {
        Event::Datagram { peer, len, .. } => {
            assert_eq!(&buffer[..len], b"question");
            peer
        }
        other => panic!("{other:?}"),
    };
    peer.send(b"answer").await.unwrap();
    assert_eq!(client.recv(buffer).unwrap(), 6);
}
