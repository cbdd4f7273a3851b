//! Sessions resumed: tickets reach rustls after the hand-over, in both roles.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use underseal::rustls::{ClientConfig, HandshakeKind, ServerConfig};
use underseal::{TlsAcceptor, TlsConnector};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name};

async fn say_hello(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"hello");
}

/// Underseal's server with underseal's client.
async fn ours(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> [HandshakeKind; 2] {
    let (left, right) = duplex(1 << 16);
    let serve = async {
        let stream = TlsAcceptor::from(server).accept(left).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let ask = async {
        let connect = TlsConnector::from(client).connect(name(), right);
        let stream = connect.await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let (server, client) = both(serve, ask).await;
    [server, client]
}

/// Underseal's client with tokio-rustls' server.
async fn our_client(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> [HandshakeKind; 2] {
    let (left, right) = duplex(1 << 16);
    let serve = async {
        let accept = tokio_rustls::TlsAcceptor::from(server).accept(left);
        let stream = accept.await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let ask = async {
        let connect = TlsConnector::from(client).connect(name(), right);
        let stream = connect.await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let (server, client) = both(serve, ask).await;
    [server, client]
}

/// Underseal's server with tokio-rustls' client.
async fn our_server(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> [HandshakeKind; 2] {
    let (left, right) = duplex(1 << 16);
    let serve = async {
        let stream = TlsAcceptor::from(server).accept(left).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let ask = async {
        let connect = tokio_rustls::TlsConnector::from(client).connect(name(), right);
        let stream = connect.await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        say_hello(stream).await;
        kind.unwrap()
    };
    let (server, client) = both(serve, ask).await;
    [server, client]
}

const KINDS: [[HandshakeKind; 2]; 3] = [
    [HandshakeKind::Full; 2],
    [HandshakeKind::Resumed; 2],
    [HandshakeKind::Resumed; 2],
];

#[tokio::test(start_paused = true)]
async fn sessions_are_resumed_between_all_pairs_of_peers() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::ALL {
        let configs = || {
            let server = Arc::new(certificates.server_config(suite));
            (server, Arc::new(certificates.client_config(suite)))
        };
        let (server, client) = configs();
        for kinds in KINDS {
            assert_eq!(
                ours(server.clone(), client.clone()).await,
                kinds,
                "{suite:?}"
            );
        }
        let (server, client) = configs();
        for kinds in KINDS {
            assert_eq!(
                our_client(server.clone(), client.clone()).await,
                kinds,
                "{suite:?}"
            );
        }
        let (server, client) = configs();
        for kinds in KINDS {
            assert_eq!(
                our_server(server.clone(), client.clone()).await,
                kinds,
                "{suite:?}"
            );
        }
    }
}

/// The client's certificate is known again after a resumption, and so is the server's.
#[tokio::test(start_paused = true)]
async fn mutual_tls_and_names_survive_resumption() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.mutual_server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.mutual_client_config(suite)));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (left, right) = duplex(1 << 16);
            let serve = async {
                let stream = acceptor.accept(left).await.unwrap();
                let session = stream.get_ref().1;
                assert_eq!(session.handshake_kind(), Some(kind), "{suite:?}");
                assert_eq!(session.server_name(), Some("localhost"));
                let chain = session.peer_certificates().unwrap();
                assert_eq!(chain[0], certificates.client_identity().0[0]);
                say_hello(stream).await;
            };
            let ask = async {
                let stream = connector.connect(name(), right).await.unwrap();
                let session = stream.get_ref().1;
                let chain = session.peer_certificates().unwrap();
                assert_eq!(chain[0], certificates.server_identity().0[0]);
                assert_eq!(session.protocol_version(), Some(suite.version()));
                let negotiated = session.negotiated_cipher_suite().unwrap().suite();
                assert_eq!(negotiated, suite.negotiated_with(KeyType::Ecdsa));
                say_hello(stream).await;
            };
            both(serve, ask).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_agree_on_an_application_protocol() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let mut server = certificates.server_config(suite);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let mut client = certificates.client_config(suite);
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(client));
        for own in [None, Some(vec![b"h2".to_vec()])] {
            let expected: &[u8] = if own.is_some() { b"h2" } else { b"http/1.1" };
            let (left, right) = duplex(1 << 16);
            let serve = async {
                let stream = acceptor.accept(left).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(expected));
                say_hello(stream).await;
            };
            let ask = async {
                let stream = match own {
                    None => connector.connect(name(), right).await.unwrap(),
                    Some(own) => connector
                        .with_alpn(own)
                        .connect(name(), right)
                        .await
                        .unwrap(),
                };
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(expected));
                say_hello(stream).await;
            };
            both(serve, ask).await;
        }
    }
}
