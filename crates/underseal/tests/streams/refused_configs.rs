//! Configurations that rustls refuses: the errors are tokio-rustls'.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, duplex};
use underseal::rustls::{self, ClientConfig, ServerConfig};
use underseal::{Error, LazyConfigAcceptor, TlsAcceptor, TlsConnector, blocking};
use underseal_testkit::{Certificates, KeyType, Suite, pair};

use crate::pairs::name;

/// Records that are too short for rustls.
fn refused() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut client = certificates.client_config(Suite::Tls13Aes128);
    let mut server = certificates.server_config(Suite::Tls13Aes128);
    client.max_fragment_size = Some(5);
    server.max_fragment_size = Some(5);
    (Arc::new(client), Arc::new(server))
}

fn assert_same(ours: &io::Error, theirs: &io::Error) {
    let reason = |error: &io::Error| {
        let reason = error.get_ref().and_then(|inner| inner.downcast_ref());
        reason.cloned().unwrap_or(rustls::Error::DecryptError)
    };
    assert_eq!(reason(ours), rustls::Error::BadMaxFragmentSize);
    assert_eq!(reason(ours), reason(theirs));
    assert_eq!(
        (ours.kind(), ours.to_string()),
        (theirs.kind(), theirs.to_string())
    );
    assert!(matches!(Error::of(ours), Some(Error::Handshake(_))));
}

#[tokio::test]
async fn a_refused_configuration_fails_as_with_tokio_rustls() {
    let (client, server) = refused();

    let ours = TlsConnector::from(Arc::clone(&client)).connect(name(), duplex(100).0);
    let theirs = tokio_rustls::TlsConnector::from(Arc::clone(&client));
    let theirs = theirs.connect(name(), duplex(100).0);
    let theirs = theirs.await.unwrap_err();
    assert_eq!(theirs.kind(), io::ErrorKind::Other);
    assert_same(&ours.await.unwrap_err(), &theirs);
    let blocking = blocking::TlsConnector::from(client).connect(name(), pair(100).0);
    assert_same(&blocking.unwrap_err(), &theirs);

    let ours = TlsAcceptor::from(Arc::clone(&server)).accept(duplex(100).0);
    let theirs = tokio_rustls::TlsAcceptor::from(Arc::clone(&server)).accept(duplex(100).0);
    let theirs = theirs.await.unwrap_err();
    assert_same(&ours.await.unwrap_err(), &theirs);
    let blocking = blocking::TlsAcceptor::from(server).accept(pair(100).0);
    assert_same(&blocking.unwrap_err(), &theirs);
}

/// There tokio-rustls finds it out with what the client said, and the kind is another.
#[tokio::test]
async fn a_configuration_that_is_refused_behind_the_hello_fails_as_with_tokio_rustls() {
    let (_, server) = refused();
    let certificates = Certificates::new(KeyType::Ecdsa);
    let client = Arc::new(certificates.client_config(Suite::Tls13Aes128));
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(client, name()).unwrap();
    client.write_tls(&mut hello).unwrap();
    let connected = async || {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(&hello).await.unwrap();
        (near, far)
    };

    let (near, _far) = connected().await;
    let start = LazyConfigAcceptor::new(Default::default(), near);
    let ours = start.await.unwrap().into_stream(Arc::clone(&server)).await;
    let (near, _far) = connected().await;
    let start = tokio_rustls::LazyConfigAcceptor::new(Default::default(), near);
    let theirs = start.await.unwrap().into_stream(server).await;
    let theirs = theirs.unwrap_err();
    assert_eq!(theirs.kind(), io::ErrorKind::InvalidData);
    assert_same(&ours.unwrap_err(), &theirs);
}
