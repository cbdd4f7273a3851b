//! 2^20 packets that nobody of the connections has sent, of every kind: each dropped and counted for its
//! reason, none with an allocation, and the connections go on. A test binary of its own: the allocator
//! counts for the whole process.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::alloc::System;
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_quic::flows::{ConnectionId, Flow, NotOpened, QuicFlows, Strays};
use underseal_record::quic::{Dropped, PacketSealer, Version};
use underseal_record::{Algorithm, TAG_LEN, TrafficSecret};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: usize = 1 << 20;
const CONNECTIONS: usize = 8;
/// Packets of a train that arrives.
const TRAIN: usize = 64;
/// What the harness allocates on its own thread meanwhile.
const OF_THE_HARNESS: usize = 100;

fn secret(fill: u8) -> TrafficSecret {
    TrafficSecret::new(Algorithm::Aes128Gcm, &[fill; 32]).unwrap()
}

struct Connection {
    flow: Arc<Flow>,
    id: ConnectionId,
    peer: PacketSealer,
    opened: u64,
}

impl Connection {
    fn new(flows: &QuicFlows, fill: u8) -> Self {
        let id = flows.issue().unwrap();
        let flow = flows
            .register(id, Version::V1, secret(fill ^ 0xff), secret(fill))
            .unwrap();
        Self {
            flow,
            id,
            peer: PacketSealer::new(Version::V1, secret(fill)),
            opened: 0,
        }
    }

    fn packet(&mut self, reserved: u8) -> Vec<u8> {
        let number = self.peer.next_number();
        let mut packet = vec![0x43 | reserved | u8::from(self.peer.key_phase()) << 2];
        packet.extend(self.id.as_bytes());
        packet.extend((number as u32).to_be_bytes());
        packet.extend([0x5a; 20 + TAG_LEN]);
        self.peer
            .seal(&mut packet, ConnectionId::NUMBER_AT, number)
            .unwrap();
        packet
    }

    /// A packet of the peer's arrives.
    fn opens(&mut self, flows: &QuicFlows) {
        let mut packet = self.packet(0);
        assert_eq!(outcome(flows, &mut packet), None);
        self.opened += 1;
    }
}

/// Why a datagram was not opened.
fn outcome(flows: &QuicFlows, datagram: &mut [u8]) -> Option<NotOpened> {
    let (len, mut why) = (datagram.len(), None);
    flows.open_train(datagram, len, |_, outcome| why = outcome.err());
    why
}

fn changed(packet: &[u8], at: usize, xor: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] ^= xor;
    packet
}

/// What an attacker sends who has seen packets of the connection, and what becomes of it. Leaves the
/// connection two generations on.
fn attacks(connection: &mut Connection, flows: &QuicFlows) -> Vec<(Vec<u8>, NotOpened)> {
    let dropped = NotOpened::Dropped;
    let early = connection.packet(0);
    connection.peer.skip_to(100);
    let of_old_keys = connection.packet(0);
    connection.opens(flows);
    connection.peer.follow(1).unwrap();
    let too_old = connection.packet(0);
    connection.opens(flows);
    connection.flow.discard_previous_key();
    connection.peer.skip_to(3000);
    let replayed = connection.packet(0);
    assert_eq!(outcome(flows, &mut replayed.clone()), None);
    connection.opened += 1;
    let reserved = connection.packet(0x08);
    let honest = connection.packet(0);
    let last = honest.len() - 1;
    let mut oversized = honest.clone();
    oversized.resize(65_507, 0x5a);
    let mut other_id = honest.clone();
    other_id[1..ConnectionId::NUMBER_AT].fill(0x77);
    vec![
        (early, dropped(Dropped::MissingGeneration)),
        (of_old_keys, dropped(Dropped::MissingGeneration)),
        (too_old, dropped(Dropped::TooOld)),
        (replayed, dropped(Dropped::Duplicate)),
        (reserved, dropped(Dropped::ReservedBits)),
        (changed(&honest, last, 1), dropped(Dropped::Forged)),
        (changed(&honest, 0, 0x04), dropped(Dropped::Forged)),
        (
            changed(&honest, ConnectionId::NUMBER_AT, 1),
            dropped(Dropped::Forged),
        ),
        (honest[..last].to_vec(), dropped(Dropped::Forged)),
        (
            honest[..ConnectionId::NUMBER_AT + 19].to_vec(),
            dropped(Dropped::TooShort),
        ),
        (oversized, dropped(Dropped::Forged)),
        (honest[..ConnectionId::LEN].to_vec(), NotOpened::TooShort),
        (changed(&honest, 0, 0x40), NotOpened::NotQuic),
        (changed(&honest, 0, 0x80), NotOpened::LongHeader),
        (other_id, NotOpened::UnknownConnection),
    ]
}

