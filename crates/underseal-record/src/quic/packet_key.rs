use core::fmt;

use zeroize::Zeroize;

use crate::aead::AeadKey;
use crate::nonce::path_nonce;
use crate::quic::claimed::{Layout, payload_at};
use crate::quic::header_key::apply;
use crate::quic::{HeaderKey, Refused};
use crate::{
    Algorithm, Backend, Error, PeerMisbehaved, ProtocolVersion, SeqNo, TAG_LEN, TrafficKeys,
};

/// The AEAD key and IV of one generation of one direction.
///
/// It knows no packet numbers: who calls it must never seal under the same number twice. A
/// [`PacketSealer`](crate::quic::PacketSealer) sees to that; this is for stacks that do so themselves.
pub struct PacketKey {
    key: AeadKey,
    algorithm: Algorithm,
    iv: [u8; 12],
}

impl PacketKey {
    /// A key with the backend that this process prefers for `algorithm`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`](crate::ApiMisuse::KeyLength) if `key` is not [`Algorithm::key_len`] bytes,
    /// [`ApiMisuse::AlgorithmLeftOut`](crate::ApiMisuse::AlgorithmLeftOut) if this build has not the algorithm.
    pub fn new(algorithm: Algorithm, key: &[u8], iv: [u8; 12]) -> Result<Self, Error> {
        Self::with_backend(algorithm, key, iv, Backend::preferred(algorithm))
    }

    /// As [`new`](Self::new), with a backend of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_backend(
        algorithm: Algorithm,
        key: &[u8],
        iv: [u8; 12],
        backend: Backend,
    ) -> Result<Self, Error> {
        // QUIC has the keys of TLS 1.3, and packet numbers in the place of sequence numbers.
        let keys = TrafficKeys::new(ProtocolVersion::Tls13, algorithm, key, iv, SeqNo(0))?;
        Ok(Self::of(&keys, backend))
    }

    pub(crate) fn of(keys: &TrafficKeys, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, keys),
            algorithm: keys.algorithm(),
            iv: *keys.dangerous_iv(),
        }
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The backend that seals and opens.
    pub fn backend(&self) -> Backend {
        self.key.backend()
    }

    /// Seals `payload` in place, and returns the tag that goes behind it. `header` is the one before
    /// header protection; `path` is zero but with multipath (draft-ietf-quic-multipath section 2.4).
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] if the payload is longer than the AEAD can take: 64 GiB.
    #[inline]
    pub fn seal_in_place(
        &self,
        path: u32,
        number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Error> {
        let mut tag = [0; TAG_LEN];
        self.seal_beside(path, number, header, payload, &mut tag)?;
        Ok(tag)
    }

    /// As [`seal_in_place`](Self::seal_in_place), with a place for the tag.
    #[inline]
    pub(crate) fn seal_beside(
        &self,
        path: u32,
        number: u64,
        header: &[u8],
        payload: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), Error> {
        let nonce = path_nonce(&self.iv, path, number);
        let sealed = self.key.seal_in_place(nonce, header, payload, tag);
        sealed.map_err(|_| Error::ConfidentialityLimit)
    }

    /// Seals a whole packet in place and protects its header with `header`, the key of the same
    /// direction: as [`PacketSealer::seal`](crate::quic::PacketSealer::seal), for a stack that sees to
    /// numbers, key phase and limits itself. `number_at` is where the number starts, whose last bytes
    /// are in the header already; [`TAG_LEN`] bytes of room for the tag are at the end.
    ///
    /// # Errors
    ///
    /// [`Refused::TooShort`], or [`Refused::ConfidentialityLimit`] if the packet is longer than the AEAD
    /// can take; it is unchanged then.
    #[inline]
    pub fn seal_packet(
        &self,
        header: &HeaderKey,
        packet: &mut [u8],
        number_at: usize,
        number: u64,
    ) -> Result<(), Refused> {
        let layout = Layout {
            number_at,
            payload_at: payload_at(packet, number_at).ok_or(Refused::TooShort)?,
            number,
        };
        let sample = layout.seal_payload(self, packet)?;
        apply(&header.mask(&sample), packet, number_at);
        Ok(())
    }

    /// Opens `sealed`, ciphertext and tag, in place. The plaintext is what was returned.
    ///
    /// # Errors
    ///
    /// [`PeerMisbehaved::BadRecordMac`] if it does not authenticate; what was the ciphertext is
    /// overwritten then.
    #[inline]
    pub fn open_in_place<'a>(
        &self,
        path: u32,
        number: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Error> {
        let len = sealed.len().checked_sub(TAG_LEN);
        let len = len.ok_or(PeerMisbehaved::RecordTooShort(sealed.len()))?;
        let nonce = path_nonce(&self.iv, path, number);
        self.key
            .open_in_place(nonce, header, sealed)
            .map_err(|_| PeerMisbehaved::BadRecordMac)?;
        Ok(&mut sealed[..len])
    }
}

impl Drop for PacketKey {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

impl fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
