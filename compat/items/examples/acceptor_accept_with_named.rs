//! `TlsAcceptor::accept_with` with `rustls::ServerConnection` written out
//!
//! differs: the handshake is made by another type of rustls; a closure whose argument's type is not written out compiles

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::{Accept, TlsAcceptor};

pub fn item(acceptor: &TlsAcceptor, io: TcpStream) -> Accept<TcpStream> {
    acceptor.accept_with(io, |_: &mut ServerConnection| ())
}

fn main() {}
