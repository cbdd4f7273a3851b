//! A batch does to each packet what a call for it alone does.

use proptest::prelude::*;
use underseal_record::quic::{
    Dropped, Incoming, Outgoing, PacketOpener, PacketSealer, Refused, Version, header_key,
    packet_key,
};
use underseal_record::{Algorithm, Backend};

use crate::packets::{NUMBER_AT, algorithms, pair, secret, short};

/// What becomes of packets, and their bytes then.
type Outcome<T> = (Vec<T>, Vec<Vec<u8>>);

fn seal_one_by_one(
    sealer: &mut PacketSealer,
    mut packets: Vec<(u64, Vec<u8>)>,
) -> Outcome<Result<(), Refused>> {
    let seal = |(number, packet): &mut (u64, Vec<u8>)| sealer.seal(packet, NUMBER_AT, *number);
    let outcomes = packets.iter_mut().map(seal).collect();
    (
        outcomes,
        packets.into_iter().map(|(_, packet)| packet).collect(),
    )
}

fn seal_batch(
    sealer: &mut PacketSealer,
    mut packets: Vec<(u64, Vec<u8>)>,
) -> Outcome<Result<(), Refused>> {
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|(number, packet)| Outgoing::new(packet, NUMBER_AT, *number))
        .collect();
    let sealed = sealer.seal_batch(&mut batch);
    let outcomes: Vec<_> = batch.into_iter().map(|one| one.outcome.unwrap()).collect();
    assert_eq!(
        sealed,
        outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    );
    (
        outcomes,
        packets.into_iter().map(|(_, packet)| packet).collect(),
    )
}

type Opened = Result<(u64, u64, core::ops::Range<usize>), Dropped>;

fn open_one_by_one(opener: &mut PacketOpener, mut packets: Vec<Vec<u8>>) -> Outcome<Opened> {
    let outcomes = packets.iter_mut().map(|packet| {
        let opened = opener.open(packet, NUMBER_AT)?;
        Ok((opened.number, opened.generation, opened.payload))
    });
    (outcomes.collect(), packets)
}

fn open_batch(opener: &mut PacketOpener, mut packets: Vec<Vec<u8>>) -> Outcome<Opened> {
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|packet| Incoming::new(packet, NUMBER_AT))
        .collect();
    let opened = opener.open_batch(&mut batch);
    let outcomes: Vec<_> = batch
        .into_iter()
        .map(|one| {
            let opened = one.outcome.unwrap()?;
            Ok((opened.number, opened.generation, opened.payload))
        })
        .collect();
    assert_eq!(
        opened,
        outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    );
    (outcomes, packets)
}

/// A packet of a train: bytes of its payload, by how much its number goes on, whether it names another
/// key phase, and the byte of it that somebody changes.
type Planned = (usize, u64, bool, Option<(prop::sample::Index, u8)>);

fn train() -> impl Strategy<Value = Vec<Planned>> {
    let change = prop::option::weighted(0.1, (any::<prop::sample::Index>(), 1_u8..));
    let step = prop_oneof![4 => Just(1_u64), 1 => 0..3_u64];
    let packet = (0_usize..1460, step, prop::bool::weighted(0.05), change);
    prop::collection::vec(packet, 0..140)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_batch_is_its_packets_one_by_one(
        train in train(),
        algorithm in prop::sample::select(algorithms()),
        backend in prop::sample::select(Backend::ALL.to_vec()),
    ) {
        let (mut number, mut packets) = (0, Vec::new());
        for (len, step, other_phase, _) in &train {
            number += step;
            packets.push((number, short(*other_phase, number, 2, &vec![0x5a; *len])));
        }
        let (mut alone, mut opener_alone) = pair(algorithm, backend);
        let (mut together, mut opener_together) = pair(algorithm, backend);
        let (outcomes, mut sealed) = seal_one_by_one(&mut alone, packets.clone());
        let batch = seal_batch(&mut together, packets);
        prop_assert_eq!(&batch, &(outcomes, sealed.clone()));

        for (packet, (_, _, _, change)) in sealed.iter_mut().zip(&train) {
            if let Some((at, xor)) = change {
                let at = at.index(packet.len());
                packet[at] ^= xor;
            }
        }
        let alone = open_one_by_one(&mut opener_alone, sealed.clone());
        let together = open_batch(&mut opener_together, sealed);
        prop_assert_eq!(alone, together);
        prop_assert_eq!(opener_alone.largest(), opener_together.largest());
        prop_assert_eq!(opener_alone.failures(), opener_together.failures());
    }
}

