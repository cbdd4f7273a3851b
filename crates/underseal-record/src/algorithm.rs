use core::fmt;

use crate::ApiMisuse;

/// The TLS versions whose records this crate protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "who maps versions must know each")]
pub enum ProtocolVersion {
    /// TLS 1.2 with an AEAD suite (RFC 5246, RFC 5288, RFC 7905).
    #[doc(alias = "TLS_1_2_VERSION")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[doc(alias = "TLS_1_3_VERSION")]
    Tls13,
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        })
    }
}

/// An AEAD algorithm of a TLS cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "who maps suites must know each")]
pub enum Algorithm {
    /// AES-128 in Galois/Counter mode.
    #[doc(alias = "TLS_CIPHER_AES_GCM_128")]
    Aes128Gcm,
    /// AES-256 in Galois/Counter mode.
    #[doc(alias = "TLS_CIPHER_AES_GCM_256")]
    Aes256Gcm,
    /// ChaCha20 with Poly1305.
    #[doc(alias = "TLS_CIPHER_CHACHA20_POLY1305")]
    ChaCha20Poly1305,
    /// AES-128 in Counter mode with CBC-MAC, and a tag of 16 bytes: the fourth suite of QUIC (RFC 9001
    /// section 5.3), for small devices that have it in hardware. Only builds with the feature `ccm` take
    /// its keys.
    #[doc(alias = "TLS_CIPHER_AES_CCM_128")]
    Aes128Ccm,
}

impl Algorithm {
    /// Every algorithm that each build has, for loops in tests and probes: all but AES-128-CCM.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// Bytes of the key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Ccm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes between a record's header and its ciphertext: TLS 1.2 sends eight bytes of the nonce of
    /// AES-GCM and AES-CCM with each record (RFC 5288 section 3, RFC 6655 section 3), every other combination derives the whole
    /// nonce from the sequence number.
    pub const fn explicit_nonce_len(self, version: ProtocolVersion) -> usize {
        match (version, self) {
            (ProtocolVersion::Tls12, Self::Aes128Gcm | Self::Aes256Gcm | Self::Aes128Ccm) => 8,
            _ => 0,
        }
    }

    /// Whether this build seals with it: asked where keys and secrets come in.
    pub(crate) fn check(self) -> Result<(), ApiMisuse> {
        match self {
            Self::Aes128Ccm if !cfg!(feature = "ccm") => Err(ApiMisuse::AlgorithmLeftOut),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::Aes128Ccm => "AES-128-CCM",
        })
    }
}
