//! `client::TlsStream::get_ref`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub fn item(stream: &TlsStream<TcpStream>) -> bool {
    let (io, connection) = stream.get_ref();
    io.peer_addr().is_ok() && connection.alpn_protocol() == Some(b"h2")
}

fn main() {}
