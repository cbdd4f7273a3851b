//! Connects a channel, and serves nothing over TLS.

use std::net::SocketAddr;

use tonic::service::Routes;
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Error, Identity, Server, ServerTlsConfig,
};

pub async fn connect(authority: Certificate) -> Result<Channel, Error> {
    let tls = ClientTlsConfig::new().ca_certificate(authority);
    let endpoint = Channel::from_static("https://localhost:50051");
    endpoint.tls_config(tls)?.connect().await
}

pub async fn serve(address: SocketAddr, identity: Identity) -> Result<(), Error> {
    let tls = ServerTlsConfig::new().identity(identity);
    let mut server = Server::builder().tls_config(tls)?;
    server.add_routes(Routes::default()).serve(address).await
}

fn main() {}