#[test]
fn a_key_update_inside_of_a_batch_is_followed() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut packets = Vec::new();
    for number in 0..200 {
        if number == 100 {
            sealer.update(Some(0)).unwrap();
        }
        let mut packet = short(sealer.key_phase(), number, 2, b"hello");
        sealer.seal(&mut packet, NUMBER_AT, number).unwrap();
        packets.push(packet);
    }
    packets.swap(90, 110);
    let (outcomes, _) = open_batch(&mut opener, packets);
    let generations = outcomes.into_iter().map(|outcome| outcome.unwrap().1);
    let of_old: usize = generations.filter(|generation| *generation == 0).count();
    assert_eq!((of_old, opener.generation()), (100, 1));
}

#[test]
fn others_seal_while_packets_are_claimed() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let (mut first, mut second) = (short(false, 0, 2, b"hello"), short(false, 1, 2, b"hello"));
    let mut third = short(true, 2, 2, b"hello");
    let mut claimed = [Outgoing::new(&mut first, NUMBER_AT, 0)];
    let claimed = sealer.claim(&mut claimed);
    sealer.seal(&mut second, NUMBER_AT, 1).unwrap();
    sealer.follow(1).unwrap();
    sealer.seal(&mut third, NUMBER_AT, 2).unwrap();
    assert_eq!(claimed.seal(), 1, "under the keys of its time");
    for (number, mut packet) in [first, second, third].into_iter().enumerate() {
        let opened = opener.open(&mut packet, NUMBER_AT).unwrap();
        assert_eq!(opened.number, number as u64);
    }
}

#[test]
fn numbers_and_key_phase_are_written_into_headers_of_any_length() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    sealer.skip_to(7);
    sealer.follow(1).unwrap();
    let mut packets: Vec<_> = (1..=4).map(|len| short(false, 0, len, b"hello")).collect();
    // Too short for a number, and for anything.
    packets.extend([vec![0x43; NUMBER_AT + 1], vec![]]);
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|packet| Outgoing::new(packet, NUMBER_AT, 0))
        .collect();
    sealer.write_numbers(&mut batch);
    assert_eq!(sealer.seal_batch(&mut batch), 4);
    assert_eq!(batch[4].outcome, Some(Err(Refused::TooShort)));
    assert_eq!(batch[5].outcome, Some(Err(Refused::TooShort)));
    for (number, packet) in (7..).zip(&mut packets[..4]) {
        let opened = opener.open(packet, NUMBER_AT).unwrap();
        assert_eq!((opened.number, opened.generation), (number, 1));
    }
}

#[test]
fn a_key_seals_a_packet_as_its_sealer_does() {
    for backend in Backend::ALL {
        for algorithm in algorithms() {
            let (mut sealer, _) = pair(algorithm, backend);
            let key = packet_key(Version::V1, &secret(algorithm), backend);
            let header = header_key(Version::V1, &secret(algorithm), backend);
            for number_len in 1..=4 {
                let number = number_len as u64;
                let mut packet = short(false, number, number_len, b"hello");
                let mut other = packet.clone();
                sealer.seal(&mut packet, NUMBER_AT, number).unwrap();
                key.seal_packet(&header, &mut other, NUMBER_AT, number)
                    .unwrap();
                assert_eq!(packet, other);
            }
            let mut short = short(false, 1, 1, b"hi");
            let before = short.clone();
            for number_at in [0, NUMBER_AT, usize::MAX] {
                let refused = key.seal_packet(&header, &mut short, number_at, 1);
                assert_eq!(refused, Err(Refused::TooShort));
            }
            assert_eq!(short, before);
        }
    }
}
