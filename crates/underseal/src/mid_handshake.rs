//! A handshake as a future.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use underseal_sys::stream::tokio_tcp_stream;
use underseal_sys::tls::Direction;

use crate::handover::hand_over;
#[cfg(feature = "early-data")]
use crate::handshake::ClientHandshake;
use crate::handshake::{Handshake, tells_peer};
use crate::lingering::{Linger, Lingering};
use crate::offload::Offloads;
use crate::stream::Stream;
use crate::transport::{Polled, into_poll, tokio_socket};
use crate::wakers::Wakers;

/// Resolves to the stream, or to the error and the stream below.
pub(crate) enum MidHandshake<IO, H: Handshake> {
    Handshaking {
        io: IO,
        handshake: Box<H>,
        offloads: Offloads,
    },
    /// The handshake is complete; `first` is to be written first, from `written` on.
    Writing {
        stream: Stream<IO, H::Session>,
        first: Vec<u8>,
        written: usize,
    },
    /// The stream is there before its handshake.
    #[cfg(feature = "early-data")]
    Early(Stream<IO, H::Session>),
    Failed {
        io: IO,
        error: io::Error,
    },
    /// The peer was told why it failed, and is given the time to read that: see
    /// [`Self::poll_and_linger`].
    Lingering {
        io: IO,
        error: io::Error,
        lingering: Box<Lingering>,
    },
    Resolved,
}

impl<IO, H: Handshake> MidHandshake<IO, H> {
    pub(crate) fn start(io: IO, handshake: io::Result<H>, offloads: Offloads) -> Self {
        match handshake {
            Ok(handshake) => Self::Handshaking {
                io,
                handshake: Box::new(handshake),
                offloads,
            },
            Err(error) => Self::Failed { io, error },
        }
    }

    pub(crate) fn get_ref(&self) -> Option<&IO> {
        match self {
            Self::Handshaking { io, .. } | Self::Failed { io, .. } | Self::Lingering { io, .. } => {
                Some(io)
            }
            Self::Writing { stream, .. } => Some(stream.get_ref().0),
            #[cfg(feature = "early-data")]
            Self::Early(stream) => Some(stream.get_ref().0),
            Self::Resolved => None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut IO> {
        match self {
            Self::Handshaking { io, .. } | Self::Failed { io, .. } | Self::Lingering { io, .. } => {
                Some(io)
            }
            Self::Writing { stream, .. } => Some(stream.get_mut().0),
            #[cfg(feature = "early-data")]
            Self::Early(stream) => Some(stream.get_mut().0),
            Self::Resolved => None,
        }
    }
}

/// Writes some of `unsent` or, if nothing is left of it, flushes.
fn poll_write_or_flush<IO, Session>(
    stream: &mut Stream<IO, Session>,
    cx: &mut Context<'_>,
    unsent: &[u8],
) -> Poll<io::Result<usize>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    Session: Unpin,
{
    match unsent.is_empty() {
        true => Pin::new(stream).poll_flush(cx).map_ok(|()| 0),
        false => Pin::new(stream).poll_write_vectored(cx, &[IoSlice::new(unsent)]),
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
                    let mut transport = Polled {
                        io: &mut io,
                        cx,
                        // One task does both.
                        wakers: &mut Wakers::default(),
                        direction: Direction::Tx,
                    };
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
                        Poll::Ready(Ok(())) => *this = Self::established(io, handshake, offloads),
                    }
                }
                Self::Writing {
                    mut stream,
                    first,
                    written,
                } => {
                    let unsent = &first[written..];
                    match poll_write_or_flush(&mut stream, cx, unsent) {
                        Poll::Pending => {
                            // The peer may take nothing before its own is taken, or have given up.
                            if let Err(error) = stream.read_ahead(cx) {
                                let io = stream.into_inner().0;
                                *this = Self::Failed { io, error };
                                continue;
                            }
                            *this = Self::Writing {
                                stream,
                                first,
                                written,
                            };
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => {
                            let io = stream.into_inner().0;
                            *this = Self::Failed { io, error };
                        }
                        Poll::Ready(Ok(_)) if unsent.is_empty() => return Poll::Ready(Ok(stream)),
                        Poll::Ready(Ok(n)) => {
                            *this = Self::Writing {
                                stream,
                                first,
                                written: written + n,
                            };
                        }
                    }
                }
                Self::Failed { io, error } | Self::Lingering { io, error, .. } => {
                    return Poll::Ready(Err((error, io)));
                }
                #[cfg(feature = "early-data")]
                Self::Early(stream) => return Poll::Ready(Ok(stream)),
                Self::Resolved => panic!("a handshake was polled after it had completed"),
            }
        }
    }
}

impl<IO, H> MidHandshake<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Handshake + Unpin,
    H::Session: Unpin,
{
    /// As polling, for those who drop the stream below if the handshake fails: the peer gets the
    /// alert, whatever it still sends.
    pub(crate) fn poll_and_linger(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Stream<IO, H::Session>>> {
        if !matches!(self, Self::Lingering { .. }) {
            match ready!(Pin::new(&mut *self).poll(cx)) {
                Ok(stream) => return Poll::Ready(Ok(stream)),
                Err((error, mut io)) => {
                    if !tells_peer(&error) || tokio_tcp_stream(&io).is_none() {
                        return Poll::Ready(Err(error));
                    }
                    // A TCP socket does not wait for this, and one that fails has nothing to read.
                    let _ = Pin::new(&mut io).poll_shutdown(cx);
                    let lingering = Box::new(Lingering::new(Linger::default()));
                    *self = Self::Lingering {
                        io,
                        error,
                        lingering,
                    };
                }
            }
        }
        if let Self::Lingering { io, lingering, .. } = &mut *self
            && let Some(tcp) = tokio_tcp_stream(io)
        {
            ready!(lingering.poll(tcp, None, cx));
        }
        // What is left of it is the failure.
        Pin::new(self).poll(cx).map_err(|(error, _)| error)
    }
}

impl<IO, H: Handshake> MidHandshake<IO, H> {
    fn established(io: IO, handshake: Box<H>, offloads: Offloads) -> Self {
        let established = hand_over(handshake).and_then(|mut established| {
            established
                .connection
                .offload(tokio_socket(&io), offloads)?;
            Ok(established)
        });
        match established {
            Ok(established) => Self::Writing {
                stream: Stream::new(io, established.session, established.connection),
                first: established.unsent,
                written: 0,
            },
            Err(error) => Self::Failed {
                io,
                error: error.into(),
            },
        }
    }
}

#[cfg(feature = "early-data")]
impl<IO: AsyncRead + AsyncWrite + Unpin> MidHandshake<IO, ClientHandshake> {
    /// Resolves before the handshake, where early data may be sent.
    pub(crate) fn start_early(
        io: IO,
        handshake: io::Result<ClientHandshake>,
        offloads: Offloads,
    ) -> Self {
        let mut handshake = match handshake {
            Ok(handshake) => Box::new(handshake),
            Err(error) => return Self::start(io, Err(error), offloads),
        };
        if !handshake.may_send_early_data() {
            return Self::Handshaking {
                io,
                handshake,
                offloads,
            };
        }
        match Stream::early(io, handshake, offloads) {
            Ok(stream) => Self::Early(stream),
            Err((error, io)) => Self::Failed {
                io,
                error: error.into(),
            },
        }
    }
}
