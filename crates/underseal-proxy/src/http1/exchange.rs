//! One request and its response: the body goes up while the response comes down.

mod outcome;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::AsyncWrite as _;

pub(super) use self::outcome::Outcome;
use super::departure::{Ahead, Hangup, Left, poll_ahead};
use super::link::{Far, Link};
use super::request::Prepared;
use super::response::{self, Persist, Response};
use crate::chunk::Chunk;
use crate::exchange::response::Interims;
use crate::exchange::{TurnDeadline, Unanswered, Wait};
use crate::flow::{Body, Flow, Waiting};
use crate::parts::Parts as _;
use crate::process::Process;
use crate::stream::Stream;
use crate::upstream::{Event, Lost};
use underseal_http::http1::ResponseRefusal;
use underseal_server::closing::End;
use underseal_server::deadline::Deadline;

/// An exchange under way.
pub(super) struct Exchange<'a> {
    process: &'a Process,
    /// Whether a client that ends its sending may still read its response.
    may_end: bool,
    prepared: &'a Prepared,
    link: Link,
    upload: Upload,
    down: Flow,
    download: Download,
    interims: Interims,
    turn: TurnDeadline,
    hangup: Hangup,
    /// Whether a byte of the response, interim ones included, has come.
    is_touched: bool,
}

/// How far the request has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Going,
    Done,
    /// The backend takes no more of it; it may respond all the same.
    Refused,
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Download {
    Head,
    Body {
        status: u16,
        keep_backend: bool,
        keep_client: bool,
    },
}

/// What an exchange leaves behind of what was read of the client.
pub(super) struct Rest {
    /// What stands behind the request, and what is missing of its body.
    pub(super) read: Chunk,
    pub(super) body: Body,
    /// All from the start of the body on, if nothing of a response came and it can be sent once more.
    pub(super) start: Option<Chunk>,
}

impl<'a> Exchange<'a> {
    /// The request of `prepared`, which is with the backend of `link`; it `keeps` what may have to be
    /// sent once more.
    pub(super) fn new(
        process: &'a Process,
        may_end: bool,
        prepared: &'a Prepared,
        (mut link, keeps): (Link, bool),
    ) -> Self {
        if keeps {
            link.keep();
        }
        let mut exchange = Self {
            process,
            may_end,
            prepared,
            link,
            upload: Upload::Going,
            down: Flow::new(Chunk::default(), Body::Done),
            download: Download::Head,
            interims: Interims::default(),
            turn: TurnDeadline::default(),
            hangup: Hangup::default(),
            is_touched: false,
        };
        exchange.encourage();
        exchange
    }

    /// Says "100 Continue" to a client that waits for it: backends of HTTP/2 seldom
    /// do.
    fn encourage(&mut self) {
        if let Link::Translated(far) = &self.link
            && self.prepared.expects
            && self.prepared.minor_version > 0
            && !far.up.body.is_done()
            && far.up.chunk.is_empty()
        {
            let mut out = self.process.buffers.take();
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.put(out);
        }
    }

    /// Gives the buffers back, and what was read beyond the request.
    pub(super) fn give_back(mut self) -> (Rest, Far) {
        let buffers = &self.process.buffers;
        buffers.give(self.down.set_head(Vec::new()));
        let start = match self.is_touched {
            true => None,
            false => self.link.start(),
        };
        let (read, body, head, far) = self.link.into_rest();
        buffers.give(head);
        (Rest { read, body, start }, far)
    }

