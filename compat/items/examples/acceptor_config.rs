//! `TlsAcceptor::config`

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub fn item(acceptor: &TlsAcceptor) -> &Arc<ServerConfig> {
    acceptor.config()
}

fn main() {}
