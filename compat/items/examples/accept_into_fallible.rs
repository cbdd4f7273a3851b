//! `Accept::into_fallible`, `FallibleAccept`

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, FallibleAccept};

pub async fn item(
    accept: Accept<TcpStream>,
) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream)> {
    let fallible: FallibleAccept<TcpStream> = accept.into_fallible();
    fallible.await
}

fn main() {}
