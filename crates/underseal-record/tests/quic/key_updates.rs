//! Key updates: which packets open under which keys, and which are refused.

use underseal_record::quic::{Dropped, Refused};
use underseal_record::{Algorithm, Backend, TAG_LEN};

use crate::packets::{NUMBER_AT, algorithms, pair, sealed, short};

/// Every algorithm with every backend.
fn all() -> impl Iterator<Item = (Algorithm, Backend)> {
    let backends = |algorithm| Backend::ALL.map(|backend| (algorithm, backend));
    algorithms().into_iter().flat_map(backends)
}

#[test]
fn an_opener_follows_update_after_update() {
    for (algorithm, backend) in all() {
        let (mut sealer, mut opener) = pair(algorithm, backend);
        for generation in 0..5 {
            for _ in 0..3 {
                let mut packet = sealed(&mut sealer, b"hello");
                let opened = opener.open(&mut packet, NUMBER_AT).unwrap();
                assert_eq!(opened.generation, generation, "{algorithm} {backend}");
                assert_eq!(packet[opened.payload], *b"hello");
            }
            sealer.update(Some(sealer.next_number() - 1)).unwrap();
        }
        assert_eq!((sealer.generation(), opener.generation()), (5, 4));
    }
}

#[test]
fn packets_from_before_an_update_open_until_their_keys_are_discarded() {
    for (algorithm, backend) in all() {
        let (mut sealer, mut opener) = pair(algorithm, backend);
        let mut first = sealed(&mut sealer, b"first");
        let mut late = [b"one", b"two"].map(|payload| sealed(&mut sealer, payload));
        opener.open(&mut first, NUMBER_AT).unwrap();
        sealer.update(Some(0)).unwrap();
        let mut ahead = sealed(&mut sealer, b"new");
        let mut behind = sealed(&mut sealer, b"newer");
        assert_eq!(opener.open(&mut behind, NUMBER_AT).unwrap().generation, 1);
        assert_eq!(opener.open(&mut ahead, NUMBER_AT).unwrap().generation, 1);
        let opened = opener.open(&mut late[0], NUMBER_AT).unwrap();
        assert_eq!((opened.number, opened.generation), (1, 0));

        opener.discard_previous();
        let before = late[1].clone();
        let dropped = opener.open(&mut late[1], NUMBER_AT);
        assert_eq!(dropped, Err(Dropped::MissingGeneration));
        let (header, tail) = (NUMBER_AT + 2, before.len() - TAG_LEN);
        assert_eq!(late[1][..header], before[..header]);
        assert_eq!(late[1][tail..], before[tail..]);
        assert_eq!(opener.failures(), 1, "a key was tried, as for any packet");
    }
}

#[test]
fn a_packet_two_generations_ahead_does_not_open() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    opener
        .open(&mut sealed(&mut sealer, b"hello"), NUMBER_AT)
        .unwrap();
    sealer.follow(1).unwrap();
    sealer.follow(2).unwrap();
    let dropped = opener.open(&mut sealed(&mut sealer, b"hello"), NUMBER_AT);
    assert_eq!((dropped, opener.failures()), (Err(Dropped::Forged), 1));
    assert_eq!(opener.generation(), 0);
}

/// RFC 9001 section 6.4: whoever seals a packet under newer keys than one with a larger number has
/// broken the protocol.
#[test]
fn newer_keys_than_those_of_a_larger_number_are_the_peers_fault() {
    for (algorithm, backend) in all() {
        let (mut old, mut opener) = pair(algorithm, backend);
        let (mut new, _) = pair(algorithm, backend);
        new.follow(1).unwrap();
        let mut below = [(); 2].map(|()| sealed(&mut new, b"below"));
        for sealer in [&mut old, &mut new] {
            sealer.skip_to(10);
        }
        opener
            .open(&mut sealed(&mut old, b"ten"), NUMBER_AT)
            .unwrap();
        let dropped = opener.open(&mut below[0], NUMBER_AT);
        assert_eq!(dropped, Err(Dropped::KeyOrder), "{algorithm} {backend}");
        assert_eq!((opener.generation(), opener.failures()), (0, 0));
        // Behind a true update as well.
        new.skip_to(11);
        opener
            .open(&mut sealed(&mut new, b"news"), NUMBER_AT)
            .unwrap();
        let dropped = opener.open(&mut below[1], NUMBER_AT);
        assert_eq!(dropped, Err(Dropped::KeyOrder));
        opener
            .open(&mut sealed(&mut new, b"news"), NUMBER_AT)
            .unwrap();
    }
}

#[test]
fn a_forged_key_phase_does_not_move_the_opener_on() {
    let (mut sealer, mut opener) = pair(Algorithm::Aes256Gcm, Backend::ALL[0]);
    opener
        .open(&mut sealed(&mut sealer, b"hello"), NUMBER_AT)
        .unwrap();
    let honest = sealed(&mut sealer, b"hello");
    let mut forged = honest.clone();
    forged[0] ^= 4;
    assert_eq!(opener.open(&mut forged, NUMBER_AT), Err(Dropped::Forged));
    assert_eq!(opener.generation(), 0);
    assert!(opener.open(&mut honest.clone(), NUMBER_AT).is_ok());
}

#[test]
fn a_packet_that_names_another_key_phase_is_refused_and_stays_plaintext() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    let mut early = short(true, 0, 2, b"hello");
    let before = early.clone();
    assert_eq!(
        sealer.seal(&mut early, NUMBER_AT, 0),
        Err(Refused::KeyPhase)
    );
    assert_eq!((early, sealer.next_number()), (before, 0));

    sealed(&mut sealer, b"hello");
    let mut prepared = short(sealer.key_phase(), 1, 2, b"hello");
    sealer.update(Some(0)).unwrap();
    assert_eq!(
        sealer.seal(&mut prepared, NUMBER_AT, 1),
        Err(Refused::KeyPhase)
    );
}

#[test]
fn a_key_is_updated_once_the_peer_acknowledged_a_packet_under_it() {
    let (mut sealer, _) = pair(Algorithm::ChaCha20Poly1305, Backend::ALL[0]);
    assert_eq!(sealer.update(None), Err(Refused::UpdateTooEarly));
    sealed(&mut sealer, b"hello");
    assert_eq!(
        sealer.update(Some(1)),
        Err(Refused::UpdateTooEarly),
        "never sent"
    );
    sealer.update(Some(0)).unwrap();
    assert_eq!(sealer.update(Some(0)), Err(Refused::UpdateTooEarly));
    sealed(&mut sealer, b"hello");
    sealer.update(Some(1)).unwrap();
    assert_eq!(sealer.generation(), 2);
}

#[test]
fn a_sealer_follows_its_peer_one_generation_at_a_time() {
    let (mut sealer, _) = pair(Algorithm::Aes128Gcm, Backend::ALL[0]);
    assert_eq!(sealer.follow(0), Ok(false));
    assert_eq!(sealer.follow(2), Err(Refused::PeerTooFarAhead));
    assert_eq!(sealer.follow(1), Ok(true));
    assert_eq!(sealer.follow(0), Ok(false), "the peer has not followed yet");
    assert!(sealer.key_phase());
}
