//! The certificate and key served, and their reload while connections go on.

mod named;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::control::{Reload, ReloadError};
use crate::error::{IdentityError, Part};

pub use self::named::Identities;

/// Where certificate and key are read from.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The chain in PEM, own certificate first.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// The pair in use. New handshakes take whatever was loaded last; connections that are already
/// established keep what they began with.
pub struct Identity {
    paths: Paths,
    provider: Arc<CryptoProvider>,
    first: Stamp,
    current: RwLock<Arc<CertifiedKey>>,
}

/// SHA-256 of a certificate, shown as `openssl x509 -fingerprint -sha256` shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What changes when one of several files is replaced or rewritten; `None` while one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Option<Vec<(u64, u64, i64, i64)>>);

impl Stamp {
    /// The files as they are now.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        let of = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
        };
        Self(files.into_iter().map(of).collect())
    }

    /// The files of both.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(
            self.0
                .zip(others.0)
                .map(|(own, others)| [own, others].concat()),
        )
    }
}

impl Paths {
    fn stamp(&self) -> Stamp {
        Stamp::of([&*self.certificate, &*self.key])
    }
}

impl Identity {
    /// Loads the pair for the first time.
    ///
    /// # Errors
    /// [`IdentityError`], with the file at fault named.
    pub fn load(paths: Paths, provider: Arc<CryptoProvider>) -> Result<Self, IdentityError> {
        let first = paths.stamp();
        let pair = read_pair(&paths, &provider)?;
        Ok(Self {
            paths,
            provider,
            first,
            current: RwLock::new(Arc::new(pair)),
        })
    }

    /// The fingerprint of the certificate in use.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.pair())
    }

    /// The pair in use.
    pub fn pair(&self) -> Arc<CertifiedKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

impl Reload for Identity {
    fn what(&self) -> &'static str {
        "certificate"
    }

    fn first(&self) -> &Stamp {
        &self.first
    }

    fn stamp(&self) -> Stamp {
        self.paths.stamp()
    }

    fn reload(&self) -> Result<Option<String>, ReloadError> {
        let pair = Arc::new(read_pair(&self.paths, &self.provider)?);
        let fingerprint = Fingerprint::of(&pair);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(Some(format!("SHA-256 {fingerprint}")))
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let pair = self.pair();
        pair.key.choose_scheme(schemes).is_some().then_some(pair)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl Fingerprint {
    fn of(pair: &CertifiedKey) -> Self {
        let certificate = pair.cert.first().map_or(&[][..], |der| der.as_ref());
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

fn read_pair(paths: &Paths, provider: &CryptoProvider) -> Result<CertifiedKey, IdentityError> {
    let certificate = &paths.certificate;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unreadable(Part::Certificate, certificate, error))?;
    if chain.is_empty() {
        let error = pem::Error::NoItemsFound;
        return Err(unreadable(Part::Certificate, certificate, error));
    }
    let key = PrivateKeyDer::from_pem_file(&paths.key)
        .map_err(|error| unreadable(Part::Key, &paths.key, error))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| IdentityError::Key {
        path: paths.key.clone(),
        error,
    })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(IdentityError::Mismatch {
            certificate: certificate.clone(),
            key: paths.key.clone(),
        }),
        Err(error) => Err(IdentityError::Certificate {
            path: certificate.clone(),
            error,
        }),
    }
}

fn unreadable(part: Part, path: &Path, error: pem::Error) -> IdentityError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(error) => IdentityError::Read { part, path, error },
        pem::Error::NoItemsFound => IdentityError::Missing { part, path },
        error => IdentityError::Pem { part, path, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path) -> Paths {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("make");
        let paths = Paths {
            certificate: dir.join("c.pem"),
            key: dir.join("k.pem"),
        };
        std::fs::write(&paths.certificate, made.cert.pem()).expect("write");
        std::fs::write(&paths.key, made.signing_key.serialize_pem()).expect("write");
        paths
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn refusal(paths: &Paths) -> String {
        let error = read_pair(paths, &provider()).expect_err("refused");
        error.to_string()
    }

    #[test]
    fn a_bad_new_pair_keeps_the_old_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths = write_pair(dir.path());
        let identity = Identity::load(paths.clone(), provider()).expect("load");
        let (first, stamp) = (identity.fingerprint(), identity.stamp());
        assert!(*identity.first() == stamp);

        std::fs::write(&paths.key, "nonsense").expect("write");
        assert!(identity.stamp() != stamp);
        assert!(identity.reload().is_err());
        assert!(identity.fingerprint() == first);

        write_pair(dir.path());
        let said = identity.reload().expect("reload");
        let second = identity.fingerprint();
        assert_eq!(said, Some(format!("SHA-256 {second}")));
        assert!(second != first);
    }

    #[test]
    fn each_fault_names_its_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let good = write_pair(dir.path());
        let other = tempfile::tempdir().expect("temporary directory");
        let mixed = Paths {
            key: write_pair(other.path()).key,
            ..good.clone()
        };
        assert!(
            refusal(&mixed).contains("do not belong together"),
            "{}",
            refusal(&mixed)
        );
        let swapped = Paths {
            certificate: good.key.clone(),
            key: good.certificate.clone(),
        };
        assert!(
            refusal(&swapped).contains("no certificate in it"),
            "{}",
            refusal(&swapped)
        );
        let missing = Paths {
            key: dir.path().join("none.pem"),
            ..good
        };
        assert!(
            refusal(&missing).contains("none.pem`: No such file"),
            "{}",
            refusal(&missing)
        );
    }

    #[test]
    fn fingerprints_are_shown_in_pairs() {
        let shown = Fingerprint([0xab; 32]).to_string();
        assert_eq!(shown.len(), 95);
        assert!(shown.starts_with("AB:AB:"));
    }
}
