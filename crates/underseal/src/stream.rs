mod closing;
#[cfg(feature = "early-data")]
mod early;
mod polling;

use std::borrow::BorrowMut;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use underseal_record::ContentType;
use underseal_sys::tls::Direction;

use crate::engine::{Connection, KeyUpdateRequest, Spliced};
use crate::established::{Established, Way, sealed};
use crate::file;
use crate::transport::{Polled, into_poll, tokio_socket};
use crate::wakers::Wakers;

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
/// of kind `UnexpectedEof` ([`crate::Error::Truncated`]).
///
/// # Cancellation
///
/// The `AsyncRead`, `AsyncWrite` and `AsyncBufRead` methods lose nothing when a future built on
/// them is dropped. The futures of this type's own methods say what they leave behind.
///
/// # Memory
///
/// An idle stream owns no buffer. A stream whose peer does not read holds at most one batch of
/// sealed data (256 KiB, 64 KiB while the peer is slow): small writes are taken up to that while the
/// socket is full, and sent together.
pub type Stream<IO, Session> = Established<IO, Session, Tasks<IO, Session>>;

/// A connection that tasks drive: who of them waits and, before its handshake, how that goes.
pub struct Tasks<IO, Session> {
    wakers: Wakers,
    #[cfg(feature = "early-data")]
    early: Option<Box<early::Early<IO, Session>>>,
    #[cfg(not(feature = "early-data"))]
    of: std::marker::PhantomData<fn(IO, Session)>,
}

impl<IO, Session> Default for Tasks<IO, Session> {
    fn default() -> Self {
        Self {
            wakers: Wakers::default(),
            #[cfg(feature = "early-data")]
            early: None,
            #[cfg(not(feature = "early-data"))]
            of: std::marker::PhantomData,
        }
    }
}

impl<IO, Session> std::fmt::Debug for Tasks<IO, Session> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl<IO, Session> sealed::Sealed for Tasks<IO, Session> {}

impl<IO, Session> Way for Tasks<IO, Session> {
    fn socket_of<Below>(io: &Below) -> Option<BorrowedFd<'_>> {
        tokio_socket(io)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> Stream<IO, Session> {
    /// Whether the handshake is still to be done: whoever reads waits for who writes.
    fn is_early(&self) -> bool {
        #[cfg(feature = "early-data")]
        return self
            .way
            .early
            .as_deref()
            .is_some_and(early::Early::holds_reader);
        #[cfg(not(feature = "early-data"))]
        false
    }

    #[cfg(not(feature = "early-data"))]
    fn poll_established(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Calls on behalf of a task that reads.
    fn reading<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Connection, &mut Polled<'_, '_, IO>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let polled = match self.is_early() {
            true => Poll::Pending,
            false => self.receiving(cx, call),
        };
        if polled.is_pending() {
            self.connection.note_reader(cx.waker());
        }
        polled
    }

    /// The same for whoever receives: the task that reads may be another.
    fn receiving<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Connection, &mut Polled<'_, '_, IO>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let (connection, mut transport) = self.polled(cx, Direction::Rx);
        into_poll(call(connection, &mut transport))
    }

