//! How many records one key may protect.

use rustls::crypto::ring::cipher_suite as suites;
use underseal_record::{
    Algorithm, Backend, ContentType, Error, Limits, ProtocolVersion, Sealer, SeqNo,
};

use crate::direction::DirectionalKeys;

fn seal_one(sealer: &mut Sealer) -> Result<Vec<u8>, Error> {
    let mut record = vec![0x33; sealer.record_len(4)];
    sealer
        .seal(ContentType::APPLICATION_DATA, b"data", &mut record)
        .map(|_| record)
}

#[test]
fn the_table_is_that_of_the_rfcs() {
    use Algorithm::{Aes128Gcm, Aes256Gcm, ChaCha20Poly1305};
    use ProtocolVersion::{Tls12, Tls13};
    for gcm in [Aes128Gcm, Aes256Gcm] {
        let limits = Limits::of(Tls13, gcm);
        assert_eq!(limits.hard, 1 << 24);
        assert_eq!(limits.soft, (1 << 24) - (1 << 21));
        assert_eq!(Limits::of(Tls12, gcm).hard, 1 << 23);
    }
    for version in [Tls12, Tls13] {
        let limits = Limits::of(version, ChaCha20Poly1305);
        assert_eq!(limits.hard, u64::MAX);
        assert!(limits.soft < limits.hard);
    }
}

#[test]
fn tls12_asks_for_no_key_update_because_it_has_none() {
    for algorithm in [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm] {
        let limits = Limits::of(ProtocolVersion::Tls12, algorithm);
        assert!(limits.soft > limits.hard);
    }
}

#[test]
fn no_limit_is_above_that_of_rustls() {
    let suites = [
        (Algorithm::Aes128Gcm, suites::TLS13_AES_128_GCM_SHA256),
        (Algorithm::Aes256Gcm, suites::TLS13_AES_256_GCM_SHA384),
        (
            Algorithm::ChaCha20Poly1305,
            suites::TLS13_CHACHA20_POLY1305_SHA256,
        ),
        (
            Algorithm::Aes128Gcm,
            suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            Algorithm::Aes256Gcm,
            suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            Algorithm::ChaCha20Poly1305,
            suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ];
    for (algorithm, suite) in suites {
        let (version, common) = match suite {
            rustls::SupportedCipherSuite::Tls13(suite) => (ProtocolVersion::Tls13, &suite.common),
            rustls::SupportedCipherSuite::Tls12(suite) => (ProtocolVersion::Tls12, &suite.common),
        };
        assert!(Limits::of(version, algorithm).hard <= common.confidentiality_limit);
    }
}

#[test]
fn the_soft_limit_asks_and_the_hard_limit_refuses() {
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let mut sealer = direction.clone().at(10).sealer(backend);
            sealer.lower_limits(Limits { soft: 12, hard: 14 });
            let mut asked = Vec::new();
            while !sealer.is_exhausted() {
                asked.push(sealer.wants_key_update());
                seal_one(&mut sealer).unwrap();
            }
            assert_eq!(asked, [false, false, true, true]);

            let mut record = vec![0x33; sealer.record_len(4)];
            let untouched = record.clone();
            for _ in 0..3 {
                let flat = sealer.seal(ContentType::APPLICATION_DATA, b"data", &mut record);
                assert_eq!(flat, Err(Error::ConfidentialityLimit));
                let in_place = sealer.seal_in_place(ContentType::ALERT, &mut record, 2);
                assert_eq!(in_place, Err(Error::ConfidentialityLimit));
                let slices = [b"da", b"ta"].map(|slice| std::io::IoSlice::new(slice));
                let vectored =
                    sealer.seal_vectored(ContentType::APPLICATION_DATA, &slices, &mut record);
                assert_eq!(vectored, Err(Error::ConfidentialityLimit));
            }
            assert_eq!(record, untouched);
            assert_eq!(sealer.seq(), SeqNo(14));
        }
    }
}

