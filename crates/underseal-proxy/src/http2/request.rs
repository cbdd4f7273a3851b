//! Requests: judged on their fields as they came, and written anew for the backend.

use std::time::Instant;

use http::header::{COOKIE, HOST, HeaderName, TE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use underseal_http::http2::{self, Field};
use underseal_http::{Refusal, Request};
use underseal_policy::Verdict;

use crate::backend::Known;
use crate::http1::Fault;
use crate::log;
use crate::session::Session;
use crate::tokens::BadToken;
use crate::worker::Worker;
use underseal_http::fields::{Kind, kind, listed};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PRINCIPAL: HeaderName = HeaderName::from_static("x-underseal-principal");

/// A request, and what is to be done about it.
pub(super) struct Prepared {
    pub(super) started: Instant,
    /// The log line so far.
    pub(super) line: Vec<u8>,
    pub(super) step: Step,
}

/// What is to be done about a request.
pub(super) enum Step {
    /// The head goes on, whole: scheme, host and normalised path in its target.
    Forward(Box<http::Request<()>>),
    /// A denial has no fault.
    Answer { status: u16, fault: Option<Fault> },
}

/// Reads and judges a request; `backend` is who would answer, where that is known.
pub(super) fn prepare(
    worker: &Worker,
    session: &Session,
    head: &Parts,
    backend: Option<Known<'_>>,
) -> Prepared {
    let started = Instant::now();
    let mut line = worker.buffers.take();
    worker
        .clock
        .with_now(|_, time| log::begin(&mut line, time, session, "h2"));
    let scheme = scheme_of(session, head);
    let fields = fields(head, &scheme);
    let mut scratch = worker.scratch.borrow_mut();
    let step = match http2::read(&fields, &worker.shared.read_options, &mut scratch) {
        Ok(request) => decide(worker, session, (head, &request), backend, &mut line),
        Err(refusal) => {
            log::unread(&mut line);
            refuse(worker, &mut line, Fault::Refused(refusal))
        }
    };
    Prepared {
        started,
        line,
        step,
    }
}

fn refuse(worker: &Worker, line: &mut Vec<u8>, fault: Fault) -> Step {
    if let Fault::Refused(refusal) = fault {
        worker.tally.refused(refusal);
    }
    log::refused(line);
    Step::Answer {
        status: fault.status(),
        fault: Some(fault),
    }
}

fn decide(
    worker: &Worker,
    session: &Session,
    (head, request): (&Parts, &Request<'_>),
    backend: Option<Known<'_>>,
    line: &mut Vec<u8>,
) -> Step {
    let Some(path) = request.path() else {
        log::asked(line, request.method(), b"", request.host());
        return refuse(worker, line, Fault::Connect);
    };
    let forwarded = match forwarded(session, head, path) {
        Ok(forwarded) => forwarded,
        Err(refusal) => {
            log::unread(line);
            return refuse(worker, line, Fault::Refused(refusal));
        }
    };
    let verdict = worker.judge(session, backend, Some(request), |judged| {
        if !worker.log.is_off() {
            let target = forwarded.uri().path_and_query();
            let target = target.map_or("", PathAndQuery::as_str);
            log::asked(line, request.method(), target.as_bytes(), request.host());
            log::judged(line, judged);
        }
    });
    match verdict {
        Ok(Verdict::Allow) => Step::Forward(Box::new(forwarded)),
        Ok(Verdict::Deny) => Step::Answer {
            status: 403,
            fault: None,
        },
        Err(BadToken) => {
            log::asked(line, request.method(), path, request.host());
            refuse(worker, line, Fault::Token)
        }
    }
}

/// The scheme that was sent. Without an authority beside it the library does not tell it, and then
/// it is the connection's.
fn scheme_of(session: &Session, head: &Parts) -> Scheme {
    let known = head.uri.scheme().cloned();
    known.unwrap_or(match session.tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    })
}

/// The list of fields that the head was made of. The library has taken the pseudo-header fields
/// apart, after seeing that each came once and before all others.
fn fields<'a>(head: &'a Parts, scheme: &'a Scheme) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = Vec::with_capacity(head.headers.len() + 4);
    fields.push((b":method", head.method.as_str().as_bytes()));
    let target = head.uri.path_and_query();
    if let Some(target) = target {
        fields.push((b":scheme", scheme.as_str().as_bytes()));
        fields.push((b":path", target.as_str().as_bytes()));
    }
    if let Some(authority) = head.uri.authority() {
        fields.push((b":authority", authority.as_str().as_bytes()));
    }
    let pairs = head.headers.iter();
    fields.extend(pairs.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    fields
}

/// The head for the backend: the path that was judged, the fields that are for it, and what is known
/// of the client.
fn forwarded(session: &Session, head: &Parts, path: &[u8]) -> Result<http::Request<()>, Refusal> {
    let mut target = path.to_vec();
    if let Some(query) = head.uri.query() {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    let host = || {
        let host = head.headers.get(HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme_of(session, head));
    uri.authority = head.uri.authority().cloned().or_else(host);
    uri.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| Refusal::Target)?);
    let mut request = http::Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Refusal::Host)?;
    *request.headers_mut() = end_to_end(head);
    say_who(session, request.headers_mut())?;
    Ok(request)
}

fn end_to_end(head: &Parts) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(head.headers.len() + 4);
    let mut cookies = Vec::new();
    for (name, value) in &head.headers {
        match kind(name.as_str().as_bytes()) {
            _ if name == HOST => {}
            // A client may cut it into crumbs; backends expect one (RFC 9113 section 8.2.3).
            _ if name == COOKIE => cookies.push(value.as_bytes()),
            Kind::EndToEnd | Kind::ContentLength => {
                fields.append(name, value.clone());
            }
            Kind::Te if listed(value.as_bytes()).any(|te| te == b"trailers") => {
                fields.insert(TE, HeaderValue::from_static("trailers"));
            }
            _ => {}
        }
    }
    if let Ok(cookie) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
        && !cookies.is_empty()
    {
        fields.insert(COOKIE, cookie);
    }
    fields
}

/// Says what only we may say: whose request it is and how it came.
fn say_who(session: &Session, fields: &mut HeaderMap) -> Result<(), Refusal> {
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Refusal::FieldValue);
    let remote = session.remote.ip().to_canonical().to_string();
    fields.insert(FORWARDED_FOR, text(&remote)?);
    let scheme = match session.tls {
        Some(_) => "https",
        None => "http",
    };
    fields.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(principal) = session.proven() {
        fields.insert(PRINCIPAL, text(principal)?);
    }
    Ok(())
}
