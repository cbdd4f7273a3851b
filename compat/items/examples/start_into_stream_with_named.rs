//! `StartHandshake::into_stream_with` with `rustls::ServerConnection` written out
//!
//! differs: the handshake is made by another type of rustls; a closure whose argument's type is not written out compiles

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::{Accept, StartHandshake};

pub fn item(start: StartHandshake<TcpStream>, config: Arc<ServerConfig>) -> Accept<TcpStream> {
    start.into_stream_with(config, |_: &mut ServerConnection| ())
}

fn main() {}
