use std::io::Read;
use std::sync::Arc;

use rustls::crypto::{CipherSuiteCommon, CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ServerConfig, Tls13CipherSuite};
use underseal::{Error, blocking};
use underseal_testkit::{Certificates, KeyType, Suite, pair};

/// ring's, and behind its own suites one that underseal does not seal. It is never used.
fn provider_with_ccm() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let rustls::SupportedCipherSuite::Tls13(aes128) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        panic!("a suite of TLS 1.3");
    };
    let ccm: &'static Tls13CipherSuite = Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: CipherSuite::TLS13_AES_128_CCM_SHA256,
            hash_provider: aes128.common.hash_provider,
            confidentiality_limit: aes128.common.confidentiality_limit,
        },
        hkdf_provider: aes128.hkdf_provider,
        aead_alg: aes128.aead_alg,
        quic: None,
    }));
    provider.cipher_suites.push(ccm.into());
    Arc::new(provider)
}

fn client() -> Arc<ClientConfig> {
    Arc::new(
        ClientConfig::builder_with_provider(provider_with_ccm())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

fn server() -> Arc<ServerConfig> {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let resolver = certificates.server_config(Suite::Tls13Aes128).cert_resolver;
    Arc::new(
        ServerConfig::builder_with_provider(provider_with_ccm())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver),
    )
}

fn assert_names_the_suite(error: &std::io::Error) {
    let error = Error::of(error).expect("an error of underseal");
    assert_eq!(error.to_string(), "not supported: TLS13_AES_128_CCM_SHA256");
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

#[test]
fn a_provider_with_a_suite_that_is_not_sealed_is_refused_before_anything_is_sent() {
    let (ours, mut theirs) = pair(1 << 16);
    let refused = blocking::TlsConnector::from(client()).connect(localhost(), ours);
    assert_names_the_suite(&refused.unwrap_err());
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).unwrap();
    assert_eq!(sent, []);

    let (ours, _theirs) = pair(1 << 16);
    let refused = blocking::TlsAcceptor::from(server()).accept(ours);
    assert_names_the_suite(&refused.unwrap_err());
}

#[tokio::test]
async fn a_provider_with_a_suite_that_is_not_sealed_is_refused_before_a_future_sends_anything() {
    use tokio::io::AsyncReadExt;

    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let connect = underseal::TlsConnector::from(client()).connect(localhost(), ours);
    assert_names_the_suite(&connect.await.unwrap_err());
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, []);

    let (ours, _theirs) = tokio::io::duplex(1 << 16);
    let accept = underseal::TlsAcceptor::from(server()).accept(ours);
    assert_names_the_suite(&accept.await.unwrap_err());
}
