//! Sealing and opening packets allocates nothing, whether they are authentic or not. A test binary of
//! its own: the allocator counts for the whole process.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_record::quic::{Incoming, Outgoing, PacketOpener, PacketSealer, Version};
use underseal_record::{Algorithm, Backend, TrafficSecret};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: usize = 100;
const LEN: usize = 1440;

/// How often it is tried: what the test's harness allocates on its own thread meanwhile is counted, too,
/// but not every time.
const TURNS: usize = 20;

#[test]
fn a_packet_costs_no_allocation() {
    for backend in Backend::ALL {
        let is_zero = |counted: &(usize, usize)| *counted == (0, 0);
        let counted: Vec<_> = (0..TURNS).map(|_| there_and_back(backend)).collect();
        assert!(counted.iter().any(is_zero), "{backend}: {counted:?}");
    }
}

/// Allocations and reallocations while a train is sealed and opened, half of it forged.
fn there_and_back(backend: Backend) -> (usize, usize) {
    let secret = || TrafficSecret::new(Algorithm::Aes128Gcm, &[7; 32]).expect("32 bytes");
    let mut sealer = PacketSealer::with_backend(Version::V1, secret(), backend);
    let mut opener = PacketOpener::with_backend(Version::V1, secret(), backend);
    let mut packets = vec![[0; LEN]; PACKETS];
    for (number, packet) in packets.iter_mut().enumerate() {
        packet[0] = 0x41;
        packet[1..3].copy_from_slice(&(number as u16).to_be_bytes());
    }

    let region = Region::new(ALLOCATOR);
    let mut rest = packets.iter_mut().enumerate();
    let mut outgoing: [_; PACKETS] = std::array::from_fn(|_| {
        let (number, packet) = rest.next().expect("as many");
        Outgoing::new(packet, 1, number as u64)
    });
    assert_eq!(sealer.seal_batch(&mut outgoing), PACKETS);
    for packet in packets.iter_mut().step_by(2) {
        packet[LEN - 1] ^= 1;
    }
    let mut rest = packets.iter_mut();
    let mut incoming: [_; PACKETS] =
        std::array::from_fn(|_| Incoming::new(rest.next().expect("as many"), 1));
    assert_eq!(opener.open_batch(&mut incoming), PACKETS / 2);
    let change = region.change();
    (change.allocations, change.reallocations)
}