    /// Calls on behalf of a task that writes.
    fn writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Connection, &mut Polled<'_, '_, IO>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        ready!(self.poll_established(cx))?;
        let (connection, mut transport) = self.polled(cx, Direction::Tx);
        into_poll(call(connection, &mut transport))
    }

    fn polled<'a, 'cx>(
        &'a mut self,
        cx: &'a mut Context<'cx>,
        direction: Direction,
    ) -> (&'a mut Connection, Polled<'a, 'cx, IO>) {
        let transport = Polled {
            io: &mut self.io,
            cx,
            wakers: &mut self.way.wakers,
            direction,
        };
        (&mut self.connection, transport)
    }

    /// Takes what the peer says besides data, and what data one read brings, for later.
    ///
    /// # Errors
    ///
    /// Why nothing is sent any more. Any other failure the next read says.
    pub(crate) fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let read = self.receiving(cx, |connection, transport| {
            connection.peek(transport, &mut [])
        });
        let tx = &self.connection.tx;
        match read {
            // An alert of its own goes out first.
            Poll::Ready(Err(error)) if tx.is_closed() && tx.pending_len() == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends the bytes of `range` of `file`, and returns how many they were: fewer than asked if
    /// the file is shorter. Returns once the stream below has taken all of them.
    ///
    /// The file is read by position into a buffer of the thread, and sealed from there; its cursor
    /// does not move. Pages that are not in memory are read on the runtime's blocking threads.
    ///
    /// A range that is lent (`&mut range`) starts behind the bytes that were taken, whatever came
    /// of the call: call again with it, and nothing is sent twice.
    ///
    /// Where the kernel seals it is given 1 MiB at a time: as much it may take of a file whose peer has
    /// left, before that is an error.
    ///
    /// # Errors
    ///
    /// Of the file or of the stream below.
    ///
    /// # Cancellation
    ///
    /// A dropped future has taken what a range that was lent to it no longer contains; `flush`
    /// sends what of it is pending. If the range was not lent, nobody knows how much that is: such
    /// a connection is fit for nothing but to be dropped.
    #[doc(alias = "sendfile")]
    pub async fn send_file(
        &mut self,
        file: &File,
        mut range: impl BorrowMut<Range<u64>>,
    ) -> io::Result<u64> {
        let range = range.borrow_mut();
        let start = range.start;
        while range.start < range.end {
            let batch = poll_fn(|cx| {
                self.writing(cx, |connection, transport| {
                    file::send_batch(connection, transport, file, range.clone())
                })
            });
            match batch.await? {
                file::Batch::Sent(n) => range.start += n,
                file::Batch::NotCached => file::warm(file, range.start).await?,
                file::Batch::EndOfFile => break,
            }
        }
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await?;
        Ok(range.start - start)
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
            self.writing(cx, |connection, transport| {
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
        poll_fn(|cx| self.reading(cx, |connection, transport| connection.peek(transport, out)))
            .await
    }

    /// Moves up to `len` bytes of received data into `pipe`, and returns how many; zero once the
    /// peer sent close_notify. Where the kernel opens, no byte passes through this process. Alerts,
    /// tickets and key updates on the way are handled as by a read.
    ///
    /// # Errors
    ///
    /// Those of reading; `WouldBlock` if the pipe is full, also if it is one that waits: read from it,
    /// and call again. `EINVAL` if it is no pipe.
    ///
    /// # Cancellation
    ///
    /// A dropped future has moved nothing.
    #[doc(alias = "splice")]
    pub async fn splice_to(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_splice_to(cx, &pipe, len)).await
    }

    /// [`splice_to`](Self::splice_to), for those who poll.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn poll_splice_to(
        &mut self,
        cx: &mut Context<'_>,
        pipe: impl AsFd,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let spliced = self.reading(cx, |connection, transport| {
            connection.splice_to(transport, pipe.as_fd(), len)
        });
        spliced.map(|spliced| spliced.and_then(Spliced::into_result))
    }

    /// Sends up to `len` bytes out of `pipe`, and returns how many; zero at the pipe's end. Where
    /// the kernel seals, no byte passes through this process. `flush` sends what is pending.
    ///
    /// A pipe in packet mode (`O_DIRECT`, pipe(2)) gives each packet up whole: where this process
    /// seals, what a packet has beyond `len`, or beyond the room in a record, is lost.
    ///
    /// # Errors
    ///
    /// Those of writing; `WouldBlock` if the pipe is empty, also if it is one that waits: wait for it,
    /// and call again. `EINVAL` if it is no pipe.
    ///
    /// # Cancellation
    ///
    /// A dropped future has moved nothing.
    #[doc(alias = "splice")]
    pub async fn splice_from(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_splice_from(cx, &pipe, len)).await
    }

    /// [`splice_from`](Self::splice_from), for those who poll.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn poll_splice_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: impl AsFd,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let spliced = self.writing(cx, |connection, transport| {
            connection.splice_from(transport, pipe.as_fd(), len)
        });
        spliced.map(|spliced| spliced.and_then(Spliced::into_result))
    }

    /// Starts a key update: the next record of data is sealed under a new key and, if the peer is
    /// asked to, it answers with one of its own (RFC 8446 section 4.6.3). Key updates that the peer
    /// starts are answered, and one is sent before the key's limit, without being asked for.
    ///
    /// What the stream below has no room for is sent by the next call that reads, writes or
    /// flushes.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] under TLS 1.2; of the stream below.
    ///
    /// # Cancellation
    ///
    /// It does not wait: a dropped future has done nothing.
    pub async fn key_update(&mut self, request: KeyUpdateRequest) -> io::Result<()> {
        poll_fn(|cx| {
            self.writing(cx, |connection, transport| {
                connection.key_update(transport, request)
            })
        })
        .await
    }

    /// Sends `payload` in records of another type, as `sendmsg` with `TLS_SET_RECORD_TYPE` does on
    /// a kernel TLS socket, and returns its length. What a peer makes of it is the caller's
    /// business. A payload that is lent (`&mut payload`) begins behind the bytes that were taken,
    /// whatever came of the call.
    ///
    /// # Errors
    ///
    /// Of the stream below; [`crate::Error::Record`] for a type that may not be sent.
    ///
    /// # Cancellation
    ///
    /// As of [`send_file`](Self::send_file).
    pub async fn send_record<'p>(
        &mut self,
        content_type: ContentType,
        mut payload: impl BorrowMut<&'p [u8]>,
    ) -> io::Result<usize> {
        let rest = payload.borrow_mut();
        let len = rest.len();
        while !rest.is_empty() {
            let sent = poll_fn(|cx| {
                self.writing(cx, |connection, transport| {
                    connection.write_typed(transport, content_type, &mut [IoSlice::new(rest)])
                })
            });
            let sent = sent.await?;
            *rest = &rest[sent..];
        }
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await?;
        Ok(len)
    }

    /// Reads (a part of) one record: application data, or a record of a type that TLS itself does
    /// not use. `None` once the peer sent close_notify. From the first call on such records are
    /// kept for this method, and `read` fails with [`crate::Error::RecordPending`] at one; before that,
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
            self.reading(cx, |connection, transport| {
                connection.read_record(transport, out)
            })
        })
        .await
    }
}
