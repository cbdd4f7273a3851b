//! The identity that a certificate proves.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The SPIFFE ID of a certificate that has been verified: its URI name, if that is one and the only
/// one that begins with `spiffe://` (X.509-SVID section 2). Several prove none.
pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Box<str>> {
    let certificate = EndEntityCert::try_from(certificates?.first()?).ok()?;
    let mut ids = certificate
        .valid_uri_names()
        .filter(|name| name.starts_with("spiffe://"));
    let id = ids.next()?;
    // Visible ASCII: it goes into a field of requests.
    let is_plain = id.len() <= 2048 && id.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && ids.next().is_none()).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn principal(names: &[&str]) -> Option<Box<str>> {
        let mut params = CertificateParams::default();
        for name in names {
            let name = SanType::URI((*name).try_into().expect("ASCII"));
            params.subject_alt_names.push(name);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        of(Some(&[certificate.der().clone()]))
    }

    #[test]
    fn one_spiffe_id_is_the_principal_and_two_are_none() {
        let id = "spiffe://corp/ns/shop/sa/web";
        assert_eq!(principal(&[id]).as_deref(), Some(id));
        assert_eq!(principal(&["https://x", id]).as_deref(), Some(id));
        assert_eq!(principal(&[]), None);
        assert_eq!(principal(&["https://x"]), None);
        assert_eq!(principal(&[id, "spiffe://corp/ns/other/sa/web"]), None);
        assert_eq!(of(None), None);
    }
}
