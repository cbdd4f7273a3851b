//! rustls configurations for both sides, pinned to one version and suite.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{CipherSuite, ClientConfig, ProtocolVersion, ServerConfig, SupportedProtocolVersion};

use crate::{Certificates, KeyType};

/// A TLS version with one of its AEADs: what every test matrix walks through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// TLS 1.3 with AES-128-GCM.
    Tls13Aes128,
    /// TLS 1.3 with AES-256-GCM.
    Tls13Aes256,
    /// TLS 1.3 with ChaCha20-Poly1305.
    Tls13ChaCha20,
    /// TLS 1.2 with AES-128-GCM.
    Tls12Aes128,
    /// TLS 1.2 with AES-256-GCM.
    Tls12Aes256,
    /// TLS 1.2 with ChaCha20-Poly1305.
    Tls12ChaCha20,
}

impl Suite {
    /// Every suite underseal has records for.
    pub const ALL: [Self; 6] = [
        Self::Tls13Aes128,
        Self::Tls13Aes256,
        Self::Tls13ChaCha20,
        Self::Tls12Aes128,
        Self::Tls12Aes256,
        Self::Tls12ChaCha20,
    ];

    /// One suite of each version, where the AEAD does not matter.
    pub const EACH_VERSION: [Self; 2] = [Self::Tls13Aes128, Self::Tls12Aes128];

    /// The version.
    #[must_use]
    pub fn version(self) -> ProtocolVersion {
        self.supported_version().version
    }

    /// Whether the version is TLS 1.3.
    #[must_use]
    pub fn is_tls13(self) -> bool {
        self.version() == ProtocolVersion::TLSv1_3
    }

    /// The suite as a server with that kind of key negotiates it. TLS 1.3 suites do not say.
    #[must_use]
    pub fn negotiated_with(self, key_type: KeyType) -> CipherSuite {
        match (self, key_type) {
            (Self::Tls13Aes128, _) => CipherSuite::TLS13_AES_128_GCM_SHA256,
            (Self::Tls13Aes256, _) => CipherSuite::TLS13_AES_256_GCM_SHA384,
            (Self::Tls13ChaCha20, _) => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            (Self::Tls12Aes128, KeyType::Ecdsa) => {
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            }
            (Self::Tls12Aes256, KeyType::Ecdsa) => {
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            }
            (Self::Tls12ChaCha20, KeyType::Ecdsa) => {
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            }
            (Self::Tls12Aes128, KeyType::Rsa) => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            (Self::Tls12Aes256, KeyType::Rsa) => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            (Self::Tls12ChaCha20, KeyType::Rsa) => {
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            }
        }
    }

    /// The name OpenSSL, curl and Python have for [`Self::negotiated_with`].
    #[must_use]
    pub fn openssl_name(self, key_type: KeyType) -> String {
        let aead = match self {
            Self::Tls13Aes128 => return "TLS_AES_128_GCM_SHA256".to_owned(),
            Self::Tls13Aes256 => return "TLS_AES_256_GCM_SHA384".to_owned(),
            Self::Tls13ChaCha20 => return "TLS_CHACHA20_POLY1305_SHA256".to_owned(),
            Self::Tls12Aes128 => "AES128-GCM-SHA256",
            Self::Tls12Aes256 => "AES256-GCM-SHA384",
            Self::Tls12ChaCha20 => "CHACHA20-POLY1305",
        };
        match key_type {
            KeyType::Ecdsa => format!("ECDHE-ECDSA-{aead}"),
            KeyType::Rsa => format!("ECDHE-RSA-{aead}"),
        }
    }

    /// The name GnuTLS has for the AEAD.
    #[must_use]
    pub fn gnutls_name(self) -> &'static str {
        match self {
            Self::Tls13Aes128 | Self::Tls12Aes128 => "AES-128-GCM",
            Self::Tls13Aes256 | Self::Tls12Aes256 => "AES-256-GCM",
            Self::Tls13ChaCha20 | Self::Tls12ChaCha20 => "CHACHA20-POLY1305",
        }
    }

    fn supported_version(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls13Aes128 | Self::Tls13Aes256 | Self::Tls13ChaCha20 => &rustls::version::TLS13,
            Self::Tls12Aes128 | Self::Tls12Aes256 | Self::Tls12ChaCha20 => &rustls::version::TLS12,
        }
    }

    /// The ring provider with nothing but this suite in it.
    fn provider(self) -> Arc<CryptoProvider> {
        let suites = [KeyType::Ecdsa, KeyType::Rsa].map(|key_type| self.negotiated_with(key_type));
        let mut provider = ring::default_provider();
        provider
            .cipher_suites
            .retain(|suite| suites.contains(&suite.suite()));
        Arc::new(provider)
    }
}

impl Certificates {
    /// A server that accepts this suite only and asks for no client certificate.
    #[must_use]
    pub fn server_config(&self, suite: Suite) -> ServerConfig {
        let (chain, key) = self.server_identity();
        server_builder(suite)
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate")
    }

    /// The same server, which refuses a client without a certificate of the authority.
    #[must_use]
    pub fn mutual_server_config(&self, suite: Suite) -> ServerConfig {
        let roots = Arc::new(self.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, suite.provider())
            .build()
            .expect("the authority is a trust anchor");
        let (chain, key) = self.server_identity();
        server_builder(suite)
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate")
    }

    /// A client that offers this suite only and trusts the authority only.
    #[must_use]
    pub fn client_config(&self, suite: Suite) -> ClientConfig {
        client_builder(suite)
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// The same client, with a certificate of its own.
    #[must_use]
    pub fn mutual_client_config(&self, suite: Suite) -> ClientConfig {
        let (chain, key) = self.client_identity();
        client_builder(suite)
            .with_root_certificates(self.roots())
            .with_client_auth_cert(chain, key)
            .expect("the key belongs to the certificate")
    }
}

fn server_builder(suite: Suite) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(suite.provider())
        .with_protocol_versions(&[suite.supported_version()])
        .expect("the suite belongs to the version")
}

fn client_builder(suite: Suite) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(suite.provider())
        .with_protocol_versions(&[suite.supported_version()])
        .expect("the suite belongs to the version")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use rustls::{ClientConnection, ServerConnection, StreamOwned};

    use super::*;
    use crate::{SERVER_NAME, pair};

    /// Makes a handshake with client certificates and returns what was negotiated.
    fn negotiated(certificates: &Certificates, suite: Suite) -> (ProtocolVersion, CipherSuite) {
        let (left, right) = pair(4096);
        let server = Arc::new(certificates.mutual_server_config(suite));
        let server = ServerConnection::new(server).unwrap();
        let server = thread::spawn(move || {
            let mut stream = StreamOwned::new(server, right);
            stream.write_all(b"hello").unwrap();
            stream.flush().unwrap();
            assert!(stream.conn.peer_certificates().is_some());
        });
        let client = Arc::new(certificates.mutual_client_config(suite));
        let client = ClientConnection::new(client, SERVER_NAME.try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, left);
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        server.join().unwrap();
        let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
        (stream.conn.protocol_version().unwrap(), suite)
    }

    #[test]
    fn each_suite_is_negotiated_with_each_kind_of_key() {
        for key_type in [KeyType::Ecdsa, KeyType::Rsa] {
            let certificates = Certificates::new(key_type);
            for suite in Suite::ALL {
                let expected = (suite.version(), suite.negotiated_with(key_type));
                assert_eq!(negotiated(&certificates, suite), expected);
            }
        }
    }
}
