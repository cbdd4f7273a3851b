//! `TlsConnector::with_alpn`, `TlsConnectorWithAlpn::connect`

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{Connect, TlsConnector, TlsConnectorWithAlpn};

pub fn item(
    connector: &TlsConnector,
    name: ServerName<'static>,
    io: TcpStream,
) -> Connect<TcpStream> {
    let connector: TlsConnectorWithAlpn<'_> = connector.with_alpn(vec![b"h2".to_vec()]);
    connector.connect(name, io)
}

fn main() {}
