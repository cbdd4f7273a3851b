//! Requests: read, and what goes on of them written down, in one turn and without allocating.

use std::time::Instant;

use underseal_http::http1::{self, Chunks, Head};
use underseal_http::{Framing, Outgoing, Upgrade};

use super::answer::{self, Keep};
use super::{Fault, MAX_DISCARD};
use crate::backend::Unreachable;
use crate::exchange::{Denied, Incoming, write_down};
use crate::flow::Body;
use crate::listener::Listener;
use crate::log;
use crate::process::Process;
use crate::service::Service;
use crate::session::Session;
use crate::websocket;

/// A request, and what is to be done about it.
pub(crate) struct Prepared {
    pub(super) started: Instant,
    /// The log line so far, and how long it was before anything was judged.
    pub(super) line: Vec<u8>,
    pub(super) begun: usize,
    /// What goes on, if it may.
    pub(super) outgoing: Outgoing,
    /// The answer for the client.
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
    /// Of a request for WebSocket: the backend may go over to it.
    pub(super) websocket: Option<websocket::Key>,
    /// The backend that was asked, and what it was given of the body.
    pub(super) backend: Option<usize>,
    pub(super) bytes_in: u64,
}

/// What is to be done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on, if policies allow it.
    Forward,
    /// A denial has no fault.
    Answer {
        status: u16,
        error: Option<Fault>,
        /// Of the body.
        length: u64,
    },
}

/// Reads a head that `bytes` may begin with, and prepares what is to be done about it; says how many
/// bytes were used. `None` if it is not whole.
pub(super) fn prepare(
    (process, listener, service): (&Process, &Listener, &Service),
    session: &Session,
    bytes: &[u8],
) -> Option<(Prepared, usize)> {
    let mut scratch = process.scratch.borrow_mut();
    let mut options = listener.read_options();
    options.local = Some(session.local);
    match http1::read(bytes, &options, &mut scratch) {
        Ok(head) => {
            let ends = (process, listener, service);
            head.map(|head| (prepare_head(ends, session, &head), head.len()))
        }
        Err(refusal) => {
            let mut refused = refuse(process, session, Fault::Refused(refusal), bytes);
            // Whether there is one, and how long it is, nobody knows.
            refused.body = Body::UntilClose;
            Some((refused, bytes.len()))
        }
    }
}

/// Answers a client that did not finish its head, of which `bytes` have come.
pub(super) fn time_out(process: &Process, session: &Session, bytes: &[u8]) -> Prepared {
    refuse(process, session, Fault::ClientTimeout, bytes)
}

/// Answers in the place of backends that cannot be had.
pub(super) fn unreachable(process: &Process, prepared: &mut Prepared, unreachable: Unreachable) {
    answer_with(process, prepared, Fault::Unreachable(unreachable));
}

/// Answers what may not go on.
pub(super) fn denied(process: &Process, prepared: &mut Prepared, denied: Denied) {
    match denied {
        Denied::Policy => prepared.answer(process, 403, None),
        Denied::Unasked(fault) => answer_with(process, prepared, fault),
    }
}

/// Answers in the place of a backend that did not.
pub(super) fn failed(process: &Process, prepared: &mut Prepared, fault: Fault) {
    // Some of the body may have been read: where it ends is not known any more.
    prepared.persist &= prepared.body.is_done();
    answer_with(process, prepared, fault);
}

fn refuse(process: &Process, session: &Session, fault: Fault, bytes: &[u8]) -> Prepared {
    let mut prepared = unfinished(process, session, bytes);
    answer_with(process, &mut prepared, fault);
    prepared
}

/// What there is to log of a head that is none, or not all of one, of which `bytes` have come.
pub(super) fn unfinished(process: &Process, session: &Session, bytes: &[u8]) -> Prepared {
    let mut prepared = Prepared::new(process);
    let seen = http1::glimpse(bytes);
    process.clock.with_now(|_, time| {
        let protocol = log::http1(seen.minor_version);
        log::begin(&mut prepared.line, time, session, protocol);
        log::seen(&mut prepared.line, &seen);
        log::refused(&mut prepared.line);
    });
    prepared
}

fn prepare_head(
    (process, listener, service): (&Process, &Listener, &Service),
    session: &Session,
    head: &Head<'_>,
) -> Prepared {
    let request = head.request();
    let mut prepared = Prepared::new(process);
    prepared.note(process, head);
    let version = log::http1(Some(head.minor_version()));
    let line = &mut prepared.line;
    process
        .clock
        .with_now(|_, time| log::begin(line, time, session, version));
    prepared.begun = line.len();
    if request.path().is_none() {
        log::asked(line, &request, head.target());
        log::refused(line);
        prepared.persist = false;
        answer_with(process, &mut prepared, Fault::Connect);
        return prepared;
    }
    prepared.websocket = websocket::Key::of(head);
    let incoming = Incoming {
        framing: head.framing(),
        upgrade: match prepared.websocket {
            Some(_) => Upgrade::AsAsked,
            None => Upgrade::None,
        },
    };
    prepared.outgoing = write_down((process, listener, service), session, &request, incoming);
    prepared
}

fn answer_with(process: &Process, prepared: &mut Prepared, fault: Fault) {
    if let Fault::Refused(refusal) = fault {
        process.tally.refused(refusal);
    }
    prepared.answer(process, fault.status(), Some(fault));
}

impl Prepared {
    fn new(process: &Process) -> Self {
        Self {
            started: Instant::now(),
            line: process.buffers.take(),
            begun: 0,
            outgoing: Outgoing::default(),
            out: Vec::new(),
            step: Step::Forward,
            persist: false,
            minor_version: 1,
            is_head: false,
            body: Body::Done,
            expects: false,
            websocket: None,
            backend: None,
            bytes_in: 0,
        }
    }

    /// Keeps what is needed of a head after it is gone.
    fn note(&mut self, process: &Process, head: &Head<'_>) {
        let request = head.request();
        let mut expectations = request.header(b"expect");
        self.expects = expectations.any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        self.minor_version = head.minor_version();
        self.is_head = request.method() == b"HEAD";
        self.body = match head.framing() {
            Framing::Empty | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunks::default()),
        };
        let wants = head.options().persists(self.minor_version);
        self.persist = wants && !process.deadlines.closing();
    }

    /// Replaces what was to be done by an answer of our own.
    fn answer(&mut self, process: &Process, status: u16, error: Option<Fault>) {
        let keeps = match self.body {
            Body::Done => true,
            Body::Length(length) => length <= MAX_DISCARD && !self.expects,
            Body::Chunked(_) | Body::UntilClose => false,
        };
        self.persist &= keeps;
        self.out = process.buffers.take();
        let keep = Keep::of(self.persist, self.minor_version);
        let Self { out, is_head, .. } = self;
        let length = process
            .clock
            .with_now(|date, _| answer::write(out, status, date, keep, !*is_head));
        self.step = Step::Answer {
            status,
            error,
            length,
        };
    }
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
