//! `StartHandshake::client_hello`

use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::rustls::server::ClientHello;

pub fn item(start: &StartHandshake<TcpStream>) -> ClientHello<'_> {
    start.client_hello()
}

fn main() {}
