//! What the kernel takes keys in: `struct tls12_crypto_info_*` of `include/uapi/linux/tls.h`.
//!
//! All of them are one layout with different lengths, without padding:
//! `{u16 version; u16 cipher_type}`, iv, key, salt, record sequence number. The bytes are built
//! here; the layout is checked against the `repr(C)` structs of libc when this crate is compiled.

use std::fmt;

use zeroize::Zeroizing;

/// The TLS versions that a kernel TLS socket knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// TLS 1.2, since Linux 4.13.
    #[doc(alias = "TLS_1_2_VERSION")]
    Tls12,
    /// TLS 1.3, since Linux 5.1.
    #[doc(alias = "TLS_1_3_VERSION")]
    Tls13,
}

impl Version {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// The version as it stands on the wire.
    pub const fn to_wire(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    const fn from_wire(wire: u16) -> Option<Self> {
        match wire {
            0x0303 => Some(Self::Tls12),
            0x0304 => Some(Self::Tls13),
            _ => None,
        }
    }
}

/// The two directions of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum Direction {
    /// Sending, since Linux 4.13.
    #[doc(alias = "TLS_TX")]
    Tx,
    /// Receiving, since Linux 4.17.
    #[doc(alias = "TLS_RX")]
    Rx,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Tx, Self::Rx];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
        })
    }
}

/// The ciphers of kernel TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-128-GCM, since Linux 4.13.
    #[doc(alias = "TLS_CIPHER_AES_GCM_128")]
    Aes128Gcm,
    /// AES-256-GCM, since Linux 5.1.
    #[doc(alias = "TLS_CIPHER_AES_GCM_256")]
    Aes256Gcm,
    /// AES-128-CCM, since Linux 5.2.
    #[doc(alias = "TLS_CIPHER_AES_CCM_128")]
    Aes128Ccm,
    /// ChaCha20-Poly1305, since Linux 5.11.
    #[doc(alias = "TLS_CIPHER_CHACHA20_POLY1305")]
    ChaCha20Poly1305,
    /// SM4-GCM (RFC 8998), since Linux 5.16.
    #[doc(alias = "TLS_CIPHER_SM4_GCM")]
    Sm4Gcm,
    /// SM4-CCM (RFC 8998), since Linux 5.16.
    #[doc(alias = "TLS_CIPHER_SM4_CCM")]
    Sm4Ccm,
    /// ARIA-128-GCM, TLS 1.2 only (RFC 6209), since Linux 6.1.
    #[doc(alias = "TLS_CIPHER_ARIA_GCM_128")]
    Aria128Gcm,
    /// ARIA-256-GCM, TLS 1.2 only (RFC 6209), since Linux 6.1.
    #[doc(alias = "TLS_CIPHER_ARIA_GCM_256")]
    Aria256Gcm,
}

/// Bytes before the IV: version and cipher.
const PREFIX: usize = 4;
const SEQ_LEN: usize = 8;
/// Bytes of a nonce: salt and IV together, for every cipher.
const NONCE_LEN: usize = 12;
/// The longest of the structs.
const MAX_LEN: usize = PREFIX + NONCE_LEN + 32 + SEQ_LEN;

impl Cipher {
    /// Every cipher, in the order of the kernel's numbers.
    pub const ALL: [Self; 8] = [
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::Aes128Ccm,
        Self::ChaCha20Poly1305,
        Self::Sm4Gcm,
        Self::Sm4Ccm,
        Self::Aria128Gcm,
        Self::Aria256Gcm,
    ];

    /// The kernel's number.
    pub const fn id(self) -> u16 {
        51 + self as u16
    }

