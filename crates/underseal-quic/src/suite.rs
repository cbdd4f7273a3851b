//! Which suites have packets that underseal protects.

use rustls::CipherSuite;
use underseal_record::Algorithm;

/// The AEAD of a suite's packets, if it is one of underseal's.
pub(crate) fn algorithm(suite: CipherSuite) -> Option<Algorithm> {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => Some(Algorithm::Aes128Gcm),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Some(Algorithm::Aes256Gcm),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some(Algorithm::ChaCha20Poly1305),
        #[cfg(feature = "ccm")]
        CipherSuite::TLS13_AES_128_CCM_SHA256 => Some(Algorithm::Aes128Ccm),
        _ => None,
    }
}

#[cfg(test)]
#[cfg(all(feature = "ccm", any(feature = "ring", feature = "aws-lc-rs")))]
mod tests {
    use rustls::quic::Algorithm as _;

    use super::*;
    use crate::keys::Packets;

    #[test]
    fn packets_of_a_suite_with_aes_128_ccm_are_ours() {
        let algorithm = algorithm(CipherSuite::TLS13_AES_128_CCM_SHA256);
        assert_eq!(algorithm, Some(Algorithm::Aes128Ccm));
        assert_eq!(Packets(Algorithm::Aes128Ccm).aead_key_len(), 16);
    }
}
