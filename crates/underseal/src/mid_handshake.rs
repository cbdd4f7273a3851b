//! A handshake as a future.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::Error;
use crate::handshake::Handshake;
use crate::offload::Offloads;
use crate::stream::Stream;
use crate::transport::{Polled, into_poll, tokio_socket};

/// Resolves to the stream, or to the error and the stream below.
pub(crate) enum MidHandshake<IO, H: Handshake> {
    Handshaking {
        io: IO,
        handshake: Box<H>,
        offloads: Offloads,
    },
    /// The handshake is complete; this is to be written first.
    Writing {
        stream: Stream<IO, H::Session>,
        unsent: Vec<u8>,
    },
    Failed {
        io: IO,
        error: io::Error,
    },
    Resolved,
}

impl<IO, H: Handshake> MidHandshake<IO, H> {
    pub(crate) fn start(io: IO, handshake: Result<H, Error>, offloads: Offloads) -> Self {
        match handshake {
            Ok(handshake) => Self::Handshaking {
                io,
                handshake: Box::new(handshake),
                offloads,
            },
            Err(error) => Self::Failed {
                io,
                error: error.into(),
            },
        }
    }

    pub(crate) fn get_ref(&self) -> Option<&IO> {
        match self {
            Self::Handshaking { io, .. } | Self::Failed { io, .. } => Some(io),
            Self::Writing { stream, .. } => Some(stream.get_ref().0),
            Self::Resolved => None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut IO> {
        match self {
            Self::Handshaking { io, .. } | Self::Failed { io, .. } => Some(io),
            Self::Writing { stream, .. } => Some(stream.get_mut().0),
            Self::Resolved => None,
        }
    }
}

type Resolution<IO, H> = Result<Stream<IO, <H as Handshake>::Session>, (io::Error, IO)>;

impl<IO, H> Future for MidHandshake<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Handshake + Unpin,
    H::Session: Unpin,
{
    type Output = Resolution<IO, H>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(this, Self::Resolved) {
                Self::Handshaking {
                    mut io,
                    mut handshake,
                    offloads,
                } => {
                    let mut transport = Polled { io: &mut io, cx };
                    match into_poll(handshake.drive(&mut transport)) {
                        Poll::Pending => {
                            *this = Self::Handshaking {
                                io,
                                handshake,
                                offloads,
                            };
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => *this = Self::Failed { io, error },
                        Poll::Ready(Ok(())) => *this = Self::established(io, *handshake, offloads),
                    }
                }
                Self::Writing { mut stream, unsent } if !unsent.is_empty() => {
                    match Pin::new(&mut stream).poll_write_vectored(cx, &[IoSlice::new(&unsent)]) {
                        Poll::Pending => {
                            *this = Self::Writing { stream, unsent };
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => {
                            let io = stream.into_inner().0;
                            *this = Self::Failed { io, error };
                        }
                        Poll::Ready(Ok(n)) => {
                            let unsent = unsent[n..].to_vec();
                            *this = Self::Writing { stream, unsent };
                        }
                    }
                }
                Self::Writing { stream, .. } => return Poll::Ready(Ok(stream)),
                Self::Failed { io, error } => return Poll::Ready(Err((error, io))),
                Self::Resolved => {
                    // Polled after completion: what every future may answer with a panic, this
                    // one answers by never completing.
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<IO, H: Handshake> MidHandshake<IO, H> {
    fn established(io: IO, handshake: H, offloads: Offloads) -> Self {
        let established = handshake.finish().and_then(|mut established| {
            established
                .connection
                .offload(tokio_socket(&io), offloads.or_environment())?;
            Ok(established)
        });
        match established {
            Ok(established) => Self::Writing {
                stream: Stream::new(io, established.session, established.connection),
                unsent: established.unsent,
            },
            Err(error) => Self::Failed {
                io,
                error: error.into(),
            },
        }
    }
}
