//! `TlsStream::{get_ref, get_mut}`

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

pub fn item(stream: &mut TlsStream<TcpStream>) -> bool {
    stream.get_mut().1.send_close_notify();
    let (io, common) = stream.get_ref();
    io.peer_addr().is_ok() && common.peer_certificates().is_some()
}

fn main() {}
