//! One direction of an exchange: a head, and then the bytes of a body as they come.
//!
//! Nothing is gathered: what was read is written before more is read, so that a slow sink holds
//! back its source. Long bodies go through a pipe where the kernel moves their pages at both ends.

mod body;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;
use underseal_http::Refusal;

pub(crate) use self::body::Body;
use super::chunk::Chunk;
use super::exchange::MAX_KEPT;
use super::pipe::{Pipe, can_splice};
use super::policy::Guard;
use super::stream::Stream;

/// Reads in a row before other connections have their turn.
const TURN: usize = 8;

/// Bytes to come from which on a body is spliced. TLS that is to send it moves into the kernel for
/// that, as for a file of this length.
const LONG: u64 = 256 * 1024;

/// Bytes read at once that make what has no announced length worth splicing.
const BULK: usize = 128 * 1024;

/// Why a body did not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The source failed, or ended too early.
    Source(io::Error),
    /// The sink failed, or takes no more.
    Sink(io::Error),
    /// The source does not keep to its own framing.
    Framing(Refusal),
    /// Its trailers say what only we may say, or what was judged; or there are too many of them.
    Trailers,
}

/// Which end a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Source,
    Sink,
}

/// Where the bytes of a flow come from.
pub(crate) trait Origin {
    /// Adds bytes to those in `chunk`; zero are the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk)
    -> Poll<Result<usize, Broken>>;

    /// The same, before the head was written, where that costs nothing: both go together then.
    fn fill_now(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Result<(), Broken>;

    /// The stream, where its bytes pass as they come: they may be spliced.
    fn stream(&mut self) -> Option<&mut Stream>;

    /// Takes what has come, though the sink takes nothing, where it must not wait elsewhere.
    fn hold(&mut self, _: &mut Context<'_>) {}
}

impl Origin for Stream {
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Chunk,
    ) -> Poll<Result<usize, Broken>> {
        chunk.poll_fill(cx, Pin::new(self)).map_err(Broken::Source)
    }

    fn fill_now(&mut self, _: &mut Context<'_>, _: &mut Chunk) -> Result<(), Broken> {
        Ok(())
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        Some(self)
    }
}

/// What was taken of a body, if it may have to be sent once more.
#[derive(Default)]
pub(crate) struct Replay(Option<Vec<u8>>);

impl Replay {
    /// From now on, unless `body` says that it is long.
    pub(crate) fn of(body: &Body) -> Self {
        let is_long = matches!(body, Body::Length(length) if *length > MAX_KEPT as u64);
        Self((!is_long).then(Vec::new))
    }

    /// Keeps the next bytes that were taken, as long as there are few.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let Some(kept) = &mut self.0 else { return };
        match kept.len() + bytes.len() <= MAX_KEPT {
            true => kept.extend_from_slice(bytes),
            false => self.0 = None,
        }
    }

    /// Keeps nothing any more.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    /// All from the start of the body on, where `chunk` was read behind what was taken; `None` if not
    /// all of that is there.
    pub(crate) fn start(&self, chunk: &Chunk) -> Option<Chunk> {
        let kept = self.0.as_ref()?;
        Some(Chunk::copy_of(&[kept, chunk.bytes()].concat()))
    }
}

/// Bytes from a source to a sink.
pub(crate) struct Flow {
    /// Written before anything else.
    head: Vec<u8>,
    head_written: usize,
    /// What was read.
    pub(crate) chunk: Chunk,
    /// How many bytes of it belong to the body, and are to be written.
    cleared: usize,
    /// What was read past this process. At most one of the two holds anything.
    pipe: Pipe,
    /// Whether the last read was a long one.
    is_bulk: bool,
    is_spliced: bool,
    pub(crate) body: Body,
    /// Bytes of body that the sink took.
    pub(crate) passed: u64,
    pub(crate) waiting: Waiting,
    /// What a trailer section is looked through with.
    guard: Option<Guard>,
    /// What the sink was given of the body.
    pub(crate) replay: Replay,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "cannot read a body: {error}"),
            Self::Sink(error) => write!(f, "cannot write a body: {error}"),
            Self::Framing(refusal) => refusal.fmt(f),
            Self::Trailers => {
                f.write_str("trailers say who the client is, or what was judged, or are too many")
            }
        }
    }
}

impl Broken {
    /// A word for logs, from the words for either end.
    pub(crate) fn word(&self, source: &'static str, sink: &'static str) -> &'static str {
        match self {
            Self::Source(_) | Self::Framing(_) | Self::Trailers => source,
            Self::Sink(_) => sink,
        }
    }
}

