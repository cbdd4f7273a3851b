//! 0-RTT: sent, accepted, refused, and kept apart from what cannot be replayed.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use underseal::record::AlertDescription;
use underseal::rustls::{ClientConfig, HandshakeKind, ServerConfig};
use underseal::{ClientConnection, Error, Parts, TlsAcceptor, TlsConnector, client, server};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name, pattern};

const SUITE: Suite = Suite::Tls13Aes128;

struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Both sides, with or without 0-RTT.
fn configs(max_early_data_size: u32) -> Configs {
    servers(max_early_data_size).remove(0)
}

/// The same client with two servers, which do not know each other's tickets.
fn servers(max_early_data_size: u32) -> Vec<Configs> {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let client = Arc::new(certificates.client_config(SUITE));
    let configs = (0..2).map(|_| {
        let mut server = certificates.server_config(SUITE);
        server.max_early_data_size = max_early_data_size;
        Configs {
            client: Arc::clone(&client),
            server: Arc::new(server),
        }
    });
    configs.collect()
}

/// One connection of underseal's on both sides, on which the client says `early` as early as it
/// may and then `late`: what each side knows afterwards.
async fn connect(configs: &Configs, early: &[u8], late: &[u8]) -> Seen {
    let (left, right) = duplex(1 << 16);
    let acceptor = TlsAcceptor::from(Arc::clone(&configs.server));
    let connector = TlsConnector::from(Arc::clone(&configs.client));
    let serve = async {
        let stream: server::TlsStream<_> = acceptor.accept(left).await.unwrap();
        // What nobody took moves along, also to another process.
        let (io, bytes) = stream.into_parts().unwrap().into_bytes();
        let mut stream =
            server::TlsStream::from_parts(Parts::from_bytes(io, &bytes).unwrap()).unwrap();
        let early = stream.get_mut().1.take_early_data();
        assert_eq!(
            stream.get_mut().1.take_early_data(),
            None,
            "it is taken once"
        );
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        (early, received, kind)
    };
    let ask = async {
        let connect = connector.connect_early(name(), right, early.to_vec());
        let mut stream: client::TlsStream<_> = connect.await.unwrap();
        finish(&mut stream, late).await;
        let session: &ClientConnection = stream.get_ref().1;
        session.is_early_data_accepted()
    };
    let ((early, received, kind), accepted) = both(serve, ask).await;
    Seen {
        early,
        received,
        kind,
        accepted,
    }
}

