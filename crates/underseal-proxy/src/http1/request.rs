//! Requests: read, judged, and written anew for the backend, in one turn and without allocating.

use std::time::Instant;

use underseal_http::Framing;
use underseal_http::http1::{self, Chunks, Head};
use underseal_policy::Verdict;

use super::answer::{self, Keep};
use super::{Fault, MAX_DISCARD};
use crate::backend::{Known, Unreachable};
use crate::flow::Body;
use crate::log;
use crate::session::Session;
use crate::tokens::BadToken;
use crate::worker::Worker;
use underseal_http::fields::{Kind, Options, kind, listed};

/// A request, and what is to be done about it.
pub(crate) struct Prepared {
    pub(super) started: Instant,
    /// The log line so far.
    pub(super) line: Vec<u8>,
    /// The head for the backend, or the answer for the client.
    pub(super) out: Vec<u8>,
    pub(super) step: Step,
    /// Whether the client wants the connection to go on, and may have it so.
    pub(super) persist: bool,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub(super) minor_version: u8,
    /// Whether the response has no body, whatever its fields say.
    pub(super) is_head: bool,
    /// What follows the head.
    pub(super) body: Body,
    /// Whether the client waits for "100 Continue" before it sends the body.
    pub(super) expects: bool,
    /// Whether the backend may answer with another protocol.
    pub(super) upgrade: bool,
    /// The backend that was asked, and what it was given of the body.
    pub(super) backend: Option<usize>,
    pub(super) bytes_in: u64,
    /// Whether it can be sent once more if the backend died before it answered: it has no body, and
    /// doing it twice is the same as once (RFC 9110 section 9.2.2).
    pub(super) is_repeatable: bool,
}

/// What is to be done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Forward,
    /// A denial has no fault.
    Answer {
        status: u16,
        error: Option<Fault>,
        /// Of the body.
        length: u64,
    },
}

/// What became of bytes that may begin with a head.
pub(super) enum Read {
    /// It is not whole.
    Partial,
    /// It is, and can only be judged when it is known who will answer.
    NeedsBackend,
    /// This many bytes were used.
    Whole(Prepared, usize),
}

/// Who will answer, where policies judge that.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Nobody has been asked yet.
    Nobody,
    /// Somebody, or in vain.
    Backend(Option<Known<'a>>),
}

/// Reads a head that `bytes` may begin with, and prepares what is to be done about it.
pub(super) fn prepare(worker: &Worker, session: &Session, bytes: &[u8], asked: Asked<'_>) -> Read {
    let mut scratch = worker.scratch.borrow_mut();
    match http1::read(bytes, &worker.shared.read_options, &mut scratch) {
        Ok(None) => Read::Partial,
        Ok(Some(head)) => match asked {
            Asked::Nobody if worker.judges_backend() => Read::NeedsBackend,
            Asked::Nobody => Read::Whole(decide(worker, session, &head, None), head.len()),
            Asked::Backend(backend) => {
                Read::Whole(decide(worker, session, &head, backend), head.len())
            }
        },
        Err(refusal) => {
            let refused = refuse(worker, session, Fault::Refused(refusal));
            Read::Whole(refused, bytes.len())
        }
    }
}

/// Answers a client that did not finish its head.
pub(super) fn time_out(worker: &Worker, session: &Session) -> Prepared {
    refuse(worker, session, Fault::ClientTimeout)
}

/// Answers in the place of backends that cannot be had.
pub(super) fn unreachable(worker: &Worker, prepared: &mut Prepared, unreachable: Unreachable) {
    answer_with(worker, prepared, Fault::Unreachable(unreachable));
}

/// Answers in the place of a backend that did not.
pub(super) fn failed(worker: &Worker, prepared: &mut Prepared, fault: Fault) {
    // Some of the body may have been read: where it ends is not known any more.
    prepared.persist &= prepared.body.is_done();
    answer_with(worker, prepared, fault);
}

fn refuse(worker: &Worker, session: &Session, fault: Fault) -> Prepared {
    let mut prepared = Prepared::new(worker);
    worker.clock.with_now(|_, time| {
        log::begin(&mut prepared.line, time, session, "http/1.1");
        log::unread(&mut prepared.line);
        log::refused(&mut prepared.line);
    });
    answer_with(worker, &mut prepared, fault);
    prepared
}

fn decide(
    worker: &Worker,
    session: &Session,
    head: &Head<'_>,
    backend: Option<Known<'_>>,
) -> Prepared {
    let request = head.request();
    let mut prepared = Prepared::new(worker);
    let options = prepared.note(worker, head);
    if request.path().is_none() {
        let line = &mut prepared.line;
        worker
            .clock
            .with_now(|_, time| log::begin(line, time, session, version(head)));
        log::asked(line, request.method(), head.target(), request.host());
        log::refused(line);
        prepared.persist = false;
        answer_with(worker, &mut prepared, Fault::Connect);
        return prepared;
    }
    prepared.upgrade = options.upgrade && upgrades(worker, head);
    prepared.write_head(worker, session, head, options);
    let Prepared { line, out, .. } = &mut prepared;
    let verdict = worker.judge(session, backend, Some(&request), |judged| {
        if !worker.log.is_off() {
            worker
                .clock
                .with_now(|_, time| log::begin(line, time, session, version(head)));
            log::asked(line, request.method(), target_of(out), request.host());
            log::judged(line, judged);
        }
    });
    match verdict {
        Ok(Verdict::Allow) => {}
        Ok(Verdict::Deny) => prepared.answer(worker, 403, None),
        Err(BadToken) => {
            let line = &mut prepared.line;
            worker
                .clock
                .with_now(|_, time| log::begin(line, time, session, version(head)));
            // Without the query, where tokens may stand.
            let path = request.path().unwrap_or_default();
            log::asked(line, request.method(), path, request.host());
            log::refused(line);
            answer_with(worker, &mut prepared, Fault::Token);
        }
    }
    prepared
}

