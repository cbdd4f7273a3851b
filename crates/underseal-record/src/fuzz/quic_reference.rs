//! RFC 9001 sections 5.3 and 5.4 word for word, over the calls of one library: another way to the bytes of
//! a packet.

use crate::aead::AeadKey;
use crate::quic::{HeaderKey, Version};
use crate::{Backend, TAG_LEN, TrafficSecret};

pub(super) struct Reference {
    key: AeadKey,
    iv: [u8; 12],
    header: HeaderKey,
}

impl Reference {
    pub(super) fn new(secret: &TrafficSecret, backend: Backend) -> Self {
        let (version, algorithm) = (Version::V1, secret.algorithm());
        let keys = secret.keys_under(version.key_label(), version.iv_label());
        let header = secret.with_expanded(version.header_label(), |key| {
            HeaderKey::of_library(algorithm, key, backend)
        });
        Self {
            key: AeadKey::new(backend, &keys),
            iv: *keys.dangerous_iv(),
            header: header.expect("a key of the algorithm's length"),
        }
    }

    /// `packet` was found long enough.
    pub(super) fn sealed(&self, packet: &[u8], number_at: usize, number: u64) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        let number_len = usize::from(packet[0] & 3) + 1;
        let mut sealed = packet.to_vec();
        let (header, rest) = sealed.split_at_mut(number_at + number_len);
        let (payload, tag) = rest
            .split_last_chunk_mut::<TAG_LEN>()
            .expect("a packet has room for its tag");
        let made = self.key.seal_in_place(nonce, header, payload, tag);
        assert!(made.is_ok(), "the library refuses a packet");
        let sample = sealed[number_at + 4..].first_chunk();
        let mask = self.header.mask(sample.expect("a packet has a sample"));
        let is_long = sealed[0] & 0x80 == 0x80;
        sealed[0] ^= mask[0] & if is_long { 0x0f } else { 0x1f };
        for index in 0..number_len {
            sealed[number_at + index] ^= mask[1 + index];
        }
        sealed
    }
}
