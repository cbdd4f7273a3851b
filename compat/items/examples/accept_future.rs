//! `Accept` is a future of `server::TlsStream`

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

pub async fn item(accept: Accept<TcpStream>) -> io::Result<TlsStream<TcpStream>> {
    accept.await
}

fn main() {}
