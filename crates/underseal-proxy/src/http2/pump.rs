//! Bodies on their way: what has been read is passed on before more is read.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::kept::Reader;
use crate::policy::Guard;

/// Frames in a row before other tasks have their turn.
const TURN: usize = 32;

/// Where a body comes from.
pub(super) enum Source {
    Http2 {
        stream: RecvStream,
        /// Whether all of the data has come, and trailers may.
        after_data: bool,
        /// Bytes that were given out and whose window was not given back yet.
        unreleased: usize,
    },
    Http1(Incoming),
    /// A client's, which may have to be sent once more.
    Kept(Reader),
}

/// Why a body does not come to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// What sends it reset the stream, or lost its connection.
    Source(Option<Reason>),
    /// What it goes to takes no more of it.
    Sink(Option<Reason>),
    /// Its trailers say what only we may say.
    Trailers,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, reason) = match self {
            Self::Source(reason) => ("a body broke off", reason),
            Self::Sink(reason) => ("a body was not taken", reason),
            Self::Trailers => return f.write_str("trailers say who the client is"),
        };
        match reason {
            Some(reason) => write!(f, "{what}: {reason}"),
            None => f.write_str(what),
        }
    }
}

impl From<RecvStream> for Source {
    fn from(stream: RecvStream) -> Self {
        Self::Http2 {
            stream,
            after_data: false,
            unreleased: 0,
        }
    }
}

impl Source {
    /// Whether nothing more comes.
    pub(super) fn is_at_end(&self) -> bool {
        match self {
            Self::Http2 { stream, .. } => stream.is_end_stream(),
            Self::Http1(body) => body.is_end_stream(),
            Self::Kept(reader) => reader.is_at_end(),
        }
    }

    /// What comes next; `None` at the end. Asking for it says that what came before was passed on.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Http1(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|_| Broken::Source(None))))
            }
            Self::Kept(reader) => reader.poll_frame(cx),
            Self::Http2 {
                stream,
                after_data,
                unreleased,
            } => poll_http2(cx, stream, after_data, unreleased),
        }
    }
}

fn poll_http2(
    cx: &mut Context<'_>,
    stream: &mut RecvStream,
    after_data: &mut bool,
    unreleased: &mut usize,
) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
    let broken = |error: h2::Error| Broken::Source(error.reason());
    let passed_on = mem::take(unreleased);
    if passed_on > 0
        && let Err(error) = stream.flow_control().release_capacity(passed_on)
    {
        return Poll::Ready(Some(Err(broken(error))));
    }
    if !*after_data {
        match ready!(stream.poll_data(cx)) {
            Some(Ok(data)) => {
                *unreleased = data.len();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
            None => *after_data = true,
        }
    }
    Poll::Ready(match ready!(stream.poll_trailers(cx)) {
        Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
        Err(error) => Some(Err(broken(error))),
    })
}

/// Which end a pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Source,
    Sink,
}

/// A body on its way to an HTTP/2 stream.
pub(super) struct Pump {
    source: Source,
    sink: SendStream<Bytes>,
    /// What was read and could not be sent yet.
    pending: Bytes,
    /// Bytes of data that were sent.
    pub(super) passed: u64,
    pub(super) waiting: Waiting,
    /// Whether nothing comes after what is pending.
    has_ended: bool,
    guard: Option<Guard>,
}

impl Pump {
    pub(super) fn new(source: Source, sink: SendStream<Bytes>) -> Self {
        Self {
            source,
            sink,
            pending: Bytes::new(),
            passed: 0,
            waiting: Waiting::Source,
            has_ended: false,
            guard: None,
        }
    }