/// How often each reason was given.
#[derive(Default)]
struct Expected {
    dropped: [[u64; Dropped::COUNT]; CONNECTIONS],
    strays: Strays,
}

impl Expected {
    fn count(&mut self, connection: usize, why: NotOpened) {
        match why {
            NotOpened::Dropped(why) => self.dropped[connection][why.index()] += 1,
            NotOpened::TooShort => self.strays.too_short += 1,
            NotOpened::NotQuic => self.strays.not_quic += 1,
            NotOpened::LongHeader => self.strays.long_header += 1,
            NotOpened::UnknownConnection => self.strays.unknown_connection += 1,
            NotOpened::NoKeys => self.strays.no_keys += 1,
            other => panic!("{other}"),
        }
    }
}

/// A train of one packet, over and over, in a buffer that is there already.
fn flood(
    flows: &QuicFlows,
    buffer: &mut [u8],
    packet: &[u8],
    times: usize,
    mut each: impl FnMut(NotOpened),
) {
    let train = &mut buffer[..packet.len() * times];
    for place in train.chunks_mut(packet.len()) {
        place.copy_from_slice(packet);
    }
    let opened = flows.open_train(train, packet.len(), |_, outcome| {
        each(outcome.map(|_| ()).unwrap_err());
    });
    assert_eq!(opened, 0);
}

#[test]
fn a_million_packets_of_an_attacker_cost_no_allocation_and_no_connection() {
    let flows = QuicFlows::new(CONNECTIONS + 1).unwrap();
    let mut connections: Vec<_> = (0..CONNECTIONS)
        .map(|fill| Connection::new(&flows, fill as u8))
        .collect();
    let mut attacks: Vec<_> = connections
        .iter_mut()
        .map(|connection| attacks(connection, &flows))
        .collect();
    let issued = flows.issue().unwrap();
    let mut no_keys = connections[0].packet(0);
    no_keys[1..ConnectionId::NUMBER_AT].copy_from_slice(issued.as_bytes());
    attacks[0].push((no_keys, NotOpened::NoKeys));

    let mut buffer = vec![0; 1 << 16];
    let (mut sent, mut turn, mut allocated) = (0, 0, 0);
    let mut expected = Expected::default();
    while sent < PACKETS {
        let connection = turn % CONNECTIONS;
        let kinds = &attacks[connection];
        let (packet, why) = &kinds[turn / CONNECTIONS % kinds.len()];
        let times = (buffer.len() / packet.len()).min(TRAIN);
        let region = Region::new(ALLOCATOR);
        flood(&flows, &mut buffer, packet, times, |found| {
            assert_eq!(found, *why);
            expected.count(connection, found);
        });
        let change = region.change();
        allocated += change.allocations + change.reallocations;
        (sent, turn) = (sent + times, turn + 1);
        if turn % 64 == 0 {
            connections[connection].opens(&flows);
        }
    }

    assert!(allocated < OF_THE_HARNESS, "{allocated} allocations");
    assert_eq!(flows.strays(), expected.strays);
    for (connection, dropped) in connections.iter_mut().zip(expected.dropped) {
        connection.opens(&flows);
        let counters = connection.flow.counters();
        for why in Dropped::ALL {
            assert_eq!(counters.dropped(why), dropped[why.index()], "{why}");
        }
        assert_eq!(counters.opened, connection.opened);
    }
    let reasons = Dropped::ALL.map(|why| expected.dropped[0][why.index()] > 0);
    let seen = reasons.into_iter().filter(|seen| *seen).count();
    assert_eq!(seen, 6, "of a connection; two end it");
}
