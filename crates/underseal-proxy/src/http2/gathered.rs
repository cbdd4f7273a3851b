//! Frames of one turn, sent together; and those that come in, as [`super::inbound`] passes them on.
//!
//! `h2` writes and flushes each frame of data by itself. A frame is a little longer than a record
//! of TLS may be, so each would take two records and a system call. Here they wait until `h2` has
//! nothing more to say, or a buffer is full.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::backlog::Backlog;
use super::frames::Frames;
use super::inbound::Inbound;
use crate::chunk::Chunk;
use crate::stream::Stream;

/// A stream that `h2` writes to, shared with who has to [send](Self::poll_send) what is written.
#[derive(Clone)]
pub(crate) struct Gathered(Rc<RefCell<Inner>>);

struct Inner {
    stream: Stream,
    inbound: Inbound,
    /// What was written and not sent.
    chunk: Chunk,
    /// Whether flushing is left to [`Gathered::poll_send`].
    is_deferred: bool,
    /// Bytes that came in.
    received: u64,
    /// Whether the stream takes less than is written.
    backlog: Backlog,
}

impl Gathered {
    /// The stream of a client; until [`Self::defer`] is called, it flushes when it is told to.
    pub(crate) fn of_client(stream: Stream) -> Self {
        Self::new(stream, Frames::of_client())
    }

    /// The same of a backend.
    pub(crate) fn of_backend(stream: Stream) -> Self {
        Self::new(stream, Frames::of_server())
    }

    fn new(stream: Stream, frames: Frames) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            stream,
            inbound: Inbound::new(frames),
            chunk: Chunk::default(),
            is_deferred: false,
            received: 0,
            backlog: Backlog::default(),
        })))
    }

    /// Whether its other end takes what is written.
    pub(crate) fn backlog(&self) -> Backlog {
        self.0.borrow().backlog.clone()
    }

    /// From now on only [`Self::poll_send`] flushes: to be called after each turn of `h2`.
    pub(crate) fn defer(&self) {
        self.0.borrow_mut().is_deferred = true;
    }

    /// How many bytes came in.
    pub(crate) fn received(&self) -> u64 {
        self.0.borrow().received
    }

    /// How many empty frames came since the last call.
    pub(super) fn take_empty(&self) -> u32 {
        self.0.borrow_mut().inbound.take_empty()
    }

    /// Sends what was written.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }

    /// The stream; `None` if somebody else still has a handle to it.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        Some(Rc::into_inner(self.0)?.into_inner().stream)
    }
}

impl Inner {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.chunk.is_empty() {
            ready!(self.poll_send_some(cx))?;
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.backlog.set(flushed.is_pending());
        flushed
    }

