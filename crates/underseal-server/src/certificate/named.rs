//! Several certificates, of which the server name that a client asks for chooses one.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;

use super::Identity;

/// Certificates by the names in them, each loaded again by itself. A client that asks for none of these
/// names, or for no name, is shown the first.
#[derive(Debug)]
pub struct Identities {
    first: Arc<Identity>,
    others: Vec<Arc<Identity>>,
}

impl Identities {
    /// In the order in which they are preferred.
    pub fn new(first: Arc<Identity>, others: Vec<Arc<Identity>>) -> Arc<Self> {
        Arc::new(Self { first, others })
    }

    /// The one for clients that ask for no name.
    pub fn first(&self) -> &Arc<Identity> {
        &self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The pairs that a client may be shown who asks for `name`: which of them, its signature algorithms
    /// decide. There is at least one.
    pub fn of(&self, name: Option<&str>) -> Vec<Arc<CertifiedKey>> {
        let name = name.filter(|_| !self.others.is_empty());
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.map(|name| {
            let pairs = self.iter().map(|identity| identity.pair());
            pairs.filter(|pair| is_for(pair, &name)).collect::<Vec<_>>()
        });
        match named {
            Some(named) if !named.is_empty() => named,
            _ => vec![self.first.pair()],
        }
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.of(hello.server_name());
        let schemes = hello.signature_schemes();
        let can_sign = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(schemes).is_some();
        // Where none can, the handshake says so.
        pairs.iter().find(can_sign).or(pairs.first()).cloned()
    }
}

fn is_for(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = pair.end_entity_cert().map(ParsedCertificate::try_from);
    matches!(certificate, Ok(Ok(certificate)) if verify_server_name(&certificate, name).is_ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::certificate::Paths;
    use crate::tls::provider;

    use super::*;

    fn identity(directory: &Path, name: &str) -> Arc<Identity> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("make");
        let file = name.replace('*', "any");
        let paths = Paths {
            certificate: directory.join(format!("{file}.pem")),
            key: directory.join(format!("{file}.key")),
        };
        std::fs::write(&paths.certificate, made.cert.pem()).expect("write");
        std::fs::write(&paths.key, made.signing_key.serialize_pem()).expect("write");
        Arc::new(Identity::load(paths, provider()).expect("load"))
    }

    #[test]
    fn a_name_chooses_the_certificates_that_have_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let [a, b, any] =
            ["a.x.test", "b.x.test", "*.x.test"].map(|name| identity(directory.path(), name));
        let all = Identities::new(Arc::clone(&a), vec![Arc::clone(&b), Arc::clone(&any)]);
        for (name, expected) in [
            (None, vec![&a]),
            (Some("a.x.test"), vec![&a, &any]),
            (Some("B.X.TEST"), vec![&b, &any]),
            (Some("c.x.test"), vec![&any]),
            (Some("c.d.x.test"), vec![&a]),
            (Some("elsewhere"), vec![&a]),
            (Some("not a name"), vec![&a]),
        ] {
            let shown = all.of(name);
            let expected: Vec<_> = expected.iter().map(|identity| identity.pair()).collect();
            let is_same = |(one, other): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(one, other);
            assert!(
                shown.len() == expected.len() && shown.iter().zip(&expected).all(is_same),
                "{name:?}"
            );
        }
    }
}
