//! An idle connection owns no buffer: a binary of its own, because it counts every allocation.

#![cfg(feature = "tokio")]

use std::alloc::System;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::AsyncReadExt;
use underseal::{ServerConnection, TlsAcceptor, TlsConnector, blocking};
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, SERVER_NAME, Suite, pair};

#[global_allocator]
static ALLOCATIONS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an idle established server connection may hold on the heap.
const IDLE: usize = 2_560;

/// What a peer may have a connection hold, beyond what was written before, that asks for much and
/// reads nothing.
const FLOODED: usize = 300 * 1024;

type Stream = blocking::TlsStream<Pipe, ServerConnection>;

fn connect(certificates: &Certificates, suite: Suite) -> (Stream, RecordPeer<Pipe>) {
    let (left, right) = pair(1 << 22);
    let client = certificates.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(right, client));
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let stream = acceptor.accept(left).expect("a handshake");
    (stream, peer.join().expect("a peer"))
}

/// Bytes that go back to the heap with the connection; the pipe below it stays.
fn held_by(stream: Stream) -> usize {
    let region = Region::new(ALLOCATIONS);
    let (io, session) = stream.into_inner();
    drop(session);
    let change = region.change();
    drop(io);
    change.bytes_deallocated - change.bytes_allocated
}

/// All tests in one, so that no other thread allocates meanwhile.
#[test]
fn an_idle_connection_holds_keys_and_no_buffer_and_one_that_is_flooded_little() {
    a_connector_or_an_acceptor_for_each_connection_copies_nothing();
    a_configuration_that_is_gone_is_let_go();
    an_idle_connection_holds_keys_and_no_buffer();
    a_peer_that_asks_and_never_reads_holds_little();
    who_waits_for_the_socket_holds_what_waits();
    early_data_that_nobody_took_is_not_copied_for_each_part_of_it();
}

fn early_data_that_nobody_took_is_not_copied_for_each_part_of_it() {
    const LEN: usize = 4 << 20;
    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::Tls13Aes128;
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let name = SERVER_NAME.try_into().expect("a name");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let (left, right) = tokio::io::duplex(1 << 16);
        let data = vec![1; LEN];
        let region = Region::new(ALLOCATIONS);
        let serve = async {
            let mut stream = acceptor.accept(left).await.expect("a handshake");
            let (mut left, mut buffer) = (LEN, [0; 16_384]);
            while left > 0 {
                left -= stream.read(&mut buffer).await.expect("data");
            }
            stream
        };
        let ask = connector.connect_early(name, right, data);
        let (_server, client) = tokio::join!(serve, ask);
        client.expect("a handshake");
        let allocated = region.change().bytes_allocated;
        assert!(allocated <= 4 * LEN, "{allocated} bytes for {LEN}");
    });
}

/// As web clients do it: a connector for each connection.
fn a_connector_or_an_acceptor_for_each_connection_copies_nothing() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let client = Arc::new(certificates.client_config(Suite::Tls13Aes128));
    let server = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let make = || {
        drop(blocking::TlsConnector::from(Arc::clone(&client)));
        drop(blocking::TlsAcceptor::from(Arc::clone(&server)));
        drop(TlsConnector::from(Arc::clone(&client)));
        drop(TlsAcceptor::from(Arc::clone(&server)));
    };
    make();
    let region = Region::new(ALLOCATIONS);
    make();
    assert_eq!(region.change().bytes_allocated, 0);
}

fn a_configuration_that_is_gone_is_let_go() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut config = certificates.client_config(Suite::Tls13Aes128);
    let log = Arc::new(rustls::KeyLogFile::new());
    config.key_log = Arc::clone(&log) as Arc<dyn rustls::KeyLog>;
    let config = Arc::new(config);
    drop(blocking::TlsConnector::from(Arc::clone(&config)));
    assert_eq!(
        Arc::strong_count(&log),
        3,
        "ours, the configuration's, its copy's"
    );
    drop(config);
    let next = Arc::new(certificates.client_config(Suite::Tls13Aes128));
    drop(blocking::TlsConnector::from(next));
    assert_eq!(Arc::strong_count(&log), 1);
}

