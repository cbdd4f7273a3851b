use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use underseal_record::{Backend, ContentType, Limits, Padding};
use underseal_sys::tls::Direction;

use crate::Error;
use crate::engine::{Connection, Counters, KeyUpdateRequest, Spliced};
use crate::file;
use crate::offload::{Engines, Offloads};
use crate::parts::Parts;
use crate::transport::{Polled, into_poll, tokio_socket};

/// An established TLS connection over a tokio stream: [`crate::client::TlsStream`] or
/// [`crate::server::TlsStream`].
///
/// # Writing
///
/// What a write took is sealed at once and sent as far as the socket takes it; `flush` waits for
/// the rest. `shutdown` sends close_notify, then shuts the stream below down for writing; reading
/// goes on. **Dropping a stream sends nothing**: a peer must be able to tell a transfer that was
/// cut short from one that is complete.
///
/// # Reading
///
/// Zero bytes mean that the peer sent close_notify. A TCP stream that ends without it is an error
/// of kind `UnexpectedEof` ([`Error::Truncated`]).
///
/// # Cancellation
///
/// The `AsyncRead`, `AsyncWrite` and `AsyncBufRead` methods lose nothing when a future built on
/// them is dropped. The futures of this type's own methods say what they leave behind.
///
/// # Memory
///
/// An idle stream owns no buffer. A stream whose peer does not read holds at most one batch of
/// sealed data (256 KiB, 64 KiB while the peer is slow).
pub struct Stream<IO, Session> {
    io: IO,
    session: Session,
    connection: Box<Connection>,
}

impl<IO, Session> Stream<IO, Session> {
    pub(crate) fn new(io: IO, session: Session, connection: Connection) -> Self {
        Self {
            io,
            session,
            connection: Box::new(connection),
        }
    }

    /// The stream below and what the handshake agreed on.
    pub fn get_ref(&self) -> (&IO, &Session) {
        (&self.io, &self.session)
    }

    /// The stream below and what the handshake agreed on. Reading from or writing to the stream
    /// below breaks the connection.
    pub fn get_mut(&mut self) -> (&mut IO, &mut Session) {
        (&mut self.io, &mut self.session)
    }

    /// Ends TLS without a word to the peer, and gives back what is left.
    pub fn into_inner(self) -> (IO, Session) {
        (self.io, self.session)
    }

    /// Sealed bytes that the stream below has not taken yet; `flush` sends them.
    pub fn pending_bytes(&self) -> usize {
        self.connection.tx.pending_len()
    }
}

impl<IO, Session> Stream<IO, Session> {
    /// How records are padded from now on (TLS 1.3; none by default).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the kernel seals: it never pads. Choose [`crate::Offload::User`] for
    /// streams that are to be padded.
    pub fn set_padding(&mut self, padding: Padding) -> Result<(), Error> {
        self.connection.tx.set_padding(padding)
    }

    /// Lowers the number of records that one key may seal, and with it when the automatic key
    /// update comes. Limits cannot be raised over those of the suite.
    pub fn lower_limits(&mut self, limits: Limits) {
        self.connection.tx.lower_limits(limits);
    }

    /// Which engine seals and which opens, right now.
    pub fn engines(&self) -> Engines {
        self.connection.engines()
    }

    /// Chooses the engine of each direction anew. A direction moves into the kernel at once if
    /// nothing of it is buffered, otherwise when that has been sent or read; [`engines`] tells.
    /// [`OFFLOAD_VARIABLE`](crate::OFFLOAD_VARIABLE) has the last word here too.
    ///
    /// # Errors
    ///
    /// [`Error::Offload`] if the kernel was asked for and refuses, or if it was not asked for
    /// and holds the direction already.
    ///
    /// [`engines`]: Self::engines
    pub fn set_offload(&mut self, offloads: impl Into<Offloads>) -> Result<(), Error> {
        let socket = tokio_socket(&self.io);
        let offloads = offloads.into().or_environment();
        self.connection.offload(socket, offloads)
    }

    /// What went over the connection since its handshake.
    pub fn counters(&self) -> Counters {
        self.connection.counters()
    }

    /// Which AEAD library seals. `None` if the kernel does.
    pub fn backend(&self) -> Option<Backend> {
        self.connection.tx.backend()
    }

