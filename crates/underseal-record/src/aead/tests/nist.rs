//! NIST's vectors of AES-GCM and AES-CCM, as its files have them.

use super::*;
use crate::{ProtocolVersion, SeqNo};

const FILES: [(Algorithm, &str); 2] = [
    (Algorithm::Aes128Gcm, include_str!("nist/gcm128.rsp")),
    (Algorithm::Aes256Gcm, include_str!("nist/gcm256.rsp")),
];

/// One case: the fields by their names, and whether its tag is right.
struct Case<'a> {
    text: &'a str,
    is_authentic: bool,
}

impl Case<'_> {
    fn field(&self, name: &str) -> Vec<u8> {
        let field = self.text.lines().find_map(|line| {
            let (field, value) = line.split_once('=')?;
            (field.trim() == name).then(|| value.trim())
        });
        let digits = field.expect("the case has the field").as_bytes();
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("digits")
        };
        digits.chunks(2).map(byte).collect()
    }

    fn key(&self, algorithm: Algorithm, backend: Backend) -> AeadKey {
        let (version, key) = (ProtocolVersion::Tls13, self.field("Key"));
        let keys = TrafficKeys::new(version, algorithm, &key, [0; 12], SeqNo(0));
        AeadKey::new(backend, &keys.expect("the key has the algorithm's length"))
    }
}

fn cases(file: &str) -> impl Iterator<Item = Case<'_>> {
    let texts = file.split("\n\n").skip(1);
    texts.map(|text| Case {
        text,
        is_authentic: !text.contains("FAIL"),
    })
}

#[test]
fn aes_gcm_agrees_with_nist() {
    for (algorithm, file) in FILES {
        for backend in Backend::ALL {
            let (mut authentic, mut forged) = (0, 0);
            for case in cases(file) {
                let key = case.key(algorithm, backend);
                let nonce = case.field("IV").try_into().expect("96 bits");
                let (aad, sealed) = (
                    case.field("AAD"),
                    [case.field("CT"), case.field("Tag")].concat(),
                );
                let mut opened = sealed.clone();
                let outcome = key.open_in_place(nonce, &aad, &mut opened);
                assert_eq!(
                    outcome.is_ok(),
                    case.is_authentic,
                    "{backend}: {}",
                    case.text
                );
                if !case.is_authentic {
                    forged += 1;
                    continue;
                }
                authentic += 1;
                let plaintext = case.field("PT");
                assert_eq!(
                    opened[..plaintext.len()],
                    plaintext,
                    "{backend}: {}",
                    case.text
                );
                let mut out = vec![0; sealed.len()];
                let outcome = key.seal_from(nonce, &aad, &plaintext, &[], &mut out);
                assert!(outcome.is_ok(), "{backend}: {}", case.text);
                assert_eq!(out, sealed, "{backend}: {}", case.text);
            }
            assert_eq!((authentic, forged), (25, 25), "{backend} {algorithm}");
        }
    }
}

#[cfg(feature = "ccm")]
#[test]
fn aes_ccm_agrees_with_nist() {
    let mut ran = 0;
    for case in cases(include_str!("nist/ccm128.rsp")) {
        let key = case.key(Algorithm::Aes128Ccm, Backend::ALL[0]);
        let nonce: Nonce = case.field("Nonce").try_into().expect("96 bits");
        let (aad, plaintext, sealed) =
            (case.field("Adata"), case.field("Payload"), case.field("CT"));
        let mut out = vec![0; sealed.len()];
        let outcome = key.seal_from(nonce, &aad, &plaintext, &[], &mut out);
        assert!(outcome.is_ok(), "{}", case.text);
        assert_eq!(out, sealed, "{}", case.text);
        assert!(
            key.open_in_place(nonce, &aad, &mut out).is_ok(),
            "{}",
            case.text
        );
        assert_eq!(out[..plaintext.len()], plaintext, "{}", case.text);
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert!(key.open_in_place(nonce, &aad, &mut changed).is_err());
        }
        ran += 1;
    }
    assert_eq!(ran, 10);
}
