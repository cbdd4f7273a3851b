//! A request that is with a backend, and its response: the body goes up while the response comes down.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::AsyncWrite as _;

use super::departure::{Ahead, Hangup, Left, poll_ahead};
use super::link::{Far, Link};
use super::request::Asked;
use super::response::{self, Persist, Response};
use crate::chunk::Chunk;
use crate::exchange::response::Interims;
use crate::exchange::{self as rules, Fault, Lost, Stopped, Unanswered, Wait};
use crate::flow::{Body, Broken, Flow, Waiting};
use crate::parts::Parts as _;
use crate::process::Process;
use crate::stream::Stream;
use crate::upstream::Event;
use underseal_http::Refusal;
use underseal_http::http1::ResponseRefusal;

/// An exchange under way.
pub(super) struct Sent<'c> {
    process: &'c Process,
    /// Whether a client that ends its sending may still read its response.
    may_end: bool,
    asked: Asked,
    link: Link,
    upload: Upload,
    down: Flow,
    download: Download,
    interims: Interims,
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
    Body(u16, Keeps),
    /// The backend has gone over to another protocol.
    Tunnel,
}

/// Whose connection goes on after a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeps {
    pub(super) client: bool,
    pub(super) backend: bool,
}

/// What an exchange leaves behind.
pub(super) struct Rest {
    /// What was read behind the request, and what is missing of its body.
    pub(super) read: Chunk,
    pub(super) body: Body,
    pub(super) far: Far,
    pub(super) keeps: Keeps,
    /// What the backend has sent of another protocol, if it has gone over to that.
    pub(super) tunnel: Option<Chunk>,
}

impl<'c> Sent<'c> {
    /// What was asked, by the request that is with the backend of `link`.
    pub(super) fn new((process, may_end): (&'c Process, bool), asked: Asked, link: Link) -> Self {
        let mut sent = Self {
            process,
            may_end,
            asked,
            link,
            upload: Upload::Going,
            down: Flow::new(Chunk::default(), Body::Done),
            download: Download::Head,
            interims: Interims::default(),
        };
        sent.encourage();
        sent
    }

    /// Says "100 Continue" to a client that waits for it: backends of HTTP/2 seldom
    /// do.
    fn encourage(&mut self) {
        if let Link::Translated(far) = &self.link
            && self.asked.expects
            && self.asked.minor_version > 0
            && !far.up.body.is_done()
            && far.up.chunk.is_empty()
        {
            let mut out = self.process.buffers.take();
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.put(out);
        }
    }

    /// What was read of the client, from the body's start; `None` if not all of that is there.
    pub(super) fn start(&self) -> Option<Chunk> {
        self.link.start()
    }

    /// Takes it apart, and gives the buffers back.
    pub(super) fn into_rest(mut self) -> Rest {
        let tunnel = (self.download == Download::Tunnel).then(|| {
            let mut first = self.down.unwritten().to_vec();
            first.extend_from_slice(self.down.chunk.bytes());
            Chunk::copy_of(&first)
        });
        let keeps = match self.download {
            Download::Body(_, keeps) => Keeps {
                // A client that is still sending is to read the response before it is cut off.
                client: keeps.client && self.link.is_read(),
                // More than was announced belongs to nobody's request.
                backend: keeps.backend && self.down.chunk.is_empty(),
            },
            Download::Head | Download::Tunnel => Keeps::default(),
        };
        let buffers = &self.process.buffers;
        buffers.give(self.down.set_head(Vec::new()));
        let (read, body, head, far) = self.link.into_rest();
        buffers.give(head);
        Rest {
            read,
            body,
            far,
            keeps,
            tunnel,
        }
    }

    /// Goes on as far as both ends let it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        hangup: &mut Hangup,
    ) -> Poll<Result<(), Stopped>> {
        if let Poll::Ready(ended) = self.advance(cx, client) {
            return Poll::Ready(ended);
        }
        match self.client_left(cx, client, hangup) {
            true => Poll::Ready(Err(Stopped::ClientCut)),
            false => Poll::Pending,
        }
    }

