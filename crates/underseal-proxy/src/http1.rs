//! HTTP/1.1 towards clients and backends.
//!
//! A request head is read, and what goes on of it written down, in one turn ([`request`]). That is
//! judged ([`forward`]); it and the body go to a backend of either version ([`link`]) and the response
//! comes back, both at once ([`exchange`]), as [`response`] says what the backend's head means. What is
//! refused or cannot be had is answered here ([`answer`]).

mod answer;
mod departure;
mod exchange;
mod fault;
mod forward;
mod link;
mod request;
mod response;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

pub(crate) use self::fault::Fault;
use self::request::{Prepared, Step};
use super::chunk::Chunk;
use super::connection::close;
use super::flow::{Body, Flow};
use super::log::Outcome;
use super::metrics::Protocol;
use super::service::Service;
use super::session::Session;
use super::stream::Stream;
use super::upstream::Upstreams;
use super::worker::Worker;
use underseal_server::closing::End;
use underseal_server::deadline::{Deadline, Phase, Stop};

/// What an HTTP/2 client that knows already sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest body that is read and thrown away so that a connection can be kept after a refusal.
const MAX_DISCARD: u64 = 64 * 1024;

/// Serves a client's connection until it ends; gives it back if HTTP/2 is spoken on it after all.
pub(crate) async fn serve(
    (worker, service): (&Worker, &Service),
    deadline: &Deadline,
    client: Stream,
    session: &Session,
) -> Option<Stream> {
    let mut connection = Connection {
        worker,
        service,
        deadline,
        session,
        client,
        read: Chunk::default(),
        searched: 0,
        discard: 0,
        is_first: true,
        upstreams: service.upstreams_of(session),
    };
    let end = connection.requests().await;
    let Connection {
        mut client,
        read,
        upstreams,
        ..
    } = connection;
    // Backends are told before the client is heard out, which takes a while: what speaks for it ends.
    drop(upstreams);
    match end {
        Next::Http2 => {
            client.unread(read);
            Some(client)
        }
        Next::Close(end) => {
            close(deadline, client, end).await;
            None
        }
    }
}

struct Connection<'a> {
    worker: &'a Worker,
    /// What it comes to.
    service: &'a Service,
    deadline: &'a Deadline,
    session: &'a Session,
    client: Stream,
    /// What was read of the client and not yet used.
    read: Chunk,
    /// How much of it has been searched for the end of a head.
    searched: usize,
    /// Bytes of a body still to be thrown away.
    discard: u64,
    /// Whether nothing has been asked yet.
    is_first: bool,
    /// The connections that its requests go out on.
    upstreams: Rc<Upstreams>,
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