    /// Lets a network card that seals read file pages while `send_file` sends them, instead of
    /// copies. Without such a card it does nothing.
    ///
    /// **Hazard**: a file that is written to while it is sent breaks the connection, because a
    /// retransmission is sealed from other bytes under the same nonce; who sees both learns about
    /// the key stream. Use it for files that nobody writes.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the kernel seals; otherwise what the kernel said.
    #[doc(alias = "TLS_TX_ZEROCOPY_RO")]
    pub fn set_zerocopy_send_file(&mut self, on: bool) -> io::Result<()> {
        let socket = tokio_socket(&self.io);
        let socket = self.connection.kernel_socket(Direction::Tx, socket)?;
        Ok(underseal_sys::tls::set_zerocopy_ro(socket, on)?)
    }

    /// Promises the kernel that the peer does not pad its records (TLS 1.3): it then opens them
    /// straight into the reader's memory.
    ///
    /// **Hazard**: a record that is padded after all, and every control record, is opened twice:
    /// a peer can make its records cost double.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the kernel opens; otherwise what the kernel said.
    #[doc(alias = "TLS_RX_EXPECT_NO_PAD")]
    pub fn set_expect_no_padding(&mut self, on: bool) -> io::Result<()> {
        let socket = tokio_socket(&self.io);
        let socket = self.connection.kernel_socket(Direction::Rx, socket)?;
        Ok(underseal_sys::tls::set_expect_no_pad(socket, on)?)
    }

    /// Takes the stream apart: the stream below, the keys and sequence numbers of both directions,
    /// and the bytes between them and the application.
    ///
    /// # Errors
    ///
    /// If the connection has failed: its keys protect nothing any more.
    pub fn into_parts(self) -> Result<Parts<IO, Session>, Error> {
        Parts::take(self.io, self.session, *self.connection, tokio_socket)
    }

