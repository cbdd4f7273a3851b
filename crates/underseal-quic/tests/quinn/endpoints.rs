//! A client and a server of quinn's, each with the provider that a test gives it.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connecting, Connection, Endpoint, EndpointConfig, Runtime, ServerConfig,
    TokioRuntime,
};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Who protects the packets of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Ours, behind rustls' interface.
    Ours,
    /// Ours, behind quinn's.
    #[cfg(feature = "quinn")]
    Quinn,
    /// And in longer trains.
    #[cfg(feature = "quinn")]
    Trains,
    Ring,
    AwsLcRs,
}

impl Side {
    /// Every pair of sides with ours among them.
    pub(crate) const PAIRS: &[(Self, Self)] = &[
        (Self::Ours, Self::Ours),
        (Self::Ours, Self::Ring),
        (Self::Ours, Self::AwsLcRs),
        (Self::Ring, Self::Ours),
        (Self::AwsLcRs, Self::Ours),
        #[cfg(feature = "quinn")]
        (Self::Quinn, Self::Quinn),
        #[cfg(feature = "quinn")]
        (Self::Quinn, Self::Ring),
        #[cfg(feature = "quinn")]
        (Self::AwsLcRs, Self::Quinn),
        #[cfg(feature = "quinn")]
        (Self::Trains, Self::Trains),
        #[cfg(feature = "quinn")]
        (Self::Trains, Self::Ring),
    ];

    /// The provider, with the suite at this place of its list first.
    pub(crate) fn provider(self, preferred: usize) -> Arc<CryptoProvider> {
        let mut provider = match self {
            Self::Ours => underseal_quic::provider(rustls::crypto::aws_lc_rs::default_provider()),
            Self::Ring => rustls::crypto::ring::default_provider(),
            #[cfg(feature = "quinn")]
            Self::Quinn | Self::Trains => rustls::crypto::aws_lc_rs::default_provider(),
            Self::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        };
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.swap(0, preferred);
        Arc::new(provider)
    }

    fn client_config(self, tls: rustls::ClientConfig) -> ClientConfig {
        match self {
            #[cfg(feature = "quinn")]
            Self::Quinn | Self::Trains => ClientConfig::new(Arc::new(
                underseal_quic::quinn::QuicClientConfig::try_from(tls).unwrap(),
            )),
            _ => ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())),
        }
    }

    fn server_config(self, tls: rustls::ServerConfig) -> ServerConfig {
        match self {
            #[cfg(feature = "quinn")]
            Self::Quinn | Self::Trains => ServerConfig::with_crypto(Arc::new(
                underseal_quic::quinn::QuicServerConfig::try_from(tls).unwrap(),
            )),
            _ => ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap())),
        }
    }
}

impl Side {
    /// An endpoint that listens, where there is a configuration for that.
    fn endpoint(self, listens: Option<ServerConfig>) -> Endpoint {
        let runtime: Arc<dyn Runtime> = match self {
            #[cfg(feature = "quinn")]
            Self::Trains => Arc::new(underseal_quic::trains::Trains::over(TokioRuntime)),
            _ => Arc::new(TokioRuntime),
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Endpoint::new(EndpointConfig::default(), listens, socket, runtime).unwrap()
    }
}

/// How many suites of TLS 1.3 there are.
pub(crate) const SUITES: usize = 3;

/// Both ends of one connection; the endpoints drive it.
pub(crate) struct Connected {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    _endpoints: Endpoints,
}

/// An endpoint that listens, and one that connects to it, whose tickets are its own.
pub(crate) struct Endpoints {
    pub(crate) listening: Endpoint,
    pub(crate) connecting: Endpoint,
}

impl Endpoints {
    /// With the suite at this place of the provider's list first.
    pub(crate) fn new(client: Side, server: Side, preferred: usize) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let server_config = server_tls(server.provider(preferred), certificate.clone(), key);
        let client_config = client_tls(client.provider(preferred), certificate);
        let listening = server.endpoint(Some(server.server_config(server_config)));
        let mut connecting = client.endpoint(None);
        connecting.set_default_client_config(client.client_config(client_config));
        Self {
            listening,
            connecting,
        }
    }

    pub(crate) fn start(&self) -> Connecting {
        let address = self.listening.local_addr().unwrap();
        self.connecting.connect(address, "localhost").unwrap()
    }

    pub(crate) async fn accept(&self) -> Connection {
        self.listening.accept().await.unwrap().await.unwrap()
    }
}

pub(crate) async fn connect(client: Side, server: Side, preferred: usize) -> Connected {
    let endpoints = Endpoints::new(client, server, preferred);
    let connected = async { endpoints.start().await.unwrap() };
    let (server, client) = tokio::join!(endpoints.accept(), connected);
    Connected {
        client,
        server,
        _endpoints: endpoints,
    }
}

/// What both sides agree on.
pub(crate) const PROTOCOL: &[u8] = b"test";

fn server_tls(
    provider: Arc<CryptoProvider>,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
) -> rustls::ServerConfig {
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls.max_early_data_size = u32::MAX;
    tls
}

fn client_tls(
    provider: Arc<CryptoProvider>,
    certificate: CertificateDer<'static>,
) -> rustls::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls.enable_early_data = true;
    tls
}
