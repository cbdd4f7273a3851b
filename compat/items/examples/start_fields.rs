//! `StartHandshake`'s fields, `Debug`

use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::rustls::server::Accepted;

pub fn item(start: StartHandshake<TcpStream>) -> (Accepted, TcpStream) {
    assert!(!format!("{start:?}").is_empty());
    let StartHandshake { accepted, io, .. } = start;
    (accepted, io)
}

fn main() {}
