//! `client::TlsStream::get_mut`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub fn item(stream: &mut TlsStream<TcpStream>) {
    let (io, connection) = stream.get_mut();
    let _: &mut TcpStream = io;
    connection.set_buffer_limit(Some(64 * 1024));
}

fn main() {}
