//! What a connection has besides its packets: Retry, 0-RTT, keying material, who the peer is.

use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;

use crate::endpoints::{Endpoints, PROTOCOL, SUITES, Side, connect};
use crate::transfers::{BYTES, echo_over, payload};

#[tokio::test]
async fn an_address_is_validated_by_a_retry_packet() {
    for &(client, server) in Side::PAIRS {
        let endpoints = Endpoints::new(client, server, 0);
        let retried = async {
            let incoming = endpoints.listening.accept().await.unwrap();
            assert!(!incoming.remote_address_validated());
            incoming.retry().unwrap();
            let incoming = endpoints.listening.accept().await.unwrap();
            assert!(incoming.remote_address_validated());
            incoming.await.unwrap()
        };
        let connected = async { endpoints.start().await.unwrap() };
        let (server, client) = tokio::join!(retried, connected);
        echo_over(&client, &server, b"behind a retry").await;
    }
}

#[tokio::test]
async fn a_client_that_comes_again_sends_before_the_handshake() {
    let payload = payload();
    for &(client, server) in Side::PAIRS {
        for suite in 0..SUITES {
            let endpoints = Endpoints::new(client, server, suite);
            let connected = async { endpoints.start().await.unwrap() };
            let (first_server, first_client) = tokio::join!(endpoints.accept(), connected);
            // Tickets come behind the handshake, before what is echoed.
            echo_over(&first_client, &first_server, b"first").await;

            let receive = async {
                let connection = endpoints.accept().await;
                let mut stream = connection.accept_uni().await.unwrap();
                let received = stream.read_to_end(BYTES).await.unwrap();
                (connection, received)
            };
            let send = async {
                let (connection, accepted) = endpoints
                    .start()
                    .into_0rtt()
                    .unwrap_or_else(|_| panic!("{client:?} has no ticket of {server:?}"));
                let mut stream = connection.open_uni().await.unwrap();
                stream.write_all(&payload).await.unwrap();
                stream.finish().unwrap();
                assert!(
                    accepted.await,
                    "{server:?} refused early data of {client:?}"
                );
                connection
            };
            let ((server, received), client) = tokio::join!(receive, send);
            assert!(received == payload, "other bytes arrived");
            echo_over(&client, &server, b"behind the handshake").await;
        }
    }
}

#[tokio::test]
async fn both_sides_export_the_same_keying_material() {
    for &(client, server) in Side::PAIRS {
        let connected = connect(client, server, 0).await;
        let export = |connection: &quinn::Connection, context: &[u8]| {
            let mut material = [0; 32];
            let exported = connection.export_keying_material(&mut material, b"label", context);
            exported.unwrap();
            material
        };
        let [one, other] = [&connected.client, &connected.server];
        assert_eq!(export(one, b"context"), export(other, b"context"));
        assert_ne!(export(one, b"context"), export(other, b"another"));
        // More than HKDF expands.
        let too_long = &mut vec![0; 1 << 16];
        assert!(one.export_keying_material(too_long, b"label", b"").is_err());
    }
}

#[tokio::test]
async fn a_connection_tells_what_was_agreed_on_and_who_the_peer_is() {
    for &(client, server) in Side::PAIRS {
        let connected = connect(client, server, 0).await;
        let [client, server] = [&connected.client, &connected.server].map(|connection| {
            let data = connection.handshake_data().unwrap();
            *data.downcast::<HandshakeData>().unwrap()
        });
        assert_eq!(client.protocol.as_deref(), Some(PROTOCOL));
        assert_eq!(server.protocol.as_deref(), Some(PROTOCOL));
        assert_eq!(client.server_name, None);
        assert_eq!(server.server_name.as_deref(), Some("localhost"));
        let chain = connected.client.peer_identity().unwrap();
        let chain = chain.downcast::<Vec<CertificateDer<'static>>>().unwrap();
        assert_eq!(chain.len(), 1);
        assert!(connected.server.peer_identity().is_none());
    }
}