    /// The same, for a client's body: its trailers are looked at.
    pub(super) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Passes frames on until the end has been.
    ///
    /// # Errors
    /// Why there will be none. The sink's stream has to be reset then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        for _ in 0..TURN {
            self.waiting = Waiting::Sink;
            ready!(self.poll_send(cx))?;
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            self.waiting = Waiting::Source;
            let Some(frame) = ready!(self.source.poll_frame(cx)) else {
                self.has_ended = true;
                return Poll::Ready(self.send(Bytes::new()));
            };
            match frame?.into_data() {
                Ok(data) => {
                    self.has_ended = self.source.is_at_end();
                    self.pending = data;
                    if self.has_ended && self.pending.is_empty() {
                        return Poll::Ready(self.send(Bytes::new()));
                    }
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(self.send_trailers(trailers));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resets the sink's stream: what was sent on it is not all.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.sink.send_reset(reason);
    }

    /// Why the one that the body goes to wants no more of it, if it said so.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        self.sink.poll_reset(cx).map(Result::ok)
    }

    /// Sends what is pending, as far as there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.pending.is_empty() {
            self.sink.reserve_capacity(self.pending.len());
            while self.sink.capacity() == 0 {
                match ready!(self.sink.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(Broken::Sink(error.reason()))),
                    None => return Poll::Ready(Err(Broken::Sink(None))),
                }
            }
            let len = self.sink.capacity().min(self.pending.len());
            let data = self.pending.split_to(len);
            self.send(data)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends data for which there is room, and the end with the last of it.
    fn send(&mut self, data: Bytes) -> Result<(), Broken> {
        self.passed += data.len() as u64;
        let end = self.has_ended && self.pending.is_empty();
        let sent = self.sink.send_data(data, end);
        sent.map_err(|error| Broken::Sink(error.reason()))
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Broken> {
        let guard = self.guard.as_ref();
        let mut names = trailers.keys().map(|name| name.as_str().as_bytes());
        if guard.is_some_and(|guard| names.any(|name| guard.refuses(name))) {
            return Err(Broken::Trailers);
        }
        let sent = self.sink.send_trailers(trailers);
        sent.map_err(|error| Broken::Sink(error.reason()))
    }
}

/// A body on its way to an HTTP/1.1 connection, whose task asks for it.
pub(super) struct Outbound {
    source: Option<Source>,
    /// Its length, if it was told.
    length: Option<u64>,
    progress: Rc<Progress>,
    /// What its trailers are looked through with.
    guard: Option<Guard>,
}

/// How far an [`Outbound`] body has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) passed: Cell<u64>,
    /// Whether all of it was taken.
    pub(super) ended: Cell<bool>,
    /// Whether it waits for its source.
    pub(super) starved: Cell<bool>,
    /// Whether its trailers were refused.
    pub(super) refused: Cell<bool>,
}

impl Outbound {
    pub(super) fn new(source: Option<Source>, length: Option<u64>, progress: Rc<Progress>) -> Self {
        Self {
            source,
            length,
            progress,
            guard: None,
        }
    }

    /// The same, for a client's body.
    pub(super) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let Some(source) = &mut this.source else {
            return Poll::Ready(None);
        };
        let polled = source.poll_frame(cx);
        this.progress.starved.set(polled.is_pending());
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let passed = &this.progress.passed;
                    passed.set(passed.get() + data.len() as u64);
                }
                let trailers = frame.trailers_ref();
                let names = trailers.into_iter().flat_map(HeaderMap::keys);
                let mut names = names.map(|name| name.as_str().as_bytes());
                let guard = this.guard.as_ref();
                if guard.is_some_and(|guard| names.any(|name| guard.refuses(name))) {
                    this.progress.refused.set(true);
                    return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
                }
                if source.is_at_end() {
                    this.progress.ended.set(true);
                }
                Some(Ok(frame))
            }
            Some(Err(_)) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                this.progress.ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Source::is_at_end)
    }

    fn size_hint(&self) -> SizeHint {
        if self.source.is_none() {
            return SizeHint::with_exact(0);
        }
        let left = |length: u64| length.saturating_sub(self.progress.passed.get());
        self.length.map_or_else(Default::default, |length| {
            SizeHint::with_exact(left(length))
        })
    }
}
