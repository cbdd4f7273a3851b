//! `StartHandshake::into_stream_with`

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::{Accept, StartHandshake};

pub fn item(start: StartHandshake<TcpStream>, config: Arc<ServerConfig>) -> Accept<TcpStream> {
    start.into_stream_with(config, |connection| connection.set_buffer_limit(None))
}

fn main() {}
