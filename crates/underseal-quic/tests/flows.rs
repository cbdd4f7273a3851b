//! Many connections behind one table: each packet for its own, in whatever order they come.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::sync::Arc;
use std::thread;

use underseal_quic::flows::{ConnectionId, Flow, NotOpened, NotRegistered, QuicFlows};
use underseal_record::quic::{Dropped, Outgoing, PacketOpener, PacketSealer, Refused, Version};
use underseal_record::{Algorithm, TAG_LEN, TrafficSecret};

/// Bytes of a header: first byte, connection ID, packet number.
const HEADER: usize = ConnectionId::NUMBER_AT + 4;

fn secret(algorithm: Algorithm, fill: u8) -> TrafficSecret {
    let len = match algorithm {
        Algorithm::Aes256Gcm => 48,
        _ => 32,
    };
    TrafficSecret::new(algorithm, &vec![fill; len]).unwrap()
}

/// The peer of one connection.
struct Peer {
    id: ConnectionId,
    sealer: PacketSealer,
    opener: PacketOpener,
}

impl Peer {
    /// A connection of `flows`, with secrets of its own.
    fn connect(flows: &QuicFlows, algorithm: Algorithm, fill: u8) -> (Self, Arc<Flow>) {
        let id = flows.issue().unwrap();
        let (to_us, from_us) = (fill, fill ^ 0xff);
        let (send, receive) = (secret(algorithm, from_us), secret(algorithm, to_us));
        let flow = flows.register(id, Version::V1, send, receive).unwrap();
        let peer = Self {
            id,
            sealer: PacketSealer::new(Version::V1, secret(algorithm, to_us)),
            opener: PacketOpener::new(Version::V1, secret(algorithm, from_us)),
        };
        (peer, flow)
    }

    fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut packet = unsealed(&self.id, payload);
        let mut packets = [Outgoing::new(&mut packet, ConnectionId::NUMBER_AT, 0)];
        self.sealer.write_numbers(&mut packets);
        assert_eq!(self.sealer.seal_batch(&mut packets), 1);
        packet
    }

    fn open(&mut self, packet: &mut [u8]) -> Vec<u8> {
        let opened = self.opener.open(packet, ConnectionId::NUMBER_AT).unwrap();
        packet[opened.payload].to_vec()
    }
}

fn unsealed(id: &ConnectionId, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x43];
    packet.extend(id.as_bytes());
    packet.extend([0; 4]);
    packet.extend(payload);
    packet.extend([0; TAG_LEN]);
    packet
}

/// What of a train was opened: the payloads, or why not.
fn open(flows: &QuicFlows, train: &mut [u8], segment: usize) -> Vec<Result<Vec<u8>, NotOpened>> {
    let mut outcomes = Vec::new();
    let opened = flows.open_train(train, segment, |packet, outcome| {
        outcomes.push(outcome.map(|(_, opened)| packet[opened.payload].to_vec()));
    });
    assert_eq!(
        opened,
        outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    );
    outcomes
}

#[test]
fn packets_of_many_connections_in_one_train_are_each_opened_for_their_own() {
    let flows = QuicFlows::new(64).unwrap();
    let mut peers: Vec<_> = (0..40)
        .map(|fill| Peer::connect(&flows, Algorithm::ALL[usize::from(fill) % 3], fill).0)
        .collect();
    let mut train = Vec::new();
    for turn in 0..3_u8 {
        for (which, peer) in peers.iter_mut().enumerate() {
            train.extend(peer.seal(&[turn, which as u8, 1, 2]));
        }
    }
    let outcomes = open(&flows, &mut train, HEADER + 4 + TAG_LEN);
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let expected = [(index / 40) as u8, (index % 40) as u8, 1, 2];
        assert_eq!(outcome.unwrap(), expected);
    }
}

