//! `TlsStream::from` either side, and its variants

use tokio::net::TcpStream;
use tokio_rustls::{TlsStream, client, server};

pub fn item(ours: client::TlsStream<TcpStream>, theirs: server::TlsStream<TcpStream>) -> bool {
    matches!(TlsStream::from(ours), TlsStream::Client(_))
        && matches!(TlsStream::from(theirs), TlsStream::Server(_))
}

fn main() {}
