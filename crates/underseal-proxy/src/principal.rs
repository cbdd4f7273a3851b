//! The identity that a certificate proves.

use std::io;
use std::rc::Rc;

use rustls_pki_types::CertificateDer;
use underseal_policy::{Fact, is_spiffe_id};
use webpki::EndEntityCert;

/// For the log, of what is [unclear](Principal::Unclear).
pub(crate) const UNCLEAR: &str = "several SPIFFE IDs in its certificate, or one that is none";

/// How long an ID may be, in bytes (SPIFFE-ID section 2.3).
const MAX_LEN: usize = 2048;

/// The SPIFFE ID of a certificate that has been verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Principal {
    /// There is no certificate, or no SPIFFE ID in it.
    #[default]
    Absent,
    /// This one, and no other.
    Is(Box<str>),
    /// Several, or one that nobody can have: which of them a rule means nobody knows. The other end of
    /// a connection that shows such a certificate is refused.
    Unclear,
}

impl Principal {
    /// What `certificates` prove: the URI name whose scheme is `spiffe`, if there is one (X.509-SVID
    /// section 2).
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let first = certificates.and_then(<[_]>::first);
        let Some(Ok(certificate)) = first.map(EndEntityCert::try_from) else {
            return Self::Absent;
        };
        let mut ids = certificate.valid_uri_names().filter(|name| is_spiffe(name));
        match (ids.next(), ids.next()) {
            (None, _) => Self::Absent,
            (Some(id), None) if id.len() <= MAX_LEN && is_spiffe_id(id) => Self::Is(id.into()),
            (Some(_), _) => Self::Unclear,
        }
    }

    /// The one that a backend proved, if there is one.
    ///
    /// # Errors
    /// If it cannot be told.
    pub(crate) fn of_backend(
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> io::Result<Option<Rc<str>>> {
        match Self::of(certificates) {
            Self::Absent => Ok(None),
            Self::Is(id) => Ok(Some(id.into())),
            Self::Unclear => Err(io::Error::other(UNCLEAR)),
        }
    }

    /// As policies see it.
    pub(crate) fn fact(&self) -> Fact<'_> {
        match self {
            Self::Absent => Fact::Absent,
            Self::Is(id) => Fact::Is(id),
            Self::Unclear => Fact::Unknown,
        }
    }
}

/// Whether a URI has the scheme `spiffe`, whose case does not matter (RFC 3986 section 3.1).
fn is_spiffe(name: &str) -> bool {
    let (scheme, _) = name.split_once(':').unwrap_or_default();
    scheme.eq_ignore_ascii_case("spiffe")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn principal(names: &[&str]) -> Principal {
        let mut params = CertificateParams::default();
        for name in names {
            let name = SanType::URI((*name).try_into().expect("ASCII"));
            params.subject_alt_names.push(name);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Principal::of(Some(&[certificate.der().clone()]))
    }

    #[test]
    fn one_spiffe_id_is_the_principal_and_two_are_unclear() {
        let id = "spiffe://corp/ns/shop/sa/web";
        let other = "spiffe://corp/ns/other/sa/web";
        let is = Principal::Is(id.into());
        assert_eq!(principal(&[id]), is);
        assert_eq!(principal(&["https://x", id]), is);
        assert_eq!(principal(&[]), Principal::Absent);
        assert_eq!(principal(&["https://x"]), Principal::Absent);
        assert_eq!(Principal::of(None), Principal::Absent);
        for unclear in [
            &[id, other][..],
            &[id, id],
            &["SPIFFE://corp/ns/shop/sa/web"],
            &["spiffe:corp"],
            &["spiffe://corp/a b"],
            &["spiffe://CORP/ns/shop/sa/web"],
            &["spiffe://corp/ns/shop/sa/web/"],
            &["spiffe://corp/ns//shop"],
            &["spiffe://corp/ns/shop/sa/../web"],
            &["spiffe://corp/ns/shop/sa/%77eb"],
            &["spiffe://corp:443/ns/shop/sa/web"],
            &["spiffe://me@corp/ns/shop/sa/web"],
            &["spiffe:///ns/shop/sa/web"],
        ] {
            assert_eq!(principal(unclear), Principal::Unclear, "{unclear:?}");
        }
    }
}
