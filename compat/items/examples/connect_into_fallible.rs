//! `Connect::into_fallible`, `FallibleConnect`

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{Connect, FallibleConnect};

pub async fn item(
    connect: Connect<TcpStream>,
) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream)> {
    let fallible: FallibleConnect<TcpStream> = connect.into_fallible();
    fallible.await
}

fn main() {}
