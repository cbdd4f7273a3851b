//! `TlsAcceptor::from(Arc<ServerConfig>)`, `Clone`

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub fn item(config: Arc<ServerConfig>) -> TlsAcceptor {
    TlsAcceptor::from(config).clone()
}

fn main() {}
