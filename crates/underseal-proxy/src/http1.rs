//! HTTP/1.1 towards clients and backends.
//!
//! A request head is read, and what goes on of it written down, in one turn ([`request`]). The
//! [exchange](crate::exchange) has it judged and sent, through its [`face`]: it and the body go to a backend of
//! either version ([`link`]) and the response comes back, both at once ([`sent`]), as [`response`] says what
//! the backend's head means.

mod departure;
mod face;
mod link;
mod request;
mod response;
mod sent;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use self::departure::Hangup;
use self::face::Face;
use self::request::Request;
use super::chunk::Chunk;
use super::connection::close;
use super::exchange::{Client, Fault};
use super::flow::{Body, Flow};
use super::process::Process;
use super::stream::Stream;
use underseal_server::closing::End;
use underseal_server::deadline::{Deadline, Phase, Stop};

/// What an HTTP/2 client that knows already sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest body that is read and thrown away so that a connection can be kept after a refusal.
const MAX_DISCARD: u64 = 64 * 1024;

/// Serves a client's connection until it ends; gives it back if HTTP/2 is spoken on it after all.
pub(crate) async fn serve(
    client: Rc<Client>,
    deadline: &Deadline,
    stream: Stream,
) -> Option<(Rc<Client>, Stream)> {
    let mut connection = Connection {
        client: &client,
        deadline,
        stream,
        read: Chunk::default(),
        searched: 0,
        discard: 0,
        is_first: true,
    };
    let end = connection.requests().await;
    let Connection {
        mut stream, read, ..
    } = connection;
    match end {
        Next::Http2 => {
            stream.unread(read);
            Some((client, stream))
        }
        Next::Close(end) => {
            // Backends are told before the client is heard out, which takes a while: what speaks for it ends.
            drop(client);
            close(deadline, stream, end).await;
            None
        }
    }
}

struct Connection<'c> {
    client: &'c Client,
    deadline: &'c Deadline,
    stream: Stream,
    /// What was read of the client and not yet used.
    read: Chunk,
    /// How much of it has been searched for the end of a head.
    searched: usize,
    /// Bytes of a body still to be thrown away.
    discard: u64,
    /// Whether nothing has been asked yet.
    is_first: bool,
}

/// What follows the requests of a connection.
enum Next {
    Close(End),
    Http2,
}

impl From<End> for Next {
    fn from(end: End) -> Self {
        Self::Close(end)
    }
}

impl<'c> Connection<'c> {
    /// Serves requests until the connection has to end.
    async fn requests(&mut self) -> Next {
        let timeouts = self.process().timeouts();
        let mut wait = timeouts.header;
        loop {
            let (phase, timeout) = match self.discard > 0 || !self.read.is_empty() {
                true => (Phase::Busy, timeouts.header),
                false => (Phase::Idle, wait),
            };
            self.deadline.enter(phase, timeout);
            wait = timeouts.idle;
            let Request {
                mut exchange,
                mut step,
                asked,
                body,
            } = match poll_fn(|cx| self.poll_request(cx)).await {
                Ok(request) => request,
                Err(ended) => return ended,
            };
            self.is_first = false;
            let mut face = Face {
                connection: self,
                asked,
                body,
                hangup: Hangup::default(),
                switched: None,
                end: None,
            };
            exchange.run(&mut step, &mut face).await;
            let end = face.end;
            self.stream.record_counters();
            if let Some(end) = end {
                return end.into();
            }
        }
    }

