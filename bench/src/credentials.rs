//! One certificate for a whole run, and the configurations that force TLS 1.3 AES-128-GCM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// Which cryptography rustls is built upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `ring`.
    Ring,
    /// `aws-lc-rs`, what users of rustls get by default.
    AwsLcRs,
}

impl Provider {
    /// The provider with TLS_AES_128_GCM_SHA256 as its only suite.
    fn with_one_suite(self) -> CryptoProvider {
        let mut provider = match self {
            Self::Ring => rustls::crypto::ring::default_provider(),
            Self::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        };
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
        provider
    }
}

/// A self-signed ECDSA P-256 certificate for `localhost`, and its key, as PEM.
#[derive(Debug)]
pub struct Credentials {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

impl Credentials {
    /// Makes a certificate and key.
    ///
    /// # Errors
    ///
    /// When the key cannot be generated.
    pub fn generate() -> anyhow::Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made =
            rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
        Ok(Self {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        })
    }

    /// Writes `cert.pem` and `key.pem` below `directory` and returns their paths.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_below(&self, directory: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, &self.certificate_pem).context("cannot write cert.pem")?;
        std::fs::write(&key, &self.key_pem).context("cannot write key.pem")?;
        Ok((certificate, key))
    }

    /// Reads back what [`Self::write_below`] wrote: how a child process gets them.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn read_below(directory: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            std::fs::read_to_string(directory.join(name)).with_context(|| format!("no {name}"))
        };
        Ok(Self {
            certificate_pem: read("cert.pem")?,
            key_pem: read("key.pem")?,
        })
    }

    /// A server's configuration.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn server(&self, provider: Provider) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(provider.with_one_suite()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate()?], key)?;
        Ok(Arc::new(config))
    }

    /// A client's configuration, which trusts this certificate alone and resumes nothing: every
    /// handshake of a measurement is a full one.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn client(&self, provider: Provider) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider.with_one_suite()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    fn certificate(&self) -> anyhow::Result<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).context("odd certificate")
    }
}

/// The name that every client asks for.
pub fn server_name() -> ServerName<'static> {
    ServerName::from(std::net::Ipv4Addr::LOCALHOST)
}
