use core::fmt;

use zeroize::Zeroizing;

use crate::dtls::{EpochSecret, RecordNumber};
use crate::quic::HeaderKey;
use crate::{Algorithm, ApiMisuse, Backend, Error, ProtocolVersion, TrafficKeys};

/// What protects the records of one direction in one epoch, and the one owner of the epoch's
/// sequence numbers.
///
/// [`new`](Self::new) makes those of DTLS 1.2, [`EpochSecret`] those of
/// DTLS 1.3. A [`Sealer`](crate::dtls::Sealer) or an [`Opener`](crate::dtls::Opener) consumes them,
/// and gives them back.
pub struct EpochKeys {
    pub(super) keys: TrafficKeys,
    /// What record numbers are encrypted with: in DTLS 1.3.
    pub(super) number_key: Option<Zeroizing<Vec<u8>>>,
    pub(super) epoch: u16,
    /// What was sealed under the key, in what the limits count.
    pub(super) used: u64,
    /// How many records did not authenticate under it.
    pub(super) forged: u64,
}

impl EpochKeys {
    /// The keys of `epoch` in DTLS 1.2, whose next record has the sequence number of `keys`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::RecordNumber`] for epoch 0, which has no keys, and past
    /// [`RecordNumber::MAX_SEQ`]; [`ApiMisuse::NoNumberKey`] for keys of TLS 1.3.
    pub fn new(keys: TrafficKeys, epoch: u16) -> Result<Self, Error> {
        match keys.version {
            ProtocolVersion::Tls12 => Self::with_number_key(keys, None, epoch),
            ProtocolVersion::Tls13 => Err(ApiMisuse::NoNumberKey.into()),
        }
    }

    pub(super) fn with_number_key(
        keys: TrafficKeys,
        number_key: Option<Zeroizing<Vec<u8>>>,
        epoch: u16,
    ) -> Result<Self, Error> {
        if epoch == 0 || keys.seq > RecordNumber::MAX_SEQ {
            return Err(ApiMisuse::RecordNumber.into());
        }
        Ok(Self {
            // Whoever owned these numbers before may have sealed with each.
            used: keys.seq,
            keys,
            number_key,
            epoch,
            forged: 0,
        })
    }

    /// The epoch.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The number of the next record.
    pub fn next_number(&self) -> RecordNumber {
        RecordNumber {
            epoch: self.epoch,
            seq: self.keys.seq,
        }
    }

    /// Leaves the numbers below `seq` to whoever sealed with these keys before. It never goes back.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::RecordNumber`] past [`RecordNumber::MAX_SEQ`].
    pub fn skip_to(&mut self, seq: u64) -> Result<(), Error> {
        if seq > RecordNumber::MAX_SEQ {
            return Err(ApiMisuse::RecordNumber.into());
        }
        let skipped = seq.saturating_sub(self.keys.seq);
        self.keys.seq += skipped;
        self.used += skipped;
        Ok(())
    }

    /// The version whose records are protected: that of the same TLS version.
    pub fn version(&self) -> ProtocolVersion {
        self.keys.version
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.keys.algorithm
    }

    /// The keys without their epoch (and, in DTLS 1.3, without what encrypts record numbers): for
    /// handing the direction to another engine or process.
    pub fn into_keys(self) -> TrafficKeys {
        self.keys
    }

    /// Bytes of nonce that are sent with each record.
    #[inline]
    pub(super) fn explicit_nonce_len(&self) -> usize {
        self.keys.algorithm.explicit_nonce_len(self.keys.version)
    }

    /// Whether `next` can follow these keys.
    pub(super) fn check_next(&self, next: &Self) -> Result<(), Error> {
        let follows = self.epoch.checked_add(1) == Some(next.epoch);
        match follows && next.version() == self.version() {
            true => Ok(()),
            false => Err(ApiMisuse::EpochOrder.into()),
        }
    }

    /// Whether the next keys of `secret` can follow these.
    pub(super) fn is_of(&self, secret: &EpochSecret) -> bool {
        self.version() == ProtocolVersion::Tls13 && self.epoch == secret.epoch()
    }

    /// What encrypts record numbers, ready for use.
    pub(super) fn number_mask(&self, backend: Backend) -> Option<HeaderKey> {
        let key = self.number_key.as_ref()?;
        let mask = HeaderKey::with_backend(self.algorithm(), key, backend);
        Some(mask.expect("the key has the length of its algorithm"))
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKeys")
            .field("keys", &self.keys)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