impl Connection<'_> {
    /// Serves requests until the connection has to end.
    async fn requests(&mut self) -> Next {
        let mut wait = self.worker.process.timeouts().header;
        loop {
            let (phase, timeout) = match self.discard > 0 || !self.read.is_empty() {
                true => (Phase::Busy, self.worker.process.timeouts().header),
                false => (Phase::Idle, wait),
            };
            self.deadline.enter(phase, timeout);
            wait = self.worker.process.timeouts().idle;
            let mut prepared = match poll_fn(|cx| self.poll_request(cx)).await {
                Ok(prepared) => prepared,
                Err(ended) => return ended,
            };
            self.is_first = false;
            let end = match prepared.step {
                Step::Answer { .. } => self.answer(&mut prepared).await,
                Step::Forward => self.forward(&mut prepared).await,
            };
            self.client.record_counters();
            if let Some(end) = end {
                return end.into();
            }
        }
    }

    /// Waits for a whole head, and prepares what is to be done about it.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, Next>> {
        // Reading goes first: a request that has arrived is answered, shutting down or not.
        if let Poll::Ready(request) = self.poll_head(cx) {
            return Poll::Ready(request);
        }
        match self.deadline.check(cx) {
            Some(stop) => Poll::Ready(self.stopped(stop)),
            None => Poll::Pending,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, Next>> {
        loop {
            self.throw_away();
            if self.is_first && self.read.bytes().starts_with(PREFACE) {
                return Poll::Ready(Err(Next::Http2));
            }
            if self.may_hold_head() {
                let bytes = self.read.bytes();
                let (process, listener) = (&self.worker.process, &self.worker.listener);
                let ends = (process, listener, self.service);
                if let Some((prepared, used)) = request::prepare(ends, self.session, bytes) {
                    self.read.consume(used);
                    self.searched = 0;
                    return Poll::Ready(Ok(prepared));
                }
                self.searched = bytes.len();
            }
            let begun = !self.read.is_empty();
            let filled = self.read.poll_fill(cx, Pin::new(&mut self.client));
            match ready!(filled) {
                Ok(0) => {
                    self.log_unfinished();
                    return Poll::Ready(Err(self.client_closed().into()));
                }
                Ok(_) if !begun => {
                    self.deadline
                        .enter(Phase::Busy, self.worker.process.timeouts().header);
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
            let process = &self.worker.process;
            let mut prepared = request::unfinished(process, self.session, bytes);
            let outcome = Outcome {
                error: Some("client-cut"),
                ..Outcome::default()
            };
            self.log(&mut prepared, outcome);
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
        if self.searched == 0 || bytes.len() >= self.worker.listener.settings.read_options.max_head
        {
            return true;
        }
        let news = &bytes[self.searched.saturating_sub(3)..];
        news.windows(2).any(|pair| pair == b"\n\n") || news.windows(3).any(|end| end == b"\n\r\n")
    }

    fn stopped(&mut self, stop: Stop) -> Result<Prepared, Next> {
        match stop {
            Stop::TimedOut if !self.read.is_empty() && self.discard == 0 => {
                let prepared =
                    request::time_out(&self.worker.process, self.session, self.read.bytes());
                self.read = Chunk::default();
                Ok(prepared)
            }
            Stop::TimedOut | Stop::Closing => Err(End::of(self.discard == 0).into()),
            Stop::Ended => Err(End::Abort.into()),
        }
    }

    fn client_closed(&self) -> End {
        if !self.read.is_empty() || self.discard > 0 {
            tracing::info!("{} closed within a request", self.session.remote);
        }
        End::Close
    }

    fn client_failed(&self, error: &io::Error) -> End {
        // Many clients leave without close_notify between requests; nothing is lost by it.
        tracing::debug!("{} left: {error}", self.session.remote);
        End::Abort
    }

    /// Sends an answer of our own; says how the connection ends if it does.
    async fn answer(&mut self, prepared: &mut Prepared) -> Option<End> {
        let Step::Answer {
            status,
            error,
            length,
        } = prepared.step
        else {
            return Some(End::Abort);
        };
        let keep = prepared.persist;
        let head = std::mem::take(&mut prepared.out);
        let sent = self.send(head).await;
        let word = error.map(|fault| fault.to_string());
        let outcome = Outcome {
            status: sent.then_some(status),
            bytes_in: prepared.bytes_in,
            bytes_out: if sent { length } else { 0 },
            is_own: true,
            error: word.as_deref(),
            ..Outcome::default()
        };
        self.log(prepared, outcome);
        match (sent, keep) {
            (false, _) => Some(End::Abort),
            (true, true) => {
                if let Body::Length(length) = prepared.body {
                    self.discard = length;
                }
                None
            }
            (true, false) => Some(End::of(prepared.body.is_done())),
        }
    }

    /// Writes something short to the client; says whether it took it.
    async fn send(&mut self, bytes: Vec<u8>) -> bool {
        let mut flow = Flow::new(Chunk::default(), Body::Done);
        flow.set_head(bytes);
        self.deadline
            .enter(Phase::Busy, self.worker.process.timeouts().send);
        let sent = poll_fn(|cx| {
            if self.deadline.check(cx).is_some() {
                return Poll::Ready(false);
            }
            if ready!(flow.poll_write(cx, &mut self.client)).is_err() {
                return Poll::Ready(false);
            }
            let flushed = ready!(Pin::new(&mut self.client).poll_flush(cx));
            Poll::Ready(flushed.is_ok())
        })
        .await;
        self.worker.process.buffers.give(flow.set_head(Vec::new()));
        sent
    }

    /// Completes the log line, and gives the buffers back.
    fn log(&self, prepared: &mut Prepared, outcome: Outcome<'_>) {
        let line = std::mem::take(&mut prepared.line);
        let head = std::mem::take(&mut prepared.out);
        self.worker.process.buffers.give(head);
        let outcome = Outcome {
            duration: prepared.started.elapsed(),
            engines: self.client.engines(),
            backend: prepared
                .backend
                .map(|backend| self.service.backends.name_of(backend)),
            ..outcome
        };
        self.worker
            .process
            .conclude(line, Some(Protocol::Http1), &outcome);
    }
}
