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
    pub(super) forged: u64,
    pub(super) max_forged: u64,
}

impl EpochOpener {
    pub(super) fn new(keys: EpochKeys, window: ReplayWindow, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, &keys.keys),
            number_mask: keys.number_mask(backend),
            keys,
            window,
            forged: 0,
            max_forged: limits::MAX_FORGED,
        }
    }

    pub(super) fn backend(&self) -> Backend {
        self.key.backend()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.forged >= self.max_forged
    }

    /// Opens `body` in place as the record of number `seq`: the one place where the window is asked
    /// before the AEAD runs, and told after the record was authentic.
    #[inline]
    pub(super) fn open(
        &mut self,
        seq: u64,
        nonce: [u8; 12],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<(), Discard> {
        self.window.check(seq)?;
        if self.is_exhausted() {
            return Err(Discard::IntegrityLimit);
        }
        if self.key.open_in_place(nonce, aad, body).is_err() {
            self.forged += 1;
            return Err(Discard::Forged);
        }
        self.window.commit(seq);
        Ok(())
    }
}
