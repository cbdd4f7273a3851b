//! What others send: forged, corrupted, truncated, out of order.

use proptest::prelude::*;
use underseal_record::quic::{Dropped, PacketNumber, Refused};
use underseal_record::{Algorithm, Backend, TAG_LEN};

use crate::packets::{NUMBER_AT, algorithms, pair, sealed, short};

#[test]
fn a_changed_byte_anywhere_is_refused_and_changes_nothing() {
    for backend in Backend::ALL {
        let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, backend);
        let honest = sealed(&mut sealer, b"hello");
        for at in 0..honest.len() {
            let mut changed = honest.clone();
            changed[at] ^= 0x55;
            // A long header now: it is given to these keys all the same.
            let given = changed.clone();
            let dropped = opener.open(&mut changed, NUMBER_AT);
            assert_eq!(dropped, Err(Dropped::Forged), "{backend}, byte {at}");
            let (header, tail) = (NUMBER_AT + 1, given.len() - TAG_LEN);
            assert_eq!(
                changed[..header],
                given[..header],
                "the header is as it came"
            );
            assert_eq!(
                changed[tail..],
                given[tail..],
                "so is what may be a reset token"
            );
        }
        assert_eq!((opener.largest(), opener.generation()), (None, 0));
        assert!(opener.open(&mut honest.clone(), NUMBER_AT).is_ok());
    }
}

#[test]
fn a_truncated_packet_is_refused() {
    let (mut sealer, mut opener) = pair(Algorithm::ChaCha20Poly1305, Backend::ALL[0]);
    let honest = sealed(&mut sealer, b"hello");
    for len in 0..honest.len() {
        let dropped = opener.open(&mut honest[..len].to_vec(), NUMBER_AT);
        let expected = match len < NUMBER_AT + 4 + 16 {
            true => Dropped::TooShort,
            false => Dropped::Forged,
        };
        assert_eq!(dropped, Err(expected), "{len} bytes");
    }
    for at in [0, honest.len(), usize::MAX] {
        let dropped = opener.open(&mut honest.clone(), at);
        assert_eq!(dropped, Err(Dropped::TooShort), "number at {at}");
    }
}

#[test]
fn a_packet_without_room_is_refused() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    // Two bytes of number and one of payload: nothing could be sampled.
    let mut packet = short(false, 0, 2, b"x");
    assert_eq!(
        sealer.seal(&mut packet, NUMBER_AT, 0),
        Err(Refused::TooShort)
    );
    for at in [0, packet.len(), usize::MAX] {
        assert_eq!(
            sealer.seal(&mut packet, at, 0),
            Err(Refused::TooShort),
            "number at {at}"
        );
    }
    let mut padded = short(false, 0, 2, b"x\0");
    sealer.seal(&mut padded, NUMBER_AT, 0).unwrap();
}

#[test]
fn reserved_bits_in_an_authentic_packet_are_the_peers_fault() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut packet = short(false, 0, 2, b"hello");
    packet[0] |= 0x08;
    sealer.seal(&mut packet, NUMBER_AT, 0).unwrap();
    assert_eq!(
        opener.open(&mut packet, NUMBER_AT),
        Err(Dropped::ReservedBits)
    );
    assert_eq!(opener.failures(), 0);
}

#[test]
fn a_number_above_all_numbers_is_refused() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut packet = sealed(&mut sealer, b"hello");
    opener.set_largest(u64::MAX);
    assert_eq!(opener.open(&mut packet, NUMBER_AT), Err(Dropped::Forged));
}

#[test]
fn a_packet_opens_once_and_not_after_too_many_others() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let first = sealed(&mut sealer, b"hello");
    let second = sealed(&mut sealer, b"hello");
    opener.open(&mut first.clone(), NUMBER_AT).unwrap();
    let mut again = first.clone();
    assert_eq!(opener.open(&mut again, NUMBER_AT), Err(Dropped::Duplicate));
    let (header, tail) = (NUMBER_AT + 2, first.len() - TAG_LEN);
    assert_eq!(again[..header], first[..header], "the header is as it came");
    assert_eq!(
        again[tail..],
        first[tail..],
        "so is what may be a reset token"
    );
    for _ in 0..2048 {
        opener
            .open(&mut sealed(&mut sealer, b"hello"), NUMBER_AT)
            .unwrap();
    }
    let dropped = opener.open(&mut second.clone(), NUMBER_AT);
    assert_eq!((dropped, opener.failures()), (Err(Dropped::TooOld), 0));
}

/// Who guesses a packet number must not learn by a clock whether it was used (RFC 9001 section 9.5).
#[test]
fn a_forged_packet_of_a_used_or_old_number_is_tried_as_any_other() {
    let (mut sealer, mut opener) = pair(Algorithm::ChaCha20Poly1305, Backend::ALL[0]);
    let old = sealed(&mut sealer, b"hello");
    sealer.skip_to(5000);
    let used = sealed(&mut sealer, b"hello");
    opener.open(&mut used.clone(), NUMBER_AT).unwrap();
    for (count, (packet, authentic)) in
        (1..).zip([(used, Dropped::Duplicate), (old, Dropped::TooOld)])
    {
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(opener.open(&mut forged, NUMBER_AT), Err(Dropped::Forged));
        let mut packet = packet;
        assert_eq!(opener.open(&mut packet, NUMBER_AT), Err(authentic));
        assert_eq!(opener.failures(), count);
    }
}

proptest! {
    #[test]
    fn packets_open_in_whatever_order_they_come(
        lens in prop::collection::vec(2_usize..1500, 1..40),
        shuffle in any::<u64>(),
        algorithm in prop::sample::select(algorithms()),
        backend in prop::sample::select(Backend::ALL.to_vec()),
        start in prop::sample::select(vec![0_u64, 250, 65_530, (1 << 24) - 5, (1 << 40) - 9]),
    ) {
        let (mut sealer, mut opener) = pair(algorithm, backend);
        sealer.lower_limits(underseal_record::Limits { soft: u64::MAX, hard: u64::MAX });
        let (mut packets, mut number) = (Vec::new(), start);
        if start > 0 {
            opener.set_largest(start - 1);
        }
        for (index, len) in lens.iter().enumerate() {
            let encoded = PacketNumber::encode(number, start.checked_sub(1)).unwrap();
            let payload = vec![index as u8; *len];
            let mut packet = short(false, number, encoded.as_bytes().len(), &payload);
            if packet.len() >= NUMBER_AT + 20 {
                sealer.seal(&mut packet, NUMBER_AT, number).unwrap();
                packets.push((number, packet, payload));
            }
            number += 1;
        }
        let by = shuffle as usize % packets.len().max(1);
        packets.rotate_left(by);
        packets.reverse();
        for (number, mut packet, payload) in packets {
            let opened = opener.open(&mut packet, NUMBER_AT).unwrap();
            prop_assert_eq!(opened.number, number);
            prop_assert_eq!(&packet[opened.payload], &payload[..]);
        }
    }
}
