//! The TLS configurations: towards clients and towards backends, rebuilt when a CA file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use underseal::{Offloads, TlsAcceptor, TlsConnector};

use super::Error;
use super::protocol::{ClientAuth, MinTls};
use underseal_server::certificate::{Identities, Identity, Stamp};
use underseal_server::control::{Reload, ReloadError};
use underseal_server::current::Current;

/// What connections of clients are accepted with.
pub struct Clients {
    /// What they are shown.
    pub identities: Arc<Identities>,
    /// The cryptography of handshakes.
    pub provider: Arc<CryptoProvider>,
    /// The engines of records.
    pub offloads: Offloads,
    /// The protocols to agree on, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// The oldest version that is spoken.
    pub min_tls: MinTls,
    /// The CAs of their certificates, and whether they must have one.
    pub ca: Option<(PathBuf, ClientAuth)>,
}

/// What connections to backends are made with.
pub struct Backends {
    /// Shown to a backend that asks for a certificate.
    pub identity: Option<Arc<Identity>>,
    /// The cryptography of handshakes.
    pub provider: Arc<CryptoProvider>,
    /// The engines of records.
    pub offloads: Offloads,
    /// The protocols to offer, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// The oldest version that is spoken.
    pub min_tls: MinTls,
    /// Without it, the CAs of the system.
    pub ca: Option<PathBuf>,
}

/// A configuration in force, and how it is made again.
pub struct Configured<C, T> {
    from: C,
    what: &'static str,
    first: Stamp,
    current: Arc<Current<T>>,
}

/// How a configuration is made from files.
pub trait Configure<T> {
    /// The files that are to be watched.
    fn files(&self) -> Vec<&Path>;

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`Error`] when files cannot be read or used.
    fn make(&self) -> Result<T, Error>;
}

impl<T, C: Configure<T>> Configured<C, T> {
    /// Makes the configuration for the first time; `what` it is, as messages name its files.
    ///
    /// # Errors
    /// As [`Configure::make`].
    pub fn new(what: &'static str, from: C) -> Result<Arc<Self>, Error> {
        let first = Stamp::of(from.files());
        let current = Current::new(from.make()?);
        Ok(Arc::new(Self {
            from,
            what,
            first,
            current,
        }))
    }

    /// The one in force.
    pub fn current(&self) -> &Arc<Current<T>> {
        &self.current
    }
}

impl<T, C: Configure<T>> Reload for Configured<C, T> {
    fn what(&self) -> &'static str {
        self.what
    }

    fn first(&self) -> &Stamp {
        &self.first
    }

    fn stamp(&self) -> Stamp {
        Stamp::of(self.from.files())
    }

    fn reload(&self) -> Result<Option<String>, ReloadError> {
        self.current.replace(self.from.make()?);
        Ok(None)
    }
}

impl Configure<TlsAcceptor> for Clients {
    fn files(&self) -> Vec<&Path> {
        self.ca.iter().map(|(file, _)| &**file).collect()
    }

    /// With tickets that need no state here, so that any worker can resume what another one began.
    /// Their key is made anew with the configuration: a client whose CA is gone cannot resume.
    fn make(&self) -> Result<TlsAcceptor, Error> {
        let provider = Arc::clone(&self.provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.min_tls.versions())
            .map_err(Error::Tls)?;
        let builder = match &self.ca {
            None => builder.with_no_client_auth(),
            Some((file, auth)) => {
                let roots = Arc::new(read_roots(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| Error::UseAuthorities {
                    path: file.clone(),
                    why: error.to_string(),
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.identities) as _);
        config.alpn_protocols.clone_from(&self.alpn);
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
        Ok(TlsAcceptor::from(Arc::new(config)).offload(self.offloads))
    }
}

impl Configure<TlsConnector> for Backends {
    fn files(&self) -> Vec<&Path> {
        self.ca.as_deref().into_iter().collect()
    }

    fn make(&self) -> Result<TlsConnector, Error> {
        let roots = match &self.ca {
            Some(file) => read_roots(file)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.min_tls.versions())
            .map_err(Error::Tls)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity) as _),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(TlsConnector::from(Arc::new(config)).offload(self.offloads))
    }
}

fn read_roots(file: &Path) -> Result<RootCertStore, Error> {
    let refused = |why| Error::ReadAuthorities {
        path: file.to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| match error {
        pem::Error::Io(error) => refused(error.to_string()),
        other => refused(other.to_string()),
    })?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Error::NoSystemAuthorities);
    }
    Ok(roots)
}
