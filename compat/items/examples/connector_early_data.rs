//! `TlsConnector::early_data` (feature `early-data`)

use tokio_rustls::TlsConnector;

pub fn item(connector: TlsConnector) -> TlsConnector {
    connector.early_data(true)
}

fn main() {}
