//! The streams that requests come in by and go out by: TCP, or TLS of either side.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::pipe::{SpliceFlags, splice};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use underseal::Direction;

use super::chunk::Chunk;
use super::metrics::Open;
use underseal_server::closing::Closing;
use underseal_server::live::Registration;

/// A stream of a client or of a backend.
pub(crate) struct Stream {
    io: Io,
    /// What was read too early, and comes first.
    unread: Chunk,
    /// Among those that `underseal conns` lists, if it is TLS.
    registration: Option<Registration>,
    /// Counts it as open.
    open: Open,
}

/// What a stream runs over.
pub(crate) enum Io {
    Plain(TcpStream),
    /// Of a backend.
    Unix(UnixStream),
    /// Of a client.
    Accepted(underseal::server::TlsStream<TcpStream>),
    /// Of a backend.
    Connected(underseal::client::TlsStream<TcpStream>),
}

macro_rules! each {
    ($io:expr, $stream:ident => $call:expr) => {
        match $io {
            Io::Plain($stream) => $call,
            Io::Unix($stream) => $call,
            Io::Accepted($stream) => $call,
            Io::Connected($stream) => $call,
        }
    };
}

impl Stream {
    /// A stream, its registration if it has one, and what counts it.
    pub(crate) fn new(io: Io, registration: Option<Registration>, open: Open) -> Self {
        Self {
            io,
            unread: Chunk::default(),
            registration,
            open,
        }
    }

    /// The TCP connection below, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Plain(tcp) => Some(tcp),
            Io::Unix(_) => None,
            Io::Accepted(stream) => Some(stream.get_ref().0),
            Io::Connected(stream) => Some(stream.get_ref().0),
        }
    }

    /// Gives bytes back: the next read gives them first.
    pub(crate) fn unread(&mut self, bytes: Chunk) {
        self.unread = bytes;
    }

    /// Records, for `underseal conns`, how far a TLS stream has come.
    pub(crate) fn record_counters(&self) {
        let Some(registration) = &self.registration else {
            return;
        };
        let (counters, engines) = match &self.io {
            Io::Plain(_) | Io::Unix(_) => return,
            Io::Accepted(stream) => (stream.counters(), stream.engines()),
            Io::Connected(stream) => (stream.counters(), stream.engines()),
        };
        registration.record_counters(counters, engines);
    }

    /// The application protocol that the other end and we agreed on.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        match &self.io {
            Io::Accepted(stream) => stream.get_ref().1.alpn_protocol(),
            Io::Connected(stream) => stream.get_ref().1.alpn_protocol(),
            Io::Plain(_) | Io::Unix(_) => None,
        }
    }

    /// Whether it is TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.io, Io::Accepted(_) | Io::Connected(_))
    }

    /// The engines of a TLS stream, by direction.
    pub(crate) fn engines(&self) -> Option<underseal::Engines> {
        match &self.io {
            Io::Plain(_) | Io::Unix(_) => None,
            Io::Accepted(stream) => Some(stream.engines()),
            Io::Connected(stream) => Some(stream.engines()),
        }
    }

    /// Whether [`poll_splice_to`](Self::poll_splice_to) (to receive) or
    /// [`poll_splice_from`](Self::poll_splice_from) (to send) moves pages that this process never
    /// sees. The others do not splice at all.
    pub(crate) fn splices(&mut self, direction: Direction) -> bool {
        let is_next = direction == Direction::Tx || self.unread.is_empty();
        is_next
            && match &mut self.io {
                Io::Plain(_) | Io::Unix(_) => true,
                Io::Accepted(stream) => stream.splices(direction),
                Io::Connected(stream) => stream.splices(direction),
            }
    }

    /// Moves up to `len` received bytes into `pipe`, which has room; zero at the end.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn poll_splice_to(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let moved = ready!(match &mut self.io {
            Io::Plain(tcp) => poll_splice_to(tcp, cx, pipe, len),
            Io::Unix(unix) => poll_splice_to(unix, cx, pipe, len),
            Io::Accepted(stream) => stream.poll_splice_to(cx, pipe, len),
            Io::Connected(stream) => stream.poll_splice_to(cx, pipe, len),
        })?;
        self.count(Direction::Rx, moved);
        Poll::Ready(Ok(moved))
    }

    /// Sends up to `len` bytes out of `pipe`, which holds as many.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn poll_splice_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let moved = ready!(match &mut self.io {
            Io::Plain(tcp) => poll_splice_from(tcp, cx, pipe, len),
            Io::Unix(unix) => poll_splice_from(unix, cx, pipe, len),
            Io::Accepted(stream) => stream.poll_splice_from(cx, pipe, len),
            Io::Connected(stream) => stream.poll_splice_from(cx, pipe, len),
        })?;
        self.count(Direction::Tx, moved);
        Poll::Ready(Ok(moved))
    }

    fn count(&self, direction: Direction, spliced: usize) {
        self.open.spliced(direction, spliced as u64);
    }

    /// Ends the stream such that what was sent cannot be taken for complete: TLS without
    /// close_notify, TCP by a reset. A socket in the file system has no such end.
    pub(crate) fn abort(self) {
        if let Io::Plain(tcp) = self.io
            && let Err(error) = socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!("cannot reset a connection: {error}");
        }
    }
}

