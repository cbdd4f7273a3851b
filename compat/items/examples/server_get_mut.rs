//! `server::TlsStream::get_mut`, `into_inner`

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub fn item(mut stream: TlsStream<TcpStream>) -> TcpStream {
    stream.get_mut().1.set_buffer_limit(None);
    stream.into_inner().0
}

fn main() {}
