//! A future that has completed panics when it is polled again, whichever it is.

use std::pin::pin;
use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};
use underseal::{LazyConfigAcceptor, TlsAcceptor, TlsConnector};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::name;

const SUITE: Suite = Suite::Tls13Aes128;

/// A stream whose other end is gone: every handshake over it completes with a failure.
fn gone() -> DuplexStream {
    duplex(64).0
}

#[tokio::test]
#[should_panic(expected = "polled after it had completed")]
async fn a_completed_accept_is_not_polled_again() {
    let server = Certificates::new(KeyType::Ecdsa).server_config(SUITE);
    let mut accept = pin!(TlsAcceptor::from(Arc::new(server)).accept(gone()));
    assert!(accept.as_mut().await.is_err());
    let _ = accept.await;
}

#[tokio::test]
#[should_panic(expected = "polled after it had completed")]
async fn a_completed_connect_is_not_polled_again() {
    let client = Certificates::new(KeyType::Ecdsa).client_config(SUITE);
    let mut connect = pin!(TlsConnector::from(Arc::new(client)).connect(name(), gone()));
    assert!(connect.as_mut().await.is_err());
    let _ = connect.await;
}

#[tokio::test]
#[should_panic(expected = "polled after it had completed")]
async fn a_completed_lazy_acceptor_is_not_polled_again() {
    let mut acceptor = pin!(LazyConfigAcceptor::new(Default::default(), gone()));
    assert!(acceptor.as_mut().await.is_err());
    let _ = acceptor.await;
}

#[tokio::test]
#[should_panic(expected = "not polled after `take_io`")]
async fn a_lazy_acceptor_without_its_stream_is_not_polled() {
    let mut acceptor = LazyConfigAcceptor::new(Default::default(), gone());
    drop(acceptor.take_io());
    let _ = acceptor.await;
}
