use underseal_record::dtls::{Discard, Opener, RecordNumber, Sealer};
use underseal_record::{Algorithm, ContentType, Error, Limits};

use super::{keys, open, opener, seal, sealer};

#[test]
fn a_key_seals_no_more_than_its_limit() {
    let mut sealer = sealer(Algorithm::Aes128Gcm);
    assert_eq!(sealer.limits().hard, 1 << 28);
    sealer.lower_limits(Limits { soft: 2, hard: 5 });
    seal(&mut sealer, b"one");
    assert!(!sealer.wants_new_keys());
    // Up to 2^11 bytes a record counts once.
    seal(&mut sealer, &[0; 2048]);
    assert!(sealer.wants_new_keys());
    seal(&mut sealer, &[0; 2 * 2048 + 1]);
    let mut out = [0; 100];
    let refused = sealer.seal(ContentType::APPLICATION_DATA, b"x", &mut out);
    assert_eq!(refused, Err(Error::ConfidentialityLimit));
    // Moving the keys does not set the count back.
    let mut sealer = Sealer::new(sealer.into_keys());
    sealer.lower_limits(Limits { soft: 2, hard: 5 });
    let refused = sealer.seal(ContentType::APPLICATION_DATA, b"x", &mut out);
    assert_eq!(refused, Err(Error::ConfidentialityLimit));
}

#[test]
fn the_last_sequence_number_is_used_and_none_after_it() {
    let mut sealer = Sealer::new(keys(Algorithm::ChaCha20Poly1305, RecordNumber::MAX_SEQ));
    let last = seal(&mut sealer, b"last");
    let mut opener = opener(Algorithm::ChaCha20Poly1305);
    assert_eq!(open(&mut opener, &last).unwrap().1, b"last");
    let refused = sealer.seal(ContentType::APPLICATION_DATA, b"x", &mut [0; 100]);
    assert_eq!(refused, Err(Error::ConfidentialityLimit));
}

#[test]
fn a_key_that_was_attacked_too_often_opens_nothing_more() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
    opener.lower_max_forged(2);
    for seq in 0..2 {
        let mut forged = seal(&mut sealer, b"x");
        forged[20] ^= 1;
        assert!(!opener.is_exhausted(), "{seq}");
        assert_eq!(open(&mut opener, &forged), Err(Discard::Forged));
    }
    let good = seal(&mut sealer, b"x");
    assert!(opener.is_exhausted());
    assert_eq!(open(&mut opener, &good), Err(Discard::IntegrityLimit));
}

#[test]
fn a_key_that_moves_is_known_to_have_been_attacked() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
    for _ in 0..2 {
        let mut forged = seal(&mut sealer, b"x");
        forged[20] ^= 1;
        assert_eq!(open(&mut opener, &forged), Err(Discard::Forged));
    }
    let (keys, window) = opener.into_parts();
    let mut opener = Opener::new(keys, window);
    opener.lower_max_forged(2);
    assert!(opener.is_exhausted());
}
