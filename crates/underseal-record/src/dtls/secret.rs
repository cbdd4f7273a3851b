use core::fmt;

use zeroize::Zeroizing;

use crate::dtls::EpochKeys;
use crate::{Algorithm, ApiMisuse, Error, TrafficSecret};

/// The traffic secret of one direction in one epoch of DTLS 1.3: its keys, and the secret of the next
/// epoch, derive from it (RFC 9147 sections 5.9 and 8).
///
/// Overwritten on drop and never printed, as a [`TrafficSecret`] is.
pub struct EpochSecret {
    secret: TrafficSecret,
    epoch: u16,
}

impl EpochSecret {
    /// The epoch of the first application traffic secret (RFC 9147 section 6.1).
    pub const FIRST_APPLICATION_EPOCH: u16 = 3;

    /// The secret of `epoch`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`] as [`TrafficSecret::new`], [`ApiMisuse::RecordNumber`] for epoch 0.
    pub fn new(algorithm: Algorithm, bytes: &[u8], epoch: u16) -> Result<Self, Error> {
        if epoch == 0 {
            return Err(ApiMisuse::RecordNumber.into());
        }
        let secret = TrafficSecret::of_dtls(algorithm, bytes)?;
        Ok(Self { secret, epoch })
    }

    /// The epoch.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The keys of this epoch, from sequence number zero. Sealing under them twice is the caller's
    /// fault and fatal: derive them once, when the epoch begins.
    pub fn keys(&self) -> EpochKeys {
        let number_key = |key: &[u8]| Zeroizing::new(key.to_vec());
        let number_key = self.secret.with_expanded(b"sn", number_key);
        EpochKeys::with_number_key(self.secret.keys(), Some(number_key), self.epoch)
            .expect("no secret is of epoch 0, and its keys start at zero")
    }

    /// Becomes the secret of the next epoch, as both sides do at a KeyUpdate.
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] after the last epoch that 16 bits can count. Nothing was
    /// changed then.
    pub fn update(&mut self) -> Result<(), Error> {
        let next = self.epoch.checked_add(1);
        self.epoch = next.ok_or(Error::ConfidentialityLimit)?;
        self.secret.update();
        Ok(())
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochSecret")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