impl Flow {
    /// A flow that begins with what was read already.
    pub(crate) fn new(read: Chunk, body: Body) -> Self {
        Self {
            head: Vec::new(),
            head_written: 0,
            chunk: read,
            cleared: 0,
            pipe: Pipe::default(),
            is_bulk: false,
            is_spliced: false,
            body,
            passed: 0,
            waiting: Waiting::Source,
            guard: None,
            replay: Replay::default(),
        }
    }

    /// The same, for a client's body.
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Puts a head before what is to be written; what was there before has been written.
    pub(crate) fn set_head(&mut self, head: Vec<u8>) -> Vec<u8> {
        self.head_written = 0;
        std::mem::replace(&mut self.head, head)
    }

    /// Whether more may be read into [`Flow::chunk`] while the sink takes nothing. Not behind what is
    /// in the pipe; nor what is to go there, because a splice begins where the chunk is empty, and one
    /// that is filled up whenever a slow sink took a part of it never is.
    pub(crate) fn may_read_ahead(&self, source: &mut Stream, sink: &mut Stream) -> bool {
        let is_to_splice = self.to_splice().is_some() && can_splice(source, sink);
        !self.is_spliced && !is_to_splice
    }

    /// Whether the sink has been given anything since the last head was put before it.
    pub(crate) fn has_begun(&self) -> bool {
        self.head_written > 0 || self.passed > 0
    }