impl Closing for Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        self.tcp()
    }

    async fn linger(&mut self, bytes: usize) {
        match &mut self.io {
            Io::Plain(tcp) => tcp.linger(bytes).await,
            // No client comes by one.
            Io::Unix(_) => {}
            Io::Accepted(stream) => stream.linger(bytes).await,
            Io::Connected(stream) => stream.linger(bytes).await,
        }
    }
}

/// A socket whose readiness tokio knows.
trait Ready: AsFd {
    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>>;

    fn try_io<T>(&self, interest: Interest, call: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

macro_rules! impl_ready {
    ($socket:ty) => {
        impl Ready for $socket {
            fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>> {
                match interest {
                    Interest::READABLE => self.poll_read_ready(cx),
                    _ => self.poll_write_ready(cx),
                }
            }

            fn try_io<T>(
                &self,
                interest: Interest,
                call: impl FnOnce() -> io::Result<T>,
            ) -> io::Result<T> {
                Self::try_io(self, interest, call)
            }
        }
    };
}

impl_ready!(TcpStream);
impl_ready!(UnixStream);

fn poll_splice_to(
    socket: &impl Ready,
    cx: &mut Context<'_>,
    pipe: BorrowedFd<'_>,
    len: usize,
) -> Poll<io::Result<usize>> {
    poll_splice(socket, cx, Interest::READABLE, |socket| {
        splice(socket, None, pipe, None, len, SpliceFlags::NONBLOCK)
    })
}

fn poll_splice_from(
    socket: &impl Ready,
    cx: &mut Context<'_>,
    pipe: BorrowedFd<'_>,
    len: usize,
) -> Poll<io::Result<usize>> {
    poll_splice(socket, cx, Interest::WRITABLE, |socket| {
        splice(pipe, None, socket, None, len, SpliceFlags::NONBLOCK)
    })
}

/// Splices once `socket` is ready; the pipe is, so that `EAGAIN` is the socket's.
fn poll_splice<S: Ready>(
    socket: &S,
    cx: &mut Context<'_>,
    interest: Interest,
    call: impl Fn(&S) -> rustix::io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_ready(cx, interest))?;
        match socket.try_io(interest, || Ok(call(socket)?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let bytes = this.unread.bytes();
            let len = bytes.len().min(buf.remaining());
            buf.put_slice(&bytes[..len]);
            this.unread.consume(len);
            return Poll::Ready(Ok(()));
        }
        each!(&mut this.io, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.get_mut().io, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.get_mut().io, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Those who have given the stream away cannot do it.
        self.record_counters();
        each!(&mut self.get_mut().io, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().io, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
