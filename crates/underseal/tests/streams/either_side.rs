//! The type that holds a client's stream or a server's.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use underseal::record::ContentType;
use underseal::rustls::ProtocolVersion;
use underseal::{
    ClientConnection, Connection, Direction, KeyUpdateRequest, Offload, Parts, TlsAcceptor,
    TlsConnector, TlsStream,
};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name, pattern};

/// Both ends of a connection over TCP.
async fn ends() -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::Tls13Aes128;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let (socket, _) = listener.accept().await.unwrap();
        TlsStream::from(acceptor.accept(socket).await.unwrap())
    };
    let connect = async {
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let socket = TcpStream::connect(address).await.unwrap();
        TlsStream::from(connector.connect(name(), socket).await.unwrap())
    };
    both(accept, connect).await
}

#[tokio::test]
async fn a_stream_of_either_side_does_what_each_side_does() {
    let (mut server, mut client) = ends().await;
    assert_eq!(server.as_raw_fd(), server.get_ref().0.as_raw_fd());
    assert_eq!(client.as_fd().as_raw_fd(), client.as_raw_fd());
    server.set_offload(Offload::User).unwrap();
    assert!(!server.splices(Direction::Rx));

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(100_000)).unwrap();
    let mut received = vec![0; 100_000];
    let read = client.read_exact(&mut received);
    let (sent, read) = both(server.send_file(&file, 0..100_000), read).await;
    assert_eq!((sent.unwrap(), read.unwrap()), (100_000, 100_000));
    assert_eq!(received, pattern(100_000));
    assert_eq!(server.counters().tx_bytes, 100_000);
    assert_eq!(client.counters().rx_bytes, 100_000);

    client
        .key_update(KeyUpdateRequest::NotRequested)
        .await
        .unwrap();
    client.write_all(b"under the next key").await.unwrap();
    let mut start = [0; 5];
    assert_eq!(server.peek(&mut start).await.unwrap(), 5);
    assert_eq!(&start, b"under");
    let mut record = [0; 100];
    let (content_type, n) = server.read_record(&mut record).await.unwrap().unwrap();
    assert_eq!(content_type, ContentType::APPLICATION_DATA);
    assert_eq!(&record[..n], b"under the next key");
    assert_eq!(server.counters().rx_key_updates, 1);
}

/// Taken apart and put together, in this process or as in another.
#[tokio::test]
async fn a_stream_of_either_side_changes_hands() {
    let (server, client) = ends().await;
    let parts = server.into_parts().unwrap();
    assert!(matches!(parts.session, Connection::Server(_)));
    let mut server = TlsStream::from_parts(parts).unwrap();

    let (io, bytes) = client.into_parts().unwrap().into_bytes();
    let parts = Parts::<_, Connection>::from_bytes(io, &bytes).unwrap();
    let mut client = TlsStream::from_parts(parts).unwrap();
    assert!(matches!(client, TlsStream::Client(_)));

    let mut received = [0; 4];
    client.write_all(b"ping").await.unwrap();
    server.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"ping");
    server.write_all(b"pong").await.unwrap();
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");

    // Bytes of one side are not the other's.
    let (io, bytes) = server.into_parts().unwrap().into_bytes();
    let refused = Parts::<_, ClientConnection>::from_bytes(io, &bytes);
    assert!(refused.is_err());
    let (_, session) = client.into_inner();
    assert_eq!(
        session.protocol_version(),
        Some(ProtocolVersion::TLSv1_3),
        "either side derefs to what both have"
    );
}