    /// What the sink has not taken of the head.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.head[self.head_written..]
    }

    /// What was read beyond the body, if the body was read to its end, and what is missing of it.
    pub(crate) fn into_rest(mut self) -> (Chunk, Body) {
        // Bytes of the body that the sink did not take are not the beginning of something else.
        self.chunk.consume(self.cleared);
        (self.chunk, self.body)
    }

    /// Passes bytes until the body has ended and the sink has taken all of it.
    ///
    /// # Errors
    /// Which end failed.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Origin,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        if !self.has_begun() && self.chunk.is_empty() && !self.body.is_done() {
            source.fill_now(cx, &mut self.chunk)?;
        }
        for _ in 0..TURN {
            self.clear()?;
            self.waiting = Waiting::Sink;
            if self.poll_send(cx, sink)?.is_pending() {
                source.hold(cx);
                return Poll::Pending;
            }
            if self.body.is_done() {
                return Pin::new(sink).poll_flush(cx).map_err(Broken::Sink);
            }
            // What was read ahead while the sink took nothing goes first.
            if self.clear()? {
                continue;
            }
            let read = match self.poll_read(cx, source, sink) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    let flushed = Pin::new(sink).poll_flush(cx).map_err(Broken::Sink)?;
                    if flushed.is_ready() {
                        self.waiting = Waiting::Source;
                    }
                    return Poll::Pending;
                }
            };
            if read == 0 {
                let Body::UntilClose = self.body else {
                    return Poll::Ready(Err(Broken::Source(io::ErrorKind::UnexpectedEof.into())));
                };
                self.body = Body::Done;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes all that can be.
    fn poll_send(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<Result<(), Broken>> {
        ready!(self.poll_write(cx, sink)).map_err(Broken::Sink)?;
        self.poll_drain(cx, sink).map_err(Broken::Sink)
    }

    /// Finds out what of that which was read can be written; whether there is anything.
    fn clear(&mut self) -> Result<bool, Broken> {
        if self.cleared == 0 && !self.chunk.is_empty() {
            let taken = self.body.take(&mut self.chunk, self.guard.as_ref());
            self.cleared = taken.map_err(Broken::Framing)?;
        }
        Ok(self.cleared > 0)
    }

    /// Reads more of the body; zero is the end of `source`.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Origin,
        sink: &mut Stream,
    ) -> Poll<Result<usize, Broken>> {
        let read = match self.spliceable(source, sink) {
            Some((source, len)) => {
                // A sender moves into the kernel when nothing of it is pending.
                if !self.is_spliced {
                    ready!(Pin::new(sink).poll_flush(cx)).map_err(Broken::Sink)?;
                }
                self.is_spliced = true;
                let moved = self.pipe.poll_fill(cx, source, len);
                let moved = ready!(moved).map_err(Broken::Source)?;
                self.body.pass(moved as u64);
                moved
            }
            None => ready!(source.poll_fill(cx, &mut self.chunk))?,
        };
        self.is_bulk = read >= BULK;
        Poll::Ready(Ok(read))
    }

    /// The source, and how many of its next bytes are to be spliced at most; `None` if they go through
    /// a buffer.
    fn spliceable<'s>(
        &mut self,
        source: &'s mut impl Origin,
        sink: &mut Stream,
    ) -> Option<(&'s mut Stream, u64)> {
        let len = self.to_splice()?;
        let source = source.stream()?;
        let splices = self.chunk.is_empty() && can_splice(source, sink) && self.pipe.open();
        splices.then_some((source, len))
    }

    /// How much of the body is to come that is worth a pipe, where both ends splice.
    fn to_splice(&self) -> Option<u64> {
        match self.body {
            Body::Length(left) if self.is_spliced || left >= LONG => Some(left),
            Body::UntilClose if self.is_bulk => Some(u64::MAX),
            _ => None,
        }
    }

    /// Writes what is in the pipe.
    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<io::Result<()>> {
        while !self.pipe.is_empty() {
            self.passed += ready!(self.pipe.poll_drain(cx, sink))? as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the head and what is cleared, together where it can.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<io::Result<()>> {
        loop {
            let head = &self.head[self.head_written..];
            if head.is_empty() && self.cleared == 0 {
                return Poll::Ready(Ok(()));
            }
            let body = &self.chunk.bytes()[..self.cleared];
            let head_len = head.len();
            let sink = Pin::new(&mut *sink);
            let polled = match (head_len, self.cleared) {
                (0, _) => sink.poll_write(cx, body),
                (_, 0) => sink.poll_write(cx, head),
                _ => sink.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
            };
            let written = match polled {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.chunk.settle();
                    return Poll::Pending;
                }
            };
            let of_head = written.min(head_len);
            self.head_written += of_head;
            let of_body = written - of_head;
            self.cleared -= of_body;
            self.passed += of_body as u64;
            self.replay.keep(&self.chunk.bytes()[..of_body]);
            self.chunk.consume(of_body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::metrics::{Metrics, Side};
    use crate::stream::Io;

    /// Two ends of a connection whose buffers are as small as can be.
    async fn narrow() -> (Stream, tokio::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let small = socket2::SockRef::from(&listener);
        small.set_recv_buffer_size(1).expect("an option");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("an address"));
        let near = near.expect("connect");
        let small = socket2::SockRef::from(&near);
        small.set_send_buffer_size(1).expect("an option");
        let (far, _) = listener.accept().expect("a connection");
        for tcp in [&near, &far] {
            tcp.set_nonblocking(true).expect("an option");
        }
        let near = tokio::net::TcpStream::from_std(near).expect("a stream");
        let far = tokio::net::TcpStream::from_std(far).expect("a stream");
        let open = Metrics::new(1).tally(0).connection(Side::Backend);
        (Stream::new(Io::Plain(near), None, open), far)
    }

    #[tokio::test]
    async fn what_was_read_ahead_needs_no_more_to_come() {
        let (mut sink, mut far) = narrow().await;
        let (mut source, _other) = narrow().await;
        let bytes = vec![b'x'; 200_000];
        let more = 50_000;
        let length = bytes.len() + more;
        let mut flow = Flow::new(Chunk::copy_of(&bytes), Body::Length(length as u64));
        let first = poll_fn(|cx| Poll::Ready(flow.poll(cx, &mut source, &mut sink))).await;
        assert!(first.is_pending() && flow.passed < bytes.len() as u64);
        // As a departure is looked for while the sink takes nothing.
        assert_eq!(flow.chunk.append(&bytes[..more]), more);
        // Another task: this one is woken by nothing but the two ends.
        let reading = tokio::spawn(async move {
            let mut came = vec![0; length];
            far.read_exact(&mut came).await
        });
        let passed = poll_fn(|cx| flow.poll(cx, &mut source, &mut sink));
        let passed = tokio::time::timeout(std::time::Duration::from_secs(10), passed).await;
        let passed = passed.expect("nothing waits for the source");
        passed.expect("all of it");
        let read = reading.await.expect("no panic");
        assert_eq!(read.expect("all of it"), length);
    }

    #[tokio::test]
    async fn what_the_sink_did_not_take_is_not_what_comes_after_the_body() {
        let (mut sink, _far) = narrow().await;
        let (mut source, _other) = narrow().await;
        let body = 200_000;
        let mut bytes = vec![b'x'; body];
        bytes.extend_from_slice(b"GET /next");
        let mut flow = Flow::new(Chunk::copy_of(&bytes), Body::Length(body as u64));
        let polled = poll_fn(|cx| Poll::Ready(flow.poll(cx, &mut source, &mut sink))).await;
        assert!(polled.is_pending() && flow.passed < body as u64);
        let (rest, left) = flow.into_rest();
        assert_eq!(rest.bytes(), b"GET /next");
        assert!(left.is_done());
    }
}
