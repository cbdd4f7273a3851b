//! The socket of tokio.

use tokio::net::UdpSocket;
use underseal_dtls::{DtlsSocket, Error};
use underseal_testkit::PATIENCE;

use crate::{SUITES, certificates, client, server, sockets};

#[tokio::test]
async fn handshakes_are_made_and_taken_over_in_tasks() {
    let certificates = certificates();
    for suite in SUITES {
        let (near, far) = sockets();
        let [near, far] = [near, far].map(|socket| {
            socket.set_nonblocking(true).unwrap();
            UdpSocket::from_std(socket).unwrap()
        });
        let (client, server) = tokio::join!(
            DtlsSocket::connect(client(&certificates, suite), near, PATIENCE),
            DtlsSocket::accept(server(&certificates), far, PATIENCE),
        );
        let (client, server) = (client.unwrap(), server.unwrap());
        let mut buffer = [0; 100];
        client.send(b"question").await.unwrap();
        assert_eq!(server.recv(&mut buffer).await.unwrap(), 8);
        server.send(b"answer").await.unwrap();
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
        client.close();
        let ended = server.recv(&mut buffer).await;
        assert!(matches!(ended, Err(Error::ClosedByPeer)));
    }
}

#[tokio::test]
async fn a_handshake_with_nobody_is_over_in_time() {
    let (near, _far) = sockets();
    near.set_nonblocking(true).unwrap();
    let near = UdpSocket::from_std(near).unwrap();
    let timeout = std::time::Duration::from_millis(100);
    let ssl = client(&certificates(), SUITES[0]);
    let outcome = DtlsSocket::connect(ssl, near, timeout).await;
    assert!(matches!(outcome, Err(Error::HandshakeTimedOut)));
}
