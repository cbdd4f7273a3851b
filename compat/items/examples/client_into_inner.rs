//! `client::TlsStream::into_inner`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub fn item(stream: TlsStream<TcpStream>) -> TcpStream {
    let (io, _) = stream.into_inner();
    io
}

fn main() {}
