//! A request in HTTP/1.1 on a connection of its own, for a client that does not speak it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use underseal_http::Outgoing;
use underseal_http::http1::{ResponseRefusal, read_response};

use super::{Event, Lost, Upstreams};
use crate::backend::Backend;
use crate::chunk::Chunk;
use crate::exchange::Unanswered;
use crate::exchange::response::{Delimited, from_http1};
use crate::flow::{Body, Broken, Flow, Waiting};
use crate::parts::{Framer, Framing, Part, Parts, Unframed, Unframing};
use crate::policy::Guard;
use crate::worker::Worker;

/// How far the request has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Going,
    Done,
    /// The backend takes no more of it.
    Refused,
}

/// A request and its response.
pub(crate) struct Http1 {
    backend: Box<Backend>,
    up: Flow,
    framer: Framer,
    sending: Sending,
    down: Unframed,
    /// Whether the response has no body, whatever its fields say.
    answers_head: bool,
    /// Whether a byte of the response has come.
    is_touched: bool,
    /// Whether the connection goes on after the response.
    persists: bool,
}

impl Http1 {
    pub(super) fn new(
        worker: &Worker,
        backend: Box<Backend>,
        (outgoing, guard): (&Outgoing, Guard),
        has_body: bool,
    ) -> Self {
        let mut head = worker.buffers.take();
        head.extend_from_slice(outgoing.head());
        // What is framed passes as it is.
        let body = match has_body {
            true => Body::UntilClose,
            false => Body::Done,
        };
        let mut up = Flow::new(Chunk::default(), body);
        up.set_head(head);
        Self {
            backend,
            up,
            framer: framer(outgoing).guarded(guard),
            sending: Sending::Going,
            down: Unframed::new(Chunk::default(), Body::Done),
            answers_head: outgoing.request().method() == b"HEAD",
            is_touched: false,
            persists: false,
        }
    }

    pub(super) fn target(&self) -> usize {
        self.backend.known.target
    }

    pub(super) fn may_be_unanswered(&self) -> Option<Unanswered> {
        self.backend.may_be_unanswered()
    }

    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl Parts,
    ) -> Result<(), Broken> {
        if self.is_sent() {
            return Ok(());
        }
        let mut source = Framing {
            framer: &mut self.framer,
            parts: body,
        };
        match self.up.poll(cx, &mut source, &mut self.backend.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.sending = Sending::Done,
            Poll::Ready(Err(Broken::Sink(error))) => {
                tracing::debug!("a backend takes no more of a request: {error}");
                self.sending = Sending::Refused;
            }
            Poll::Ready(Err(broken)) => return Err(broken),
        }
        Ok(())
    }

    pub(super) fn passed(&self) -> u64 {
        self.framer.content
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sending != Sending::Going
    }

    pub(super) fn waits_for_client(&self) -> bool {
        !self.is_sent() && self.up.waiting == Waiting::Source
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Lost>> {
        loop {
            if !self.down.chunk.is_empty()
                && let Some(event) = self.read_head().map_err(Lost::bad)?
            {
                return Poll::Ready(Ok(event));
            }
            let stream = Pin::new(&mut self.backend.stream);
            match ready!(self.down.chunk.poll_fill(cx, stream)) {
                Ok(read) if read > 0 => self.is_touched = true,
                ended => {
                    tracing::debug!("a backend did not answer: {ended:?}");
                    return Poll::Ready(Err(Lost::unanswered(self.why())));
                }
            }
        }
    }

    /// Why there is no response.
    fn why(&self) -> Unanswered {
        let why = self.backend.may_be_unanswered();
        why.filter(|_| !self.is_touched)
            .unwrap_or(Unanswered::Unknown)
    }

    fn read_head(&mut self) -> Result<Option<Event>, ResponseRefusal> {
        let read = read_response(self.down.chunk.bytes(), |head| {
            let delimited = Delimited::of(head, 1, self.answers_head)?;
            Ok((head.len(), from_http1(head)?, delimited))
        })?;
        let Some((len, response, delimited)) = read.transpose()? else {
            return Ok(None);
        };
        self.down.chunk.consume(len);
        if response.status().is_informational() {
            return Ok(Some(Event::Interim(response)));
        }
        self.down.body = delimited.body;
        // Who answers before it has the request may take the rest of it for another one.
        self.persists = delimited.persists && self.sending == Sending::Done;
        Ok(Some(Event::Final(response)))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.down.is_at_end()
    }

    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        let mut unframing = Unframing {
            unframed: &mut self.down,
            stream: &mut self.backend.stream,
        };
        unframing.poll_part(cx)
    }

    /// Keeps the connection, if request and response on it are whole and nothing follows.
    pub(super) fn finish(mut self, worker: &Worker, upstreams: &Upstreams) {
        worker.buffers.give(self.up.set_head(Vec::new()));
        let is_whole = self.sending == Sending::Done && self.down.is_at_end();
        if is_whole && self.persists && self.down.chunk.is_empty() {
            upstreams.keep(self.backend);
        }
    }

    pub(super) fn abort(self) {
        self.backend.stream.abort();
    }
}

/// How the body is delimited, as the head says it.
fn framer(outgoing: &Outgoing) -> Framer {
    let request = outgoing.request();
    let mut lengths = request.header(b"content-length");
    match lengths.next() {
        Some(length) => {
            let length = str::from_utf8(length).ok();
            Framer::of_length(length.and_then(|length| length.parse().ok()).unwrap_or(0))
        }
        None => Framer::in_chunks(request.header(b"trailer")),
    }
}
