//! Epochs of DTLS 1.3: what a KeyUpdate changes.

use underseal_record::dtls::{Discard, EpochKeys, EpochSecret, Opener, ReplayWindow, Sealer};
use underseal_record::{
    Algorithm, ApiMisuse, ContentType, Error, Limits, ProtocolVersion, SeqNo, TrafficKeys,
};

use super::forge13::{secret, secret_len};
use super::{keys, open, seal};

#[test]
fn the_epoch_before_is_opened_until_it_is_forgotten_or_two_back() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut sealer = Sealer::new(secret(algorithm, 3).keys());
    let mut opener = Opener::new(secret(algorithm, 3).keys(), ReplayWindow::default());
    let old = [(); 4].map(|()| seal(&mut sealer, b"old"));
    sealer.advance(secret(algorithm, 4).keys()).unwrap();
    assert_eq!(
        (sealer.next_number().epoch, sealer.next_number().seq),
        (4, 0)
    );
    let new = seal(&mut sealer, b"new");
    assert_eq!(open(&mut opener, &new), Err(Discard::Epoch), "not yet");
    assert!(open(&mut opener, &old[0]).is_ok());
    opener.advance(secret(algorithm, 4).keys()).unwrap();
    assert_eq!(opener.epoch(), 4);
    assert!(open(&mut opener, &new).is_ok());
    assert!(open(&mut opener, &old[1]).is_ok());
    assert_eq!(open(&mut opener, &old[0]), Err(Discard::Replayed));
    assert!(opener.forget_previous());
    assert_eq!(open(&mut opener, &old[2]), Err(Discard::Epoch));
    for epoch in [5, 6] {
        opener.advance(secret(algorithm, epoch).keys()).unwrap();
    }
    assert_eq!(open(&mut opener, &new), Err(Discard::Epoch));
}

/// The ACK of a key update may be lost, and the peer goes on in its epoch.
#[test]
fn the_epoch_before_stays_until_the_new_one_was_used() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut sealer = Sealer::new(secret(algorithm, 3).keys());
    let mut opener = Opener::new(secret(algorithm, 3).keys(), ReplayWindow::default());
    let old = [(); 2].map(|()| seal(&mut sealer, b"old"));
    opener.advance(secret(algorithm, 4).keys()).unwrap();
    assert!(!opener.forget_previous());
    assert!(open(&mut opener, &old[0]).is_ok());
    sealer.advance(secret(algorithm, 4).keys()).unwrap();
    assert!(open(&mut opener, &seal(&mut sealer, b"new")).is_ok());
    assert!(opener.forget_previous());
    assert_eq!(open(&mut opener, &old[1]), Err(Discard::Epoch));
}

/// Four epochs on the last two bits are the same: it is the key that tells them apart.
#[test]
fn an_epoch_with_the_same_bits_is_not_mistaken() {
    let algorithm = Algorithm::Aes256Gcm;
    let old = seal(&mut Sealer::new(secret(algorithm, 3).keys()), b"old");
    let mut opener = Opener::new(secret(algorithm, 7).keys(), ReplayWindow::default());
    assert_eq!(open(&mut opener, &old), Err(Discard::Forged));
}

#[test]
fn keys_come_in_the_order_of_their_epochs() {
    let algorithm = Algorithm::Aes128Gcm;
    let misuse = Err(Error::ApiMisuse(ApiMisuse::EpochOrder));
    let mut sealer = Sealer::new(secret(algorithm, 4).keys());
    let mut opener = Opener::new(secret(algorithm, 4).keys(), ReplayWindow::default());
    for epoch in [3, 4, 6] {
        assert_eq!(sealer.advance(secret(algorithm, epoch).keys()), misuse);
        assert_eq!(opener.advance(secret(algorithm, epoch).keys()), misuse);
    }
    let mut older = Sealer::new(keys(algorithm, 0));
    assert_eq!(older.advance(secret(algorithm, 3).keys()), misuse);
}

#[test]
fn an_update_of_a_key_at_its_limit_lets_sealing_go_on() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut sealer = Sealer::new(secret(algorithm, 3).keys());
    assert_eq!(sealer.limits().hard, 1 << 24);
    sealer.lower_limits(Limits { soft: 1, hard: 2 });
    seal(&mut sealer, b"x");
    assert!(sealer.wants_new_keys());
    seal(&mut sealer, b"x");
    let refused = sealer.seal(ContentType::APPLICATION_DATA, b"x", &mut [0; 100]);
    assert_eq!(refused, Err(Error::ConfidentialityLimit));
    sealer.advance(secret(algorithm, 4).keys()).unwrap();
    assert!(!sealer.wants_new_keys());
    seal(&mut sealer, b"x");
    // What was lowered stays so.
    seal(&mut sealer, b"x");
    let refused = sealer.seal(ContentType::APPLICATION_DATA, b"x", &mut [0; 100]);
    assert_eq!(refused, Err(Error::ConfidentialityLimit));
}

#[test]
fn an_update_leaves_the_bound_of_forged_records_as_low_as_it_was() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut opener = Opener::new(secret(algorithm, 3).keys(), ReplayWindow::default());
    opener.lower_max_forged(1);
    opener.advance(secret(algorithm, 4).keys()).unwrap();
    assert!(!opener.is_exhausted());
    let mut forged = seal(&mut Sealer::new(secret(algorithm, 4).keys()), b"x");
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut opener, &forged), Err(Discard::Forged));
    assert!(opener.is_exhausted());
}

#[test]
fn a_secret_is_of_the_right_length_and_of_an_epoch_that_has_keys() {
    for algorithm in Algorithm::ALL {
        let len = secret_len(algorithm);
        assert!(EpochSecret::new(algorithm, &vec![0; len], 1).is_ok());
        assert!(EpochSecret::new(algorithm, &vec![0; len], 0).is_err());
        assert!(EpochSecret::new(algorithm, &vec![0; len - 1], 1).is_err());
        let mut last = EpochSecret::new(algorithm, &vec![0; len], u16::MAX).unwrap();
        assert_eq!(last.update(), Err(Error::ConfidentialityLimit));
        assert_eq!(last.epoch(), u16::MAX);
    }
    let tls = TrafficKeys::new(
        ProtocolVersion::Tls13,
        Algorithm::Aes128Gcm,
        &[0; 16],
        [0; 12],
        SeqNo(0),
    );
    let refused = EpochKeys::new(tls.unwrap(), 3);
    assert!(matches!(
        refused,
        Err(Error::ApiMisuse(ApiMisuse::NoNumberKey))
    ));
}

#[test]
fn nothing_prints_a_key() {
    let algorithm = Algorithm::Aes128Gcm;
    let secret = secret(algorithm, 3);
    let sealer = Sealer::new(secret.keys());
    let opener = Opener::new(secret.keys(), ReplayWindow::default());
    for text in [
        format!("{secret:?}"),
        format!("{sealer:?}"),
        format!("{opener:?}"),
    ] {
        assert!(!text.contains('['), "{text}");
    }
}
