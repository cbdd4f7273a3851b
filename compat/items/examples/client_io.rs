//! `client::TlsStream` is `AsyncRead`, `AsyncBufRead`, `AsyncWrite`, `Debug`, `Send`, `Sync`, `Unpin`

use std::fmt::Debug;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub fn item<S>(stream: S) -> bool
where
    S: AsyncRead + AsyncBufRead + AsyncWrite + Debug + Send + Sync + Unpin,
{
    stream.is_write_vectored()
}

pub const ITEM: fn(TlsStream<TcpStream>) -> bool = item::<TlsStream<TcpStream>>;

fn main() {}
