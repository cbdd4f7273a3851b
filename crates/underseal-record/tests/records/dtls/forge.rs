//! Records from the RFCs' text, sealed with `ring`: a second implementation.

use ring::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use underseal_record::Algorithm;

use super::{IV, KEY};

/// Why no record is made with AES-128-CCM.
const NONE: &str = "ring has none, and Algorithm::ALL leaves it out";

/// What a record says of itself.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) algorithm: Algorithm,
    pub(super) outer: u8,
    pub(super) epoch: u16,
    pub(super) seq: u64,
    pub(super) connection_id: Vec<u8>,
}

impl Record {
    pub(super) fn data(algorithm: Algorithm, seq: u64) -> Self {
        Self {
            algorithm,
            outer: 23,
            epoch: 1,
            seq,
            connection_id: Vec::new(),
        }
    }

    /// Seals `inner` as it stands: with a connection ID it has a content type and padding in it.
    pub(super) fn seal(&self, inner: &[u8]) -> Vec<u8> {
        let number = ((u64::from(self.epoch) << 48) | self.seq).to_be_bytes();
        let (nonce, explicit) = match self.algorithm {
            Algorithm::ChaCha20Poly1305 => {
                let mut nonce = IV;
                for (byte, number) in nonce[4..].iter_mut().zip(number) {
                    *byte ^= number;
                }
                (nonce, vec![])
            }
            _ => {
                // Any eight bytes that do not repeat: not those that the sealer takes.
                let explicit: Vec<u8> = number.iter().map(|byte| !byte).collect();
                let mut nonce = IV;
                nonce[4..].copy_from_slice(&explicit);
                (nonce, explicit)
            }
        };
        let inner_len = (inner.len() as u16).to_be_bytes();
        let id = &self.connection_id[..];
        let aad = match id {
            [] => [&number[..], &[self.outer, 0xfe, 0xfd], &inner_len].concat(),
            id => [
                &[0xff; 8][..],
                &[25, id.len() as u8, 25, 0xfe, 0xfd],
                &number,
                id,
                &inner_len,
            ]
            .concat(),
        };
        let mut body = inner.to_vec();
        self.key()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut body,
            )
            .unwrap();
        let body_len = ((explicit.len() + body.len()) as u16).to_be_bytes();
        let header = [self.outer, 0xfe, 0xfd];
        [&header[..], &number, id, &body_len, &explicit, &body].concat()
    }

    fn key(&self) -> LessSafeKey {
        let algorithm = match self.algorithm {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Algorithm::Aes128Ccm => unreachable!("{NONE}"),
        };
        let key = &KEY[..self.algorithm.key_len()];
        LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap())
    }
}
