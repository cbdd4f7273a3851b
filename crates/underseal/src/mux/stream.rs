use std::any::Any;

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of any type, which its owner gets back as what it was.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A stream as what it was, for who knows that.
pub(super) fn typed<S: 'static>(stream: Box<dyn Stream>) -> S {
    let stream = stream.into_any().downcast();
    *stream.expect("a stream of this type was attached")
}