/// The trains of the selftest of "net: support QUIC crypto" (2022): 9000 bytes at 1200 a packet.
#[test]
fn a_train_whose_last_packet_is_shorter_is_sealed_and_opened() {
    for algorithm in [Algorithm::Aes128Gcm, Algorithm::ChaCha20Poly1305] {
        let flows = QuicFlows::new(4).unwrap();
        let (mut peer, flow) = Peer::connect(&flows, algorithm, 7);
        let mut train = vec![0x5a; 7 * 1200 + 728];
        for packet in train.chunks_mut(1200) {
            packet[..HEADER].copy_from_slice(&unsealed(&peer.id, b"")[..HEADER]);
        }
        let mut packets: Vec<_> = train
            .chunks_mut(1200)
            .map(|packet| Outgoing::new(packet, ConnectionId::NUMBER_AT, 0))
            .collect();
        assert_eq!(flow.seal(&mut packets), 8);
        let numbers: Vec<_> = packets.iter().map(|packet| packet.number).collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
        let lens: Vec<_> = train
            .chunks_mut(1200)
            .map(|packet| peer.open(packet).len())
            .collect();
        let last = 728 - HEADER - TAG_LEN;
        assert_eq!(lens[..7], [1200 - HEADER - TAG_LEN; 7]);
        assert_eq!(lens[7], last, "{algorithm}");
    }
}

#[test]
fn what_belongs_to_no_connection_is_handed_back_unchanged_with_the_reason() {
    let flows = QuicFlows::new(4).unwrap();
    let (mut peer, _flow) = Peer::connect(&flows, Algorithm::Aes128Gcm, 1);
    let issued = flows.issue().unwrap();
    let other = QuicFlows::new(4).unwrap();
    let elsewhere = other.issue().unwrap();
    let honest = peer.seal(b"hello");
    let with_id = |id: &ConnectionId| {
        let mut packet = honest.clone();
        packet[1..ConnectionId::NUMBER_AT].copy_from_slice(id.as_bytes());
        packet
    };
    let mut long = honest.clone();
    long[0] |= 0x80;
    let mut no_quic = honest.clone();
    no_quic[0] = 0;
    for (mut packet, why) in [
        (with_id(&issued), NotOpened::NoKeys),
        (with_id(&elsewhere), NotOpened::UnknownConnection),
        (long, NotOpened::LongHeader),
        (no_quic, NotOpened::NotQuic),
        (
            honest[..ConnectionId::NUMBER_AT - 1].to_vec(),
            NotOpened::TooShort,
        ),
        (
            honest[..honest.len() - 6].to_vec(),
            NotOpened::Dropped(Dropped::TooShort),
        ),
    ] {
        let before = packet.clone();
        let len = packet.len();
        assert_eq!(open(&flows, &mut packet, len), [Err(why)]);
        assert_eq!(packet, before, "{why}");
    }
    let mut honest = honest;
    let len = honest.len();
    assert_eq!(open(&flows, &mut honest, len), [Ok(b"hello".to_vec())]);
}

#[test]
fn a_connection_has_several_ids_and_a_retired_one_opens_nothing() {
    let flows = QuicFlows::new(2).unwrap();
    let (mut peer, flow) = Peer::connect(&flows, Algorithm::Aes256Gcm, 1);
    let second = flows.issue().unwrap();
    assert_eq!(flows.issue(), Err(NotRegistered::Full));
    flows.attach(second, &flow).unwrap();
    assert_eq!(
        flows.attach(second, &flow),
        Err(NotRegistered::Unknown),
        "it is registered"
    );
    let first = std::mem::replace(&mut peer.id, second);
    let mut packet = peer.seal(b"by the second");
    let len = packet.len();
    assert_eq!(
        open(&flows, &mut packet, len),
        [Ok(b"by the second".to_vec())]
    );

    assert!(flows.retire(&second) && !flows.retire(&second));
    assert!(flows.flow(&second).is_none() && flows.flow(&first).is_some());
    let mut packet = peer.seal(b"too late");
    let len = packet.len();
    assert_eq!(
        open(&flows, &mut packet, len),
        [Err(NotOpened::UnknownConnection)]
    );
    let again = flows.issue().unwrap();
    assert_ne!(again, second, "its place is used again, under another name");
    assert!(!flows.retire(&second));
}

