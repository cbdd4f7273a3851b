//! `TlsAcceptor::accept_with`, and what people do there

use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

pub fn item(acceptor: &TlsAcceptor, io: TcpStream) -> Accept<TcpStream> {
    acceptor.accept_with(io, |connection| {
        connection.set_buffer_limit(Some(64 * 1024));
        connection.set_resumption_data(b"of mine");
        connection.reject_early_data();
    })
}

fn main() {}
