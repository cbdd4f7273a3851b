//! `Connect` is a future of `client::TlsStream`

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::Connect;
use tokio_rustls::client::TlsStream;

pub async fn item(connect: Connect<TcpStream>) -> io::Result<TlsStream<TcpStream>> {
    connect.await
}

fn main() {}
