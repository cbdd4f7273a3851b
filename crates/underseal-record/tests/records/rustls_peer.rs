//! rustls, far enough through a handshake that its record layer can be held against ours.

use std::sync::Arc;

use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, cipher};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore, ServerConfig,
    ServerConnection, SupportedCipherSuite,
};
use underseal_record::{Algorithm, ProtocolVersion};

use crate::direction::DirectionalKeys;

/// One suite for each version and algorithm; the certificate's key is ECDSA.
pub(crate) const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// A client and a server that agreed on `suite` and have nothing left to tell each other.
pub(crate) fn handshake(suite: SupportedCipherSuite) -> (ClientConnection, ServerConnection) {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        ..default_provider()
    });
    let cert = rcgen::generate_simple_self_signed(["peer.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(cert.signing_key.serialize_der());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.cert.der().clone()], key.into())
        .unwrap();
    server.enable_secret_extraction = true;
    let mut roots = RootCertStore::empty();
    roots.add(cert.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;

    let name = ServerName::try_from("peer.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        receive(&mut server, &flight);
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        receive(&mut client, &flight);
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    (client, server)
}

/// An empty flight is not handed over: rustls would take it for the end of the stream.
fn receive<Data>(connection: &mut rustls::ConnectionCommon<Data>, mut flight: &[u8]) {
    while !flight.is_empty() {
        connection.read_tls(&mut flight).unwrap();
        connection.process_new_packets().unwrap();
    }
}

/// The keys that rustls gave away, as underseal takes them.
pub(crate) fn direction(
    suite: SupportedCipherSuite,
    secrets: &(u64, ConnectionTrafficSecrets),
) -> DirectionalKeys {
    let version = match suite {
        SupportedCipherSuite::Tls12(_) => ProtocolVersion::Tls12,
        SupportedCipherSuite::Tls13(_) => ProtocolVersion::Tls13,
    };
    let (seq, secrets) = secrets;
    let (algorithm, secret, iv) = parts(secrets);
    let mut key = [0; 32];
    key[..secret.as_ref().len()].copy_from_slice(secret.as_ref());
    DirectionalKeys {
        version,
        algorithm,
        key,
        iv: iv.as_ref().try_into().unwrap(),
        seq: *seq,
    }
}

fn parts(secrets: &ConnectionTrafficSecrets) -> (Algorithm, &cipher::AeadKey, &cipher::Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Algorithm::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Algorithm::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (Algorithm::ChaCha20Poly1305, key, iv)
        }
        _ => panic!("a suite of another kind"),
    }
}

/// rustls' own record protection under the same keys: what seals, and what opens.
pub(crate) type RecordLayer = (
    Box<dyn cipher::MessageEncrypter>,
    Box<dyn cipher::MessageDecrypter>,
);

/// Both halves of rustls' record layer for one direction; `tx` and `rx` are its two ends.
pub(crate) fn record_layer(
    suite: SupportedCipherSuite,
    tx: ConnectionTrafficSecrets,
    rx: ConnectionTrafficSecrets,
) -> RecordLayer {
    let ((tx, iv), (rx, _)) = (into_parts(tx), into_parts(rx));
    let fixed: [u8; 12] = iv.as_ref().try_into().unwrap();
    match suite {
        SupportedCipherSuite::Tls13(suite) => {
            let encrypter = suite.aead_alg.encrypter(tx, fixed.into());
            (encrypter, suite.aead_alg.decrypter(rx, fixed.into()))
        }
        SupportedCipherSuite::Tls12(suite) => {
            let shape = suite.aead_alg.key_block_shape();
            let (fixed, explicit) = fixed.split_at(shape.fixed_iv_len);
            let encrypter = suite.aead_alg.encrypter(tx, fixed, explicit);
            (encrypter, suite.aead_alg.decrypter(rx, fixed))
        }
    }
}

fn into_parts(secrets: ConnectionTrafficSecrets) -> (cipher::AeadKey, cipher::Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("a suite of another kind"),
    }
}