    fn poll_send_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, self.chunk.bytes());
        let Poll::Ready(sent) = sent? else {
            self.backlog.set(true);
            self.chunk.settle();
            return Poll::Pending;
        };
        self.chunk.consume(sent);
        self.backlog.add_taken(sent);
        Poll::Ready(match sent {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        })
    }

    /// Takes bytes of `bufs`: at least one, if there are any; and none behind one that was left.
    fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.chunk.is_full() {
            ready!(self.poll_send_some(cx))?;
        }
        let mut taken = 0;
        for buf in bufs {
            let appended = self.chunk.append(buf);
            taken += appended;
            if appended < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Gathered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Inner {
            stream,
            inbound,
            received,
            ..
        } = &mut *self.0.borrow_mut();
        let before = buf.filled().len();
        let read = inbound.poll_read(cx, Pin::new(stream), buf);
        *received += (buf.filled().len() - before) as u64;
        read
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        match inner.is_deferred {
            true => Poll::Ready(Ok(())),
            false => inner.poll_send(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http2::backlog::Hold;
    use crate::metrics::{Metrics, Side};
    use crate::stream::Io;

    async fn pair() -> (Gathered, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address"));
        let near = near.await.expect("connect");
        let (far, _) = listener.accept().await.expect("a connection");
        let open = Metrics::new(1).tally(0).connection(Side::Client);
        let stream = Stream::new(Io::Plain(near), None, open);
        (Gathered::of_backend(stream), far)
    }

    fn waits(gathered: &Gathered) -> usize {
        gathered.0.borrow().chunk.bytes().len()
    }

    #[tokio::test]
    async fn frames_wait_for_the_end_of_a_turn() {
        let (mut gathered, mut far) = pair().await;
        gathered.write_all(b"hello").await.expect("memory");
        gathered.flush().await.expect("at once");
        assert_eq!(waits(&gathered), 0);
        gathered.defer();
        for frame in [&b" one"[..], b" two"] {
            gathered.write_all(frame).await.expect("memory");
            gathered.flush().await.expect("later");
        }
        assert_eq!(waits(&gathered), 8);
        poll_fn(|cx| gathered.poll_send(cx)).await.expect("sent");
        assert_eq!(waits(&gathered), 0);
        gathered.write_all(b" end").await.expect("memory");
        gathered.shutdown().await.expect("an end sends too");
        let mut all = String::new();
        far.read_to_string(&mut all).await.expect("all of it");
        assert_eq!(all, "hello one two end");
        assert!(gathered.into_stream().is_some());
    }

    #[tokio::test]
    async fn more_than_a_buffer_is_sent_as_it_comes() {
        let (mut gathered, mut far) = pair().await;
        gathered.defer();
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
        let mut all = vec![0; bytes.len()];
        let send = async {
            gathered.write_all(&bytes).await.expect("sent");
            poll_fn(|cx| gathered.poll_send(cx)).await.expect("sent");
        };
        let (_, read) = tokio::join!(send, far.read_exact(&mut all));
        read.expect("all of it");
        assert!(all == bytes);
    }

    #[tokio::test]
    async fn streams_know_whether_the_socket_takes_what_is_written() {
        let (mut gathered, mut far) = pair().await;
        gathered.defer();
        let backlog = gathered.backlog();
        let mut written = 0;
        while !backlog.is_full() {
            gathered.write_all(&[7; 100_000]).await.expect("memory");
            written += 100_000;
            let send = poll_fn(|cx| Poll::Ready(gathered.poll_send(cx)));
            assert!(!matches!(send.await, Poll::Ready(Err(_))));
        }
        let mut all = vec![0; written];
        let send = poll_fn(|cx| gathered.poll_send(cx));
        let mut hold = Hold::new(backlog.clone());
        hold.begin();
        let taken = poll_fn(|cx| hold.poll_over(cx));
        let (taken, sent, read) = tokio::join!(taken, send, far.read_exact(&mut all));
        let ((), ()) = (taken, sent.expect("sent"));
        read.expect("all of it");
        assert!(!backlog.is_full());
    }

    #[tokio::test]
    async fn a_stream_that_keeps_the_socket_busy_does_not_hold_up_others() {
        let (mut gathered, mut far) = pair().await;
        gathered.defer();
        let backlog = gathered.backlog();
        let mut hold = Hold::new(backlog.clone());
        let (mut left, mut read) = (1000, vec![0; 64 * 1024]);
        loop {
            // There is always more to send than a slow client reads.
            while poll_fn(|cx| {
                let more = Pin::new(&mut gathered).poll_write(cx, &[7; 100_000]);
                Poll::Ready(more.is_ready())
            })
            .await
            {}
            if left == 1000 {
                assert!(backlog.is_full());
                hold.begin();
            }
            let is_over = poll_fn(|cx| Poll::Ready(hold.poll_over(cx).is_ready()));
            if is_over.await {
                break;
            }
            left -= 1;
            assert!(left > 0, "held for as long as there is a backlog");
            far.read_exact(&mut read).await.expect("data");
            tokio::task::yield_now().await;
        }
        assert!(backlog.is_full());
    }

    #[tokio::test]
    async fn a_head_of_a_frame_and_its_payload_stay_together() {
        let (gathered, _far) = pair().await;
        // What a slow peer leaves: some was sent, and there are four bytes of the buffer behind the rest.
        let left = vec![7; 256 * 1024 - 4];
        gathered.0.borrow_mut().chunk.append(&left);
        gathered.0.borrow_mut().chunk.consume(16);
        let (head, payload) = ([1; 9], [2; 100]);
        let bufs = [IoSlice::new(&head), IoSlice::new(&payload)];
        let taken = poll_fn(|cx| gathered.0.borrow_mut().poll_gather(cx, &bufs)).await;
        assert_eq!(taken.expect("memory"), 20);
        let expected = [&[7][..], &[1; 9], &[2; 11]].concat();
        assert!(gathered.0.borrow().chunk.bytes().ends_with(&expected));
    }

    #[tokio::test]
    async fn a_client_that_is_gone_is_an_error_of_sending() {
        let (mut gathered, far) = pair().await;
        gathered.defer();
        socket2::SockRef::from(&far)
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option");
        drop(far);
        let error = loop {
            gathered.write_all(b"frame").await.expect("memory");
            if let Err(error) = poll_fn(|cx| gathered.poll_send(cx)).await {
                break error;
            }
        };
        let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(gone.contains(&error.kind()), "{error}");
    }
}
