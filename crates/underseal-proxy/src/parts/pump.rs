//! Bodies on their way to streams of HTTP/2: what has been read is passed on before more is read.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName};
use underseal_http::fields::may_trail;

use super::{Part, Parts, check_trailers};
use crate::flow::{Broken, Waiting};
use crate::policy::Guard;

/// Parts in a row before other tasks have their turn.
const TURN: usize = 32;

/// A body on its way to an HTTP/2 stream.
pub(crate) struct Pump {
    sink: SendStream<Bytes>,
    /// What was read and could not be sent yet.
    pending: Bytes,
    /// Bytes of data that were sent.
    pub(crate) passed: u64,
    pub(crate) waiting: Waiting,
    /// Whether nothing comes after what is pending.
    has_ended: bool,
    guard: Option<Guard>,
}

impl Pump {
    pub(crate) fn new(sink: SendStream<Bytes>) -> Self {
        Self {
            sink,
            pending: Bytes::new(),
            passed: 0,
            waiting: Waiting::Source,
            has_ended: false,
            guard: None,
        }
    }

    /// The same, for a client's body: its trailers are looked at.
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Passes parts on until the end has been.
    ///
    /// # Errors
    /// Why there will be none. The sink's stream has to be reset then.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Parts,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURN {
            self.waiting = Waiting::Sink;
            if self.poll_send(cx)?.is_pending() {
                source.hold(cx);
                return Poll::Pending;
            }
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            self.waiting = Waiting::Source;
            match ready!(source.poll_part(cx)) {
                Some(part) => match part? {
                    Part::Data(data) => self.pending = data,
                    Part::Trailers(trailers) => return Poll::Ready(self.send_trailers(trailers)),
                },
                None => self.has_ended = true,
            }
            self.has_ended |= source.is_at_end();
            if self.has_ended && self.pending.is_empty() {
                return Poll::Ready(self.send(Bytes::new()));
            }
        }
        // What came meanwhile is not to wait in a connection, however much it is.
        source.hold(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resets the sink's stream: what was sent on it is not all.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.sink.send_reset(reason);
    }

    /// Why the one that the body goes to wants no more of it, if it said so.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        self.sink.poll_reset(cx).map(Result::ok)
    }

    /// Sends what is pending, as far as there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.pending.is_empty() {
            self.sink.reserve_capacity(self.pending.len());
            while self.sink.capacity() == 0 {
                match ready!(self.sink.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(not_taken(error))),
                    None => {
                        let gone = io::ErrorKind::BrokenPipe.into();
                        return Poll::Ready(Err(Broken::Sink(gone)));
                    }
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
        self.sink.send_data(data, end).map_err(not_taken)
    }

    fn send_trailers(&mut self, mut trailers: HeaderMap) -> Result<(), Broken> {
        check_trailers(&trailers, self.guard.as_ref())?;
        let names = trailers.keys().cloned().collect::<Vec<_>>();
        let is_late = |name: &HeaderName| !may_trail(name.as_str().as_bytes());
        for name in names.into_iter().filter(is_late) {
            trailers.remove(name);
        }
        self.sink.send_trailers(trailers).map_err(not_taken)
    }
}

fn not_taken(error: h2::Error) -> Broken {
    Broken::Sink(io::Error::other(error))
}
