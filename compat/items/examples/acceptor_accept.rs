//! `TlsAcceptor::accept`

use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

pub fn item(acceptor: &TlsAcceptor, io: TcpStream) -> Accept<TcpStream> {
    acceptor.accept(io)
}

fn main() {}
