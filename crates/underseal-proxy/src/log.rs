//! What a line of the access log says: one JSON object per request, or per connection of which no
//! request is known.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Instant;

use underseal_http::http1::Glimpse;
use underseal_http::{Request, Version};
use underseal_policy::{Match, Verdict};

use super::policy::Judged;
use super::process::Process;
use super::session::Session;
/// The name of a version.
pub(crate) use underseal_server::access_log::line::http1;
use underseal_server::access_log::line::{self, Client};
use underseal_server::access_log::{field, text};

/// A line under way.
pub(crate) struct Line<'a> {
    text: Vec<u8>,
    /// How long it was before anything was asked.
    begun: usize,
    pub(crate) started: Instant,
    /// Of a request, as what it is counted.
    counted: Option<Version>,
    pub(crate) outcome: Outcome<'a>,
}

/// What is known when an exchange has come to its end.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    /// What the client was answered; `None` if it was not, or if no HTTP is spoken.
    pub(crate) status: Option<u16>,
    /// Bytes of body, or of a tunnel, from the client and to it.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Whether the body to the client is our own, of which no backend sent a byte.
    pub(crate) is_own: bool,
    /// The backend that was asked.
    pub(crate) backend: Option<&'a str>,
    /// The engines of the client's connection.
    pub(crate) engines: Option<underseal::Engines>,
    /// A short word on what went wrong.
    pub(crate) error: Option<Cow<'static, str>>,
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

impl Line<'_> {
    /// Begins a line for what came by `protocol`: a request that is `counted`, or a connection.
    pub(crate) fn begin(
        process: &Process,
        session: &Session,
        protocol: &str,
        counted: Option<Version>,
    ) -> Self {
        let mut text = process.buffers.take();
        process
            .clock
            .with_now(|_, time| line::begin(&mut text, time, &session.logged, protocol));
        Self {
            begun: text.len(),
            text,
            started: Instant::now(),
            counted,
            outcome: Outcome::default(),
        }
    }

    /// The same for a connection of which no request is known.
    pub(crate) fn of_connection(process: &Process, session: &Session, protocol: &str) -> Self {
        let mut line = Self::begin(process, session, protocol, None);
        line.seen(&Glimpse::default());
        line
    }

    /// Whether it says nothing yet of what was asked for.
    pub(crate) fn is_begun(&self) -> bool {
        self.text.len() == self.begun
    }

    /// What was asked for, in the place of what stands there: `target`, the path that was judged and went on,
    /// and the host with its port, by which rules tell it from others.
    pub(crate) fn asked(&mut self, request: &Request<'_>, target: &[u8]) {
        self.text.truncate(self.begun);
        self.seen(&Glimpse {
            method: Some(request.method()),
            target: Some(target),
            host: Some(request.authority()),
            ..Glimpse::default()
        });
    }

    /// In the place of [`Self::asked`], what was seen of what could not be read.
    pub(crate) fn seen(&mut self, seen: &Glimpse<'_>) {
        line::seen(&mut self.text, seen);
    }

    /// What was decided and by what.
    pub(crate) fn judged(&mut self, judged: &Judged<'_>) {
        let line = &mut self.text;
        field(line, "verdict", Some(judged.decision.verdict.as_str()));
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

    /// In the place of [`Self::judged`], for what was refused before a rule was asked.
    pub(crate) fn refused(&mut self) {
        self.unasked(Some(Verdict::Deny));
    }

    /// In the place of [`Self::judged`], for what was decided without asking a rule.
    pub(crate) fn unasked(&mut self, verdict: Option<Verdict>) {
        field(&mut self.text, "verdict", verdict.map(Verdict::as_str));
        for name in ["policy", "rule", "attribute", "audit"] {
            field(&mut self.text, name, None);
        }
    }

    /// Completes and queues it, and counts what it says.
    pub(crate) fn conclude(&mut self, process: &Process) {
        let (outcome, duration) = (&self.outcome, self.started.elapsed());
        if let Some(version) = self.counted {
            let status = outcome.status.unwrap_or_default();
            process.tally.request(version, status, duration);
        }
        process.count_bytes(outcome);
        if !process.log.is_off() {
            let answer = line::Outcome {
                status: outcome.status,
                bytes_in: outcome.bytes_in,
                bytes_out: outcome.bytes_out,
                duration,
            };
            line::end(&mut self.text, &answer);
            field(&mut self.text, "backend", outcome.backend);
            let engine = outcome.engines.map(|engines| engines.tx.name());
            field(&mut self.text, "engine", engine);
            line::close(&mut self.text, outcome.error.as_deref());
            process.log.push(&self.text);
        }
        process.buffers.give(std::mem::take(&mut self.text));
    }
}

/// The kind of an error of a backend, for metrics: known words only, so that they are few.
pub(crate) fn backend_error(word: &str) -> &'static str {
    const KINDS: [&str; 5] = ["refused", "timeout", "handshake", "cut", "chunk"];
    let kind = word.strip_prefix("backend-").unwrap_or(word);
    let known = KINDS.iter().find(|known| **known == kind);
    known.copied().unwrap_or("malformed")
}
