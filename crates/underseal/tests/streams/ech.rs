//! What became of Encrypted Client Hello, told as tokio-rustls tells it.

use std::sync::Arc;

use rustls::client::{EchConfig, EchGreaseConfig, EchMode, EchStatus};
use rustls::crypto::aws_lc_rs::hpke::{ALL_SUPPORTED_SUITES, DH_KEM_X25519_HKDF_SHA256_AES_128};
use rustls::crypto::hpke::{Hpke, HpkePublicKey};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::duplex;
use underseal::{ClientConnection, Parts, TlsAcceptor, TlsConnector, client};
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite};

use crate::pairs::{both, name};

const HPKE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_128;

fn public_key() -> HpkePublicKey {
    HPKE.generate_key_pair().unwrap().0
}

/// An ECHConfigList (RFC 9849 section 4) for a server that is called what the hidden one is called.
fn ech_config() -> EchConfig {
    let key = public_key().0;
    let mut contents = vec![7, 0, 0x20];
    contents.extend((key.len() as u16).to_be_bytes());
    contents.extend(key);
    contents.extend([0, 4, 0, 1, 0, 1, 0, SERVER_NAME.len() as u8]);
    contents.extend(SERVER_NAME.bytes());
    contents.extend([0, 0]);
    let mut config = vec![0xfe, 0x0d];
    config.extend((contents.len() as u16).to_be_bytes());
    config.extend(contents);
    let list = [&(config.len() as u16).to_be_bytes()[..], &config].concat();
    EchConfig::new(list.into(), ALL_SUPPORTED_SUITES).unwrap()
}

fn client_config(certificates: &Certificates, mode: Option<EchMode>) -> Arc<ClientConfig> {
    let Some(mode) = mode else {
        return Arc::new(certificates.client_config(Suite::Tls13Aes128));
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_ech(mode).unwrap();
    Arc::new(
        builder
            .with_root_certificates(certificates.roots())
            .with_no_client_auth(),
    )
}

struct Statuses {
    ours: EchStatus,
    /// After it moved to another process.
    moved: EchStatus,
    theirs: EchStatus,
}

async fn statuses(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Statuses {
    let acceptor = TlsAcceptor::from(server);
    let (left, right) = duplex(1 << 16);
    let connector = TlsConnector::from(Arc::clone(&client));
    let (_server, ours) = both(acceptor.accept(left), connector.connect(name(), right)).await;
    let ours = ours.unwrap();
    let status = ours.get_ref().1.ech_status();
    let (io, bytes) = ours.into_parts().unwrap().into_bytes();
    let parts = Parts::<_, ClientConnection>::from_bytes(io, &bytes).unwrap();
    let moved = client::TlsStream::from_parts(parts).unwrap();
    let (left, right) = duplex(1 << 16);
    let connector = tokio_rustls::TlsConnector::from(client);
    let (_server, theirs) = both(acceptor.accept(left), connector.connect(name(), right)).await;
    Statuses {
        ours: status,
        moved: moved.get_ref().1.ech_status(),
        theirs: theirs.unwrap().get_ref().1.ech_status(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_tells_whether_it_offered_ech() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let server = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let grease = EchGreaseConfig::new(HPKE, public_key());
    for (mode, due) in [
        (None, EchStatus::NotOffered),
        (Some(EchMode::Grease(grease)), EchStatus::Grease),
    ] {
        let client = client_config(&certificates, mode);
        let Statuses {
            ours,
            moved,
            theirs,
        } = statuses(client, Arc::clone(&server)).await;
        assert_eq!((ours, moved, theirs), (due, due, due));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_ech_fails_the_handshake() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let server = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let client = client_config(&certificates, Some(EchMode::Enable(ech_config())));
    let (left, right) = duplex(1 << 16);
    let accept = TlsAcceptor::from(Arc::clone(&server)).accept(left);
    let connect = TlsConnector::from(Arc::clone(&client)).connect(name(), right);
    let (_, ours) = both(accept, connect).await;
    let (left, right) = duplex(1 << 16);
    let accept = TlsAcceptor::from(server).accept(left);
    let connect = tokio_rustls::TlsConnector::from(client).connect(name(), right);
    let (_, theirs) = both(accept, connect).await;
    let (ours, theirs) = (ours.unwrap_err(), theirs.unwrap_err());
    assert_eq!(ours.to_string(), theirs.to_string());
    assert!(ours.to_string().contains("EncryptedClientHello"), "{ours}");
}
