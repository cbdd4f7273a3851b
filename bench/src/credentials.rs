//! One certificate for a whole run, and the configurations that force TLS 1.3 with one suite.

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
    /// The provider as rustls makes it.
    pub fn default_provider(self) -> CryptoProvider {
        match self {
            Self::Ring => rustls::crypto::ring::default_provider(),
            Self::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        }
    }

    /// The provider with `wanted` as its only suite.
    fn with_one_suite(self, wanted: Suite) -> CryptoProvider {
        let mut provider = self.default_provider();
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == wanted.rustls());
        provider
    }
}

/// A suite that rows are measured with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// TLS_AES_128_GCM_SHA256.
    #[default]
    Aes128,
    /// TLS_AES_256_GCM_SHA384.
    Aes256,
}

impl Suite {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Aes128, Self::Aes256];

    /// The name in IANA's registry, which OpenSSL takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "TLS_AES_128_GCM_SHA256",
            Self::Aes256 => "TLS_AES_256_GCM_SHA384",
        }
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
            Self::Aes256 => "aes256",
        }
    }

    fn rustls(self) -> CipherSuite {
        match self {
            Self::Aes128 => CipherSuite::TLS13_AES_128_GCM_SHA256,
            Self::Aes256 => CipherSuite::TLS13_AES_256_GCM_SHA384,
        }
    }
}

/// A self-signed ECDSA P-256 certificate for `localhost`, and its key, as PEM.
#[derive(Debug)]
pub struct Credentials {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
    /// The only suite of both configurations.
    pub suite: Suite,
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
            suite: Suite::default(),
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
            suite: Suite::default(),
        })
    }

    /// The same certificate, with another suite.
    #[must_use]
    pub fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// A server's configuration.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn server(&self, provider: Provider) -> anyhow::Result<Arc<ServerConfig>> {
        self.server_with(provider.with_one_suite(self.suite))
    }

    /// The same, with whatever provider.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn server_with(&self, provider: CryptoProvider) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
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
        self.client_with(provider.with_one_suite(self.suite))
    }

    /// The same, with whatever provider.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn client_with(&self, provider: CryptoProvider) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The same, but it resumes what it can: every handshake but the first is a resumed one.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn resuming_client(&self, provider: Provider) -> anyhow::Result<Arc<ClientConfig>> {
        let mut config = Arc::unwrap_or_clone(self.client(provider)?);
        config.resumption = rustls::client::Resumption::default();
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
