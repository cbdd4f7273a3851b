//! `TlsConnector::connect`

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{Connect, TlsConnector};

pub fn item(connector: &TlsConnector, io: TcpStream) -> Connect<TcpStream> {
    let name = ServerName::try_from("example.com").unwrap();
    connector.connect(name, io)
}

fn main() {}
