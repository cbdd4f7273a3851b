//! Header protection (RFC 9001 section 5.4): the one place that calls a library for its masks.

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod blocks;

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
use blocks::Blocks;

use crate::quic::{GROUP, LONG_FORM, MAX_NUMBER_LEN, SAMPLE_LEN};
use crate::{Algorithm, ApiMisuse, Backend, Error, stack};

/// A mask: one byte for the first of the header, four for the packet number.
pub(crate) type Mask = [u8; 1 + MAX_NUMBER_LEN];

/// The key that hides packet numbers and the low bits of first bytes. Key updates do not change it.
pub struct HeaderKey(Inner);

enum Inner {
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    Blocks(Blocks),
    #[cfg(feature = "ring")]
    Ring(Box<ring::aead::quic::HeaderProtectionKey>),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(Box<aws_lc_rs::aead::quic::HeaderProtectionKey>),
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Absent,
}

impl Drop for HeaderKey {
    /// As for the keys of the AEAD, what ChaCha20 copied to the stack is overwritten.
    fn drop(&mut self) {
        stack::overwrite();
    }
}

/// Why a mask is never refused.
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
const SAMPLE: &str = "the sample has the length that the library asks for";

#[cfg_attr(
    not(any(feature = "ring", feature = "aws-lc-rs")),
    expect(
        unused_variables,
        reason = "a build without an AEAD library has no key"
    )
)]
impl HeaderKey {
    /// A key with the backend that this process prefers for `algorithm`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`] if `key` is not [`Algorithm::key_len`] bytes,
    /// [`ApiMisuse::AlgorithmLeftOut`] if this build has not the algorithm.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        Self::with_backend(algorithm, key, Backend::preferred(algorithm))
    }

    /// As [`new`](Self::new), with a backend of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_backend(algorithm: Algorithm, key: &[u8], backend: Backend) -> Result<Self, Error> {
        algorithm.check()?;
        if key.len() != algorithm.key_len() {
            return Err(ApiMisuse::KeyLength.into());
        }
        #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
        if let Some(blocks) = Blocks::new(algorithm, key) {
            stack::overwrite();
            return Ok(Self(Inner::Blocks(blocks)));
        }
        Self::of_library(algorithm, key, backend)
    }

    /// A key whose masks come from the backend's library, one by one.
    pub(crate) fn of_library(
        algorithm: Algorithm,
        key: &[u8],
        backend: Backend,
    ) -> Result<Self, Error> {
        let expanded = Self::expand(algorithm, key, backend);
        // The libraries make the key schedule there, and move it.
        stack::overwrite();
        expanded
    }

    #[inline(never)]
    fn expand(algorithm: Algorithm, key: &[u8], backend: Backend) -> Result<Self, Error> {
        match backend {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Backend::Absent => Ok(Self(Inner::Absent)),
            #[cfg(feature = "ring")]
            Backend::Ring => {
                use ring::aead::quic;
                let algorithm = match algorithm {
                    Algorithm::Aes128Gcm | Algorithm::Aes128Ccm => &quic::AES_128,
                    Algorithm::Aes256Gcm => &quic::AES_256,
                    Algorithm::ChaCha20Poly1305 => &quic::CHACHA20,
                };
                let key = quic::HeaderProtectionKey::new(algorithm, key);
                let key = key.map_err(|_| ApiMisuse::KeyLength)?;
                Ok(Self(Inner::Ring(Box::new(key))))
            }
            #[cfg(feature = "aws-lc-rs")]
            Backend::AwsLcRs => {
                use aws_lc_rs::aead::quic;
                let algorithm = match algorithm {
                    Algorithm::Aes128Gcm | Algorithm::Aes128Ccm => &quic::AES_128,
                    Algorithm::Aes256Gcm => &quic::AES_256,
                    Algorithm::ChaCha20Poly1305 => &quic::CHACHA20,
                };
                let key = quic::HeaderProtectionKey::new(algorithm, key);
                let key = key.map_err(|_| ApiMisuse::KeyLength)?;
                Ok(Self(Inner::AwsLcRs(Box::new(key))))
            }
        }
    }

    /// Hides the low bits of `first` and the packet number, whose length they are about to hide.
    /// `number` may be longer than that.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::OutputTooSmall`] if `number` is shorter than `first` says; nothing was changed then.
    #[inline]
    pub fn protect(
        &self,
        sample: &[u8; SAMPLE_LEN],
        first: &mut u8,
        number: &mut [u8],
    ) -> Result<(), Error> {
        let (need, have) = (number_len(*first), number.len());
        let Some(number) = number.get_mut(..need) else {
            return Err(ApiMisuse::OutputTooSmall { need, have }.into());
        };
        let mask = self.mask(sample);
        *first ^= mask[0] & hidden_bits(*first);
        xor(number, &mask);
        Ok(())
    }

    /// Shows what [`protect`](Self::protect) hid, and says how many bytes the packet number has.
    /// `number` may be longer than that, and is where the peer may be wrong about it.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::OutputTooSmall`] if `number` is shorter; nothing was changed then.
    #[inline]
    pub fn unprotect(
        &self,
        sample: &[u8; SAMPLE_LEN],
        first: &mut u8,
        number: &mut [u8],
    ) -> Result<usize, Error> {
        let mask = self.mask(sample);
        let shown = *first ^ (mask[0] & hidden_bits(*first));
        let (need, have) = (number_len(shown), number.len());
        let Some(number) = number.get_mut(..need) else {
            return Err(ApiMisuse::OutputTooSmall { need, have }.into());
        };
        *first = shown;
        xor(number, &mask);
        Ok(need)
    }

    /// The masks of all `samples`, as many as a group has at most.
    #[inline]
    pub(crate) fn masks(&self, samples: &[[u8; SAMPLE_LEN]], masks: &mut [Mask; GROUP]) {
        #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
        if let Inner::Blocks(key) = &self.0 {
            return key.masks(samples, masks);
        }
        for (sample, mask) in samples.iter().zip(masks) {
            *mask = self.mask(sample);
        }
    }

    /// What protects a header with this sample: one byte for its first, four for the packet number.
    #[inline]
    pub fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 1 + MAX_NUMBER_LEN] {
        match &self.0 {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Inner::Absent => panic!("{}", crate::backend::NONE),
            #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
            Inner::Blocks(key) => {
                let [a, b, c, d, e, ..] = key.encrypt_one(sample);
                [a, b, c, d, e]
            }
            #[cfg(feature = "ring")]
            Inner::Ring(key) => key.new_mask(sample).expect(SAMPLE),
            #[cfg(feature = "aws-lc-rs")]
            Inner::AwsLcRs(key) => key.new_mask(sample).expect(SAMPLE),
        }
    }
}

