//! Requests: read, and what goes on of them written down, in one turn and without allocating.

use underseal_http::http1::{self, Chunks, Glimpse, Head};
use underseal_http::{Framing, Upgrade, Version};

use super::MAX_DISCARD;
use crate::exchange::{Client, Exchange, Fault, Incoming, Step};
use crate::flow::Body;
use crate::log::{self, Line};
use crate::websocket;
use underseal_server::deadline::Deadline;

/// A client, and the deadline of its connection.
type Ends<'c> = (&'c Client, &'c Deadline);

/// A request, what follows its head, and what is to be done about it.
pub(super) struct Request<'c> {
    pub(super) exchange: Exchange<'c>,
    pub(super) step: Step,
    pub(super) asked: Asked,
    pub(super) body: Body,
}

/// What is needed of a head after it is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// Whether the client wants the connection to go on, and may have it so.
    pub(super) persist: bool,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub(super) minor_version: u8,
    /// Whether the response has no body, whatever its fields say.
    pub(super) is_head: bool,
    /// Whether the client waits for "100 Continue" before it sends the body.
    pub(super) expects: bool,
    /// Of a request for WebSocket: the backend may go over to it.
    pub(super) websocket: Option<websocket::Key>,
}

/// Reads a head that `bytes` may begin with, and prepares what is to be done about it; says how many
/// bytes were used. `None` if it is not whole.
pub(super) fn prepare<'c>(ends: Ends<'c>, bytes: &[u8]) -> Option<(Request<'c>, usize)> {
    let (client, _) = ends;
    let mut scratch = client.process().scratch.borrow_mut();
    let mut options = client.worker.listener.read_options();
    options.local = Some(client.session.local);
    match http1::read(bytes, &options, &mut scratch) {
        Ok(head) => head.map(|head| (prepare_head(ends, &head), head.len())),
        Err(refusal) => {
            let mut refused = refuse(ends, Fault::Refused(refusal), bytes);
            // Whether there is one, and how long it is, nobody knows.
            refused.body = Body::UntilClose;
            Some((refused, bytes.len()))
        }
    }
}

/// Refuses a request of which `bytes` have come.
pub(super) fn refuse<'c>(ends: Ends<'c>, fault: Fault, bytes: &[u8]) -> Request<'c> {
    Request {
        exchange: Exchange::new(ends, unfinished(ends.0, bytes)),
        step: Err(fault),
        asked: Asked {
            minor_version: 1,
            ..Asked::default()
        },
        body: Body::Done,
    }
}

/// What there is to log of a head that is none, or not all of one, of which `bytes` have come.
pub(super) fn unfinished<'c>(client: &'c Client, bytes: &[u8]) -> Line<'c> {
    let seen = http1::glimpse(bytes);
    let mut line = client.line(log::http1(seen.minor_version), Version::Http11);
    line.seen(&seen);
    line.refused();
    line
}

fn prepare_head<'c>(ends: Ends<'c>, head: &Head<'_>) -> Request<'c> {
    let (client, _) = ends;
    let request = head.request();
    let mut asked = Asked::of(head);
    asked.persist &= !client.process().deadlines.closing();
    let line = client.line(log::http1(Some(head.minor_version())), Version::Http11);
    let mut exchange = Exchange::new(ends, line);
    let step = if request.path().is_none() {
        asked.persist = false;
        let seen = Glimpse {
            method: Some(request.method()),
            target: Some(head.target()),
            host: Some(request.authority()),
            ..Glimpse::default()
        };
        exchange.refuse(&seen, Fault::Connect)
    } else {
        asked.websocket = websocket::Key::of(head);
        let incoming = Incoming {
            framing: head.framing(),
            upgrade: match asked.websocket {
                Some(_) => Upgrade::AsAsked,
                None => Upgrade::None,
            },
        };
        Ok(client.write_down(&request, incoming))
    };
    let body = match head.framing() {
        Framing::Empty | Framing::Length(0) => Body::Done,
        Framing::Length(length) => Body::Length(length),
        Framing::Chunked => Body::Chunked(Chunks::default()),
    };
    Request {
        exchange,
        step,
        asked,
        body,
    }
}

impl Asked {
    fn of(head: &Head<'_>) -> Self {
        let request = head.request();
        let mut expectations = request.header(b"expect");
        let minor_version = head.minor_version();
        Self {
            persist: head.options().persists(minor_version),
            minor_version,
            is_head: request.method() == b"HEAD",
            expects: expectations.any(|value| value.eq_ignore_ascii_case(b"100-continue")),
            websocket: None,
        }
    }

    /// Whether the connection can go on after an answer of our own, with `body` thrown away.
    pub(super) fn persists_without(&self, body: &Body) -> bool {
        let is_short = match body {
            Body::Done => true,
            Body::Length(length) => *length <= MAX_DISCARD && !self.expects,
            Body::Chunked(_) | Body::UntilClose => false,
        };
        self.persist && is_short
    }
}
