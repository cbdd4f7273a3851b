//! `TlsConnectorWithAlpn::connect_with`

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{Connect, TlsConnector};

pub fn item(
    connector: &TlsConnector,
    name: ServerName<'static>,
    io: TcpStream,
) -> Connect<TcpStream> {
    let connector = connector.with_alpn(vec![b"h2".to_vec()]);
    connector.connect_with(name, io, |connection| connection.set_buffer_limit(None))
}

fn main() {}
