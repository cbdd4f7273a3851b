use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc, Block};

use crate::Algorithm;
use crate::quic::header_key::Mask;
use crate::quic::{GROUP, SAMPLE_LEN};

/// AES of many blocks at once, which ring and aws-lc-rs do not offer: both make one mask a call, whose
/// rounds wait for each other.
pub(super) enum Blocks {
    Aes128(Box<Aes128Enc>),
    Aes256(Box<Aes256Enc>),
}

impl Blocks {
    /// `None` where the CPU has no instructions for AES, or the algorithm is another: the libraries are
    /// faster there. `key` has the algorithm's length.
    #[inline(never)]
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        if !has_instructions() {
            return None;
        }
        match algorithm {
            Algorithm::Aes128Gcm | Algorithm::Aes128Ccm => Some(Self::Aes128(boxed(key)?)),
            Algorithm::Aes256Gcm => Some(Self::Aes256(boxed(key)?)),
            Algorithm::ChaCha20Poly1305 => None,
        }
    }

    /// Encrypts one block.
    #[inline]
    pub(super) fn encrypt_one(&self, block: &[u8; SAMPLE_LEN]) -> [u8; SAMPLE_LEN] {
        let mut block = Block::from(*block);
        match self {
            Self::Aes128(key) => key.encrypt_block(&mut block),
            Self::Aes256(key) => key.encrypt_block(&mut block),
        }
        block.into()
    }

    /// The masks of `samples`.
    #[inline]
    pub(super) fn masks(&self, samples: &[[u8; SAMPLE_LEN]], masks: &mut [Mask; GROUP]) {
        let mut blocks = [Block::default(); GROUP];
        for (block, sample) in blocks.iter_mut().zip(samples) {
            *block = Block::from(*sample);
        }
        // All of them, however few there are: together they take hardly longer than one.
        match self {
            Self::Aes128(key) => key.encrypt_blocks(&mut blocks),
            Self::Aes256(key) => key.encrypt_blocks(&mut blocks),
        }
        for (mask, block) in masks.iter_mut().zip(&blocks) {
            let [a, b, c, d, e, ..] = <[u8; SAMPLE_LEN]>::from(*block);
            *mask = [a, b, c, d, e];
        }
    }
}

fn boxed<K: KeyInit>(key: &[u8]) -> Option<Box<K>> {
    K::new_from_slice(key).ok().map(Box::new)
}

#[cfg(target_arch = "x86_64")]
fn has_instructions() -> bool {
    std::is_x86_feature_detected!("aes")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_instructions() -> bool {
    false
}
