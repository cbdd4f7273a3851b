//! A request in HTTP/1.1 on a connection of its own, for a client that does not speak it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;
use underseal_http::Outgoing;
use underseal_http::http1::{ResponseRefusal, read_response};

use super::{Event, Lost, Sends, Upstreams};
use crate::backend::Backend;
use crate::chunk::Chunk;
use crate::exchange::Unanswered;
use crate::exchange::response::{Delimited, from_http1, switched};
use crate::flow::{Body, Broken, Flow, Waiting};
use crate::parts::{Framer, Framing, Part, Parts, Unframed, Unframing};
use crate::policy::Guard;
use crate::process::Process;
use crate::values::Values;
use crate::websocket;

/// How far the request has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Going,
    /// The end of a tunnel is told.
    Ending,
    Done,
    /// The backend takes no more of it.
    Refused,
}

/// Whether it becomes a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    No,
    /// It may, if the backend accepts this key.
    Asked(websocket::Key),
    Open,
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
    tunnel: Tunnel,
}

impl Http1 {
    pub(super) fn new(
        process: &Process,
        backend: Box<Backend>,
        (outgoing, guard): (&Outgoing, Guard),
        sends: Sends,
    ) -> Self {
        let mut head = process.buffers.take();
        head.extend_from_slice(outgoing.head());
        // What is framed passes as it is.
        let (body, tunnel) = match sends {
            Sends::Body => (Body::UntilClose, Tunnel::No),
            Sends::Nothing => (Body::Done, Tunnel::No),
            // Before the backend has gone over, it would take that for the next request.
            Sends::WebSocket(key) => (Body::Done, Tunnel::Asked(key)),
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
            tunnel,
        }
    }

    /// Whether the backend has gone over to another protocol.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel == Tunnel::Open
    }

    /// Whether nothing more comes into the tunnel that it is.
    pub(super) fn has_tunnel_end(&self) -> bool {
        self.is_tunnel() && self.sending != Sending::Going
    }

    pub(super) fn may_be_unanswered(&self) -> Option<Unanswered> {
        self.backend.may_be_unanswered()
    }

    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl Parts,
    ) -> Result<(), Broken> {
        let sent = self.poll_sending(cx, body);
        if self.sending != Sending::Going || matches!(self.tunnel, Tunnel::Asked(_)) {
            // Nobody takes more of it, or not yet.
            body.hold(cx);
        }
        sent
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>, body: &mut impl Parts) -> Result<(), Broken> {
        if self.sending == Sending::Ending {
            self.poll_end(cx);
        }
        if self.sending != Sending::Going {
            return Ok(());
        }
        let mut source = Framing {
            framer: &mut self.framer,
            parts: body,
        };
        match self.up.poll(cx, &mut source, &mut self.backend.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if self.is_tunnel() => {
                self.sending = Sending::Ending;
                self.poll_end(cx);
            }
            Poll::Ready(Ok(())) => self.sending = Sending::Done,
            Poll::Ready(Err(Broken::Sink(error))) => {
                tracing::debug!("a backend takes no more of a request: {error}");
                self.sending = Sending::Refused;
            }
            Poll::Ready(Err(broken)) => return Err(broken),
        }
        Ok(())
    }

    /// Tells the backend that nothing more comes.
    fn poll_end(&mut self, cx: &mut Context<'_>) {
        match Pin::new(&mut self.backend.stream).poll_shutdown(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.sending = Sending::Done,
            Poll::Ready(Err(error)) => {
                tracing::debug!("a backend is not told the end of a tunnel: {error}");
                self.sending = Sending::Refused;
            }
        }
    }

    pub(super) fn passed(&self) -> u64 {
        self.framer.content
    }

    pub(super) fn is_sent(&self) -> bool {
        matches!(self.sending, Sending::Done | Sending::Refused)
    }

    pub(super) fn waits_for_client(&self) -> bool {
        self.sending == Sending::Going && self.up.waiting == Waiting::Source
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
                    let why = self.backend.may_be_unanswered();
                    let lost = Lost::unanswered(why.unwrap_or(Unanswered::Unknown));
                    return Poll::Ready(Err(lost.once_begun(self.is_touched)));
                }
            }
        }
    }

    fn read_head(&mut self) -> Result<Option<Event>, ResponseRefusal> {
        if let Tunnel::Asked(key) = self.tunnel
            && let Some(event) = self.read_switch(key)?
        {
            return Ok(Some(event));
        }
        let bytes = self.down.chunk.bytes();
        let read = read_response(bytes, |head| {
            let delimited = Delimited::of(head, 1, self.answers_head)?;
            let values = Values::of(&bytes[..head.len()]);
            Ok((head.len(), from_http1(head, &values)?, delimited))
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

    /// The head by which the backend goes over to WebSocket; `None` if it is another, or not whole.
    fn read_switch(&mut self, key: websocket::Key) -> Result<Option<Event>, ResponseRefusal> {
        let bytes = self.down.chunk.bytes();
        let read = read_response(bytes, |head| match head.status() {
            101 if key.is_accepted_by(head) => {
                let values = Values::of(&bytes[..head.len()]);
                Ok(Some((head.len(), switched(head, &values)?)))
            }
            // To a client of HTTP/2, success is what opens the tunnel.
            101 | 200..300 => Err(ResponseRefusal::Upgrade),
            _ => Ok(None),
        })?;
        let Some((len, response)) = read.transpose()?.flatten() else {
            return Ok(None);
        };
        self.down.chunk.consume(len);
        self.down.body = Body::UntilClose;
        self.up = Flow::new(Chunk::default(), Body::UntilClose);
        self.framer = Framer::until_close();
        self.sending = Sending::Going;
        self.tunnel = Tunnel::Open;
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
    pub(super) fn finish(mut self, process: &Process, upstreams: &Upstreams) {
        process.buffers.give(self.up.set_head(Vec::new()));
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
