use std::sync::{Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};
use underseal_record::Algorithm;

use crate::keys::Packets;
use crate::suite::algorithm;

/// `base`, with QUIC packets sealed and opened by underseal.
///
/// Everything else is as `base` has it: handshakes, TLS over TCP, which suites there are and which of
/// them are offered for QUIC. A suite with another AEAD than AES-128-GCM, AES-256-GCM,
/// ChaCha20-Poly1305 and, with the feature `ccm`, AES-128-CCM stays as it is. The suites no longer count as approved by FIPS.
///
/// What is made for a suite lives as long as the process, once however often this is called.
pub fn provider(base: CryptoProvider) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: base.cipher_suites.into_iter().map(protected).collect(),
        ..base
    }
}

fn protected(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let Some(tls13) = suite.tls13().filter(|tls13| tls13.quic.is_some()) else {
        return suite;
    };
    match algorithm(tls13.common.suite) {
        Some(algorithm) => SupportedCipherSuite::Tls13(with_packets(tls13, packets(algorithm))),
        None => suite,
    }
}

fn packets(algorithm: Algorithm) -> &'static Packets {
    match algorithm {
        Algorithm::Aes128Gcm => &Packets(Algorithm::Aes128Gcm),
        Algorithm::Aes256Gcm => &Packets(Algorithm::Aes256Gcm),
        Algorithm::ChaCha20Poly1305 => &Packets(Algorithm::ChaCha20Poly1305),
        Algorithm::Aes128Ccm => &Packets(Algorithm::Aes128Ccm),
    }
}

/// A suite, and the same with our packets.
type Made = (&'static Tls13CipherSuite, &'static Tls13CipherSuite);

/// `suite` with `packets`. rustls wants it to live forever, so it is made once.
fn with_packets(
    suite: &'static Tls13CipherSuite,
    packets: &'static Packets,
) -> &'static Tls13CipherSuite {
    static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = made
        .iter()
        .find(|(base, ours)| std::ptr::eq(*base, suite) || std::ptr::eq(*ours, suite));
    if let Some((_, ours)) = known {
        return ours;
    }
    let ours: &'static Tls13CipherSuite = Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: suite.aead_alg,
        quic: Some(packets),
    }));
    made.push((suite, ours));
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_tls_13_has_our_packets_and_is_made_once() {
        let base = rustls::crypto::ring::default_provider();
        let suites = |provider: &CryptoProvider| -> Vec<_> {
            let suites = provider.cipher_suites.iter();
            suites.filter_map(|suite| suite.tls13()).collect()
        };
        let ours = provider(base.clone());
        let again = provider(base.clone());
        let twice = provider(ours.clone());
        assert_eq!(suites(&ours).len(), 3);
        for (index, suite) in suites(&ours).into_iter().enumerate() {
            assert_eq!(suite.common.suite, suites(&base)[index].common.suite);
            assert!(!std::ptr::eq(suite, suites(&base)[index]));
            assert!(std::ptr::eq(suite, suites(&again)[index]));
            assert!(std::ptr::eq(suite, suites(&twice)[index]));
        }
    }
}
