//! The one place that calls an AEAD library: both backends behind one enum, and AES-128-CCM beside them.

#[cfg(feature = "ccm")]
mod ccm;

#[cfg(any(feature = "ring", feature = "aws-lc-rs", feature = "ccm"))]
use crate::Algorithm;
use crate::{Backend, TAG_LEN, TrafficKeys, stack};

/// An expanded key. ring's is boxed, aws-lc-rs boxes its own: an idle connection of either backend
/// then pays for one key schedule per direction, not for the larger of two.
pub(crate) enum AeadKey {
    #[cfg(feature = "ring")]
    Ring(Box<ring::aead::LessSafeKey>),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(aws_lc_rs::aead::LessSafeKey),
    /// Of neither, though its owner named one.
    #[cfg(feature = "ccm")]
    Ccm(Box<ccm::CcmKey>, Backend),
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Absent,
}

impl Drop for AeadKey {
    /// The libraries seal and open ChaCha20-Poly1305 with a copy of the key on the stack. Those of AES
    /// are used where they are, by CPUs that can.
    fn drop(&mut self) {
        if self.is_chacha20() || !uses_aes_in_place() {
            stack::overwrite();
        }
    }
}

/// Whether the key schedule of AES is used as it is. Where there are neither instructions for AES nor
/// for vectors, the libraries spread it out on the stack at each call (`aes_nohw.c`).
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn uses_aes_in_place() -> bool {
    std::is_x86_feature_detected!("ssse3")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn uses_aes_in_place() -> bool {
    cfg!(target_arch = "aarch64")
}

/// Why a key is never of another length.
#[cfg(any(feature = "ring", feature = "aws-lc-rs", feature = "ccm"))]
const LENGTH: &str = "TrafficKeys::new checked the key's length";

/// Why no library is asked for AES-128-CCM.
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
const NO_CCM: &str =
    "`ccm` makes these keys, and Algorithm::check refused them where it is left out";

/// The AEAD refused: on opening, the record is not authentic.
pub(crate) struct Refused;

#[cfg(feature = "ring")]
impl From<ring::error::Unspecified> for Refused {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

#[cfg(feature = "aws-lc-rs")]
impl From<aws_lc_rs::error::Unspecified> for Refused {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

type Nonce = [u8; 12];

#[cfg_attr(
    not(any(feature = "ring", feature = "aws-lc-rs", feature = "ccm")),
    expect(
        unused_variables,
        unreachable_code,
        reason = "a build without an AEAD library has no key"
    )
)]
impl AeadKey {
    /// Expands a key.
    ///
    /// # Panics
    ///
    /// If the backend refuses a key of the right length: it has no reason but lack of memory.
    pub(crate) fn new(backend: Backend, keys: &TrafficKeys) -> Self {
        let expanded = Self::expand(backend, keys);
        // ring makes the key schedule there, and moves it.
        stack::overwrite();
        expanded
    }

    #[inline(never)]
    fn expand(backend: Backend, keys: &TrafficKeys) -> Self {
        let key = keys.dangerous_key();
        #[cfg(feature = "ccm")]
        if keys.algorithm == Algorithm::Aes128Ccm {
            return Self::Ccm(Box::new(ccm::CcmKey::new(key)), backend);
        }
        match backend {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Backend::Absent => Self::Absent,
            #[cfg(feature = "ring")]
            Backend::Ring => {
                let key = ring::aead::UnboundKey::new(ring_algorithm(keys.algorithm), key);
                Self::Ring(Box::new(ring::aead::LessSafeKey::new(key.expect(LENGTH))))
            }
            #[cfg(feature = "aws-lc-rs")]
            Backend::AwsLcRs => {
                let key = aws_lc_rs::aead::UnboundKey::new(aws_algorithm(keys.algorithm), key);
                Self::AwsLcRs(aws_lc_rs::aead::LessSafeKey::new(key.expect(LENGTH)))
            }
        }
    }

    /// Overwrites the key where it lies, with what follows from one of zeros.
    pub(crate) fn erase(&mut self) {
        #[cfg(any(feature = "ring", feature = "aws-lc-rs", feature = "ccm"))]
        const ZEROS: [u8; 32] = [0; 32];
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => {}
            #[cfg(feature = "ring")]
            Self::Ring(key) => {
                let algorithm = key.algorithm();
                let zeros = &ZEROS[..algorithm.key_len()];
                let zeros = ring::aead::UnboundKey::new(algorithm, zeros).expect(LENGTH);
                **key = ring::aead::LessSafeKey::new(zeros);
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let algorithm = key.algorithm();
                let zeros = &ZEROS[..algorithm.key_len()];
                let zeros = aws_lc_rs::aead::UnboundKey::new(algorithm, zeros).expect(LENGTH);
                *key = aws_lc_rs::aead::LessSafeKey::new(zeros);
            }
            #[cfg(feature = "ccm")]
            Self::Ccm(key, _) => **key = ccm::CcmKey::new(&ZEROS[..Algorithm::Aes128Ccm.key_len()]),
        }
    }

    fn is_chacha20(&self) -> bool {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => false,
            #[cfg(feature = "ring")]
            Self::Ring(key) => key.algorithm() == &ring::aead::CHACHA20_POLY1305,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => key.algorithm() == &aws_lc_rs::aead::CHACHA20_POLY1305,
            #[cfg(feature = "ccm")]
            Self::Ccm(..) => false,
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => Backend::Absent,
            #[cfg(feature = "ring")]
            Self::Ring(_) => Backend::Ring,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(_) => Backend::AwsLcRs,
            #[cfg(feature = "ccm")]
            Self::Ccm(_, named) => *named,
        }
    }

    /// Seals `in_out` in place and returns its tag.
    #[inline]
    pub(crate) fn seal_in_place(
        &self,
        nonce: Nonce,
        aad: &[u8],
        in_out: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), Refused> {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => return Err(Refused),
            #[cfg(feature = "ring")]
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                let aad = ring::aead::Aad::from(aad);
                let sealed = key.seal_in_place_separate_tag(nonce, aad, in_out)?;
                tag.copy_from_slice(sealed.as_ref());
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce);
                let aad = aws_lc_rs::aead::Aad::from(aad);
                key.seal_in_place_scatter(nonce, aad, in_out, &[], tag)?;
            }
            #[cfg(feature = "ccm")]
            Self::Ccm(key, _) => key.seal_in_place(&nonce, aad, in_out, tag)?,
        }
        Ok(())
    }

    /// Seals `plaintext` followed by `trailer` into `out`, which is as long as both and the tag.
    ///
    /// aws-lc-rs reads and writes separate buffers; ring seals in place only, so there the bytes
    /// are copied into the buffer that they are sealed in.
    #[inline]
    pub(crate) fn seal_from(
        &self,
        nonce: Nonce,
        aad: &[u8],
        plaintext: &[u8],
        trailer: &[u8],
        out: &mut [u8],
    ) -> Result<(), Refused> {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => Err(Refused),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce);
                let aad = aws_lc_rs::aead::Aad::from(aad);
                let (ciphertext, rest) = out.split_at_mut(plaintext.len());
                key.seal_out_of_place_scatter(nonce, aad, plaintext, ciphertext, trailer, rest)?;
                Ok(())
            }
            #[cfg(feature = "ring")]
            Self::Ring(_) => self.seal_copied(nonce, aad, plaintext, trailer, out),
            #[cfg(feature = "ccm")]
            Self::Ccm(..) => self.seal_copied(nonce, aad, plaintext, trailer, out),
        }
    }

    /// As [`seal_from`](Self::seal_from), of what can seal in place only.
    #[cfg(any(feature = "ring", feature = "ccm"))]
    #[inline]
    fn seal_copied(
        &self,
        nonce: Nonce,
        aad: &[u8],
        plaintext: &[u8],
        trailer: &[u8],
        out: &mut [u8],
    ) -> Result<(), Refused> {
        let Some((in_out, tag)) = out.split_last_chunk_mut::<TAG_LEN>() else {
            return Err(Refused);
        };
        in_out[..plaintext.len()].copy_from_slice(plaintext);
        in_out[plaintext.len()..].copy_from_slice(trailer);
        self.seal_in_place(nonce, aad, in_out, tag)
    }

    /// Opens `in_out` (ciphertext, then tag) in place; the plaintext is what precedes the tag.
    #[inline]
    pub(crate) fn open_in_place(
        &self,
        nonce: Nonce,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<(), Refused> {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => return Err(Refused),
            #[cfg(feature = "ring")]
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                let aad = ring::aead::Aad::from(aad);
                key.open_in_place(nonce, aad, in_out)?;
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce);
                let aad = aws_lc_rs::aead::Aad::from(aad);
                key.open_in_place(nonce, aad, in_out)?;
            }
            #[cfg(feature = "ccm")]
            Self::Ccm(key, _) => key.open_in_place(&nonce, aad, in_out)?,
        }
        Ok(())
    }

    /// Opens `sealed` (ciphertext, then tag) into `out`, as long as the ciphertext, without
    /// touching `sealed`. `None` where the backend can open only in place.
    ///
    /// On refusal `out` is overwritten with zeros: unauthenticated plaintext leaves no trace.
    #[inline]
    #[cfg_attr(
        not(feature = "aws-lc-rs"),
        expect(unused_variables, reason = "the others open in place only")
    )]
    pub(crate) fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Option<Result<(), Refused>> {
        match self {
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => None,
            #[cfg(feature = "ring")]
            Self::Ring(_) => None,
            #[cfg(feature = "ccm")]
            Self::Ccm(..) => None,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce);
                let aad = aws_lc_rs::aead::Aad::from(aad);
                let opened = key.open_separate_gather(nonce, aad, ciphertext, tag, out);
                Some(opened.map_err(|refused| {
                    out.fill(0);
                    refused.into()
                }))
            }
        }
    }
}

#[cfg(feature = "ring")]
fn ring_algorithm(algorithm: Algorithm) -> &'static ring::aead::Algorithm {
    match algorithm {
        Algorithm::Aes128Gcm => &ring::aead::AES_128_GCM,
        Algorithm::Aes256Gcm => &ring::aead::AES_256_GCM,
        Algorithm::ChaCha20Poly1305 => &ring::aead::CHACHA20_POLY1305,
        Algorithm::Aes128Ccm => unreachable!("{NO_CCM}"),
    }
}

#[cfg(feature = "aws-lc-rs")]
fn aws_algorithm(algorithm: Algorithm) -> &'static aws_lc_rs::aead::Algorithm {
    match algorithm {
        Algorithm::Aes128Gcm => &aws_lc_rs::aead::AES_128_GCM,
        Algorithm::Aes256Gcm => &aws_lc_rs::aead::AES_256_GCM,
        Algorithm::ChaCha20Poly1305 => &aws_lc_rs::aead::CHACHA20_POLY1305,
        Algorithm::Aes128Ccm => unreachable!("{NO_CCM}"),
    }
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests;
