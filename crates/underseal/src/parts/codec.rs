//! How the parts of a stream are written down: integers are big endian, byte strings carry their
//! length before them, and a checksum ends it all.

use rustls::pki_types::CertificateDer;
use underseal_record::{Algorithm, Padding, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret};
use zeroize::Zeroizing;

use super::InvalidParts;
use crate::offload::Offload;

/// Bytes of the checksum.
const CHECKSUM_LEN: usize = 4;

/// CRC-32 of ISO 3309, bit by bit: it finds every change of up to 32 bits in a row. It is no
/// protection against who wants to change bytes: the keys are among them.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg())
        })
    });
    (!crc).to_be_bytes()
}

/// What was written before the checksum, if it fits.
pub(super) fn checked(bytes: &[u8]) -> Result<&[u8], InvalidParts> {
    match bytes.split_last_chunk::<CHECKSUM_LEN>() {
        Some((body, sum)) if checksum(body) == *sum => Ok(body),
        _ => Err(InvalidParts("the checksum differs")),
    }
}

pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// For at most `len` bytes: an allocation that grows leaves keys behind.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(len + CHECKSUM_LEN)))
    }

    /// All that was written, and its checksum.
    pub(super) fn finish(mut self) -> Zeroizing<Vec<u8>> {
        let sum = checksum(&self.0);
        self.plain(&sum);
        self.0
    }

    /// Bytes whose length the reader knows.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        debug_assert!(self.0.capacity() - self.0.len() >= bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.plain(&[byte]);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.plain(&number.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.plain(bytes);
    }

    pub(super) fn keys(&mut self, keys: &TrafficKeys) {
        self.byte(match keys.version() {
            ProtocolVersion::Tls12 => 2,
            ProtocolVersion::Tls13 => 3,
        });
        self.byte(match keys.algorithm() {
            Algorithm::Aes128Gcm => 0,
            Algorithm::Aes256Gcm => 1,
            Algorithm::ChaCha20Poly1305 => 2,
            Algorithm::Aes128Ccm => 3,
        });
        self.bytes(keys.dangerous_key());
        self.plain(keys.dangerous_iv());
        self.number(keys.seq().0);
    }

    pub(super) fn padding(&mut self, padding: Padding) {
        self.number(match padding {
            Padding::Multiple(n) => u64::from(n),
            Padding::Full => u64::MAX,
            _ => 0,
        });
    }

    pub(super) fn offload(&mut self, offload: Offload) {
        self.byte(match offload {
            Offload::Auto => 0,
            Offload::Kernel => 1,
            Offload::User => 2,
        });
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], InvalidParts> {
        let (front, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(InvalidParts("cut short"))?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidParts> {
        let (front, rest) = self
            .0
            .split_first_chunk()
            .ok_or(InvalidParts("cut short"))?;
        self.0 = rest;
        Ok(*front)
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), InvalidParts> {
        match self.0 {
            [] => Ok(()),
            _ => Err(InvalidParts("something follows their end")),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, InvalidParts> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, InvalidParts> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number up to `most`.
    pub(super) fn number_up_to(&mut self, most: u64) -> Result<u64, InvalidParts> {
        Some(self.number()?)
            .filter(|number| *number <= most)
            .ok_or(InvalidParts("a number is too large"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], InvalidParts> {
        let len = usize::try_from(self.number()?).map_err(|_| InvalidParts("cut short"))?;
        self.take(len)
    }

    pub(super) fn chain(&mut self) -> Result<Vec<CertificateDer<'static>>, InvalidParts> {
        let mut chain = Vec::new();
        for _ in 0..self.number()? {
            chain.push(CertificateDer::from(self.bytes()?.to_vec()));
        }
        Ok(chain)
    }

    pub(super) fn keys(&mut self) -> Result<TrafficKeys, InvalidParts> {
        let version = match self.byte()? {
            2 => ProtocolVersion::Tls12,
            3 => ProtocolVersion::Tls13,
            _ => return Err(InvalidParts("unknown version")),
        };
        let algorithm = match self.byte()? {
            0 => Algorithm::Aes128Gcm,
            1 => Algorithm::Aes256Gcm,
            2 => Algorithm::ChaCha20Poly1305,
            3 => Algorithm::Aes128Ccm,
            _ => return Err(InvalidParts("unknown algorithm")),
        };
        let key = self.bytes()?;
        let iv = self.array()?;
        let seq = SeqNo(self.number()?);
        TrafficKeys::new(version, algorithm, key, iv, seq).map_err(|_| InvalidParts("key length"))
    }

    pub(super) fn secret(
        &mut self,
        keys: &TrafficKeys,
    ) -> Result<Option<TrafficSecret>, InvalidParts> {
        match (self.bytes()?, keys.version()) {
            ([], _) => Ok(None),
            (_, ProtocolVersion::Tls12) => Err(InvalidParts("a secret under TLS 1.2")),
            (bytes, ProtocolVersion::Tls13) => TrafficSecret::new(keys.algorithm(), bytes)
                .map(Some)
                .map_err(|_| InvalidParts("secret length")),
        }
    }

    pub(super) fn padding(&mut self) -> Result<Padding, InvalidParts> {
        Ok(match self.number()? {
            0 => Padding::None,
            u64::MAX => Padding::Full,
            n => Padding::Multiple(u16::try_from(n).map_err(|_| InvalidParts("padding"))?),
        })
    }

    pub(super) fn offload(&mut self) -> Result<Offload, InvalidParts> {
        match self.byte()? {
            0 => Ok(Offload::Auto),
            1 => Ok(Offload::Kernel),
            2 => Ok(Offload::User),
            _ => Err(InvalidParts("unknown offload")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32/ISO-HDLC.
    #[test]
    fn the_checksum_is_that_of_iso_3309() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926_u32.to_be_bytes());
    }
}
