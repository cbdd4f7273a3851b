//! `client::TlsStream::get_ref` as a `&rustls::ClientConnection`
//!
//! differs: rustls' own connection is consumed when its keys are handed over, so a stream has none to show

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConnection;

pub fn item(stream: &TlsStream<TcpStream>) -> &ClientConnection {
    stream.get_ref().1
}

fn main() {}
