//! The thinnest path: a handshake, bytes both ways, and an orderly end, on real sockets.

#![cfg(feature = "tokio")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::ServerName;
use underseal::{blocking, rustls};
use underseal_testkit::{Certificates, KeyType, Suite};

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a host name")
}

#[test]
fn blocking_streams_carry_megabytes_both_ways_and_end_in_order() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::ALL {
        let (client, server) = (
            Arc::new(certificates.client_config(suite)),
            Arc::new(certificates.server_config(suite)),
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
        let echoed = sent.len();
        let echo = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut stream = blocking::TlsAcceptor::from(server).accept(socket).unwrap();
            assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), echoed);
            stream.write_all(&all).unwrap();
            stream.shutdown().unwrap();
        });
        let socket = TcpStream::connect(address).unwrap();
        let connector = blocking::TlsConnector::from(client);
        let mut stream = connector.connect(name(), socket).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown().unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == sent, "{suite:?}");
        echo.join().unwrap();
    }
}

#[tokio::test]
async fn tokio_streams_interoperate_with_tokio_rustls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::ALL[0];
    let (client, server) = (
        Arc::new(certificates.client_config(suite)),
        Arc::new(certificates.server_config(suite)),
    );
    let (left, right) = tokio::io::duplex(9_001);
    let acceptor = underseal::TlsAcceptor::from(server);
    let connector = tokio_rustls::TlsConnector::from(client);
    let server = tokio::spawn(async move {
        let mut stream = acceptor.accept(left).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut stream = connector.connect(name(), right).await.unwrap();
    let sent = vec![7; 1 << 20];
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert!(back == sent);
    server.await.unwrap();
}
