//! `StartHandshake::from_parts`
//!
//! differs: the handshake is made from the bytes of the ClientHello, which rustls' `Accepted` does not give back

use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::rustls::server::Accepted;

pub fn item(accepted: Accepted, io: TcpStream) -> StartHandshake<TcpStream> {
    StartHandshake::from_parts(accepted, io)
}

fn main() {}