#[test]
fn the_limits_of_the_algorithm_hold_unasked() {
    for direction in DirectionalKeys::all() {
        let limits = Limits::of(direction.version, direction.algorithm);
        let mut sealer = direction.at(limits.hard - 1).sealer(Backend::ALL[0]);
        assert!(!sealer.is_exhausted());
        seal_one(&mut sealer).unwrap();
        assert!(sealer.is_exhausted());
        assert_eq!(seal_one(&mut sealer), Err(Error::ConfidentialityLimit));
    }
}

#[test]
fn limits_are_lowered_and_never_raised() {
    let low = Limits { soft: 3, hard: 5 };
    let high = Limits {
        soft: u64::MAX,
        hard: u64::MAX,
    };
    assert_eq!(low.lowered_to(high), low);
    assert_eq!(high.lowered_to(low), low);
    let mixed = Limits { soft: 1, hard: 9 }.lowered_to(low);
    assert_eq!(mixed, Limits { soft: 1, hard: 5 });

    let mut sealer =
        DirectionalKeys::of(ProtocolVersion::Tls13, Algorithm::Aes128Gcm).sealer(Backend::ALL[0]);
    sealer.lower_limits(low);
    sealer.lower_limits(high);
    let sealed = (0..10).filter(|_| seal_one(&mut sealer).is_ok()).count();
    assert_eq!(sealed, 5);
}

/// Wherever the soft limit is, the KeyUpdate is not past the hard one.
#[test]
fn the_last_record_carries_a_key_update() {
    for (soft, hard, before) in [
        (3, 8, 3),
        (7, 8, 7),
        (8, 8, 7),
        (100, 8, 7),
        (5, 1, 0),
        (0, 0, 0),
    ] {
        assert_eq!(Limits { soft, hard }.before_key_update(), before);
    }
    let mut sealer =
        DirectionalKeys::of(ProtocolVersion::Tls13, Algorithm::Aes128Gcm).sealer(Backend::ALL[0]);
    sealer.lower_limits(Limits { soft: 9, hard: 2 });
    assert!(!sealer.wants_key_update());
    seal_one(&mut sealer).unwrap();
    assert!(sealer.wants_key_update() && !sealer.is_exhausted());
}

#[test]
fn new_keys_begin_a_new_count_under_the_same_limits() {
    let direction = DirectionalKeys::of(ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
    let mut sealer = direction.sealer(Backend::ALL[0]);
    sealer.lower_limits(Limits { soft: 1, hard: 2 });
    while seal_one(&mut sealer).is_ok() {}
    sealer.replace_keys(direction.keys());
    assert!(!sealer.wants_key_update());
    let sealed = (0..10).filter(|_| seal_one(&mut sealer).is_ok()).count();
    assert_eq!(sealed, 2);
}

/// The last sequence number is never used, in either direction: the one after it would be zero.
#[test]
fn the_sequence_number_never_wraps() {
    for version in [ProtocolVersion::Tls12, ProtocolVersion::Tls13] {
        let direction = DirectionalKeys::of(version, Algorithm::ChaCha20Poly1305);
        let last = direction.clone().at(u64::MAX - 1);
        for backend in Backend::ALL {
            let mut sealer = last.sealer(backend);
            let mut record = seal_one(&mut sealer).unwrap();
            assert_eq!(seal_one(&mut sealer), Err(Error::ConfidentialityLimit));

            let mut opener = last.opener(backend);
            opener.open_in_place(&mut record).unwrap();
            let forged = crate::forge::forge_typed(
                &direction.clone().at(u64::MAX),
                ContentType::APPLICATION_DATA,
                b"past the end",
                0,
            );
            let error = opener.open_in_place(&mut forged.clone());
            assert_eq!(error, Err(Error::ConfidentialityLimit));
            assert_eq!(opener.seq(), SeqNo(u64::MAX));
        }
    }
}
