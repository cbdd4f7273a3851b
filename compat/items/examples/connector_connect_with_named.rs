//! `TlsConnector::connect_with` with `rustls::ClientConnection` written out
//!
//! differs: the handshake is made by another type of rustls; a closure whose argument's type is not written out compiles

use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{Connect, TlsConnector};

pub fn item(
    connector: &TlsConnector,
    name: ServerName<'static>,
    io: TcpStream,
) -> Connect<TcpStream> {
    connector.connect_with(name, io, |_: &mut ClientConnection| ())
}

fn main() {}
