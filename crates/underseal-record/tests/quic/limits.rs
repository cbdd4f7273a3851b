//! RFC 9001 section 6.6: how much a key may seal, and how often it may fail to open.

use underseal_record::quic::{
    Dropped, MAX_PACKET_NUMBER, Outgoing, PacketNumber, Refused, confidentiality_limits,
    integrity_limit,
};
use underseal_record::{Algorithm, Backend, Limits};

use crate::packets::{NUMBER_AT, pair, sealed, short};

#[test]
fn the_limits_are_those_of_the_rfc() {
    for algorithm in [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm] {
        assert_eq!(confidentiality_limits(algorithm).hard, 1 << 23);
        assert_eq!(integrity_limit(algorithm), 1 << 52);
    }
    assert_eq!(
        confidentiality_limits(Algorithm::ChaCha20Poly1305).hard,
        u64::MAX
    );
    assert_eq!(integrity_limit(Algorithm::ChaCha20Poly1305), 1 << 36);
}

#[test]
fn a_key_asks_for_an_update_and_then_seals_no_more() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    sealer.lower_limits(Limits { soft: 2, hard: 3 });
    for wants in [false, false, true] {
        assert_eq!(sealer.wants_update(), wants);
        sealed(&mut sealer, b"hello");
    }
    let mut packet = short(false, 3, 2, b"hello");
    let before = packet.clone();
    let refused = sealer.seal(&mut packet, NUMBER_AT, 3);
    assert_eq!(refused, Err(Refused::ConfidentialityLimit));
    assert_eq!(packet, before);
    sealer.update(Some(2)).unwrap();
    assert!(!sealer.wants_update());
    sealed(&mut sealer, b"hello");
}

#[test]
fn what_another_owner_sealed_counts() {
    let (mut sealer, _) = pair(Algorithm::Aes256Gcm, Backend::ALL[0]);
    sealer.skip_to(1 << 23);
    let mut packet = short(false, 1 << 23, 4, b"hello");
    let refused = sealer.seal(&mut packet, NUMBER_AT, 1 << 23);
    assert_eq!(refused, Err(Refused::ConfidentialityLimit));
    sealer.skip_to(5);
    assert_eq!(sealer.next_number(), 1 << 23, "numbers never go back");
}

#[test]
fn past_the_last_number_nothing_is_sealed() {
    let (mut sealer, _) = pair(Algorithm::ChaCha20Poly1305, Backend::ALL[0]);
    sealer.skip_to(u64::MAX);
    let mut packet = short(false, 0, 4, b"hello");
    let mut packets = [Outgoing::new(&mut packet, NUMBER_AT, 0)];
    sealer.write_numbers(&mut packets);
    assert_eq!(sealer.seal_batch(&mut packets), 0);
    assert_eq!(packets[0].outcome, Some(Err(Refused::NumberTooLarge)));
    let decoded =
        [MAX_PACKET_NUMBER, u64::MAX].map(|largest| PacketNumber::decode(&[7], Some(largest)));
    assert_eq!(decoded[0], decoded[1]);
}

#[test]
fn at_the_integrity_limit_nothing_opens_any_more() {
    let (mut sealer, mut opener) = pair(Algorithm::ChaCha20Poly1305, Backend::ALL[0]);
    opener.lower_integrity_limit(2);
    let mut forged = sealed(&mut sealer, b"hello");
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..2 {
        assert_eq!(
            opener.open(&mut forged.clone(), NUMBER_AT),
            Err(Dropped::Forged)
        );
    }
    let mut honest = sealed(&mut sealer, b"hello");
    assert_eq!(
        opener.open(&mut honest, NUMBER_AT),
        Err(Dropped::IntegrityLimit)
    );
    opener.lower_integrity_limit(9);
    assert_eq!(
        opener.open(&mut honest, NUMBER_AT),
        Err(Dropped::IntegrityLimit)
    );
}

#[test]
fn a_number_is_used_once_and_is_never_too_large() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut seal = |number: u64| {
        let mut packet = short(false, number, 4, b"hello");
        sealer.seal(&mut packet, NUMBER_AT, number)
    };
    seal(5).unwrap();
    assert_eq!(seal(5), Err(Refused::NumberUsed { next: 6 }));
    assert_eq!(seal(4), Err(Refused::NumberUsed { next: 6 }));
    assert_eq!(seal(MAX_PACKET_NUMBER + 1), Err(Refused::NumberTooLarge));
    seal(MAX_PACKET_NUMBER).unwrap();
    assert_eq!(
        seal(MAX_PACKET_NUMBER),
        Err(Refused::NumberUsed {
            next: MAX_PACKET_NUMBER + 1
        })
    );
}

#[test]
fn a_header_with_another_number_is_refused() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut packet = short(false, 7, 2, b"hello");
    assert_eq!(
        sealer.seal(&mut packet, NUMBER_AT, 8),
        Err(Refused::NumberDiffers)
    );
    assert_eq!(sealer.next_number(), 0);
}
