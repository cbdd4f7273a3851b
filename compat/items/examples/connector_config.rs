//! `TlsConnector::config`

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

pub fn item(connector: &TlsConnector) -> &Arc<ClientConfig> {
    connector.config()
}

fn main() {}