/// Small writes were taken while the socket was full, then something else waits for it.
fn who_waits_for_the_socket_holds_what_waits() {
    const STREAMS: usize = 8;
    const EACH: usize = 64 * 1024;
    let certificates = Certificates::new(KeyType::Ecdsa);
    let waits: [fn(&mut Stream) -> bool; 4] = [
        |stream| stream.flush().is_err(),
        |stream| stream.write(&[1; 20_000]).is_err(),
        |stream| stream.write_more(b"more").is_err(),
        |stream| stream.shutdown().is_err(),
    ];
    for (how, wait) in waits.into_iter().enumerate() {
        let mut streams: Vec<_> = (0..STREAMS)
            .map(|_| connect(&certificates, Suite::Tls13Aes128))
            .collect();
        for (stream, _) in &mut streams {
            stream.get_mut().0.set_nonblocking(true);
            while stream.pending_bytes() == 0 {
                stream.write_all(&[1; 20_000]).expect("it is taken");
            }
        }
        let region = Region::new(ALLOCATIONS);
        for (stream, _) in &mut streams {
            stream.write_all(&[1; 100]).expect("it is taken");
            assert!(wait(stream), "way {how}: the socket is full");
        }
        let change = region.change();
        let held = change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated);
        assert!(held <= STREAMS * EACH, "way {how}: {held} bytes");
    }
}

/// A peer that asks for a key update after each byte, and reads nothing.
fn a_peer_that_asks_and_never_reads_holds_little() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (mut stream, mut peer) = connect(&certificates, Suite::Tls13Aes128);
    stream.get_mut().0.set_nonblocking(true);
    while stream.write(&[1; 16_000]).is_ok() {}
    let region = Region::new(ALLOCATIONS);
    for _ in 0..2_000 {
        for _ in 0..50 {
            peer.send(APPLICATION_DATA, b"x");
            peer.send(HANDSHAKE, &key_update(1));
            peer.update_tx();
        }
        while stream.read(&mut [0; 1]).is_ok() {}
    }
    let change = region.change();
    let held = change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated);
    println!("a peer that asks for 100,000 key updates and reads nothing: {held} bytes held");
    assert!(held <= FLOODED, "{held} bytes");
}

fn an_idle_connection_holds_keys_and_no_buffer() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::ALL {
        let (stream, _peer) = connect(&certificates, suite);
        let fresh = held_by(stream);
        assert!(
            fresh <= IDLE,
            "{suite:?}: {fresh} bytes after the handshake"
        );

        // Megabytes both ways, in records that do not end where the reads do.
        let (mut stream, mut peer) = connect(&certificates, suite);
        for _ in 0..100 {
            peer.send(APPLICATION_DATA, &[1; 16_000]);
        }
        let mut received = vec![0; 1_600_000];
        for part in received.chunks_mut(70_001) {
            stream.read_exact(part).expect("data");
        }
        stream.write_all(&received).expect("room");
        let used = held_by(stream);
        assert!(used <= IDLE, "{suite:?}: {used} bytes after a transfer");

        // Half a record stays with the connection, in a place of its own size.
        let (mut stream, mut peer) = connect(&certificates, suite);
        let record = peer.record(APPLICATION_DATA, &[1; 1_000]);
        peer.send_bytes(&record[..500]);
        stream.get_mut().0.set_nonblocking(true);
        stream.read(&mut [0; 100]).expect_err("half a record");
        let half = held_by(stream);
        assert!(
            half <= IDLE + 500,
            "{suite:?}: {half} bytes with half a record"
        );
        assert!(
            half >= fresh + 500,
            "{suite:?}: the half is held: {half} bytes"
        );
    }
}
