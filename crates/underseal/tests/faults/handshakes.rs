//! Handshakes that fail for a reason.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::time::timeout;
use underseal::record::AlertDescription;
use underseal::rustls::{AlertDescription as RustlsAlert, Error as RustlsError};
use underseal::{
    ClientConnection, Error, ServerConnection, TlsAcceptor, TlsConnector, TlsStream, blocking,
};
use underseal_testkit::{Certificates, Faults, FaultyStream, KeyType, Pipe, Suite, pair};

use crate::subject::name;

type Established<Session> = std::io::Result<blocking::TlsStream<Pipe, Session>>;

/// What each side made of a handshake between two of underseal's.
fn shake(
    server: rustls::ServerConfig,
    client: rustls::ClientConfig,
) -> (Established<ServerConnection>, Established<ClientConnection>) {
    let (left, right) = pair(1 << 16);
    let server = thread::spawn(move || blocking::TlsAcceptor::from(Arc::new(server)).accept(left));
    let client = blocking::TlsConnector::from(Arc::new(client)).connect(name(), right);
    (server.join().unwrap(), client)
}

fn reason<T>(result: std::io::Result<T>) -> RustlsError {
    let error = result.err().expect("the handshake fails");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(Error::of(&error).is_some(), "{error} is underseal's");
    let reason = error.get_ref().and_then(|reason| reason.downcast_ref());
    let reason: &RustlsError = reason.expect("rustls' own error, as with tokio-rustls");
    assert_eq!(error.to_string(), reason.to_string());
    reason.clone()
}

#[test]
fn a_version_that_only_one_side_has_is_a_protocol_version() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for (server, client) in [
        (Suite::Tls13Aes128, Suite::Tls12Aes128),
        (Suite::Tls12Aes128, Suite::Tls13Aes128),
    ] {
        let (server, client) = shake(
            certificates.server_config(server),
            certificates.client_config(client),
        );
        assert!(matches!(reason(server), RustlsError::PeerIncompatible(_)));
        assert_eq!(
            reason(client),
            RustlsError::AlertReceived(RustlsAlert::ProtocolVersion)
        );
    }
}

#[test]
fn a_server_of_another_authority_is_told_so() {
    let (ours, others) = (
        Certificates::new(KeyType::Ecdsa),
        Certificates::new(KeyType::Ecdsa),
    );
    for suite in Suite::EACH_VERSION {
        let (server, client) = shake(others.server_config(suite), ours.client_config(suite));
        assert!(matches!(reason(client), RustlsError::InvalidCertificate(_)));
        // The authorities have one name and two keys.
        let told = [
            RustlsAlert::UnknownCA,
            RustlsAlert::BadCertificate,
            RustlsAlert::DecryptError,
        ];
        match reason(server) {
            RustlsError::AlertReceived(alert) => assert!(told.contains(&alert), "{alert:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// In TLS 1.3 the client's handshake is over before the server looks at its certificate: the
/// refusal is an alert on an established connection.
#[test]
fn a_client_without_a_certificate_is_told_so() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (server, client) = shake(
            certificates.mutual_server_config(suite),
            certificates.client_config(suite),
        );
        assert_eq!(reason(server), RustlsError::NoCertificatesPresented);
        if !suite.is_tls13() {
            assert!(matches!(reason(client), RustlsError::AlertReceived(_)));
            continue;
        }
        let mut client = client.unwrap();
        let error = client.read(&mut [0]).unwrap_err();
        let Some(Error::AlertReceived(alert)) = Error::of(&error) else {
            panic!("{error}");
        };
        assert_eq!(alert, AlertDescription::CERTIFICATE_REQUIRED);
        assert_eq!(
            reason(Err::<(), _>(error)),
            RustlsError::AlertReceived(RustlsAlert::CertificateRequired)
        );
        assert_eq!(
            client.write(b"x").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    }
}

#[test]
fn a_server_that_speaks_http_is_refused() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, mut right) = pair(1 << 16);
        right
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let config = Arc::new(certificates.client_config(suite));
        let result = blocking::TlsConnector::from(config).connect(name(), left);
        assert!(matches!(reason(result), RustlsError::InvalidMessage(_)));
        let mut said = Vec::new();
        right.read_to_end(&mut said).unwrap();
        assert!(
            said.ends_with(&[21, 3, 3, 0, 2, 2, 50]),
            "the alert is the last that it says"
        );
    }
}

#[test]
fn a_reset_during_the_handshake_is_the_error_of_the_socket() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, mut right) = pair(1 << 16);
    right.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    right.reset();
    let config = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let error = blocking::TlsAcceptor::from(config)
        .accept(left)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_server_that_closes_during_the_handshake_is_an_unexpected_end() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = pair(1 << 16);
        right.shutdown_write();
        let config = Arc::new(certificates.client_config(suite));
        let error = blocking::TlsConnector::from(config)
            .connect(name(), left)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(
            error.to_string(),
            "tls handshake eof",
            "as tokio-rustls says it"
        );
        assert!(matches!(Error::of(&error), Some(Error::ClosedInHandshake)));
    }
}

/// A byte of the handshake changed anywhere, on its way to either side: the handshake fails, or
/// waits for bytes that a changed length promises, or succeeds where the byte means nothing. It
/// never panics.
#[tokio::test(start_paused = true)]
async fn a_byte_changed_anywhere_in_a_handshake_ends_it_and_nothing_else() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.mutual_server_config(suite)));
        let mut client = certificates.mutual_client_config(suite);
        client.resumption = rustls::client::Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(client));
        let (mut failed, mut tried) = (0, 0);
        for at in (0..900).step_by(5) {
            for to_server in [false, true] {
                let faults = Faults {
                    flip_at: vec![at],
                    ..Faults::default()
                };
                let (left, right) = duplex(1 << 16);
                let left = match to_server {
                    true => FaultyStream::new(left).on_read(faults),
                    false => FaultyStream::new(left).on_write(faults),
                };
                let server = async { exchange(acceptor.accept(left).await?).await };
                let client = async { exchange(connector.connect(name(), right).await?).await };
                // Paused time passes only when both sides wait.
                let both = async { tokio::join!(server, client) };
                let Ok((server, client)) = timeout(Duration::from_secs(1), both).await else {
                    continue;
                };
                tried += 1;
                failed += usize::from(server.is_err() || client.is_err());
                for error in [server.err(), client.err()].into_iter().flatten() {
                    let expected =
                        Error::of(&error).is_some() || error.kind() == ErrorKind::BrokenPipe;
                    assert!(expected, "{suite:?} byte {at}: {error}");
                }
            }
        }
        assert!(
            failed * 4 > tried * 3,
            "{suite:?}: only {failed} of {tried} changes were noticed"
        );
    }
}

/// A few bytes each way and an orderly end.
async fn exchange<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: impl Into<TlsStream<IO>>,
) -> std::io::Result<Vec<u8>> {
    let mut stream = stream.into();
    stream.write_all(b"hello").await?;
    stream.shutdown().await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    Ok(received)
}
