//! `client::TlsStream::get_mut` as a `&mut rustls::ClientConnection`
//!
//! differs: rustls' own connection is consumed when its keys are handed over, so a stream has none to show

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConnection;

pub fn item(stream: &mut TlsStream<TcpStream>) -> &mut ClientConnection {
    stream.get_mut().1
}

fn main() {}
