//! rustls, through a handshake for QUIC, with the secrets that it agreed on.

use std::sync::{Arc, Mutex};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::quic::{ClientConnection, Connection, KeyChange, Keys, Secrets, ServerConnection};
use rustls::{ClientConfig, KeyLog, RootCertStore, ServerConfig, SupportedCipherSuite};
use underseal_record::quic::Version;
use underseal_record::{Algorithm, TrafficSecret};

/// A client of rustls' after its handshake, and the secrets of both directions.
pub(crate) struct Peer {
    pub(crate) keys: Keys,
    pub(crate) next: Secrets,
    pub(crate) client_secret: TrafficSecret,
    pub(crate) server_secret: TrafficSecret,
}

/// Each library's suites of TLS 1.3.
pub(crate) fn suites() -> Vec<(SupportedCipherSuite, Algorithm, CryptoProvider)> {
    let providers = [
        rustls::crypto::ring::default_provider(),
        rustls::crypto::aws_lc_rs::default_provider(),
    ];
    let of_provider = |provider: CryptoProvider| {
        let suites = provider.cipher_suites.clone();
        suites.into_iter().filter_map(move |suite| {
            let algorithm = match format!("{:?}", suite.suite()).as_str() {
                "TLS13_AES_128_GCM_SHA256" => Algorithm::Aes128Gcm,
                "TLS13_AES_256_GCM_SHA384" => Algorithm::Aes256Gcm,
                "TLS13_CHACHA20_POLY1305_SHA256" => Algorithm::ChaCha20Poly1305,
                _ => return None,
            };
            Some((suite, algorithm, provider.clone()))
        })
    };
    providers.into_iter().flat_map(of_provider).collect()
}

pub(crate) fn rustls_version(version: Version) -> rustls::quic::Version {
    match version {
        Version::V2 => rustls::quic::Version::V2,
        _ => rustls::quic::Version::V1,
    }
}

#[derive(Debug, Default)]
struct Secrets0(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Secrets0 {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((label.to_owned(), secret.to_vec()));
    }
}

impl Secrets0 {
    fn of(&self, label: &str, algorithm: Algorithm) -> TrafficSecret {
        let all = self.0.lock().unwrap();
        let (_, secret) = all.iter().find(|(logged, _)| logged == label).unwrap();
        TrafficSecret::new(algorithm, secret).unwrap()
    }
}

impl Peer {
    pub(crate) fn new(
        suite: SupportedCipherSuite,
        algorithm: Algorithm,
        provider: CryptoProvider,
        version: Version,
    ) -> Self {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![suite],
            ..provider
        });
        let log = Arc::new(Secrets0::default());
        let (client, server) = configs(provider, &log);
        let version = rustls_version(version);
        let name = ServerName::try_from("peer.test").unwrap();
        let client = ClientConnection::new(client, version, name, b"parameters".to_vec());
        let server = ServerConnection::new(server, version, b"parameters".to_vec());
        let mut client = Connection::Client(client.unwrap());
        let mut server = Connection::Server(server.unwrap());
        let mut agreed = None;
        while agreed.is_none() || client.is_handshaking() || server.is_handshaking() {
            if let Some(KeyChange::OneRtt { keys, next }) = flight(&mut client, &mut server) {
                agreed = Some((keys, next));
            }
            flight(&mut server, &mut client);
        }
        let (keys, next) = agreed.unwrap();
        Self {
            keys,
            next,
            client_secret: log.of("CLIENT_TRAFFIC_SECRET_0", algorithm),
            server_secret: log.of("SERVER_TRAFFIC_SECRET_0", algorithm),
        }
    }
}

/// All that `from` has to say, up to the next keys for the application.
fn flight(from: &mut Connection, to: &mut Connection) -> Option<KeyChange> {
    let mut agreed = None;
    loop {
        let mut bytes = Vec::new();
        let change = from.write_hs(&mut bytes);
        to.read_hs(&bytes).unwrap();
        match change {
            Some(change @ KeyChange::OneRtt { .. }) => agreed = Some(change),
            Some(_) => {}
            None if bytes.is_empty() => return agreed,
            None => {}
        }
    }
}

fn configs(
    provider: Arc<CryptoProvider>,
    log: &Arc<Secrets0>,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let cert = rcgen::generate_simple_self_signed(["peer.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(cert.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.key_log = Arc::clone(log) as Arc<dyn KeyLog>;
    (Arc::new(client), Arc::new(server))
}
