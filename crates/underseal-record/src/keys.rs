use core::fmt;

use zeroize::Zeroize;

use crate::{Algorithm, ApiMisuse, Error, ProtocolVersion, TrafficSecret};

/// The sequence number of the next record under a key.
#[doc(alias = "rec_seq")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqNo(pub u64);

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that protects the records of one direction, and the one owner of its sequence
/// number.
///
/// The key is boxed where it is born: moving these keys leaves no copy of it behind.
///
/// A nonce used twice is fatal, so these keys cannot be cloned: [`crate::Sealer::new`] and
/// [`crate::Opener::new`] consume them, and `into_keys` gives them back with the sequence number
/// of the next record. The secret is overwritten on drop and never printed.
#[doc(alias = "tls_crypto_info")]
pub struct TrafficKeys {
    pub(crate) version: ProtocolVersion,
    pub(crate) algorithm: Algorithm,
    /// `None` once it was let go; see [`crate::Sealer::forget_key`].
    key: Option<Box<[u8; 32]>>,
    pub(crate) iv: [u8; 12],
    pub(crate) seq: u64,
}

impl TrafficKeys {
    /// Keys of one direction. `iv` is the TLS 1.3 static IV, the TLS 1.2 ChaCha20 IV, or for
    /// TLS 1.2 AES-GCM the four bytes of implicit salt followed by eight that the explicit nonces
    /// are derived from.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`] if `key` is not [`Algorithm::key_len`] bytes,
    /// [`ApiMisuse::AlgorithmLeftOut`] if this build has not the algorithm.
    pub fn new(
        version: ProtocolVersion,
        algorithm: Algorithm,
        key: &[u8],
        iv: [u8; 12],
        seq: SeqNo,
    ) -> Result<Self, Error> {
        algorithm.check()?;
        if key.len() != algorithm.key_len() {
            return Err(ApiMisuse::KeyLength.into());
        }
        let fill = |own: &mut [u8]| own.copy_from_slice(key);
        Ok(Self::filled(version, algorithm, fill, iv, seq))
    }

    /// Keys whose secret `fill` writes to the place where it stays.
    pub(crate) fn filled(
        version: ProtocolVersion,
        algorithm: Algorithm,
        fill: impl FnOnce(&mut [u8]),
        iv: [u8; 12],
        seq: SeqNo,
    ) -> Self {
        let mut key = Box::new([0; 32]);
        fill(&mut key[..algorithm.key_len()]);
        Self {
            version,
            algorithm,
            key: Some(key),
            iv,
            seq: seq.0,
        }
    }

    /// The TLS version whose record format these keys protect.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The sequence number of the next record.
    pub fn seq(&self) -> SeqNo {
        SeqNo(self.seq)
    }

    /// Moves the explicit nonces of TLS 1.2 AES-GCM to where none of this direction has been.
    /// Elsewhere nonces follow from the sequence number alone, and this does nothing.
    ///
    /// A direction that changes its engine needs it before its next record is sealed: this crate
    /// derives explicit nonces as the last eight bytes of the IV XOR the sequence number, Linux
    /// counts up from those bytes by one per record. Both leave the upper half of these bytes as
    /// it is for 2^32 records, and a key seals at most 2^23 ([`crate::Limits::of`]); this adds one
    /// to the upper half and clears the lower, so what follows cannot meet what was before.
    pub fn renew_explicit_nonces(&mut self) {
        if self.algorithm.explicit_nonce_len(self.version) == 0 {
            return;
        }
        let [.., a, b, c, d, _, _, _, _] = self.iv;
        let upper = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
        self.iv[4..8].copy_from_slice(&upper.to_be_bytes());
        self.iv[8..].fill(0);
    }

    /// The secret key: for handing the direction to another engine or process. Empty where it was let
    /// go ([`crate::Sealer::forget_key`]).
    pub fn dangerous_key(&self) -> &[u8] {
        match &self.key {
            Some(key) => &key[..self.algorithm.key_len()],
            None => &[],
        }
    }

    /// Overwrites the key, and gives its place back.
    pub(crate) fn forget_key(&mut self) {
        if let Some(mut key) = self.key.take() {
            key.zeroize();
        }
    }

    /// Overwrites key and IV.
    pub(crate) fn erase(&mut self) {
        self.forget_key();
        self.iv.zeroize();
    }

    /// Has the key again that `secret` derives, if these are keys of it.
    pub(crate) fn recall_key(&mut self, secret: &TrafficSecret) {
        if self.key.is_some() {
            return;
        }
        let mut derived = secret.keys();
        let is_same = derived.version == self.version && derived.algorithm == self.algorithm;
        if is_same && derived.iv == self.iv {
            self.key = derived.key.take();
        }
    }

    /// The IV, as [`TrafficKeys::new`] takes it.
    pub fn dangerous_iv(&self) -> &[u8; 12] {
        &self.iv
    }
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.erase();
    }
}

impl fmt::Debug for TrafficKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficKeys")
            .field("version", &self.version)
            .field("algorithm", &self.algorithm)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(version: ProtocolVersion, algorithm: Algorithm, iv: [u8; 12]) -> [u8; 12] {
        let key = [0; 32];
        let key = &key[..algorithm.key_len()];
        let mut keys = TrafficKeys::new(version, algorithm, key, iv, SeqNo(9)).unwrap();
        keys.renew_explicit_nonces();
        assert_eq!(keys.seq(), SeqNo(9));
        *keys.dangerous_iv()
    }

    #[test]
    fn renewed_explicit_nonces_have_another_upper_half() {
        let iv = [1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 5, 6, 7, 8];
        let new = renewed(ProtocolVersion::Tls12, Algorithm::Aes128Gcm, iv);
        assert_eq!(new, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        let again = renewed(ProtocolVersion::Tls12, Algorithm::Aes256Gcm, new);
        assert_eq!(again, [1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn nonces_that_are_not_explicit_stay() {
        let iv = [7; 12];
        for algorithm in Algorithm::ALL {
            assert_eq!(renewed(ProtocolVersion::Tls13, algorithm, iv), iv);
        }
        let chacha = renewed(ProtocolVersion::Tls12, Algorithm::ChaCha20Poly1305, iv);
        assert_eq!(chacha, iv);
    }
}
