//! `server::LazyConfigAcceptor` is a future of `server::StartHandshake`

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::{LazyConfigAcceptor, StartHandshake};

pub async fn item(io: TcpStream) -> io::Result<StartHandshake<TcpStream>> {
    LazyConfigAcceptor::new(Acceptor::default(), io).await
}

fn main() {}