async fn finish(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), late: &[u8]) {
    stream.write_all(late).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[derive(Debug, PartialEq)]
struct Seen {
    early: Option<Vec<u8>>,
    received: Vec<u8>,
    kind: HandshakeKind,
    accepted: bool,
}

#[tokio::test(start_paused = true)]
async fn early_data_is_accepted_on_resumption_and_kept_apart() {
    let configs = configs(16_384);
    let first = connect(&configs, b"first", b"-late").await;
    let not_early = Seen {
        early: None,
        received: b"first-late".to_vec(),
        kind: HandshakeKind::Full,
        accepted: false,
    };
    assert_eq!(
        first, not_early,
        "without a ticket there is no 0-RTT, and nothing is lost"
    );

    for len in [1, 100, 1_024, 1_025, 5_000] {
        let early = pattern(len);
        let seen = connect(&configs, &early, b"-late").await;
        let accepted = Seen {
            early: Some(early),
            received: b"-late".to_vec(),
            kind: HandshakeKind::Resumed,
            accepted: true,
        };
        assert_eq!(seen, accepted, "{len} bytes");
    }
}

/// What is more than the server takes early is sent after the handshake.
#[tokio::test(start_paused = true)]
async fn early_data_over_the_limit_is_sent_late() {
    let configs = configs(3_000);
    connect(&configs, b"", b"ticket, please").await;
    let data = pattern(10_000);
    let seen = connect(&configs, &data, b"-late").await;
    assert!(seen.accepted);
    let early = seen.early.unwrap();
    assert!(!early.is_empty() && early.len() <= 3_000, "{}", early.len());
    assert!([early, seen.received].concat() == [&data[..], b"-late"].concat());
}

#[tokio::test(start_paused = true)]
async fn a_server_takes_no_early_data_unless_asked_for() {
    let configs = configs(0);
    for (kind, text) in [
        (HandshakeKind::Full, b"one"),
        (HandshakeKind::Resumed, b"two"),
    ] {
        let seen = connect(&configs, text, b"-late").await;
        let refused = Seen {
            early: None,
            received: [&text[..], b"-late"].concat(),
            kind,
            accepted: false,
        };
        assert_eq!(seen, refused);
    }
}

/// The ticket is another server's: what was sent early is skipped there, and sent again.
#[tokio::test(start_paused = true)]
async fn early_data_that_is_refused_is_sent_again() {
    let servers = servers(16_384);
    connect(&servers[0], b"", b"ticket, please").await;
    let data = pattern(14_000);
    let seen = connect(&servers[1], &data, b"-late").await;
    assert!(!seen.accepted);
    assert_eq!((seen.early, seen.kind), (None, HandshakeKind::Full));
    assert!(seen.received == [&data[..], b"-late"].concat());
}

/// Against tokio-rustls, in both roles.
#[tokio::test(start_paused = true)]
async fn early_data_of_tokio_rustls_is_accepted() {
    let mut configs = configs(16_384);
    let mut client = ClientConfig::clone(&configs.client);
    client.enable_early_data = true;
    configs.client = Arc::new(client);
    connect(&configs, b"", b"ticket, please").await;

    let (left, right) = duplex(1 << 16);
    let acceptor = TlsAcceptor::from(Arc::clone(&configs.server));
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&configs.client)).early_data(true);
    let serve = async {
        let mut stream = acceptor.accept(left).await.unwrap();
        let early = stream.get_mut().1.take_early_data().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        [early, received].concat()
    };
    let ask = async {
        let mut stream = connector.connect(name(), right).await.unwrap();
        stream.write_all(b"early").await.unwrap();
        stream.flush().await.unwrap();
        finish(&mut stream, b"-late").await;
        stream.get_ref().1.is_early_data_accepted()
    };
    let (received, accepted) = both(serve, ask).await;
    assert!(accepted);
    assert_eq!(received, b"early-late");

    let (left, right) = duplex(1 << 16);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&configs.server));
    let connector = TlsConnector::from(Arc::clone(&configs.client));
    let serve = async {
        let mut stream = acceptor.accept(left).await.unwrap();
        let mut received = Vec::new();
        let mut early = stream.get_mut().1.early_data().unwrap();
        std::io::Read::read_to_end(&mut early, &mut received).unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        received
    };
    let ask = async {
        let connect = connector.connect_early(name(), right, b"early".to_vec());
        let mut stream = connect.await.unwrap();
        finish(&mut stream, b"-late").await;
        stream.get_ref().1.is_early_data_accepted()
    };
    let (received, accepted) = both(serve, ask).await;
    assert!(accepted);
    assert_eq!(received, b"early-late");
}

/// The client does not wait for room that a server which gave up never makes, and says why.
#[tokio::test(start_paused = true)]
async fn a_server_that_gives_up_before_it_takes_the_data_is_heard() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::Tls13Aes128;
    let config = certificates.mutual_server_config(suite);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let (left, right) = duplex(100);
    // The stream below stays open, and nobody reads from it.
    let refuse = async { acceptor.accept(left).into_fallible().await.unwrap_err().1 };
    let ask = async {
        let connect = connector.connect_early(name(), right, pattern(20_000));
        connect.await.unwrap_err()
    };
    let (_below, error) = both(refuse, ask).await;
    let error = Error::of(&error).expect("an error of this crate");
    assert!(matches!(
        error,
        Error::AlertReceived(AlertDescription::CERTIFICATE_REQUIRED)
    ));
}