fn version(head: &Head<'_>) -> &'static str {
    match head.minor_version() {
        0 => "http/1.0",
        _ => "http/1.1",
    }
}

/// The target in a head that was written here.
fn target_of(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// Whether the protocols that a request asks for may be spoken. Where requests are judged, only
/// WebSocket: what others carry may be requests that nobody judges.
fn upgrades(worker: &Worker, head: &Head<'_>) -> bool {
    let request = head.request();
    let is_plain = head.minor_version() == 1 && matches!(head.framing(), Framing::Empty);
    let mut wanted = request.header(b"upgrade").flat_map(listed);
    is_plain
        && (worker.in_force.is_none()
            || wanted.all(|protocol| protocol.eq_ignore_ascii_case(b"websocket")))
}

fn answer_with(worker: &Worker, prepared: &mut Prepared, fault: Fault) {
    if let Fault::Refused(refusal) = fault {
        worker.tally.refused(refusal);
    }
    prepared.answer(worker, fault.status(), Some(fault));
}

impl Prepared {
    fn new(worker: &Worker) -> Self {
        Self {
            started: Instant::now(),
            line: worker.buffers.take(),
            out: worker.buffers.take(),
            step: Step::Forward,
            persist: false,
            minor_version: 1,
            is_head: false,
            body: Body::Done,
            expects: false,
            upgrade: false,
            backend: None,
            bytes_in: 0,
            is_repeatable: false,
        }
    }

    /// Takes down what is needed of a head after it is gone.
    fn note(&mut self, worker: &Worker, head: &Head<'_>) -> Options {
        let request = head.request();
        let mut options = Options::default();
        for value in request.header(b"connection") {
            options.note(value);
        }
        let mut expectations = request.header(b"expect");
        self.expects = expectations.any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        self.minor_version = head.minor_version();
        self.is_head = request.method() == b"HEAD";
        self.body = match head.framing() {
            Framing::Empty | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunks::default()),
        };
        let wants = match self.minor_version {
            0 => options.keep_alive && !options.close,
            _ => !options.close,
        };
        self.persist = wants && !worker.watches.closing();
        let idempotent = [
            &b"GET"[..],
            b"HEAD",
            b"OPTIONS",
            b"TRACE",
            b"PUT",
            b"DELETE",
        ];
        self.is_repeatable = self.body.is_done() && idempotent.contains(&request.method());
        options
    }

    /// Replaces what was to be done by an answer of our own.
    fn answer(&mut self, worker: &Worker, status: u16, error: Option<Fault>) {
        let keeps = match self.body {
            Body::Done => true,
            Body::Length(length) => length <= MAX_DISCARD && !self.expects,
            Body::Chunked(_) | Body::UntilClose => false,
        };
        self.persist &= keeps;
        self.out.clear();
        let keep = Keep::of(self.persist, self.minor_version);
        let Self { out, is_head, .. } = self;
        let length = worker
            .clock
            .with_now(|date, _| answer::write(out, status, date, keep, !*is_head));
        self.step = Step::Answer {
            status,
            error,
            length,
        };
    }

    /// Writes the head for the backend: the path that was judged, the fields that are for it, and
    /// what is known of the client.
    fn write_head(
        &mut self,
        worker: &Worker,
        session: &Session,
        head: &Head<'_>,
        options: Options,
    ) {
        let request = head.request();
        let out = &mut self.out;
        out.extend_from_slice(request.method());
        out.push(b' ');
        out.extend_from_slice(request.path().unwrap_or(b"/"));
        if let Some(query) = memchr::memchr(b'?', head.target()) {
            out.extend_from_slice(&head.target()[query..]);
        }
        out.extend_from_slice(match self.minor_version {
            0 => b" HTTP/1.0\r\n",
            _ => b" HTTP/1.1\r\n",
        });
        let mut trailers = false;
        for (name, value) in request.fields() {
            let passes = match kind(name) {
                Kind::EndToEnd => !options.names_fields || !is_named_by_connection(&request, name),
                Kind::ContentLength | Kind::TransferEncoding => true,
                Kind::Upgrade => self.upgrade,
                Kind::Http2Settings => self.upgrade && worker.in_force.is_none(),
                Kind::Te => {
                    trailers |= listed(value).any(|te| te.eq_ignore_ascii_case(b"trailers"));
                    false
                }
                Kind::Hop | Kind::Connection | Kind::Ours => false,
            };
            if passes {
                write_field(out, name, value);
            }
        }
        out.extend_from_slice(&session.forwarded);
        self.write_connection(trailers);
        self.out.extend_from_slice(b"\r\n");
    }

    /// What the backend is told about the connection.
    fn write_connection(&mut self, trailers: bool) {
        let out = &mut self.out;
        if trailers {
            out.extend_from_slice(b"TE: trailers\r\n");
        }
        out.extend_from_slice(match (self.minor_version, self.upgrade, trailers) {
            (0, ..) => b"Connection: close\r\n",
            (_, true, true) => b"Connection: Upgrade, TE\r\n",
            (_, true, false) => b"Connection: Upgrade\r\n",
            (_, false, true) => b"Connection: TE\r\n",
            (_, false, false) => b"",
        });
    }
}

fn is_named_by_connection(request: &underseal_http::Request<'_>, name: &[u8]) -> bool {
    let mut options = request.header(b"connection").flat_map(listed);
    options.any(|option| option.eq_ignore_ascii_case(name))
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
