//! Connects to a name server over TLS (RFC 7858).

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::ProtoError;
use hickory_proto::runtime::TokioRuntimeProvider;
use hickory_proto::rustls::tls_client_connect;
use rustls::ClientConfig;

pub async fn connect(server: SocketAddr, config: Arc<ClientConfig>) -> Result<(), ProtoError> {
    let provider = TokioRuntimeProvider::default();
    let (connect, _queries) = tls_client_connect(server, "localhost".to_owned(), config, provider);
    connect.await.map(drop)
}

fn main() {}