    /// The cipher with this number.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|cipher| cipher.id() == id)
    }

    /// The name that TLS gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::Aes128Ccm => "AES-128-CCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::Sm4Gcm => "SM4-GCM",
            Self::Sm4Ccm => "SM4-CCM",
            Self::Aria128Gcm => "ARIA-128-GCM",
            Self::Aria256Gcm => "ARIA-256-GCM",
        }
    }

    /// Bytes of the key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Aria256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the nonce that never change: the rest is the IV.
    const fn salt_len(self) -> usize {
        match self {
            Self::ChaCha20Poly1305 => 0,
            _ => 4,
        }
    }

    const fn iv_len(self) -> usize {
        NONCE_LEN - self.salt_len()
    }

    /// Bytes of the kernel's struct.
    pub(super) const fn struct_len(self) -> usize {
        PREFIX + NONCE_LEN + self.key_len() + SEQ_LEN
    }

    const fn key_at(self) -> usize {
        PREFIX + self.iv_len()
    }

    const fn salt_at(self) -> usize {
        self.key_at() + self.key_len()
    }

    const fn seq_at(self) -> usize {
        self.salt_at() + self.salt_len()
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Keys of one direction, as the kernel takes and gives them. Overwritten on drop.
#[doc(alias = "tls_crypto_info")]
pub struct CryptoInfo {
    version: Version,
    cipher: Cipher,
    bytes: Box<Zeroizing<[u8; MAX_LEN]>>,
}

/// A key that has not the length of its cipher, or bytes that are no `tls_crypto_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCryptoInfo;

impl fmt::Display for InvalidCryptoInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key of the wrong length for its cipher")
    }
}

impl std::error::Error for InvalidCryptoInfo {}

impl CryptoInfo {
    /// Keys of one direction. `nonce` is salt and IV together: the static IV of TLS 1.3 and of
    /// ChaCha20, otherwise the four bytes of salt and the explicit nonce **of the next record**,
    /// from which the kernel counts up, whatever `rec_seq` is.
    ///
    /// # Errors
    ///
    /// If `key` is not [`Cipher::key_len`] bytes.
    pub fn new(
        version: Version,
        cipher: Cipher,
        key: &[u8],
        nonce: &[u8; NONCE_LEN],
        rec_seq: u64,
    ) -> Result<Self, InvalidCryptoInfo> {
        if key.len() != cipher.key_len() {
            return Err(InvalidCryptoInfo);
        }
        let mut bytes = buffer();
        let (salt, iv) = nonce.split_at(cipher.salt_len());
        bytes[..2].copy_from_slice(&version.to_wire().to_ne_bytes());
        bytes[2..PREFIX].copy_from_slice(&cipher.id().to_ne_bytes());
        bytes[PREFIX..cipher.key_at()].copy_from_slice(iv);
        bytes[cipher.key_at()..cipher.salt_at()].copy_from_slice(key);
        bytes[cipher.salt_at()..cipher.seq_at()].copy_from_slice(salt);
        bytes[cipher.seq_at()..cipher.struct_len()].copy_from_slice(&rec_seq.to_be_bytes());
        Ok(Self {
            version,
            cipher,
            bytes,
        })
    }

    /// The keys in what the kernel wrote for a socket of `version` and `cipher`.
    pub(super) fn from_kernel(
        version: Version,
        cipher: Cipher,
        bytes: Box<Zeroizing<[u8; MAX_LEN]>>,
    ) -> Self {
        Self {
            version,
            cipher,
            bytes,
        }
    }

    /// The TLS version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The cipher.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The secret key.
    pub fn dangerous_key(&self) -> &[u8] {
        &self.bytes[self.cipher.key_at()..self.cipher.salt_at()]
    }

    /// Salt and IV together, as [`CryptoInfo::new`] takes them.
    pub fn dangerous_nonce(&self) -> [u8; NONCE_LEN] {
        let cipher = self.cipher;
        let mut nonce = [0; NONCE_LEN];
        let (salt, iv) = nonce.split_at_mut(cipher.salt_len());
        salt.copy_from_slice(&self.bytes[cipher.salt_at()..cipher.seq_at()]);
        iv.copy_from_slice(&self.bytes[PREFIX..cipher.key_at()]);
        nonce
    }

    /// The sequence number of the next record.
    pub fn rec_seq(&self) -> u64 {
        let mut seq = [0; SEQ_LEN];
        seq.copy_from_slice(&self.bytes[self.cipher.seq_at()..self.cipher.struct_len()]);
        u64::from_be_bytes(seq)
    }

    /// The bytes that the kernel takes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.cipher.struct_len()]
    }
}

impl fmt::Debug for CryptoInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoInfo")
            .field("version", &self.version)
            .field("cipher", &self.cipher)
            .field("rec_seq", &self.rec_seq())
            .finish_non_exhaustive()
    }
}

/// A zeroed buffer for the longest struct, boxed: keys are never moved by value.
pub(super) fn buffer() -> Box<Zeroizing<[u8; MAX_LEN]>> {
    Box::new(Zeroizing::new([0; MAX_LEN]))
}

