//! rustls' interface to the keys of packets.

use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{Error, quic};
use underseal_record::quic::{HeaderKey, PacketKey, confidentiality_limits, integrity_limit};
use underseal_record::{Algorithm, TAG_LEN};

/// Makes the keys of one algorithm.
pub(crate) struct Packets(pub(crate) Algorithm);

/// Why a key is never refused.
const LENGTH: &str = "rustls makes keys as long as `aead_key_len` says";

impl quic::Algorithm for Packets {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn quic::PacketKey> {
        let iv = iv
            .as_ref()
            .try_into()
            .expect("an IV of TLS 1.3 has 12 bytes");
        Box::new(Payload(
            PacketKey::new(self.0, key.as_ref(), iv).expect(LENGTH),
        ))
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn quic::HeaderProtectionKey> {
        Box::new(Header(HeaderKey::new(self.0, key.as_ref()).expect(LENGTH)))
    }

    fn aead_key_len(&self) -> usize {
        self.0.key_len()
    }
}

struct Payload(PacketKey);

impl quic::PacketKey for Payload {
    #[inline]
    fn encrypt_in_place(
        &self,
        packet_number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<quic::Tag, Error> {
        self.encrypt_in_place_for_path(0, packet_number, header, payload)
    }

    #[inline]
    fn encrypt_in_place_for_path(
        &self,
        path_id: u32,
        packet_number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<quic::Tag, Error> {
        let tag = self
            .0
            .seal_in_place(path_id, packet_number, header, payload);
        let tag = tag.map_err(|_| Error::EncryptError)?;
        Ok(quic::Tag::from(&tag[..]))
    }

    #[inline]
    fn decrypt_in_place<'a>(
        &self,
        packet_number: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        self.decrypt_in_place_for_path(0, packet_number, header, payload)
    }

    #[inline]
    fn decrypt_in_place_for_path<'a>(
        &self,
        path_id: u32,
        packet_number: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        match self
            .0
            .open_in_place(path_id, packet_number, header, payload)
        {
            Ok(payload) => Ok(payload),
            Err(_) => Err(Error::DecryptError),
        }
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn confidentiality_limit(&self) -> u64 {
        confidentiality_limits(self.0.algorithm()).hard
    }

    fn integrity_limit(&self) -> u64 {
        integrity_limit(self.0.algorithm())
    }
}

struct Header(HeaderKey);

/// Bytes of ciphertext that header protection samples.
const SAMPLE: usize = 16;

fn sampled(sample: &[u8]) -> Result<&[u8; SAMPLE], Error> {
    let sample = sample.try_into();
    sample.map_err(|_| Error::General("sample of invalid length".into()))
}

/// A stack may hand over a packet number that is longer than the first byte says, for it cannot know
/// better before; but none that is longer than any.
fn checked(number: &mut [u8]) -> Result<&mut [u8], Error> {
    match number.len() {
        ..=4 => Ok(number),
        _ => Err(too_long()),
    }
}

fn too_long() -> Error {
    Error::General("packet number of invalid length".into())
}

impl quic::HeaderProtectionKey for Header {
    #[inline]
    fn encrypt_in_place(
        &self,
        sample: &[u8],
        first: &mut u8,
        packet_number: &mut [u8],
    ) -> Result<(), Error> {
        let protected = self
            .0
            .protect(sampled(sample)?, first, checked(packet_number)?);
        protected.map_err(|_| too_long())
    }

    #[inline]
    fn decrypt_in_place(
        &self,
        sample: &[u8],
        first: &mut u8,
        packet_number: &mut [u8],
    ) -> Result<(), Error> {
        let shown = self
            .0
            .unprotect(sampled(sample)?, first, checked(packet_number)?);
        shown.map(drop).map_err(|_| too_long())
    }

    fn sample_len(&self) -> usize {
        SAMPLE
    }
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use rustls::quic::Algorithm as _;

    use super::*;

    #[test]
    fn what_is_not_a_packet_is_refused_and_unchanged() {
        let header = Packets(Algorithm::ChaCha20Poly1305).header_protection_key([7; 32].into());
        let (mut first, mut number) = (0x43, [1, 2, 3, 4, 5]);
        for sample in [&[0; 15][..], &[0; 17]] {
            assert!(
                header
                    .encrypt_in_place(sample, &mut first, &mut number[..4])
                    .is_err()
            );
            assert!(
                header
                    .decrypt_in_place(sample, &mut first, &mut number[..4])
                    .is_err()
            );
        }
        // Longer than any number, and shorter than the first byte says.
        for len in [5, 3] {
            let number = &mut number[..len];
            assert!(
                header
                    .encrypt_in_place(&[0; 16], &mut first, number)
                    .is_err()
            );
        }
        assert_eq!((first, number), (0x43, [1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_changed_payload_does_not_decrypt() {
        let key = Packets(Algorithm::ChaCha20Poly1305).packet_key([7; 32].into(), [9; 12].into());
        let mut payload = *b"hello";
        let tag = key
            .encrypt_in_place_for_path(2, 1, b"header", &mut payload)
            .unwrap();
        let sealed = [&payload[..], tag.as_ref()].concat();
        let open = |path, number, header| {
            let mut sealed = sealed.clone();
            let opened = key.decrypt_in_place_for_path(path, number, header, &mut sealed);
            opened.map(<[u8]>::to_vec).ok()
        };
        assert_eq!(open(2, 1, b"header").as_deref(), Some(&b"hello"[..]));
        assert_eq!(open(0, 1, b"header"), None);
        assert_eq!(open(2, 2, b"header"), None);
        assert_eq!(open(2, 1, b"hewder"), None);
        assert!(key.decrypt_in_place(1, b"", &mut [0; 15]).is_err());
    }
}
