//! A configuration chosen by the ClientHello.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use underseal::rustls::server::Acceptor;
use underseal::server::{LazyConfigAcceptor, StartHandshake};
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite};

use crate::pairs::{both, name};

#[tokio::test(start_paused = true)]
async fn a_server_chooses_its_configuration_by_name() {
    let (right, wrong) = (
        Certificates::new(KeyType::Ecdsa),
        Certificates::new(KeyType::Ecdsa),
    );
    for suite in Suite::ALL {
        let (left, other) = duplex(100_000);
        let serve = async {
            let start: StartHandshake<_> = LazyConfigAcceptor::new(Acceptor::default(), left)
                .await
                .unwrap();
            assert!(format!("{start:?}").contains("Accepted"));
            assert!(format!("{:?}", start.io).contains("DuplexStream"));
            let hello = start.accepted.client_hello();
            let config = match hello.server_name() {
                Some(SERVER_NAME) => right.server_config(suite),
                _ => wrong.server_config(suite),
            };
            let mut stream = start.into_stream(Arc::new(config)).await.unwrap();
            assert_eq!(stream.get_ref().1.server_name(), Some(SERVER_NAME));
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            stream.write_all(&received).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let ask = async {
            let config = Arc::new(right.client_config(suite));
            let connector = tokio_rustls::TlsConnector::from(config);
            let mut stream = connector.connect(name(), other).await.unwrap();
            stream.write_all(b"chosen").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), received) = both(serve, ask).await;
        assert_eq!(received, b"chosen");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_no_handshake_gets_its_stream_back() {
    let (left, mut right) = duplex(1_000);
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), left);
    right.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    (&mut acceptor).await.expect_err("this is no ClientHello");
    let mut stream = acceptor.take_io().expect("the stream below");
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n")
        .await
        .unwrap();
    drop(stream);
    let mut received = Vec::new();
    right.read_to_end(&mut received).await.unwrap();
    assert!(received.ends_with(b"400 Bad Request\r\n"));
}

/// A handshake that fails gives the stream below back, too.
#[tokio::test(start_paused = true)]
async fn a_failed_handshake_can_give_its_stream_back() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, mut right) = duplex(1_000);
    let config = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let accept = underseal::TlsAcceptor::from(config).accept(left);
    right.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (error, mut stream) = accept.into_fallible().await.expect_err("no handshake");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    stream.write_all(b"plain").await.unwrap();
    drop(stream);
    let mut received = Vec::new();
    right.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, [&[21, 3, 3, 0, 2, 2, 50], &b"plain"[..]].concat());
}