impl core::fmt::Debug for HeaderKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HeaderKey").finish_non_exhaustive()
    }
}

/// Bytes of the packet number, by the first byte of a header that is not protected.
#[inline]
pub(crate) fn number_len(first: u8) -> usize {
    usize::from(first & 3) + 1
}

/// The bits of the first byte that are hidden: four of a long header, five of a short one.
#[inline]
fn hidden_bits(first: u8) -> u8 {
    match first & LONG_FORM {
        0 => 0x1f,
        _ => 0x0f,
    }
}

#[inline]
fn xor(number: &mut [u8], mask: &Mask) {
    for (byte, mask) in number.iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
    }
}

/// Why a packet has a number.
const CHECKED: &str = "a packet that has a sample has the four bytes before it";

/// Hides the header of a packet that has a sample, by what was made of that.
#[inline]
pub(crate) fn apply(mask: &Mask, packet: &mut [u8], number_at: usize) {
    let len = number_len(packet[0]);
    packet[0] ^= mask[0] & hidden_bits(packet[0]);
    xor_number(mask, packet, number_at, len);
}

/// Shows the header of a packet that has a sample, and says where its payload starts.
#[inline]
pub(crate) fn show(mask: &Mask, packet: &mut [u8], number_at: usize) -> usize {
    packet[0] ^= mask[0] & hidden_bits(packet[0]);
    let len = number_len(packet[0]);
    xor_number(mask, packet, number_at, len);
    number_at + len
}

/// As one word: a loop over a length that changes is mispredicted.
#[inline]
fn xor_number(mask: &Mask, packet: &mut [u8], number_at: usize, len: usize) {
    let [_, a, b, c, d] = *mask;
    let mask = u32::from_be_bytes([a, b, c, d]) & (u32::MAX << (8 * (MAX_NUMBER_LEN - len)));
    let word = packet[number_at..].first_chunk_mut().expect(CHECKED);
    *word = (u32::from_be_bytes(*word) ^ mask).to_be_bytes();
}

/// The number in the header of a packet that has a sample, as much of it as there is.
#[inline]
pub(crate) fn truncated_number(packet: &[u8], number_at: usize, len: usize) -> u32 {
    let word = packet[number_at..].first_chunk().expect(CHECKED);
    u32::from_be_bytes(*word) >> (8 * (MAX_NUMBER_LEN - len))
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    /// On a CPU without instructions for AES the two are the same.
    #[test]
    fn masks_of_several_headers_are_those_of_the_libraries() {
        let samples: Vec<[u8; SAMPLE_LEN]> = (0..21_u8)
            .map(|first| std::array::from_fn(|at| first.wrapping_mul(31) ^ at as u8))
            .collect();
        let all = Algorithm::ALL.into_iter();
        let ccm = Algorithm::Aes128Ccm.check().is_ok();
        for algorithm in all.chain(ccm.then_some(Algorithm::Aes128Ccm)) {
            let key: Vec<u8> = (0..algorithm.key_len()).map(|at| at as u8 * 7).collect();
            for backend in Backend::ALL {
                let ours = HeaderKey::with_backend(algorithm, &key, backend).expect("its length");
                let library = HeaderKey::of_library(algorithm, &key, backend).expect("its length");
                let mut counts = 0..=GROUP;
                for (count, samples) in counts.by_ref().zip(samples.windows(GROUP)) {
                    for key in [&ours, &library] {
                        let mut masks = [[0; 5]; GROUP];
                        key.masks(&samples[..count], &mut masks);
                        for (mask, sample) in masks.iter().zip(&samples[..count]) {
                            assert_eq!(*mask, library.mask(sample), "{algorithm}, {backend}");
                            assert_eq!(*mask, ours.mask(sample), "{algorithm}, {backend}");
                        }
                    }
                }
                assert_eq!(counts.next(), None);
            }
        }
    }
}
