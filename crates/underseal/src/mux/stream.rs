use std::any::Any;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::{TlsStream, client, server};

/// A stream of any type, which its owner gets back as what it was.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// The TCP connection that it is, or is TLS over.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn tcp(&self) -> Option<&TcpStream> {
        let stream: &dyn Any = self;
        if let Some(tcp) = stream.downcast_ref() {
            return Some(tcp);
        }
        if let Some(stream) = stream.downcast_ref::<server::TlsStream<TcpStream>>() {
            return Some(stream.get_ref().0);
        }
        if let Some(stream) = stream.downcast_ref::<client::TlsStream<TcpStream>>() {
            return Some(stream.get_ref().0);
        }
        let stream = stream.downcast_ref::<TlsStream<TcpStream>>()?;
        Some(stream.get_ref().0)
    }
}

/// A stream as what it was, for who knows that.
pub(super) fn typed<S: 'static>(stream: Box<dyn Stream>) -> S {
    let stream = stream.into_any().downcast();
    *stream.expect("a stream of this type was attached")
}
