//! A client's stream before its handshake is done: what is written is early data.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use underseal_sys::tls::Direction;

use super::Stream;
use crate::engine::Connection;
use crate::handover::{Established, hand_over};
use crate::handshake::{ClientHandshake, Handshake};
use crate::offload::Offloads;
use crate::transport::{Polled, into_poll, tokio_socket};
use crate::wakers::Wakers;
use crate::{ClientConnection, Error};

/// Bytes that are taken as early data at most: they are held, to be sent again if the server refuses
/// them.
const MOST: usize = 64 * 1024;

/// A handshake of a stream that exists already.
pub(super) trait EarlyHandshake<IO, Session>: Send + Sync {
    /// Takes some of `data` as early data.
    fn seal(&mut self, data: &[u8]) -> usize;

    fn drive(&mut self, transport: &mut Polled<'_, '_, IO>) -> io::Result<()>;

    fn finish(self: Box<Self>) -> Result<Established<Session>, Error>;
}

impl<IO: AsyncRead + AsyncWrite + Unpin> EarlyHandshake<IO, ClientConnection> for ClientHandshake {
    fn seal(&mut self, data: &[u8]) -> usize {
        let room = MOST - self.early_len().min(MOST);
        self.seal_and_keep_early_data(&data[..data.len().min(room)])
    }

    fn drive(&mut self, transport: &mut Polled<'_, '_, IO>) -> io::Result<()> {
        Handshake::drive(self, transport)
    }

    fn finish(self: Box<Self>) -> Result<Established<ClientConnection>, Error> {
        hand_over(self)
    }
}

/// What is between a stream and its connection.
pub(super) enum Early<IO, Session> {
    /// Writes are early data until the handshake begins, which a flush or a write of something else
    /// makes it do.
    Handshaking(Box<dyn EarlyHandshake<IO, Session>>),
    /// The server refused the early data: it is written before anything else.
    Refused {
        data: Vec<u8>,
        written: usize,
        /// Whether that failed: it may go on, and nobody waits for it.
        failed: bool,
    },
}

impl<IO, Session> Early<IO, Session> {
    /// Whether who reads waits for who writes.
    pub(super) fn holds_reader(&self) -> bool {
        !matches!(self, Self::Refused { failed: true, .. })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream<IO, ClientConnection> {
    /// A stream whose handshake, which allows early data, has not begun.
    pub(crate) fn early(
        io: IO,
        handshake: Box<ClientHandshake>,
        offloads: Offloads,
    ) -> Result<Self, (Error, IO)> {
        let session = handshake.session();
        let orders = session.orders.clone();
        let connection = Connection::before_handshake(orders).and_then(|mut connection| {
            connection.offload(tokio_socket(&io), offloads)?;
            Ok(connection)
        });
        match connection {
            Ok(connection) => {
                let mut stream = Self::new(io, session, connection);
                stream.way.early = Some(Box::new(Early::Handshaking(handshake)));
                Ok(stream)
            }
            Err(error) => Err((error, io)),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> Stream<IO, Session> {
    /// Takes some of `slices` as early data, while that is possible. A program would have to be
    /// asked, and may answer more than once: it gets no early data.
    pub(super) fn seal_early(&mut self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let Early::Handshaking(handshake) = &mut **self.way.early.as_mut()? else {
            return None;
        };
        if self.connection.judges_egress() {
            return None;
        }
        let mut sealed = 0;
        for slice in slices {
            let taken = handshake.seal(slice);
            sealed += taken;
            if taken < slice.len() {
                break;
            }
        }
        (sealed > 0).then_some(sealed)
    }

    /// Completes the handshake, and writes the early data again that the server refused.
    pub(super) fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(early) = &mut self.way.early {
            match &mut **early {
                Early::Handshaking(handshake) => {
                    let mut transport = Polled {
                        io: &mut self.io,
                        cx,
                        // Who reads waits for who writes.
                        wakers: &mut Wakers::default(),
                        direction: Direction::Tx,
                    };
                    let driven = ready!(into_poll(handshake.drive(&mut transport)));
                    self.establish(driven)?;
                }
                Early::Refused { data, written, .. } if *written < data.len() => {
                    let polled = self.poll_write_refused(cx);
                    if matches!(polled, Poll::Ready(Err(_))) {
                        self.let_reader_go();
                    }
                    ready!(polled)?;
                }
                Early::Refused { .. } => {
                    self.way.early = None;
                    self.connection.wake_reader();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of the early data that the server refused. What is asked of the session is behind
    /// that.
    fn poll_write_refused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Early::Refused {
            data,
            written,
            failed,
        }) = self.way.early.as_deref_mut()
        else {
            return Poll::Ready(Ok(()));
        };
        let mut transport = Polled {
            io: &mut self.io,
            cx,
            wakers: &mut self.way.wakers,
            direction: Direction::Tx,
        };
        let slices = [IoSlice::new(&data[*written..])];
        let connection = &mut self.connection;
        match into_poll(connection.write_before_orders(&mut transport, &slices, false)) {
            Poll::Ready(n) => {
                *written += n?;
                Poll::Ready(Ok(()))
            }
            Poll::Pending if *failed => Poll::Pending,
            Poll::Pending => {
                // The peer may take nothing before its own is taken, or have given up.
                self.read_ahead(cx)?;
                Poll::Pending
            }
        }
    }

    /// Who reads waits no longer, and finds out by itself why it has failed.
    fn let_reader_go(&mut self) {
        if let Some(Early::Refused { failed, .. }) = self.way.early.as_deref_mut() {
            *failed = true;
        }
        self.connection.wake_reader();
    }

    /// The handshake is over, be it that it failed.
    fn establish(&mut self, driven: io::Result<()>) -> io::Result<()> {
        let Some(Early::Handshaking(handshake)) = self.way.early.take().map(|early| *early) else {
            return Ok(());
        };
        let socket = tokio_socket(&self.io);
        let established = driven.and_then(|()| {
            let mut established = handshake.finish()?;
            established
                .connection
                .take_over(&mut self.connection, socket)?;
            Ok(established)
        });
        match established {
            Ok(established) => {
                self.connection.session = established.session;
                **self.connection = established.connection;
                self.way.early = Some(Box::new(Early::Refused {
                    data: established.unsent,
                    written: 0,
                    failed: false,
                }));
                Ok(())
            }
            Err(error) => {
                let why = Error::of(&error).unwrap_or(Error::ClosedInHandshake);
                self.connection.fail_early(why);
                Err(error)
            }
        }
    }
}
