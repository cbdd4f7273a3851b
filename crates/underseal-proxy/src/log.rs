//! What a line of the access log says: one JSON object per request, or per connection of which no
//! request is known.

use std::io::Write as _;
use std::time::Duration;

use underseal_http::Request;
use underseal_http::http1::Glimpse;
use underseal_policy::{Match, Verdict};

use super::policy::Judged;
use super::session::Session;
use underseal_server::access_log::line::{self, Client};
/// In the place of [`asked`], what was seen of what could not be read; the name of a version.
pub(crate) use underseal_server::access_log::line::{http1, seen};
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
    let mut part = line::describe(&Client {
        remote: session.remote,
        sni: session.sni.as_deref(),
        tls: session.tls,
        suite: session.suite,
    });
    field(&mut part, "principal", proven);
    part.into()
}

/// Begins a line.
pub(crate) fn begin(line: &mut Vec<u8>, time: &str, session: &Session, protocol: &str) {
    line::begin(line, time, &session.logged, protocol);
}

/// What was asked for: `target`, the path that was judged and went on, and the host with its port, by
/// which rules tell it from others.
pub(crate) fn asked(line: &mut Vec<u8>, request: &Request<'_>, target: &[u8]) {
    let asked = Glimpse {
        method: Some(request.method()),
        target: Some(target),
        host: Some(request.authority()),
        ..Glimpse::default()
    };
    seen(line, &asked);
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
    let answer = line::Outcome {
        status: outcome.status,
        bytes_in: outcome.bytes_in,
        bytes_out: outcome.bytes_out,
        duration: outcome.duration,
    };
    line::end(line, &answer);
    field(line, "backend", outcome.backend);
    let engine = outcome.engines.map(|engines| engines.tx.name());
    field(line, "engine", engine);
    line::close(line, outcome.error);
}

/// The kind of an error of a backend, for metrics: known words only, so that they are few.
pub(crate) fn backend_error(word: &str) -> &'static str {
    const KINDS: [&str; 5] = ["refused", "timeout", "handshake", "cut", "chunk"];
    let kind = word.strip_prefix("backend-").unwrap_or(word);
    let known = KINDS.iter().find(|known| **known == kind);
    known.copied().unwrap_or("malformed")
}
