//! Established connections between two streams of underseal's, in memory.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use underseal::rustls::pki_types::ServerName;
use underseal::rustls::{ClientConfig, ServerConfig};
use underseal::{TlsAcceptor, TlsConnector, client, server};
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite};

pub(crate) type Server = server::TlsStream<DuplexStream>;
pub(crate) type Client = client::TlsStream<DuplexStream>;

/// Made once: certificates are what takes longest in a short test.
pub(crate) static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let server = certificates.server_config(Suite::Tls13Aes128);
    let client = certificates.client_config(Suite::Tls13Aes128);
    (Arc::new(server), Arc::new(client))
});

pub(crate) fn name() -> ServerName<'static> {
    SERVER_NAME.try_into().unwrap()
}

/// Two streams over a pipe that holds `capacity` bytes of ciphertext each way: at least the tickets
/// of the server, which nobody reads during the handshake.
pub(crate) async fn pair(capacity: usize) -> (Server, Client) {
    let (left, right) = duplex(capacity);
    let (server, client) = &*CONFIGS;
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let connector = TlsConnector::from(Arc::clone(client));
    let accept = acceptor.accept(left);
    let connect = connector.connect(name(), right);
    let (server, client) = tokio::join!(accept, connect);
    (server.unwrap(), client.unwrap())
}

/// What must not wait for ever: under paused time a deadlock is found at once.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(60);
    timeout(patience, future).await.expect("it waits for ever")
}

/// Bytes that show where they are from.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| (n % 251) as u8 ^ (n / 251) as u8)
        .collect()
}
