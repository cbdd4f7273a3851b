//! HTTP/1.1 towards clients and backends.
//!
//! A request head is read, judged and written anew in one turn ([`request`]); it and its body go to
//! a backend and the response comes back, both at once ([`exchange`]), as [`response`] says what the
//! backend's head means. What is refused or cannot be had is answered here ([`answer`]).

mod answer;
mod exchange;
mod fault;
mod request;
mod response;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use self::exchange::{Exchange, Finished};
pub(crate) use self::fault::Fault;
use self::request::{Asked, Prepared, Read, Step};
use super::backend::{Backend, Unreachable};
use super::chunk::Chunk;
use super::connection::close;
use super::flow::{Body, Flow};
use super::http2::{Upstreams, connect_bridged};
use super::log::Outcome;
use super::metrics::Protocol;
use super::protocol::ToProtocol;
use super::session::Session;
use super::stream::Stream;
use super::tunnel;
use super::worker::Worker;
use underseal_server::closing::End;
use underseal_server::watch::{Phase, Stop, Watch};

/// What an HTTP/2 client that knows already sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest body that is read and thrown away so that a connection can be kept after a refusal.
const MAX_DISCARD: u64 = 64 * 1024;

/// Serves a client's connection until it ends; gives it back if HTTP/2 is spoken on it after all.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    watch: &Watch,
    client: Stream,
    session: &Session,
) -> Option<Stream> {
    let mut connection = Connection {
        worker,
        watch,
        session,
        client,
        read: Chunk::default(),
        searched: 0,
        discard: 0,
        is_first: true,
        own_backend: None,
        own_upstreams: None,
        acquired: None,
    };
    let end = connection.requests().await;
    let Connection {
        mut client, read, ..
    } = connection;
    match end {
        Ended::Http2 => {
            client.unread(read);
            Some(client)
        }
        Ended::End(end) => {
            close(watch, client, end).await;
            None
        }
        // Never said of the connection as a whole.
        Ended::NeedsBackend => None,
    }
}

struct Connection<'a> {
    worker: &'a Rc<Worker>,
    watch: &'a Watch,
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
    /// A connection to a backend that carries this client's address, and is for nobody else.
    own_backend: Option<Box<Backend>>,
    own_upstreams: Option<Upstreams>,
    /// Who will answer the next request, where policies judge that; or why nobody will.
    acquired: Option<Result<Box<Backend>, Unreachable>>,
}

/// How the requests of a connection come to an end.
enum Ended {
    End(End),
    Http2,
    /// Not at all: a backend has to be found first.
    NeedsBackend,
}

impl From<End> for Ended {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Connection<'_> {
    /// Serves requests until the connection has to end.
    async fn requests(&mut self) -> Ended {
        let mut wait = self.worker.timeouts().header;
        loop {
            let (phase, timeout) = match self.discard > 0 || !self.read.is_empty() {
                true => (Phase::Busy, self.worker.timeouts().header),
                false => (Phase::Idle, wait),
            };
            self.watch.enter(phase, timeout);
            wait = self.worker.timeouts().idle;
            let mut prepared = match poll_fn(|cx| self.poll_request(cx)).await {
                Ok(prepared) => prepared,
                Err(Ended::NeedsBackend) => {
                    self.acquired = Some(self.backend(false).await);
                    continue;
                }
                Err(ended) => return ended,
            };
            self.is_first = false;
            let end = match prepared.step {
                Step::Answer { .. } => self.answer(&mut prepared).await,
                Step::Forward => self.forward(&mut prepared).await,
            };
            if let Some(Ok(backend)) = self.acquired.take() {
                self.keep(backend);
            }
            self.client.take_down();
            if let Some(end) = end {
                return end.into();
            }
        }
    }

