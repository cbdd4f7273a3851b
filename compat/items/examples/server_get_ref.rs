//! `server::TlsStream::get_ref`

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub fn item(stream: &TlsStream<TcpStream>) -> bool {
    let (io, connection) = stream.get_ref();
    io.peer_addr().is_ok() && connection.server_name() == Some("example.com")
}

fn main() {}