    /// Builds a stream from parts.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] if the keys of the two directions do not fit together.
    pub fn from_parts(parts: Parts<IO, Session>) -> Result<Self, Error> {
        let (io, session, connection) = parts.put_together(tokio_socket)?;
        Ok(Self::new(io, session, connection))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> Stream<IO, Session> {
    fn with<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Connection, &mut Polled<'_, '_, IO>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let mut transport = Polled {
            io: &mut self.io,
            cx,
        };
        into_poll(call(&mut self.connection, &mut transport))
    }

    /// Sends the bytes of `range` of `file`, and returns how many they were: fewer than asked if
    /// the file is shorter. Returns once the stream below has taken all of them.
    ///
    /// The file is read by position into a buffer of the thread, and sealed from there; its cursor
    /// does not move. Pages that are not in memory are read on the runtime's blocking threads.
    ///
    /// # Cancellation
    ///
    /// A dropped future leaves whole records sent or pending, but tells nobody how many: such a
    /// connection is fit for nothing but to be dropped.
    pub async fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<u64> {
        let mut at = range.start;
        while at < range.end {
            let batch = poll_fn(|cx| {
                self.with(cx, |connection, transport| {
                    file::send_batch(connection, transport, file, at..range.end)
                })
            });
            match batch.await? {
                file::Batch::Sent(n) => at += n,
                file::Batch::NotCached => file::warm(file, at).await?,
                file::Batch::EndOfFile => break,
            }
        }
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await?;
        Ok(at - range.start)
    }

    /// As `write`, but the last record stays open: it is sent when it is full, or with what the
    /// next write, `flush`, `shutdown` or control record adds. Returns the bytes taken.
    ///
    /// # Cancellation
    ///
    /// A dropped future has taken nothing.
    #[doc(alias = "MSG_MORE")]
    pub async fn write_more(&mut self, buf: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            self.with(cx, |connection, transport| {
                connection.write_slices(transport, &[IoSlice::new(buf)], true)
            })
        })
        .await
    }

    /// Copies what the next read will give, without taking it: at least a byte, zero at the end.
    ///
    /// # Cancellation
    ///
    /// A dropped future has lost nothing.
    #[doc(alias = "MSG_PEEK")]
    pub async fn peek(&mut self, out: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.with(cx, |connection, transport| connection.peek(transport, out))).await
    }

    /// Moves up to `len` bytes of received data into `pipe`, and returns how many; zero once the
    /// peer sent close_notify. Where the kernel opens, no byte passes through this process. Alerts,
    /// tickets and key updates on the way are handled as by a read.
    ///
    /// # Errors
    ///
    /// Those of reading; `WouldBlock` if the pipe is full: read from it, and call again. Make the
    /// pipe non-blocking, or the runtime's thread waits for it.
    ///
    /// # Cancellation
    ///
    /// A dropped future has moved nothing.
    #[doc(alias = "splice")]
    pub async fn splice_to(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        let pipe = pipe.as_fd();
        let spliced = poll_fn(|cx| {
            self.with(cx, |connection, transport| {
                connection.splice_to(transport, pipe, len)
            })
        });
        spliced.await.and_then(Spliced::into_result)
    }

    /// Sends up to `len` bytes out of `pipe`, and returns how many; zero at the pipe's end. Where
    /// the kernel seals, no byte passes through this process. `flush` sends what is pending.
    ///
    /// # Errors
    ///
    /// Those of writing; `WouldBlock` if the pipe is empty: wait for it, and call again. Make the
    /// pipe non-blocking, or the runtime's thread waits for it.
    ///
    /// # Cancellation
    ///
    /// A dropped future has moved nothing.
    #[doc(alias = "splice")]
    pub async fn splice_from(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        let pipe = pipe.as_fd();
        let spliced = poll_fn(|cx| {
            self.with(cx, |connection, transport| {
                connection.splice_from(transport, pipe, len)
            })
        });
        spliced.await.and_then(Spliced::into_result)
    }

    /// Starts a key update: the next record is sealed under a new key and, if the peer is asked
    /// to, it answers with one of its own (RFC 8446 section 4.6.3). Key updates that the peer
    /// starts are answered, and one is sent before the key's limit, without being asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] under TLS 1.2.
    ///
    /// # Cancellation
    ///
    /// A dropped future has updated the key; `flush` sends the message.
    pub async fn key_update(&mut self, request: KeyUpdateRequest) -> io::Result<()> {
        self.connection.key_update(request)?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Sends `payload` in records of another type, as `sendmsg` with `TLS_SET_RECORD_TYPE` does on
    /// a kernel TLS socket. What a peer makes of it is the caller's business.
    ///
    /// # Cancellation
    ///
    /// A dropped future may have sent a part of `payload`.
    pub async fn send_record(
        &mut self,
        content_type: ContentType,
        payload: &[u8],
    ) -> io::Result<()> {
        let mut rest = payload;
        while !rest.is_empty() {
            let sent = poll_fn(|cx| {
                self.with(cx, |connection, transport| {
                    connection.write_typed(transport, content_type, &mut [IoSlice::new(rest)])
                })
            });
            rest = &rest[sent.await?..];
        }
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Reads (a part of) one record: application data, or a record of a type that TLS itself does
    /// not use. `None` once the peer sent close_notify. From the first call on such records are
    /// kept for this method, and `read` fails with [`Error::RecordPending`] at one; before that,
    /// they are the protocol error that RFC 8446 section 5 makes of them.
    ///
    /// # Cancellation
    ///
    /// A dropped future has lost nothing.
    pub async fn read_record(
        &mut self,
        out: &mut [u8],
    ) -> io::Result<Option<(ContentType, usize)>> {
        poll_fn(|cx| {
            self.with(cx, |connection, transport| {
                connection.read_record(transport, out)
            })
        })
        .await
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncRead for Stream<IO, Session> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let out = buf.initialize_unfilled();
        let n = ready!(self.get_mut().with(cx, |connection, transport| {
            connection.read(transport, out)
        }))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncBufRead for Stream<IO, Session> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let mut transport = Polled {
            io: &mut this.io,
            cx,
        };
        into_poll(this.connection.fill_buf(&mut transport))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().connection.consume(n);
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncWrite for Stream<IO, Session> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().with(cx, |connection, transport| {
            connection.write_slices(transport, bufs, false)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.with(cx, |connection, transport| connection.flush(transport)))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.with(cx, |connection, transport| connection.close(transport)))?;
        match ready!(Pin::new(&mut this.io).poll_shutdown(cx)) {
            // The peer has reset the connection meanwhile: nothing is left to shut down.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl<IO: AsFd, Session> AsFd for Stream<IO, Session> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<IO: std::os::fd::AsRawFd, Session> std::os::fd::AsRawFd for Stream<IO, Session> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.io.as_raw_fd()
    }
}

impl<IO: std::fmt::Debug, Session: std::fmt::Debug> std::fmt::Debug for Stream<IO, Session> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
