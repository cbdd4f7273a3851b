//! An authority and the certificates it signs, made anew for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SanType,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::require_program;

/// The name the server's certificate is for; `127.0.0.1` is in it too.
pub const SERVER_NAME: &str = "localhost";

/// The common name in the client's certificate.
pub const CLIENT_NAME: &str = "underseal test client";

/// The SPIFFE ID in the client's certificate.
pub const CLIENT_ID: &str = "spiffe://underseal.test/ns/test/sa/client";

/// The SPIFFE ID in the server's certificate.
pub const SERVER_ID: &str = "spiffe://underseal.test/ns/test/sa/server";

/// What kind of key the certificates have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits; the keys are made by the `openssl` program, since ring makes none.
    Rsa,
}

/// An authority, a server and a client. The files live as long as this does.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
    key_type: KeyType,
}

impl Certificates {
    /// Makes the keys, signs the certificates and writes all of them as PEM files.
    ///
    /// # Panics
    /// When that fails, for [`KeyType::Rsa`] also when there is no `openssl` here.
    #[must_use]
    pub fn new(key_type: KeyType) -> Self {
        Self::with_ids(key_type, &[SERVER_ID], &[CLIENT_ID])
    }

    /// The same, with these URI names in the certificates of the server and the client.
    ///
    /// # Panics
    /// As [`Certificates::new`], and where a name is not ASCII.
    #[must_use]
    pub fn with_ids(key_type: KeyType, server: &[&str], client: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for certificates");
        let certificates = Self {
            directory,
            key_type,
        };
        let authority_key = new_key(key_type);
        let authority = authority_parameters();
        let signed = authority
            .self_signed(&authority_key)
            .expect("the authority signs itself");
        certificates.write("ca.pem", &signed.pem());
        let issuer = Issuer::new(authority, authority_key);
        certificates.issue("server", server_parameters(server), &issuer);
        certificates.issue("client", client_parameters(client), &issuer);
        certificates
    }

    /// The directory of the files, for programs that want it as their working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The kind of all keys here.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory().join("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server_cert_file(&self) -> PathBuf {
        self.directory().join("server.pem")
    }

    /// The server's key, PKCS #8.
    #[must_use]
    pub fn server_key_file(&self) -> PathBuf {
        self.directory().join("server.key")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_cert_file(&self) -> PathBuf {
        self.directory().join("client.pem")
    }

    /// The client's key, PKCS #8.
    #[must_use]
    pub fn client_key_file(&self) -> PathBuf {
        self.directory().join("client.key")
    }

    /// A store that trusts the authority and nobody else.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        for certificate in read_chain(&self.ca_file()) {
            roots
                .add(certificate)
                .expect("the authority is a trust anchor");
        }
        roots
    }

    /// The server's chain and key.
    #[must_use]
    pub fn server_identity(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            read_chain(&self.server_cert_file()),
            read_key(&self.server_key_file()),
        )
    }

    /// The client's chain and key.
    #[must_use]
    pub fn client_identity(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            read_chain(&self.client_cert_file()),
            read_key(&self.client_key_file()),
        )
    }

    fn issue(&self, role: &str, parameters: CertificateParams, issuer: &Issuer<'_, KeyPair>) {
        let key = new_key(self.key_type);
        let certificate = parameters
            .signed_by(&key, issuer)
            .expect("the authority signs");
        self.write(&format!("{role}.pem"), &certificate.pem());
        self.write(&format!("{role}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory().join(name), text).expect("a certificate file is written");
    }
}

fn new_key(key_type: KeyType) -> KeyPair {
    match key_type {
        KeyType::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key"),
        KeyType::Rsa => {
            let openssl = require_program("openssl");
            let arguments = [
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
            ];
            let output = Command::new(openssl)
                .args(arguments)
                .output()
                .expect("openssl runs");
            let pem = String::from_utf8(output.stdout).expect("openssl writes PEM");
            KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256).expect("an RSA key")
        }
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = named("underseal test authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn server_parameters(ids: &[&str]) -> CertificateParams {
    let names = [SERVER_NAME.to_owned(), "127.0.0.1".to_owned()];
    let mut parameters = CertificateParams::new(names).expect("valid names");
    parameters.distinguished_name = named(SERVER_NAME).distinguished_name;
    parameters
        .subject_alt_names
        .extend(ids.iter().map(|id| uri(id)));
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters
}

fn client_parameters(ids: &[&str]) -> CertificateParams {
    let mut parameters = named(CLIENT_NAME);
    parameters
        .subject_alt_names
        .extend(ids.iter().map(|id| uri(id)));
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

fn named(common_name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters
}

fn read_chain(file: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(file).expect("a certificate file");
    certificates
        .collect::<Result<_, _>>()
        .expect("certificates in PEM")
}

fn read_key(file: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(file).expect("a key in PEM")
}
