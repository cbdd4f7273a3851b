//! What a line of the access log says: one JSON object per request, or per connection of which no
//! request is known.

use std::io::Write as _;
use std::time::Duration;

use underseal_http::http1::Glimpse;
use underseal_policy::{Match, Verdict};

use super::policy::Judged;
use super::session::Session;
use underseal_server::access_log::{field, text};

/// What is known when an exchange has come to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome<'a> {
    /// What the client was answered; `None` if it was not, or if no HTTP is spoken.
    pub(crate) status: Option<u16>,
    /// Bytes of body, or of a tunnel, from the client and to it.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Whether the body to the client is our own, of which no backend sent a byte.
    pub(crate) is_own: bool,
    pub(crate) duration: Duration,
    /// The backend that was asked.
    pub(crate) backend: Option<&'a str>,
    /// The engines of the client's connection.
    pub(crate) engines: Option<underseal::Engines>,
    /// A short word on what went wrong.
    pub(crate) error: Option<&'a str>,
}

/// The part of every line that the connection decides.
pub(crate) fn describe(session: &Session, proven: Option<&str>) -> Box<[u8]> {
    let mut part = Vec::with_capacity(192);
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(part, ",\"remote\":\"{}\"", session.remote);
    field(&mut part, "principal", proven);
    field(&mut part, "sni", session.sni.as_deref());
    field(&mut part, "tls", session.tls);
    field(&mut part, "suite", session.suite);
    part.into()
}

/// Begins a line; nothing is written where there is no log.
pub(crate) fn begin(line: &mut Vec<u8>, time: &str, session: &Session, protocol: &str) {
    let _ = write!(line, "{{\"time\":\"{time}\"");
    line.extend_from_slice(&session.logged);
    let _ = write!(line, ",\"protocol\":\"{protocol}\"");
}

/// The protocol of a request in HTTP/1; where its version was not read, that of our answers.
pub(crate) fn http1(minor_version: Option<u8>) -> &'static str {
    match minor_version {
        Some(0) => "http/1.0",
        _ => "http/1.1",
    }
}

/// What was asked for, as far as it could be read. The path is the one that was judged and went on.
pub(crate) fn asked(line: &mut Vec<u8>, method: &[u8], path: &[u8], host: &[u8]) {
    for (name, value) in [("method", method), ("path", path), ("host", host)] {
        let _ = write!(line, ",\"{name}\":");
        text(line, &String::from_utf8_lossy(value));
    }
}

/// In the place of [`asked`], what was seen of what could not be read.
pub(crate) fn seen(line: &mut Vec<u8>, seen: &Glimpse<'_>) {
    for (name, value) in [
        ("method", seen.method),
        ("path", seen.target),
        ("host", seen.host),
    ] {
        let value = value.map(String::from_utf8_lossy);
        field(line, name, value.as_deref());
    }
}

/// What was decided and by what.
pub(crate) fn judged(line: &mut Vec<u8>, judged: &Judged<'_>) {
    let _ = write!(
        line,
        ",\"verdict\":\"{}\"",
        judged.decision.verdict.as_str()
    );
    field(line, "policy", judged.found.map(|found| found.policy));
    match judged.found {
        Some(Match { rule, .. }) => {
            let _ = write!(line, ",\"rule\":{rule}");
        }
        None => line.extend_from_slice(b",\"rule\":null"),
    }
    field(
        line,
        "attribute",
        judged.found.and_then(|found| found.attribute),
    );
    match judged.decision.audit {
        Some(Match { policy, rule, .. }) => {
            line.extend_from_slice(b",\"audit\":");
            text(line, &format!("{policy}/{rule}"));
        }
        None => line.extend_from_slice(b",\"audit\":null"),
    }
}

/// In the place of [`judged`], for what was refused before a rule was asked.
pub(crate) fn refused(line: &mut Vec<u8>) {
    let _ = write!(line, ",\"verdict\":\"{}\"", Verdict::Deny.as_str());
    line.extend_from_slice(b",\"policy\":null,\"rule\":null,\"attribute\":null,\"audit\":null");
}

/// In the place of [`judged`], for what goes nowhere, whoever asks for it.
pub(crate) fn unjudged(line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"verdict\":null,\"policy\":null,\"rule\":null");
    line.extend_from_slice(b",\"attribute\":null,\"audit\":null");
}

/// Completes a line.
pub(crate) fn finish(line: &mut Vec<u8>, outcome: &Outcome<'_>) {
    match outcome.status {
        Some(status) => {
            let _ = write!(line, ",\"status\":{status}");
        }
        None => line.extend_from_slice(b",\"status\":null"),
    }
    let _ = write!(
        line,
        ",\"bytes_in\":{},\"bytes_out\":{},\"duration_us\":{}",
        outcome.bytes_in,
        outcome.bytes_out,
        outcome.duration.as_micros()
    );
    field(line, "backend", outcome.backend);
    let engine = outcome.engines.map(|engines| engines.tx.name());
    field(line, "engine", engine);
    field(line, "error", outcome.error);
    line.extend_from_slice(b"}\n");
}

/// The kind of an error of a backend, for metrics: known words only, so that they are few.
pub(crate) fn backend_error(word: &str) -> &'static str {
    const KINDS: [&str; 5] = ["refused", "timeout", "handshake", "cut", "chunk"];
    let kind = word.strip_prefix("backend-").unwrap_or(word);
    let known = KINDS.iter().find(|known| **known == kind);
    known.copied().unwrap_or("malformed")
}
