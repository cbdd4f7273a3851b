use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ConnectionTrafficSecrets, ProtocolVersion};
use underseal_record::{Algorithm, Backend, SeqNo, TrafficKeys};

use crate::Error;

/// Refuses a provider that may agree on a suite whose records underseal does not seal, before
/// anything is sent: when the handshake is complete, it is too late to choose another.
pub(super) fn check_provider(provider: &CryptoProvider) -> Result<(), Error> {
    if Backend::COUNT == 0 {
        return Err(Error::unsupported(
            "TLS without the feature `aead-ring` or `aead-aws-lc-rs`",
        ));
    }
    for suite in &provider.cipher_suites {
        let name = suite.suite().as_str();
        algorithm(suite.suite())
            .map_err(|_| Error::unsupported(name.unwrap_or("a cipher suite of the provider")))?;
    }
    Ok(())
}

/// The AEAD of the suite that was agreed on.
pub(super) fn algorithm(suite: CipherSuite) -> Result<Algorithm, Error> {
    use CipherSuite as S;
    Ok(match suite {
        S::TLS13_AES_128_GCM_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Algorithm::Aes128Gcm,
        S::TLS13_AES_256_GCM_SHA384
        | S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Algorithm::Aes256Gcm,
        S::TLS13_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Algorithm::ChaCha20Poly1305,
        _ => return Err(Error::unsupported("cipher suite")),
    })
}

/// rustls' secrets as record keys.
pub(crate) fn traffic_keys(
    version: ProtocolVersion,
    (seq, secrets): (u64, ConnectionTrafficSecrets),
) -> Result<TrafficKeys, Error> {
    let version = match version {
        ProtocolVersion::TLSv1_2 => underseal_record::ProtocolVersion::Tls12,
        ProtocolVersion::TLSv1_3 => underseal_record::ProtocolVersion::Tls13,
        _ => return Err(Error::unsupported("protocol version")),
    };
    let (algorithm, key, iv) = match &secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Algorithm::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Algorithm::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (Algorithm::ChaCha20Poly1305, key, iv)
        }
        _ => return Err(Error::unsupported("cipher suite")),
    };
    let mut full_iv = [0; 12];
    let iv = iv.as_ref();
    if iv.len() != full_iv.len() {
        return Err(Error::unsupported("length of the initialisation vector"));
    }
    full_iv.copy_from_slice(iv);
    let keys = TrafficKeys::new(version, algorithm, key.as_ref(), full_iv, SeqNo(seq))?;
    Ok(keys)
}