    /// Goes on as far as both ends let it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        deadline: &Deadline,
        client: &mut Stream,
    ) -> Poll<Outcome> {
        if let Some(outcome) = self.advance(cx, client) {
            return Poll::Ready(outcome);
        }
        if self.client_left(cx, client) {
            return Poll::Ready(self.cut(Some("client-cut"), End::Abort));
        }
        let (wait, passed) = (self.wait(), self.passed());
        let timing = (deadline, self.process.timeouts());
        match self.turn.check(cx, timing, wait, passed) {
            Some(late) => Poll::Ready(self.late(late)),
            None => Poll::Pending,
        }
    }

    /// Whether the client has left while nobody waits for it. One that is waited for is found out by
    /// whoever waits.
    fn client_left(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> bool {
        if self.wants_upload() {
            return false;
        }
        let may_end = self.may_end;
        // Asked anew each time: what is read last may be what stood before a splice.
        while self.upload != Upload::Going || self.link.may_read_ahead(client) {
            match poll_ahead(cx, client, self.link.chunk(), may_end) {
                Poll::Ready(Ok(Ahead::More)) => {}
                Poll::Ready(Ok(Ahead::Over)) => break,
                Poll::Ready(Err(Left)) => return true,
                Poll::Pending => return false,
            }
        }
        self.link.chunk().settle();
        self.hangup.poll_left(cx, client, may_end).is_ready()
    }

    fn advance(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Option<Outcome> {
        if self.upload == Upload::Going {
            match self.link.poll_upload(cx, client) {
                Poll::Ready(Ok(())) => self.upload = Upload::Done,
                Poll::Ready(Err(broken)) => {
                    if let Some(outcome) = self.upload_broken(broken) {
                        return Some(outcome);
                    }
                }
                Poll::Pending => {}
            }
        }
        if self.download == Download::Head
            && let Some(outcome) = self.poll_response(cx, client)
        {
            return Some(outcome);
        }
        let Download::Body { .. } = self.download else {
            return None;
        };
        match self.link.poll_download(cx, &mut self.down, client) {
            Poll::Ready(Ok(())) => Some(self.complete()),
            Poll::Ready(Err(broken)) => Some(self.download_broken(&broken)),
            Poll::Pending => None,
        }
    }

    /// Reads heads of responses until there is a final one. `None` if that is so, or if there is
    /// nothing to read.
    fn poll_response(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Option<Outcome> {
        loop {
            match self.down.poll_write(cx, client) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Some(self.cut(Some("client-cut"), End::Abort)),
                Poll::Pending => {
                    self.link.hold(cx);
                    return None;
                }
            }
            match self.poll_head(cx) {
                Poll::Ready(Ok(Head::Final)) => return None,
                Poll::Ready(Ok(Head::Interim)) => {}
                Poll::Ready(Ok(Head::Upgraded)) => return self.upgraded(cx, client),
                Poll::Ready(Err(lost)) => return Some(self.lost(lost)),
                Poll::Pending => return self.flush_interim(cx, client),
            }
        }
    }

    /// The next head of a response.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Lost>> {
        loop {
            if !self.down.chunk.is_empty()
                && let Some(head) = self.read_head().map_err(Lost::bad)?
            {
                return Poll::Ready(Ok(head));
            }
            let backend = match &mut self.link {
                Link::Http1 { backend, .. } => backend,
                Link::Translated(_) => return self.poll_translated_head(cx),
            };
            let stream = Pin::new(&mut backend.stream);
            match ready!(self.down.chunk.poll_fill(cx, stream)) {
                Ok(read) if read > 0 => self.touch(),
                _ => {
                    let why = self.link.may_be_unanswered();
                    let why = why.unwrap_or(Unanswered::Unknown);
                    return Poll::Ready(Err(Lost::unanswered(why)));
                }
            }
        }
    }

    fn poll_translated_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Lost>> {
        let Link::Translated(far) = &mut self.link else {
            return Poll::Pending;
        };
        let (head, is_at_end) = match ready!(far.upstream.poll_head(cx))? {
            Event::Interim(head) => (head, true),
            Event::Final(head) => (head, far.upstream.is_at_end()),
        };
        let mut out = self.process.buffers.take();
        let (head, persist) = ((&head, is_at_end), self.persist());
        let (response, framer) = response::translated(head, self.prepared, persist, &mut out);
        if let Link::Translated(far) = &mut self.link {
            far.down = framer;
        }
        self.touch();
        Poll::Ready(self.pass_head(response, out).map_err(Lost::bad))
    }

    /// Something of a response has come: the request is not sent once more.
    fn touch(&mut self) {
        self.is_touched = true;
        self.link.forget();
    }

    /// A client that was sent an interim response may wait for it, and nothing else for long.
    fn flush_interim(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Option<Outcome> {
        let is_due = self.interims.have_come() || self.down.has_begun();
        let flushed = is_due.then(|| Pin::new(client).poll_flush(cx));
        match flushed {
            Some(Poll::Ready(Err(_))) => Some(self.cut(Some("client-cut"), End::Abort)),
            _ => None,
        }
    }

    fn read_head(&mut self) -> Result<Option<Head>, ResponseRefusal> {
        let mut out = self.process.buffers.take();
        let (bytes, persist) = (self.down.chunk.bytes(), self.persist());
        let read = response::read(bytes, self.prepared, persist, &mut out);
        let response = match read {
            Ok(Some(response)) => response,
            read => {
                self.process.buffers.give(out);
                return read.map(|_| None);
            }
        };
        self.down.chunk.consume(response.len);
        self.pass_head(response, out).map(Some)
    }

    /// Whether the client's connection may go on behind a response that comes now.
    fn persist(&self) -> Persist {
        match self.upload {
            _ if self.process.deadlines.closing() => Persist::No,
            _ if self.link.is_read() => Persist::Yes,
            Upload::Going => Persist::IfRead,
            // Nobody reads the rest of it.
            Upload::Refused | Upload::Done => Persist::No,
        }
    }

    /// Has the client be told a head, which is `out`.
    fn pass_head(&mut self, response: Response, out: Vec<u8>) -> Result<Head, ResponseRefusal> {
        if response.status == 101 {
            self.put(out);
            return Ok(Head::Upgraded);
        }
        if response.status < 200 {
            if let Err(too_many) = self.interims.count() {
                self.process.buffers.give(out);
                return Err(too_many);
            }
            match self.wants_interim(response.status) {
                true => self.put(out),
                false => self.process.buffers.give(out),
            }
            return Ok(Head::Interim);
        }
        self.put(out);
        self.down.body = response.body;
        // Who answers before it has the request may take the rest of it for another one.
        let is_asked = self.upload == Upload::Done;
        self.download = Download::Body {
            status: response.status,
            keep_backend: response.keep_backend && is_asked,
            keep_client: response.keep_client,
        };
        Ok(Head::Final)
    }

    /// HTTP/1.0 has none of them, and [`Self::encourage`] has said one already.
    fn wants_interim(&self, status: u16) -> bool {
        let is_said = matches!(self.link, Link::Translated(_))
            && self.prepared.expects
            && status == StatusCode::CONTINUE.as_u16();
        self.prepared.minor_version > 0 && !is_said
    }

    fn put(&mut self, head: Vec<u8>) {
        self.process.buffers.give(self.down.set_head(head));
    }

    /// The client is told, and then has the backend to itself.
    fn upgraded(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Option<Outcome> {
        // A head of a response fits into any socket that has room at all; what it did not take at
        // once goes first in the tunnel.
        match self.down.poll_write(cx, client) {
            Poll::Ready(Err(_)) => return Some(self.cut(Some("client-cut"), End::Abort)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let mut first = self.down.unwritten().to_vec();
        first.extend_from_slice(self.down.chunk.bytes());
        Some(Outcome {
            status: Some(101),
            end: Some(End::Close),
            tunnel: Some(Chunk::copy_of(&first)),
            ..Outcome::default()
        })
    }

    /// Whether more of the request is waited for.
    fn wants_upload(&self) -> bool {
        self.upload == Upload::Going && self.link.waits_for_client()
    }

    /// Whose turn it is.
    fn wait(&self) -> Wait {
        match self.download {
            Download::Body { .. } if self.down.waiting == Waiting::Sink => Wait::Client,
            Download::Body { .. } if self.wants_upload() => Wait::Either,
            Download::Body { .. } => Wait::Backend,
            Download::Head if self.wants_upload() => Wait::Client,
            Download::Head if !self.down.unwritten().is_empty() => Wait::Client,
            Download::Head => Wait::Backend,
        }
    }

    /// What has passed, to tell whether anything does.
    fn passed(&self) -> u64 {
        self.link.passed() + self.down.passed + self.interims.number()
    }
}

/// What a head of a response was.
enum Head {
    Interim,
    Final,
    Upgraded,
}
