//! Nonces and additional data, the two values that bind a record to its place in the stream.

use crate::{ContentType, HEADER_LEN, ProtocolVersion};

/// `legacy_record_version` of every protected record, and the version of TLS 1.2.
pub(crate) const WIRE_VERSION: [u8; 2] = [3, 3];

/// The per-record nonce: the sequence number, big endian, XORed into the end of the IV
/// (RFC 8446 section 5.3, RFC 7905 section 2).
///
/// For TLS 1.2 AES-GCM the same value is used and its last eight bytes are sent: distinct sequence
/// numbers give distinct explicit nonces, whatever the IV.
#[inline]
pub(crate) fn nonce(iv: &[u8; 12], seq: u64) -> [u8; 12] {
    path_nonce(iv, 0, seq)
}

/// As [`nonce`], with the path that a packet of multipath QUIC is sent on in the first four bytes
/// (draft-ietf-quic-multipath section 2.4).
#[inline]
pub(crate) fn path_nonce(iv: &[u8; 12], path: u32, seq: u64) -> [u8; 12] {
    // Two loads and one store, not twelve of each: the AEAD reads the nonce back as one word, which
    // stalls on a run of byte stores.
    let [a, b, c, d, low @ ..] = *iv;
    let low = u64::from_be_bytes(low) ^ seq;
    let high = u32::from_be_bytes([a, b, c, d]) ^ path;
    let all = ((u128::from(high) << 64) | u128::from(low)) << 32;
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&all.to_be_bytes()[..12]);
    nonce
}

/// Additional data of one record: TLS 1.3 authenticates the header as sent (RFC 8446 section
/// 5.2), TLS 1.2 the sequence number and the header with the plaintext's length (RFC 5246
/// section 6.2.3.3).
pub(crate) struct AdditionalData {
    bytes: [u8; 13],
    len: usize,
}

impl AdditionalData {
    #[inline]
    pub(crate) fn new(
        version: ProtocolVersion,
        seq: u64,
        header: [u8; HEADER_LEN],
        plaintext_len: usize,
    ) -> Self {
        let mut bytes = [0; 13];
        match version {
            ProtocolVersion::Tls13 => {
                bytes[..HEADER_LEN].copy_from_slice(&header);
                Self {
                    bytes,
                    len: HEADER_LEN,
                }
            }
            ProtocolVersion::Tls12 => {
                bytes[..8].copy_from_slice(&seq.to_be_bytes());
                bytes[8..].copy_from_slice(&header_bytes(ContentType(header[0]), plaintext_len));
                Self { bytes, len: 13 }
            }
        }
    }
}

impl AsRef<[u8]> for AdditionalData {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A record header of `body_len` bytes of body.
#[inline]
pub(crate) fn header_bytes(content_type: ContentType, body_len: usize) -> [u8; HEADER_LEN] {
    debug_assert!(body_len <= usize::from(u16::MAX));
    let len = (body_len as u16).to_be_bytes();
    [
        content_type.0,
        WIRE_VERSION[0],
        WIRE_VERSION[1],
        len[0],
        len[1],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_changes_only_in_its_last_eight_bytes() {
        let iv = [0xff; 12];
        let nonce = nonce(&iv, 0x0102_0304_0506_0708);
        assert_eq!(nonce[..4], [0xff; 4]);
        assert_eq!(nonce[4..], [0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7]);
    }
}
