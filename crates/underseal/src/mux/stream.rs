use std::any::Any;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::engine::Connection;
use crate::{TlsStream, client, server};

/// A stream of any type, which its owner gets back as what it was.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// The TCP connection that it is, or is TLS over.
    fn tcp(&self) -> Option<&TcpStream>;

    /// The same with what it carries, if it is TLS over it.
    fn below(&mut self) -> Option<(&TcpStream, Option<&mut Connection>)>;
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

    fn below(&mut self) -> Option<(&TcpStream, Option<&mut Connection>)> {
        let stream: &mut dyn Any = self;
        if stream.is::<TcpStream>() {
            let tcp: Option<&mut TcpStream> = stream.downcast_mut();
            return tcp.map(|tcp| (&*tcp, None));
        }
        let (tcp, connection) = if stream.is::<server::TlsStream<TcpStream>>() {
            stream
                .downcast_mut::<server::TlsStream<TcpStream>>()?
                .below()
        } else if stream.is::<client::TlsStream<TcpStream>>() {
            stream
                .downcast_mut::<client::TlsStream<TcpStream>>()?
                .below()
        } else {
            stream.downcast_mut::<TlsStream<TcpStream>>()?.below()
        };
        Some((tcp, Some(connection)))
    }
}

/// A stream as what it was, for who knows that.
pub(super) fn typed<S: 'static>(stream: Box<dyn Stream>) -> S {
    let stream = stream.into_any().downcast();
    *stream.expect("a stream of this type was attached")
}
