//! What an idle connection holds, under each backend: counted in bytes, in a process that does nothing
//! else.
//!
//! A process decides for one backend, so this test binary runs itself once more for each: an
//! environment variable tells it to count.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::alloc::System;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpStream;
use underseal::record::Backend;
use underseal::{BACKEND_VARIABLE, ServerConnection, blocking, server};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, Suite, pair};

#[global_allocator]
static ALLOCATIONS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Set where the bytes are to be counted.
const COUNTS: &str = "UNDERSEAL_TEST_COUNTS";

/// Bytes of heap that Rust asks for, but for the expanded keys: the connection with its session.
const IDLE: usize = 760;

/// Bytes of ring's expanded keys of both directions. Those of aws-lc-rs are in blocks of the C
/// library, which this does not count.
const RING_KEYS: usize = 2 * 544;

/// Bytes of a stream, which its task holds, and mostly more than once: in each function that the stream
/// is handed to.
const STREAM: usize = 64;

type Stream = blocking::TlsStream<Pipe, ServerConnection>;

fn accept(suite: Suite) -> (Stream, RecordPeer<Pipe>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = pair(1 << 16);
    let client = certificates.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(right, client));
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let stream = acceptor.accept(left).unwrap();
    (stream, peer.join().unwrap())
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

fn count() {
    let backend = std::env::var(BACKEND_VARIABLE).unwrap();
    let keys = match backend.as_str() {
        "ring" => RING_KEYS,
        _ => 0,
    };
    for suite in Suite::ALL {
        let (stream, _peer) = accept(suite);
        assert_eq!(stream.backend().unwrap().name(), backend);
        let held = held_by(stream);
        println!("{suite:?}, {backend}: {held} bytes");
        assert!(held <= IDLE + keys, "{suite:?}: {held} bytes");
    }
    let stream = size_of::<server::TlsStream<TcpStream>>();
    println!("a stream: {stream} bytes");
    assert!(stream <= STREAM, "{stream} bytes");
}

#[test]
fn an_idle_connection_holds_little_more_than_its_expanded_keys() {
    if std::env::var(COUNTS).is_ok() {
        return count();
    }
    let test = "an_idle_connection_holds_little_more_than_its_expanded_keys";
    for backend in Backend::ALL {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]);
        command
            .env(COUNTS, "1")
            .env(BACKEND_VARIABLE, backend.name());
        assert!(command.status().unwrap().success(), "{backend}");
    }
}
