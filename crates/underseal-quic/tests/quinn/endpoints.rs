//! A client and a server of quinn's, each with the provider that a test gives it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// Who protects the packets of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Ring,
    AwsLcRs,
}

impl Side {
    /// Every pair of sides with ours among them.
    pub(crate) const PAIRS: [(Self, Self); 5] = [
        (Self::Ours, Self::Ours),
        (Self::Ours, Self::Ring),
        (Self::Ours, Self::AwsLcRs),
        (Self::Ring, Self::Ours),
        (Self::AwsLcRs, Self::Ours),
    ];

    /// The provider, with the suite at this place of its list first.
    pub(crate) fn provider(self, preferred: usize) -> Arc<CryptoProvider> {
        let mut provider = match self {
            Self::Ours => underseal_quic::provider(rustls::crypto::aws_lc_rs::default_provider()),
            Self::Ring => rustls::crypto::ring::default_provider(),
            Self::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        };
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.swap(0, preferred);
        Arc::new(provider)
    }
}

/// How many suites of TLS 1.3 there are.
pub(crate) const SUITES: usize = 3;

/// Both ends of one connection; the endpoints drive it.
pub(crate) struct Connected {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    _endpoints: [Endpoint; 2],
}

pub(crate) async fn connect(client: Side, server: Side, preferred: usize) -> Connected {
    let (client_config, server_config) =
        configs(client.provider(preferred), server.provider(preferred));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listening = Endpoint::server(server_config, any).unwrap();
    let mut connecting = Endpoint::client(any).unwrap();
    connecting.set_default_client_config(client_config);
    let address = listening.local_addr().unwrap();
    let accepted = async { listening.accept().await.unwrap().await.unwrap() };
    let connected = async {
        connecting
            .connect(address, "localhost")
            .unwrap()
            .await
            .unwrap()
    };
    let (server, client) = tokio::join!(accepted, connected);
    Connected {
        client,
        server,
        _endpoints: [listening, connecting],
    }
}

fn configs(
    client: Arc<CryptoProvider>,
    server: Arc<CryptoProvider>,
) -> (ClientConfig, ServerConfig) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let server = rustls::ServerConfig::builder_with_provider(server)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(client)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap())),
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap())),
    )
}
