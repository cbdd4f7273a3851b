//! What opens the records of one epoch.

use crate::Backend;
use crate::aead::AeadKey;
use crate::dtls::{Discard, EpochKeys, ReplayWindow, limits};
use crate::quic::HeaderKey;

pub(super) struct EpochOpener {
    key: AeadKey,
    /// What record numbers are encrypted with: in DTLS 1.3.
    pub(super) number_mask: Option<HeaderKey>,
    pub(super) keys: EpochKeys,
    pub(super) window: ReplayWindow,
    pub(super) max_forged: u64,
}

impl EpochOpener {
    pub(super) fn new(keys: EpochKeys, window: ReplayWindow, backend: Backend) -> Self {
        let algorithm = keys.algorithm();
        Self {
            key: AeadKey::new(backend, &keys.keys),
            number_mask: keys.number_mask(backend),
            keys,
            window,
            max_forged: limits::max_forged(algorithm),
        }
    }

    pub(super) fn backend(&self) -> Backend {
        self.key.backend()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.keys.forged >= self.max_forged
    }

    /// Opens `body` in place as the record of number `seq`: the one place where the window is asked,
    /// and told after the record was authentic.
    ///
    /// A number that was sent in the clear is looked up before the AEAD runs (RFC 6347 section
    /// 4.1.2.6). One that was encrypted is looked up afterwards: how long a record takes must not tell
    /// what its number is (RFC 9147 section 4.5.1).
    #[inline]
    pub(super) fn open(
        &mut self,
        seq: u64,
        nonce: [u8; 12],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<(), Discard> {
        let fresh = self.window.check(seq);
        if self.number_mask.is_none() {
            fresh?;
        }
        if self.is_exhausted() {
            return Err(Discard::IntegrityLimit);
        }
        if self.key.open_in_place(nonce, aad, body).is_err() {
            self.keys.forged += 1;
            return Err(Discard::Forged);
        }
        fresh?;
        self.window.commit(seq);
        Ok(())
    }
}
