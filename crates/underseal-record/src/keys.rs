use core::fmt;

use zeroize::Zeroize;

use crate::{Algorithm, ApiMisuse, Error, ProtocolVersion};

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
/// A nonce used twice is fatal, so these keys cannot be cloned: [`crate::Sealer::new`] and
/// [`crate::Opener::new`] consume them, and `into_keys` gives them back with the sequence number
/// of the next record. The secret is overwritten on drop and never printed.
#[doc(alias = "tls_crypto_info")]
pub struct TrafficKeys {
    pub(crate) version: ProtocolVersion,
    pub(crate) algorithm: Algorithm,
    key: [u8; 32],
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
    /// [`ApiMisuse::KeyLength`] if `key` is not [`Algorithm::key_len`] bytes.
    pub fn new(
        version: ProtocolVersion,
        algorithm: Algorithm,
        key: &[u8],
        iv: [u8; 12],
        seq: SeqNo,
    ) -> Result<Self, Error> {
        if key.len() != algorithm.key_len() {
            return Err(ApiMisuse::KeyLength.into());
        }
        let mut own = [0; 32];
        own[..key.len()].copy_from_slice(key);
        Ok(Self {
            version,
            algorithm,
            key: own,
            iv,
            seq: seq.0,
        })
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

    /// The secret key: for handing the direction to another engine or process.
    pub fn dangerous_key(&self) -> &[u8] {
        &self.key[..self.algorithm.key_len()]
    }

    /// The IV, as [`TrafficKeys::new`] takes it.
    pub fn dangerous_iv(&self) -> &[u8; 12] {
        &self.iv
    }
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
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
