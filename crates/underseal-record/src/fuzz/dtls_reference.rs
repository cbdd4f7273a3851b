//! Records of DTLS 1.2 (RFC 6347 with RFC 5288, RFC 7905 and RFC 9146) and DTLS 1.3 (RFC 9147 section 4) word for word,
//! over the calls of one library: another way to the bytes of a record.

use crate::aead::AeadKey;
use crate::dtls::ConnectionId;
use crate::quic::HeaderKey;
use crate::{Algorithm, Backend, TAG_LEN, TrafficKeys, TrafficSecret};

const VERSION: [u8; 2] = [0xfe, 0xfd];

pub(super) struct Reference {
    key: AeadKey,
    iv: [u8; 12],
    algorithm: Algorithm,
    epoch: u16,
    connection_id: ConnectionId,
    /// Of DTLS 1.3.
    number_key: Option<HeaderKey>,
}

impl Reference {
    pub(super) fn of_dtls12(
        keys: &TrafficKeys,
        epoch: u16,
        connection_id: ConnectionId,
        backend: Backend,
    ) -> Self {
        Self {
            key: AeadKey::new(backend, keys),
            iv: *keys.dangerous_iv(),
            algorithm: keys.algorithm(),
            epoch,
            connection_id,
            number_key: None,
        }
    }

    pub(super) fn of_dtls13(
        secret: &TrafficSecret,
        epoch: u16,
        connection_id: ConnectionId,
        backend: Backend,
    ) -> Self {
        let algorithm = secret.algorithm();
        let number_key =
            secret.with_expanded(b"sn", |key| HeaderKey::of_library(algorithm, key, backend));
        Self {
            number_key: Some(number_key.expect("a key of the algorithm's length")),
            ..Self::of_dtls12(&secret.keys(), epoch, connection_id, backend)
        }
    }

    pub(super) fn sealed(&self, content_type: u8, seq: u64, plaintext: &[u8]) -> Vec<u8> {
        match &self.number_key {
            None => self.sealed12(content_type, seq, plaintext),
            Some(key) => self.sealed13(key, content_type, seq, plaintext),
        }
    }

    fn sealed12(&self, content_type: u8, seq: u64, plaintext: &[u8]) -> Vec<u8> {
        let number = (u64::from(self.epoch) << 48 | seq).to_be_bytes();
        let nonce = self.nonce(number);
        let explicit = match self.algorithm {
            Algorithm::ChaCha20Poly1305 => &[][..],
            _ => &nonce[4..],
        };
        let (id, len) = (self.connection_id.as_bytes(), |len: usize| {
            (len as u16).to_be_bytes()
        });
        let (mut header, mut inner, aad);
        if id.is_empty() {
            header = [&[content_type][..], &VERSION, &number].concat();
            inner = plaintext.to_vec();
            aad = [
                &number[..],
                &[content_type],
                &VERSION,
                &len(plaintext.len()),
            ]
            .concat();
        } else {
            header = [&[25][..], &VERSION, &number, id].concat();
            inner = [plaintext, &[content_type]].concat();
            let kind = [25, id.len() as u8, 25];
            aad = [
                &[0xff; 8][..],
                &kind,
                &VERSION,
                &number,
                id,
                &len(inner.len()),
            ]
            .concat();
        }
        let tag = self.seal(nonce, &aad, &mut inner);
        header.extend(len(explicit.len() + inner.len() + TAG_LEN));
        [&header[..], explicit, &inner, &tag].concat()
    }

    fn sealed13(
        &self,
        number_key: &HeaderKey,
        content_type: u8,
        seq: u64,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let id = self.connection_id.as_bytes();
        let has_id = if id.is_empty() { 0 } else { 0b0001_0000 };
        let first = 0b0010_1100 | has_id | (self.epoch as u8 & 0b11);
        let mut inner = [plaintext, &[content_type]].concat();
        let seq_at = 1 + id.len();
        let len = ((inner.len() + TAG_LEN) as u16).to_be_bytes();
        let mut record = [&[first][..], id, &(seq as u16).to_be_bytes(), &len].concat();
        let tag = self.seal(self.nonce(seq.to_be_bytes()), &record, &mut inner);
        let sealed = [&inner[..], &tag].concat();
        let mask = number_key.mask(sealed.first_chunk().expect("a tag is as long as a sample"));
        for index in 0..2 {
            record[seq_at + index] ^= mask[index];
        }
        record.extend(sealed);
        record
    }

    fn nonce(&self, number: [u8; 8]) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(number) {
            *byte ^= of_number;
        }
        nonce
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], inner: &mut [u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        let made = self.key.seal_in_place(nonce, aad, inner, &mut tag);
        assert!(made.is_ok(), "the library refuses a record");
        tag
    }
}
