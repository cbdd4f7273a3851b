//! `TlsConnector::connect_with`, and what people do there

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{Connect, TlsConnector};

pub fn item(
    connector: &TlsConnector,
    name: ServerName<'static>,
    io: TcpStream,
) -> Connect<TcpStream> {
    connector.connect_with(name, io, |connection| {
        connection.set_buffer_limit(Some(64 * 1024));
        assert!(connection.is_handshaking());
    })
}

fn main() {}
