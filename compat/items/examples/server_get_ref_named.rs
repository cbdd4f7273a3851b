//! `server::TlsStream::get_ref` as a `&rustls::ServerConnection`
//!
//! differs: rustls' own connection is consumed when its keys are handed over, so a stream has none to show

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

pub fn item(stream: &TlsStream<TcpStream>) -> &ServerConnection {
    stream.get_ref().1
}

fn main() {}
