//! Records that a peer could send and [`underseal_record::Sealer`] refuses to, sealed from the
//! RFCs' text with `ring`: a second implementation to hold the first one against.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use underseal_record::{Algorithm, ContentType, ProtocolVersion};

use crate::direction::DirectionalKeys;

/// Seals `inner` as it stands (in TLS 1.3 with its type byte and padding) under the sequence
/// number of `direction`.
pub(crate) fn forge(direction: &DirectionalKeys, outer: ContentType, inner: &[u8]) -> Vec<u8> {
    let explicit_len = match (direction.version, direction.algorithm) {
        (ProtocolVersion::Tls12, Algorithm::Aes128Gcm | Algorithm::Aes256Gcm) => 8,
        _ => 0,
    };
    let seq = direction.seq.to_be_bytes();
    let mut nonce = direction.iv;
    for (byte, seq) in nonce[4..].iter_mut().zip(seq) {
        *byte ^= seq;
    }
    let body_len = (explicit_len + inner.len() + 16) as u16;
    let mut record = vec![outer.0, 3, 3];
    record.extend(body_len.to_be_bytes());
    let aad = match direction.version {
        ProtocolVersion::Tls13 => record.clone(),
        ProtocolVersion::Tls12 => {
            let len = (inner.len() as u16).to_be_bytes();
            [&seq[..], &[outer.0, 3, 3], &len].concat()
        }
    };
    record.extend_from_slice(&nonce[12 - explicit_len..]);
    record.extend(seal(direction, nonce, &aad, inner));
    record
}

/// A TLS 1.3 record with `inner`, or the TLS 1.2 record of the same content type and plaintext.
pub(crate) fn forge_typed(
    direction: &DirectionalKeys,
    content_type: ContentType,
    plaintext: &[u8],
    zeros: usize,
) -> Vec<u8> {
    match direction.version {
        ProtocolVersion::Tls12 => {
            assert_eq!(zeros, 0, "TLS 1.2 has no padding");
            forge(direction, content_type, plaintext)
        }
        ProtocolVersion::Tls13 => {
            let inner = [plaintext, &[content_type.0], &vec![0; zeros]].concat();
            forge(direction, ContentType::APPLICATION_DATA, &inner)
        }
    }
}

fn seal(direction: &DirectionalKeys, nonce: [u8; 12], aad: &[u8], inner: &[u8]) -> Vec<u8> {
    let algorithm = match direction.algorithm {
        Algorithm::Aes128Gcm => &aead::AES_128_GCM,
        Algorithm::Aes256Gcm => &aead::AES_256_GCM,
        Algorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        Algorithm::Aes128Ccm => unreachable!("ring has none, and Algorithm::ALL leaves it out"),
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, direction.key()).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let mut sealed = inner.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed)
        .unwrap();
    sealed
}