#[test]
fn key_updates_of_either_side_are_followed_and_answered() {
    let flows = QuicFlows::new(4).unwrap();
    let (mut peer, flow) = Peer::connect(&flows, Algorithm::Aes128Gcm, 9);
    let there_and_back = |peer: &mut Peer| {
        let mut packet = peer.seal(b"there");
        let len = packet.len();
        assert_eq!(open(&flows, &mut packet, len), [Ok(b"there".to_vec())]);
        let mut packet = unsealed(&peer.id, b"back");
        let mut packets = [Outgoing::new(&mut packet, ConnectionId::NUMBER_AT, 0)];
        assert_eq!(flow.seal(&mut packets), 1);
        let number = packets[0].number;
        assert_eq!(peer.open(&mut packet), b"back");
        number
    };
    there_and_back(&mut peer);
    // The peer's.
    peer.sealer.update(Some(0)).unwrap();
    let acknowledged = there_and_back(&mut peer);
    assert_eq!((flow.generations(), peer.opener.generation()), ((1, 1), 1));
    // Ours.
    assert_eq!(flow.update_key(Some(0)), Err(Refused::UpdateTooEarly));
    flow.update_key(Some(acknowledged)).unwrap();
    there_and_back(&mut peer);
    assert_eq!((flow.generations(), peer.opener.generation()), ((2, 1), 2));
    peer.sealer.follow(2).unwrap();
    there_and_back(&mut peer);
    assert_eq!(flow.generations(), (2, 2));
}

#[test]
fn a_packet_from_before_an_update_is_refused_once_its_keys_are_gone() {
    let flows = QuicFlows::new(4).unwrap();
    let (mut peer, flow) = Peer::connect(&flows, Algorithm::Aes128Gcm, 9);
    let mut late = peer.seal(b"late");
    let len = late.len();
    peer.sealer.follow(1).unwrap();
    let mut new = peer.seal(b"news");
    assert_eq!(open(&flows, &mut new, len), [Ok(b"news".to_vec())]);
    flow.discard_previous_key();
    let why = NotOpened::Dropped(Dropped::MissingGeneration);
    assert_eq!(open(&flows, &mut late, len), [Err(why)]);
}

#[test]
fn forged_packets_are_counted_for_their_connection_and_leave_it_working() {
    let flows = QuicFlows::new(4).unwrap();
    let (mut peer, flow) = Peer::connect(&flows, Algorithm::ChaCha20Poly1305, 9);
    let (_, bystander) = Peer::connect(&flows, Algorithm::ChaCha20Poly1305, 3);
    let honest = peer.seal(b"hello");
    let mut train = honest.repeat(1000);
    for (at, packet) in train.chunks_mut(honest.len()).enumerate() {
        packet[HEADER + at % 5] ^= 1;
    }
    let why = Err(NotOpened::Dropped(Dropped::Forged));
    assert_eq!(open(&flows, &mut train, honest.len()), vec![why; 1000]);
    assert_eq!((flow.failures(), bystander.failures()), (1000, 0));
    let mut packet = honest;
    let len = packet.len();
    assert_eq!(open(&flows, &mut packet, len), [Ok(b"hello".to_vec())]);
}

#[test]
fn threads_that_send_on_one_connection_use_no_number_twice() {
    let flows = QuicFlows::new(4).unwrap();
    let (mut peer, flow) = Peer::connect(&flows, Algorithm::Aes128Gcm, 9);
    let send = || {
        let mut trains = Vec::new();
        for _ in 0..50 {
            let mut packets = vec![unsealed(&peer.id, &[0x5a; 100]); 10];
            let mut batch: Vec<_> = packets
                .iter_mut()
                .map(|packet| Outgoing::new(packet, ConnectionId::NUMBER_AT, 0))
                .collect();
            assert_eq!(flow.seal(&mut batch), 10);
            let numbers: Vec<_> = batch.iter().map(|packet| packet.number).collect();
            trains.extend(numbers.into_iter().zip(packets));
        }
        trains
    };
    let mut sent: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        let sent = threads.into_iter().map(|thread| thread.join().unwrap());
        sent.flatten().collect()
    });
    sent.sort();
    for (expected, (number, mut packet)) in sent.into_iter().enumerate() {
        assert_eq!(number, expected as u64);
        assert_eq!(peer.open(&mut packet), [0x5a; 100]);
    }
    assert_eq!(peer.opener.largest(), Some(4 * 50 * 10 - 1));
}