    fn process(&self) -> &'c Process {
        self.client.process()
    }

    /// Waits for a whole head, and prepares what is to be done about it.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Request<'c>, Next>> {
        // Reading goes first: a request that has arrived is answered, shutting down or not.
        if let Poll::Ready(request) = self.poll_head(cx) {
            return Poll::Ready(request);
        }
        match self.deadline.check(cx) {
            Some(stop) => Poll::Ready(self.stopped(stop)),
            None => Poll::Pending,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Request<'c>, Next>> {
        loop {
            self.throw_away();
            if self.is_first && self.read.bytes().starts_with(PREFACE) {
                return Poll::Ready(Err(Next::Http2));
            }
            if self.may_hold_head() {
                let bytes = self.read.bytes();
                if let Some((request, used)) = request::prepare((self.client, self.deadline), bytes)
                {
                    self.read.consume(used);
                    self.searched = 0;
                    return Poll::Ready(Ok(request));
                }
                self.searched = bytes.len();
            }
            let begun = !self.read.is_empty();
            let filled = self.read.poll_fill(cx, Pin::new(&mut self.stream));
            match ready!(filled) {
                Ok(0) => {
                    self.log_unfinished();
                    return Poll::Ready(Err(self.client_closed().into()));
                }
                Ok(_) if !begun => {
                    let patience = self.process().timeouts().header;
                    self.deadline.enter(Phase::Busy, patience);
                }
                Ok(_) => {}
                Err(error) => {
                    self.log_unfinished();
                    return Poll::Ready(Err(self.client_failed(&error).into()));
                }
            }
        }
    }

    /// Writes the line of a head that its client left before the end. Empty lines begin none.
    fn log_unfinished(&self) {
        let bytes = self.read.bytes();
        let has_begun = bytes.iter().any(|byte| !b"\r\n".contains(byte));
        if has_begun && self.discard == 0 {
            let mut line = request::unfinished(self.client, bytes);
            line.outcome.engines = self.stream.engines();
            line.outcome.error = Some("client-cut".into());
            line.conclude(self.process());
        }
    }

    /// Throws away what is left of a body that nobody wants.
    fn throw_away(&mut self) {
        if self.discard > 0 {
            let dropped = self.discard.min(self.read.bytes().len() as u64);
            self.discard -= dropped;
            self.read.consume(dropped as usize);
        }
    }

    /// Whether the bytes are worth reading as a head. Those that were read in vain are not, until
    /// an empty line has come; else a head sent byte by byte would be read as often.
    fn may_hold_head(&self) -> bool {
        let bytes = self.read.bytes();
        if bytes.is_empty() || (self.is_first && PREFACE.starts_with(bytes)) {
            return false;
        }
        let max_head = self.client.worker.listener.settings.read_options.max_head;
        if self.searched == 0 || bytes.len() >= max_head {
            return true;
        }
        let news = &bytes[self.searched.saturating_sub(3)..];
        news.windows(2).any(|pair| pair == b"\n\n") || news.windows(3).any(|end| end == b"\n\r\n")
    }

    fn stopped(&mut self, stop: Stop) -> Result<Request<'c>, Next> {
        match stop {
            Stop::TimedOut if !self.read.is_empty() && self.discard == 0 => {
                let read = std::mem::take(&mut self.read);
                let ends = (self.client, self.deadline);
                Ok(request::refuse(ends, Fault::ClientTimeout, read.bytes()))
            }
            Stop::TimedOut | Stop::Closing => Err(End::of(self.discard == 0).into()),
            Stop::Ended => Err(End::Abort.into()),
        }
    }

    fn client_closed(&self) -> End {
        if !self.read.is_empty() || self.discard > 0 {
            tracing::info!("{} closed within a request", self.client.session.remote);
        }
        End::Close
    }

    fn client_failed(&self, error: &io::Error) -> End {
        // Many clients leave without close_notify between requests; nothing is lost by it.
        tracing::debug!("{} left: {error}", self.client.session.remote);
        End::Abort
    }

    /// Writes something short to the client; says whether it took it.
    async fn send(&mut self, bytes: Vec<u8>) -> bool {
        let mut flow = Flow::new(Chunk::default(), Body::Done);
        flow.set_head(bytes);
        let patience = self.process().timeouts().send;
        self.deadline.enter(Phase::Busy, patience);
        let sent = poll_fn(|cx| {
            if self.deadline.check(cx).is_some() {
                return Poll::Ready(false);
            }
            if ready!(flow.poll_write(cx, &mut self.stream)).is_err() {
                return Poll::Ready(false);
            }
            let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
            Poll::Ready(flushed.is_ok())
        })
        .await;
        self.process().buffers.give(flow.set_head(Vec::new()));
        sent
    }
}
