//! `server::TlsStream::into_inner` as a `rustls::ServerConnection`
//!
//! differs: rustls' own connection is consumed when its keys are handed over, so a stream has none to show

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

pub fn item(stream: TlsStream<TcpStream>) -> (TcpStream, ServerConnection) {
    stream.into_inner()
}

fn main() {}
