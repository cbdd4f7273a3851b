//! `LazyConfigAcceptor::take_io`

use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

pub fn item(acceptor: &mut LazyConfigAcceptor<TcpStream>) -> Option<TcpStream> {
    acceptor.take_io()
}

fn main() {}