/// Version and cipher of the first four bytes.
pub(super) fn parse_prefix(bytes: [u8; PREFIX]) -> Result<(Version, Cipher), InvalidCryptoInfo> {
    let [a, b, c, d] = bytes;
    let version = Version::from_wire(u16::from_ne_bytes([a, b])).ok_or(InvalidCryptoInfo)?;
    let cipher = Cipher::from_id(u16::from_ne_bytes([c, d])).ok_or(InvalidCryptoInfo)?;
    Ok((version, cipher))
}

/// Compares one of libc's `repr(C)` structs with the layout above.
macro_rules! assert_layout {
    ($cipher:expr, $info:ident, $id:ident) => {
        const _: () = {
            use std::mem::{offset_of, size_of};
            assert!($cipher.id() == libc::$id);
            assert!(size_of::<libc::$info>() == $cipher.struct_len());
            assert!(offset_of!(libc::$info, iv) == PREFIX);
            assert!(offset_of!(libc::$info, key) == $cipher.key_at());
            assert!(offset_of!(libc::$info, salt) == $cipher.salt_at());
            assert!(offset_of!(libc::$info, rec_seq) == $cipher.seq_at());
        };
    };
}

#[rustfmt::skip]
mod layout {
    use super::*;
    assert_layout!(Cipher::Aes128Gcm, tls12_crypto_info_aes_gcm_128, TLS_CIPHER_AES_GCM_128);
    assert_layout!(Cipher::Aes256Gcm, tls12_crypto_info_aes_gcm_256, TLS_CIPHER_AES_GCM_256);
    assert_layout!(Cipher::Aes128Ccm, tls12_crypto_info_aes_ccm_128, TLS_CIPHER_AES_CCM_128);
    assert_layout!(Cipher::ChaCha20Poly1305, tls12_crypto_info_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305);
    assert_layout!(Cipher::Sm4Gcm, tls12_crypto_info_sm4_gcm, TLS_CIPHER_SM4_GCM);
    assert_layout!(Cipher::Sm4Ccm, tls12_crypto_info_sm4_ccm, TLS_CIPHER_SM4_CCM);
    assert_layout!(Cipher::Aria128Gcm, tls12_crypto_info_aria_gcm_128, TLS_CIPHER_ARIA_GCM_128);
    assert_layout!(Cipher::Aria256Gcm, tls12_crypto_info_aria_gcm_256, TLS_CIPHER_ARIA_GCM_256);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_out_of_the_bytes() {
        for version in Version::ALL {
            for cipher in Cipher::ALL {
                let key: Vec<u8> = (100..).take(cipher.key_len()).collect();
                let nonce = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
                let info = CryptoInfo::new(version, cipher, &key, &nonce, 0x0102_0304).unwrap();
                assert_eq!(info.dangerous_key(), key);
                assert_eq!(info.dangerous_nonce(), nonce);
                assert_eq!(info.rec_seq(), 0x0102_0304);
                let prefix = info.as_bytes().first_chunk().unwrap();
                assert_eq!(parse_prefix(*prefix), Ok((version, cipher)));
            }
        }
    }

    #[test]
    fn aes_gcm_has_the_kernels_layout() {
        let info = CryptoInfo::new(
            Version::Tls13,
            Cipher::Aes128Gcm,
            &[0xaa; 16],
            &[1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2],
            7,
        )
        .unwrap();
        let mut expected = Vec::new();
        expected.extend(0x0304_u16.to_ne_bytes());
        expected.extend(51_u16.to_ne_bytes());
        expected.extend([2; 8]);
        expected.extend([0xaa; 16]);
        expected.extend([1; 4]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(info.as_bytes(), expected);
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        let refused = CryptoInfo::new(Version::Tls13, Cipher::Aes256Gcm, &[0; 16], &[0; 12], 0);
        assert_eq!(refused.err(), Some(InvalidCryptoInfo));
    }

    #[test]
    fn secrets_are_not_printed() {
        let info = CryptoInfo::new(
            Version::Tls12,
            Cipher::Aes128Gcm,
            &[0xab; 16],
            &[0xcd; 12],
            5,
        )
        .unwrap();
        let printed = format!("{info:?}");
        assert!(
            !printed.contains("171") && !printed.contains("205"),
            "{printed}"
        );
        assert!(printed.contains("rec_seq: 5"), "{printed}");
    }
}