    /// Waits for a whole head, and prepares what is to be done about it.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, Ended>> {
        // Reading goes first: a request that has arrived is answered, shutting down or not.
        if let Poll::Ready(request) = self.poll_head(cx) {
            return Poll::Ready(request);
        }
        match self.watch.check(cx) {
            Some(stop) => Poll::Ready(self.stopped(stop)),
            None => Poll::Pending,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, Ended>> {
        loop {
            self.throw_away();
            if self.is_first && self.read.bytes().starts_with(PREFACE) {
                return Poll::Ready(Err(Ended::Http2));
            }
            if self.may_hold_head() {
                let asked = match &self.acquired {
                    None => Asked::Nobody,
                    Some(acquired) => Asked::Backend(acquired.as_deref().ok().map(Backend::known)),
                };
                match request::prepare(self.worker, self.session, self.read.bytes(), asked) {
                    Read::Whole(prepared, used) => {
                        self.read.consume(used);
                        self.searched = 0;
                        return Poll::Ready(Ok(prepared));
                    }
                    Read::NeedsBackend => return Poll::Ready(Err(Ended::NeedsBackend)),
                    Read::Partial => self.searched = self.read.bytes().len(),
                }
            }
            let begun = !self.read.is_empty();
            let filled = self.read.poll_fill(cx, Pin::new(&mut self.client));
            match ready!(filled) {
                Ok(0) => return Poll::Ready(Err(self.client_closed().into())),
                Ok(_) if !begun => {
                    self.watch.enter(Phase::Busy, self.worker.timeouts().header);
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.client_failed(&error).into())),
            }
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
        if self.searched == 0 || bytes.len() >= self.worker.shared.read_options.max_head {
            return true;
        }
        let news = &bytes[self.searched.saturating_sub(3)..];
        news.windows(2).any(|pair| pair == b"\n\n") || news.windows(3).any(|end| end == b"\n\r\n")
    }

    fn stopped(&mut self, stop: Stop) -> Result<Prepared, Ended> {
        match stop {
            Stop::TimedOut if !self.read.is_empty() && self.discard == 0 => {
                let prepared = request::time_out(self.worker, self.session);
                self.read = Chunk::default();
                Ok(prepared)
            }
            Stop::TimedOut | Stop::Closing => Err(End::Close.into()),
            Stop::Ending => Err(End::Abort.into()),
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
            (true, false) => Some(End::Close),
        }
    }

    /// Writes something short to the client; says whether it took it.
    async fn send(&mut self, bytes: Vec<u8>) -> bool {
        let mut flow = Flow::new(Chunk::default(), Body::Done);
        flow.set_head(bytes);
        self.watch.enter(Phase::Busy, self.worker.timeouts().send);
        let sent = poll_fn(|cx| {
            if self.watch.check(cx).is_some() {
                return Poll::Ready(false);
            }
            if ready!(flow.poll_write(cx, &mut self.client)).is_err() {
                return Poll::Ready(false);
            }
            let flushed = ready!(Pin::new(&mut self.client).poll_flush(cx));
            Poll::Ready(flushed.is_ok())
        })
        .await;
        self.worker.buffers.give(flow.set_head(Vec::new()));
        sent
    }

    /// Has a backend answer; says how the connection ends if it does.
    async fn forward(&mut self, prepared: &mut Prepared) -> Option<End> {
        let worker = self.worker;
        let mut fresh = false;
        loop {
            let backend = match self.acquired.take() {
                Some(acquired) if !fresh => acquired,
                _ => self.backend(fresh).await,
            };
            let mut backend = match backend {
                Ok(backend) => backend,
                Err(unreachable) => {
                    request::unreachable(worker, prepared, unreachable);
                    return self.answer(prepared).await;
                }
            };
            let reused = backend.reused;
            let finished = self.exchange(prepared, &mut backend).await;
            if finished.is_untouched() && reused && prepared.is_repeatable {
                // It died while it waited: nobody's fault, and nothing was done.
                fresh = true;
                continue;
            }
            return self.conclude(prepared, finished, backend).await;
        }
    }

    async fn backend(&mut self, fresh: bool) -> Result<Box<Backend>, Unreachable> {
        let backends = &self.worker.backends;
        let kept = self.own_backend.take();
        let header = self.worker.proxy_header(self.session);
        if self.worker.shared.to_protocol == ToProtocol::H2 {
            return Box::pin(self.bridge(header.as_deref())).await;
        }
        let index = backends.pick();
        let kept = match (&header, fresh) {
            (_, true) => None,
            (Some(_), false) => kept.and_then(Backend::revived),
            (None, false) => backends.kept(index),
        };
        if let Some(backend) = kept {
            return Ok(backend);
        }
        // Boxed because it is rare and large.
        Box::pin(backends.connect(self.worker, self.watch, index, header.as_deref())).await
    }

    /// A stream of a connection that speaks HTTP/2: one that carries the client's address is for
    /// this client alone.
    async fn bridge(&mut self, header: Option<&[u8]>) -> Result<Box<Backend>, Unreachable> {
        let worker = self.worker;
        let upstreams = match header {
            None => &worker.upstreams,
            Some(_) => self
                .own_upstreams
                .get_or_insert_with(|| Upstreams::new(worker.backends.count())),
        };
        connect_bridged(worker, self.watch, upstreams, header).await
    }

    /// Keeps a backend's connection for the next request: of this client alone, if it carries the
    /// client's address.
    fn keep(&mut self, backend: Box<Backend>) {
        match self.worker.shared.send_proxy {
            true => self.own_backend = Some(backend).filter(|own| !own.stream.is_bridged()),
            false => self.worker.backends.keep(backend),
        }
    }

    /// Runs one exchange to its end.
    async fn exchange(&mut self, prepared: &mut Prepared, backend: &mut Backend) -> Finished {
        let read = std::mem::take(&mut self.read);
        let head = std::mem::take(&mut prepared.out);
        let mut exchange = Exchange::new(self.worker, prepared, head, read);
        let finished = {
            let (client, backend) = (&mut self.client, &mut backend.stream);
            let watch = self.watch;
            poll_fn(|cx| exchange.poll(cx, watch, client, backend)).await
        };
        let (head, read, body) = exchange.give_back();
        self.read = read;
        // It may be sent once more.
        prepared.out = head;
        prepared.body = body;
        prepared.backend = Some(backend.target);
        prepared.bytes_in = finished.bytes_in;
        finished
    }

    /// What follows from how an exchange ended.
    async fn conclude(
        &mut self,
        prepared: &mut Prepared,
        finished: Finished,
        mut backend: Box<Backend>,
    ) -> Option<End> {
        let worker = self.worker;
        if let Some(failure) = finished.unanswered {
            request::failed(worker, prepared, failure);
            return self.answer(prepared).await;
        }
        let mut outcome = Outcome {
            status: finished.status,
            bytes_in: finished.bytes_in,
            bytes_out: finished.bytes_out,
            error: finished.error,
            ..Outcome::default()
        };
        if let Some(from_backend) = finished.tunnel {
            let from_client = std::mem::take(&mut self.read);
            let passed = Box::pin(tunnel::pass(
                self.watch,
                worker.timeouts().tunnel,
                (&mut self.client, from_client),
                (&mut backend.stream, from_backend),
            ))
            .await;
            outcome.bytes_in = passed.from_client;
            outcome.bytes_out = passed.to_client;
            outcome.error = passed.error;
            self.log(prepared, outcome);
            return Some(match passed.error {
                None => End::Close,
                Some(_) => {
                    backend.stream.abort();
                    End::Abort
                }
            });
        }
        self.log(prepared, outcome);
        if finished.keep_backend {
            self.keep(backend);
        } else if finished.error.is_some() {
            backend.stream.abort();
        }
        finished.end
    }

    /// Completes the log line, and gives the buffers back.
    fn log(&self, prepared: &mut Prepared, outcome: Outcome<'_>) {
        let line = std::mem::take(&mut prepared.line);
        let head = std::mem::take(&mut prepared.out);
        self.worker.buffers.give(head);
        let outcome = Outcome {
            duration: prepared.started.elapsed(),
            engines: self.client.engines(),
            backend: prepared
                .backend
                .map(|backend| self.worker.backends.name_of(backend)),
            ..outcome
        };
        self.worker.conclude(line, Some(Protocol::Http1), &outcome);
    }
}