    /// Whether the client has left while nobody waits for it. One that is waited for is found out by
    /// whoever waits.
    fn client_left(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        hangup: &mut Hangup,
    ) -> bool {
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
        hangup.poll_left(cx, client, may_end).is_ready()
    }

    fn advance(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Poll<Result<(), Stopped>> {
        if self.upload == Upload::Going
            && let Poll::Ready(sent) = self.link.poll_upload(cx, client)
        {
            self.upload = match sent {
                Ok(()) => Upload::Done,
                // It may have responded, and closed: with "413 Content Too Large", for one.
                Err(Broken::Sink(error)) => {
                    tracing::debug!("a backend takes no more of a request: {error}");
                    Upload::Refused
                }
                Err(Broken::Trailers) => {
                    return Poll::Ready(Err(Fault::Refused(Refusal::Trailers).into()));
                }
                Err(broken) => return Poll::Ready(Err(Stopped::from_request(&broken))),
            };
        }
        if self.download == Download::Head {
            ready!(self.poll_response(cx, client))?;
        }
        if self.download == Download::Tunnel {
            return Poll::Ready(Ok(()));
        }
        let passed = ready!(self.link.poll_download(cx, &mut self.down, client));
        Poll::Ready(passed.map_err(|broken| self.download_broken(&broken)))
    }

    fn download_broken(&mut self, broken: &Broken) -> Stopped {
        let stopped = Stopped::from_response(broken);
        if !self.down.has_begun() {
            // Nothing of it was told: it is as if there were none.
            self.put(Vec::new());
            self.download = Download::Head;
        }
        stopped
    }

    /// Reads heads of responses until there is one that no other follows.
    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
    ) -> Poll<Result<(), Stopped>> {
        loop {
            match self.down.poll_write(cx, client) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Stopped::ClientCut)),
                Poll::Pending => {
                    self.link.hold(cx);
                    return Poll::Pending;
                }
            }
            match self.poll_head(cx) {
                Poll::Ready(head) => head.map_err(Stopped::Lost)?,
                Poll::Pending => return self.poll_flush_interim(cx, client),
            }
            match self.download {
                Download::Head => {}
                Download::Body(..) => return Poll::Ready(Ok(())),
                Download::Tunnel => return Poll::Ready(self.begin_tunnel(cx, client)),
            }
        }
    }

    /// Sends the head behind which there is a tunnel. It fits into any socket that has room at all; what that
    /// did not take at once goes first in the tunnel.
    fn begin_tunnel(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Result<(), Stopped> {
        match self.down.poll_write(cx, client) {
            Poll::Ready(Err(_)) => {
                // The client was told nothing of it.
                self.download = Download::Head;
                Err(Stopped::ClientCut)
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// The next head of a response.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            if !self.down.chunk.is_empty() && self.read_head().map_err(Lost::bad)? {
                return Poll::Ready(Ok(()));
            }
            let backend = match &mut self.link {
                Link::Http1 { backend, .. } => backend,
                Link::Translated(_) => return self.poll_translated_head(cx),
            };
            let stream = Pin::new(&mut backend.stream);
            match ready!(self.down.chunk.poll_fill(cx, stream)) {
                Ok(read) if read > 0 => self.link.forget(),
                _ => {
                    let why = self.link.may_be_unanswered();
                    let lost = Lost::unanswered(why.unwrap_or(Unanswered::Unknown));
                    return Poll::Ready(Err(lost.once_begun(!self.down.chunk.is_empty())));
                }
            }
        }
    }

    fn poll_translated_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let Link::Translated(far) = &mut self.link else {
            return Poll::Pending;
        };
        let (head, is_at_end) = match ready!(far.upstream.poll_head(cx))? {
            Event::Interim(head) => (head, true),
            Event::Final(head) => (head, far.upstream.is_at_end()),
        };
        let mut out = self.process.buffers.take();
        let (head, persist) = ((&head, is_at_end), self.persist());
        let (response, framer) = response::translated(head, &self.asked, persist, &mut out);
        if let Link::Translated(far) = &mut self.link {
            far.down = framer;
        }
        self.link.forget();
        Poll::Ready(self.pass_head(response, out).map_err(Lost::bad))
    }

    /// A client that was sent an interim response may wait for it, and nothing else for long.
    fn poll_flush_interim(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
    ) -> Poll<Result<(), Stopped>> {
        let is_due = self.interims.have_come() || self.down.has_begun();
        let flushed = is_due.then(|| Pin::new(client).poll_flush(cx));
        match flushed {
            Some(Poll::Ready(Err(_))) => Poll::Ready(Err(Stopped::ClientCut)),
            _ => Poll::Pending,
        }
    }

    /// Says whether a head is there that is whole.
    fn read_head(&mut self) -> Result<bool, ResponseRefusal> {
        let mut out = self.process.buffers.take();
        let (bytes, persist) = (self.down.chunk.bytes(), self.persist());
        let read = response::read(bytes, &self.asked, persist, &mut out);
        let response = match read {
            Ok(Some(response)) => response,
            read => {
                self.process.buffers.give(out);
                return read.map(|_| false);
            }
        };
        self.down.chunk.consume(response.len);
        self.pass_head(response, out).map(|()| true)
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
    fn pass_head(&mut self, response: Response, out: Vec<u8>) -> Result<(), ResponseRefusal> {
        match response.status {
            101 => {
                self.put(out);
                self.download = Download::Tunnel;
            }
            status @ ..200 => {
                if let Err(too_many) = self.interims.count() {
                    self.process.buffers.give(out);
                    return Err(too_many);
                }
                match self.wants_interim(status) {
                    true => self.put(out),
                    false => self.process.buffers.give(out),
                }
            }
            status => {
                self.put(out);
                self.down.body = response.body;
                // Who answers before it has the request may take the rest of it for another one.
                let is_asked = self.upload == Upload::Done;
                let keeps = Keeps {
                    client: response.keep_client,
                    backend: response.keep_backend && is_asked,
                };
                self.download = Download::Body(status, keeps);
            }
        }
        Ok(())
    }

    /// HTTP/1.0 has none of them, and [`Self::encourage`] has said one already.
    fn wants_interim(&self, status: u16) -> bool {
        let is_said = matches!(self.link, Link::Translated(_))
            && self.asked.expects
            && status == StatusCode::CONTINUE.as_u16();
        self.asked.minor_version > 0 && !is_said
    }

    fn put(&mut self, head: Vec<u8>) {
        self.process.buffers.give(self.down.set_head(head));
    }

    /// Whether more of the request is waited for.
    fn wants_upload(&self) -> bool {
        self.upload == Upload::Going && self.link.waits_for_client()
    }
}

impl rules::Sent for Sent<'_> {
    fn wait(&self) -> Wait {
        let has_head = self.download != Download::Head;
        let takes_nothing = match has_head {
            true => self.down.waiting == Waiting::Sink,
            false => !self.down.unwritten().is_empty(),
        };
        Wait::of(has_head, takes_nothing, self.wants_upload())
    }

    fn passed(&self) -> (u64, u64) {
        (self.link.passed(), self.down.passed)
    }

    fn interims(&self) -> &Interims {
        &self.interims
    }

    fn status(&self) -> Option<u16> {
        match self.download {
            Download::Body(status, _) if self.down.has_begun() => Some(status),
            Download::Head | Download::Body(..) => None,
            Download::Tunnel => Some(StatusCode::SWITCHING_PROTOCOLS.as_u16()),
        }
    }

    /// An interim response may stand half written before an answer.
    fn is_untold(&self) -> bool {
        self.download == Download::Head && self.down.unwritten().is_empty()
    }

    fn distrust(&self) {
        self.link.distrust();
    }
}
