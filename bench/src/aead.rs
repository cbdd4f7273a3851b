//! The AEAD alone: AES-128-GCM in place, with a key that is expanded once and a nonce that
//! changes, through the crates that underseal's backends are made of.

use anyhow::{Context as _, anyhow};

/// Bytes of the tag.
pub const TAG: usize = 16;
const HEADER: usize = 5;

/// An AES-128-GCM key of one library.
pub enum Aead {
    /// `ring`.
    Ring(Box<ring::aead::LessSafeKey>),
    /// `aws-lc-rs`.
    AwsLcRs(aws_lc_rs::aead::LessSafeKey),
}

impl Aead {
    /// A key for the backend called so by underseal.
    ///
    /// # Errors
    ///
    /// When there is no such backend.
    pub fn new(backend: &str) -> anyhow::Result<Self> {
        let key = [7; 16];
        match backend {
            "ring" => {
                let key = ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, &key);
                let key = key.map_err(|_| anyhow!("ring refused a key"))?;
                Ok(Self::Ring(Box::new(ring::aead::LessSafeKey::new(key))))
            }
            "aws-lc-rs" => {
                let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, &key);
                let key = key.map_err(|_| anyhow!("aws-lc-rs refused a key"))?;
                Ok(Self::AwsLcRs(aws_lc_rs::aead::LessSafeKey::new(key)))
            }
            other => Err(anyhow!("no backend {other}")),
        }
    }

    /// Seals all but the last [`TAG`] bytes of `record` and puts the tag there.
    ///
    /// # Errors
    ///
    /// When the library refuses.
    pub fn seal(&self, seq: u64, record: &mut [u8]) -> anyhow::Result<()> {
        let split = record.len().checked_sub(TAG).context("no room for a tag")?;
        let (plaintext, tag) = record.split_at_mut(split);
        match self {
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce(seq));
                let aad = ring::aead::Aad::from([23; HEADER]);
                let made = key.seal_in_place_separate_tag(nonce, aad, plaintext);
                tag.copy_from_slice(made.map_err(|_| anyhow!("ring"))?.as_ref());
            }
            Self::AwsLcRs(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce(seq));
                let aad = aws_lc_rs::aead::Aad::from([23; HEADER]);
                let made = key.seal_in_place_separate_tag(nonce, aad, plaintext);
                tag.copy_from_slice(made.map_err(|_| anyhow!("aws-lc-rs"))?.as_ref());
            }
        }
        Ok(())
    }

    /// Opens `record`, ciphertext and tag, in place.
    ///
    /// # Errors
    ///
    /// When the tag is wrong.
    pub fn open(&self, seq: u64, record: &mut [u8]) -> anyhow::Result<()> {
        match self {
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce(seq));
                let aad = ring::aead::Aad::from([23; HEADER]);
                let opened = key.open_in_place(nonce, aad, record);
                opened.map(drop).map_err(|_| anyhow!("ring: bad tag"))
            }
            Self::AwsLcRs(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce(seq));
                let aad = aws_lc_rs::aead::Aad::from([23; HEADER]);
                let opened = key.open_in_place(nonce, aad, record);
                opened.map(drop).map_err(|_| anyhow!("aws-lc-rs: bad tag"))
            }
        }
    }
}

fn nonce(seq: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&seq.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_seal_the_same_bytes_and_open_each_others() {
        let (ring, aws) = (Aead::new("ring").unwrap(), Aead::new("aws-lc-rs").unwrap());
        let mut a = vec![1; 100 + TAG];
        let mut b = a.clone();
        ring.seal(9, &mut a).unwrap();
        aws.seal(9, &mut b).unwrap();
        assert_eq!(a, b);
        ring.open(9, &mut b).unwrap();
        assert_eq!(b[..100], [1; 100]);
        assert!(aws.open(8, &mut a).is_err());
    }
}
