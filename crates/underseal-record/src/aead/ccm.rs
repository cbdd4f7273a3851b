//! AES-128-CCM with a tag of 16 bytes (RFC 5116 section 5.3), which neither ring nor aws-lc-rs offers.

use aes::Aes128Enc;
use ccm::aead::generic_array::GenericArray;
use ccm::consts::{U12, U16};
use ccm::{AeadInPlace, Ccm, KeyInit};

use super::{LENGTH, Nonce, Refused};
use crate::TAG_LEN;

/// An expanded key, which is overwritten on drop.
pub(crate) struct CcmKey(Ccm<Aes128Enc, U16, U12>);

impl From<ccm::Error> for Refused {
    fn from(_: ccm::Error) -> Self {
        Self
    }
}

impl CcmKey {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Ccm::new_from_slice(key).expect(LENGTH))
    }

    pub(super) fn seal_in_place(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        in_out: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), Refused> {
        let nonce = GenericArray::from_slice(nonce);
        let sealed = self.0.encrypt_in_place_detached(nonce, aad, in_out)?;
        tag.copy_from_slice(&sealed);
        Ok(())
    }

    /// On refusal the ciphertext is overwritten with zeros.
    pub(super) fn open_in_place(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<(), Refused> {
        let Some((ciphertext, tag)) = in_out.split_last_chunk_mut::<TAG_LEN>() else {
            return Err(Refused);
        };
        let (nonce, tag) = (
            GenericArray::from_slice(nonce),
            GenericArray::from_slice(tag),
        );
        Ok(self
            .0
            .decrypt_in_place_detached(nonce, aad, ciphertext, tag)?)
    }
}
