use crate::dtls::RecordNumber;
use crate::{Algorithm, ApiMisuse, Error, ProtocolVersion, TrafficKeys};

/// What protects the records of one direction in one epoch, and the one owner of the epoch's
/// sequence numbers.
///
/// [`TrafficKeys`] of [`ProtocolVersion::Tls12`] make DTLS 1.2 of it. A
/// [`Sealer`](crate::dtls::Sealer) or an [`Opener`](crate::dtls::Opener) consumes it, `into_keys`
/// gives it back.
#[derive(Debug)]
pub struct EpochKeys {
    pub(super) keys: TrafficKeys,
    pub(super) epoch: u16,
    /// What was sealed under the key, in what the limits count.
    pub(super) used: u64,
}

impl EpochKeys {
    /// The keys of `epoch`, whose next record has the sequence number of `keys`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::RecordNumber`] for epoch 0, which has no keys, and past
    /// [`RecordNumber::MAX_SEQ`].
    pub fn new(keys: TrafficKeys, epoch: u16) -> Result<Self, Error> {
        if epoch == 0 || keys.seq > RecordNumber::MAX_SEQ {
            return Err(ApiMisuse::RecordNumber.into());
        }
        Ok(Self {
            // Whoever owned these numbers before may have sealed with each.
            used: keys.seq,
            keys,
            epoch,
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

    /// Bytes of nonce that are sent with each record.
    #[inline]
    pub(super) fn explicit_nonce_len(&self) -> usize {
        self.keys.algorithm.explicit_nonce_len(self.keys.version)
    }

    /// The keys without their epoch: for handing the direction to another engine or process.
    pub fn into_keys(self) -> TrafficKeys {
        self.keys
    }
}
