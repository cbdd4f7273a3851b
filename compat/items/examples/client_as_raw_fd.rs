//! `client::TlsStream` is `AsRawFd`

use std::os::fd::{AsRawFd, RawFd};

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub fn item(stream: &TlsStream<TcpStream>) -> RawFd {
    stream.as_raw_fd()
}

fn main() {}
