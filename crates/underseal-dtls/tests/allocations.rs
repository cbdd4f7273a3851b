//! A datagram costs no allocation, be it good or forged.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::alloc::System;
use std::net::UdpSocket;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Discard, Parts};
use underseal_record::dtls::{EpochKeys, ReplayWindow};
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an idle association may hold, sockets and their names aside.
const IDLE: usize = 2560;

fn keys(side: u8) -> EpochKeys {
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes256Gcm);
    let keys = TrafficKeys::new(version, algorithm, &[side; 32], [9; 12], SeqNo(0)).unwrap();
    EpochKeys::new(keys, 1).unwrap()
}

fn parts(side: u8) -> Parts {
    Parts::new(keys(side), keys(1 - side), ReplayWindow::default())
}

/// Not a test of a runner, which would allocate beside it.
fn main() {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    let stranger = near.try_clone().unwrap();
    let near = DtlsSocket::from_parts(near, parts(0)).unwrap();
    let region = Region::new(ALLOCATOR);
    let far = DtlsSocket::from_parts(far, parts(1)).unwrap();
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated + size_of::<DtlsSocket>();
    println!("bytes of an idle association: {held}");
    assert!(held <= IDLE, "{held}");

    let mut buffer = [0; 100];
    // The first call makes the thread's buffers.
    near.send(b"first").unwrap();
    far.recv(&mut buffer).unwrap();
    let mut forged = vec![23, 0xfe, 0xfd, 0, 1, 0, 9, 9, 9, 9, 9, 0, 40];
    forged.resize(13 + 40, 7);
    let region = Region::new(ALLOCATOR);
    for _ in 0..100 {
        stranger.send(&forged).unwrap();
        stranger.send(&forged[..5]).unwrap();
        near.send(b"good").unwrap();
        assert_eq!(far.recv(&mut buffer).unwrap(), 4);
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert_eq!(far.counters().dropped(Discard::Forged), 100);
    assert_eq!(far.counters().dropped(Discard::Truncated), 100);
    // The counters count.
    drop(far.into_parts());
    assert!(region.change().deallocations > 0);
}
