//! What handshakes of DTLS are made with, towards clients and towards backends, rebuilt when a file
//! changes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslConnector, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslRef,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use rustls_pki_types::ServerName;
use tokio::net::UdpSocket;
use underseal_dtls::{DtlsAcceptor, DtlsSocket};

use crate::Error;
use crate::protocol::ClientAuth;
use crate::tls::Configure;

/// Suites that can be taken over (docs/datagrams.md).
const SUITES: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// What associations of clients are made with.
pub struct DtlsClients {
    /// The chain that they are shown, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The CAs of their certificates, and whether they must have one.
    pub ca: Option<(PathBuf, ClientAuth)>,
}

/// What associations with backends are made with.
pub struct DtlsBackends {
    /// Chain and key, PEM, for a backend that asks for a certificate.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Without it, the CAs of the system.
    pub ca: Option<PathBuf>,
}

/// Makes handshakes with backends.
pub struct DtlsConnector {
    connector: SslConnector,
}

impl Configure<DtlsAcceptor> for DtlsClients {
    fn files(&self) -> Vec<&Path> {
        let ca = self.ca.as_ref().map(|(file, _)| &**file);
        [&*self.certificate, &*self.key]
            .into_iter()
            .chain(ca)
            .collect()
    }

    fn make(&self) -> Result<DtlsAcceptor, Error> {
        let mut context = SslContext::builder(SslMethod::dtls_server()).map_err(refused)?;
        context
            .set_min_proto_version(Some(SslVersion::DTLS1_2))
            .map_err(refused)?;
        context.set_cipher_list(SUITES).map_err(refused)?;
        show(&mut context, &self.certificate, &self.key)?;
        // Policies judge a client by the server name that it asks for, and a resumed session of OpenSSL's
        // has none.
        context.set_options(SslOptions::NO_TICKET);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        if let Some((file, auth)) = &self.ca {
            believe(&mut context, file)?;
            for authority in authorities(file)? {
                context.add_client_ca(&authority).map_err(refused)?;
            }
            context.set_verify(match auth {
                ClientAuth::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
                ClientAuth::Optional => SslVerifyMode::PEER,
            });
        }
        Ok(DtlsAcceptor::new(context))
    }
}

impl Configure<DtlsConnector> for DtlsBackends {
    fn files(&self) -> Vec<&Path> {
        let pair = self
            .pair
            .iter()
            .flat_map(|(certificate, key)| [certificate, key]);
        pair.chain(&self.ca).map(|file| &**file).collect()
    }

    fn make(&self) -> Result<DtlsConnector, Error> {
        let mut context = SslConnector::builder(SslMethod::dtls_client()).map_err(refused)?;
        context
            .set_min_proto_version(Some(SslVersion::DTLS1_2))
            .map_err(refused)?;
        context.set_cipher_list(SUITES).map_err(refused)?;
        if let Some((certificate, key)) = &self.pair {
            show(&mut context, certificate, key)?;
        }
        if let Some(file) = &self.ca {
            // Not the system's beside them.
            let none = openssl::x509::store::X509StoreBuilder::new().map_err(refused)?;
            context.set_cert_store(none.build());
            believe(&mut context, file)?;
        }
        Ok(DtlsConnector {
            connector: context.build(),
        })
    }
}

/// An association, its suite by its IANA name, and the backend's certificate in DER.
type Agreed = (DtlsSocket, Option<&'static str>, Option<Vec<u8>>);

impl DtlsConnector {
    /// Makes a handshake with the backend at the other end of `socket`, which has to prove `name`.
    pub(crate) async fn connect(
        &self,
        name: &ServerName<'static>,
        socket: UdpSocket,
        limit: Duration,
    ) -> io::Result<Agreed> {
        let configuration = self.connector.configure()?;
        let ssl = configuration.into_ssl(&name.to_str())?;
        let agreed = |ssl: &SslRef| {
            let suite = ssl.current_cipher().and_then(|suite| suite.standard_name());
            let certificate = ssl.peer_certificate();
            (suite, certificate.map(|leaf| leaf.to_der()).transpose())
        };
        let connected = DtlsSocket::connect_with(ssl, socket, limit, agreed).await?;
        let (socket, (suite, certificate)) = connected;
        Ok((socket, suite, certificate?))
    }
}

fn show(context: &mut SslContextBuilder, certificate: &Path, key: &Path) -> Result<(), Error> {
    context
        .set_certificate_chain_file(certificate)
        .map_err(refused)?;
    context
        .set_private_key_file(key, SslFiletype::PEM)
        .map_err(refused)?;
    context.check_private_key().map_err(refused)
}

fn believe(context: &mut SslContextBuilder, file: &Path) -> Result<(), Error> {
    let store = context.cert_store_mut();
    for authority in authorities(file)? {
        store.add_cert(authority).map_err(refused)?;
    }
    Ok(())
}

fn authorities(file: &Path) -> Result<Vec<X509>, Error> {
    let refused = |why: String| Error::ReadAuthorities {
        path: file.to_owned(),
        why,
    };
    let pem = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
    let found = X509::stack_from_pem(&pem).map_err(|error| refused(error.to_string()))?;
    match found.is_empty() {
        true => Err(refused("no certificate in it".to_owned())),
        false => Ok(found),
    }
}

fn refused(error: ErrorStack) -> Error {
    Error::Dtls(error.to_string())
}
