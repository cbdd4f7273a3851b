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

#[test]
fn a_packet_costs_no_allocation() {
    for backend in Backend::ALL {
        let secret = || TrafficSecret::new(Algorithm::Aes128Gcm, &[7; 32]).expect("32 bytes");
        let mut sealer = PacketSealer::with_backend(Version::V1, secret(), backend);
        let mut opener = PacketOpener::with_backend(Version::V1, secret(), backend);
        let mut packets = vec![[0; LEN]; PACKETS];
        for (number, packet) in packets.iter_mut().enumerate() {
            packet[0] = 0x41;
            packet[1..3].copy_from_slice(&(number as u16).to_be_bytes());
        }

        let region = Region::new(ALLOCATOR);
        let mut outgoing: [_; PACKETS] = {
            let mut rest = packets.iter_mut().enumerate();
            std::array::from_fn(|_| {
                let (number, packet) = rest.next().expect("as many");
                Outgoing::new(packet, 1, number as u64)
            })
        };
        assert_eq!(sealer.seal_batch(&mut outgoing), PACKETS);
        // Half of them are forged.
        for packet in packets.iter_mut().step_by(2) {
            packet[LEN - 1] ^= 1;
        }
        let mut incoming: [_; PACKETS] = {
            let mut rest = packets.iter_mut();
            std::array::from_fn(|_| Incoming::new(rest.next().expect("as many"), 1))
        };
        assert_eq!(opener.open_batch(&mut incoming), PACKETS / 2);
        let change = region.change();
        assert_eq!(
            (change.allocations, change.reallocations),
            (0, 0),
            "{backend}"
        );
    }
}
