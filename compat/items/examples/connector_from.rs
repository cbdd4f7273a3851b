//! `TlsConnector::from(Arc<ClientConfig>)`, `Clone`

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

pub fn item(config: Arc<ClientConfig>) -> TlsConnector {
    TlsConnector::from(config).clone()
}

fn main() {}
