//! Established connections, in memory.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use underseal::rustls::pki_types::ServerName;
use underseal::{ServerConnection, TlsAcceptor, blocking, server};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, SERVER_NAME, Suite, pair};

/// Bytes that show where they are from.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| (n % 251) as u8 ^ (n / 251) as u8)
        .collect()
}

pub(crate) fn name() -> ServerName<'static> {
    SERVER_NAME.try_into().unwrap()
}

/// A server of underseal's whose client is a [`RecordPeer`].
pub(crate) fn with_record_peer(
    suite: Suite,
    capacity: usize,
) -> (
    blocking::TlsStream<Pipe, ServerConnection>,
    RecordPeer<Pipe>,
) {
    accept_over(suite, capacity, |pipe| pipe)
}

/// As [`with_record_peer`], over what `below` makes of the server's end.
pub(crate) fn accept_over<S: Read + Write>(
    suite: Suite,
    capacity: usize,
    below: impl FnOnce(Pipe) -> S,
) -> (blocking::TlsStream<S, ServerConnection>, RecordPeer<Pipe>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = pair(capacity);
    let client = certificates.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(right, client));
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let stream = acceptor.accept(below(left)).unwrap();
    (stream, peer.join().unwrap())
}

pub(crate) type ServerStream = server::TlsStream<DuplexStream>;
pub(crate) type ClientOfTokioRustls = tokio_rustls::client::TlsStream<DuplexStream>;

/// A server of underseal's whose client is tokio-rustls'.
pub(crate) async fn with_tokio_rustls(
    suite: Suite,
    capacity: usize,
) -> (ServerStream, ClientOfTokioRustls) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = duplex(capacity);
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let (server, client) = tokio::join!(acceptor.accept(left), connector.connect(name(), right));
    (server.unwrap(), client.unwrap())
}

/// Runs both futures to their end; under paused time a deadlock is found at once.
pub(crate) async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(a, b) };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, both)
        .await
        .expect("both sides wait")
}
