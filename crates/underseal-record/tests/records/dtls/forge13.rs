//! Records of DTLS 1.3 from the RFCs' text, with `ring`: every form of the unified header.

use ring::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf;
use underseal_record::Algorithm;
use underseal_record::dtls::EpochSecret;

/// Why no record is made with AES-128-CCM.
const NONE: &str = "ring has none, and Algorithm::ALL leaves it out";

/// What a record says of itself, and how.
#[derive(Clone)]
pub(super) struct Record13 {
    pub(super) algorithm: Algorithm,
    pub(super) epoch: u16,
    pub(super) seq: u64,
    pub(super) connection_id: Vec<u8>,
    pub(super) long_seq: bool,
    pub(super) has_length: bool,
}

pub(super) fn secret_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Aes256Gcm => 48,
        _ => 32,
    }
}

/// The secret of epoch 3, and of those that follow.
pub(super) fn secret(algorithm: Algorithm, epoch: u16) -> EpochSecret {
    let bytes = vec![5; secret_len(algorithm)];
    let mut secret = EpochSecret::new(algorithm, &bytes, 3).unwrap();
    while secret.epoch() < epoch {
        secret.update().unwrap();
    }
    secret
}

impl Record13 {
    pub(super) fn data(algorithm: Algorithm, epoch: u16, seq: u64) -> Self {
        Self {
            algorithm,
            epoch,
            seq,
            connection_id: Vec::new(),
            long_seq: true,
            has_length: true,
        }
    }

    /// Seals `inner`, a plaintext with its content type and padding.
    pub(super) fn seal(&self, inner: &[u8]) -> Vec<u8> {
        let mut secret = vec![5; secret_len(self.algorithm)];
        for _ in 3..self.epoch {
            secret = self.expand(&secret, "traffic upd", secret.len());
        }
        let key_len = self.algorithm.key_len();
        let key = self.expand(&secret, "key", key_len);
        let mut nonce: [u8; 12] = self.expand(&secret, "iv", 12).try_into().unwrap();
        for (byte, seq) in nonce[4..].iter_mut().zip(self.seq.to_be_bytes()) {
            *byte ^= seq;
        }
        let mut header = vec![0b0010_0000 | (self.epoch as u8 & 3)];
        if !self.connection_id.is_empty() {
            header[0] |= 0b0001_0000;
            header.extend(&self.connection_id);
        }
        let seq_at = header.len();
        if self.long_seq {
            header[0] |= 0b0000_1000;
            header.extend((self.seq as u16).to_be_bytes());
        } else {
            header.push(self.seq as u8);
        }
        let seq_end = header.len();
        if self.has_length {
            header[0] |= 0b0000_0100;
            header.extend((inner.len() as u16 + 16).to_be_bytes());
        }
        let mut body = inner.to_vec();
        self.aead(&key)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&header),
                &mut body,
            )
            .unwrap();
        let sn = self.expand(&secret, "sn", key_len);
        let mask = self.number_key(&sn).new_mask(&body[..16]).unwrap();
        for (byte, mask) in header[seq_at..seq_end].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        [header, body].concat()
    }

    fn expand(&self, secret: &[u8], label: &str, len: usize) -> Vec<u8> {
        struct Len(usize);
        impl hkdf::KeyType for Len {
            fn len(&self) -> usize {
                self.0
            }
        }
        let hash = match self.algorithm {
            Algorithm::Aes256Gcm => hkdf::HKDF_SHA384,
            _ => hkdf::HKDF_SHA256,
        };
        let label = format!("dtls13{label}");
        let info = [
            &(len as u16).to_be_bytes()[..],
            &[label.len() as u8],
            label.as_bytes(),
            &[0],
        ];
        let mut out = vec![0; len];
        hkdf::Prk::new_less_safe(hash, secret)
            .expand(&info, Len(len))
            .and_then(|okm| okm.fill(&mut out))
            .unwrap();
        out
    }

    fn aead(&self, key: &[u8]) -> LessSafeKey {
        let algorithm = match self.algorithm {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Algorithm::Aes128Ccm => unreachable!("{NONE}"),
        };
        LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap())
    }

    fn number_key(&self, key: &[u8]) -> quic::HeaderProtectionKey {
        let algorithm = match self.algorithm {
            Algorithm::Aes128Gcm => &quic::AES_128,
            Algorithm::Aes256Gcm => &quic::AES_256,
            Algorithm::ChaCha20Poly1305 => &quic::CHACHA20,
            Algorithm::Aes128Ccm => unreachable!("{NONE}"),
        };
        quic::HeaderProtectionKey::new(algorithm, key).unwrap()
    }
}
