//! `StartHandshake::into_stream`

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::{Accept, StartHandshake};

pub fn item(start: StartHandshake<TcpStream>, config: Arc<ServerConfig>) -> Accept<TcpStream> {
    start.into_stream(config)
}

fn main() {}
