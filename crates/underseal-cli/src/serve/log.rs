//! What a line of the access log says of a request, beside what every line says.

use underseal_http::http1::Glimpse;
use underseal_http::origin::Request;
use underseal_server::access_log::AccessLog;
use underseal_server::access_log::line;

/// The part of a line that the request decides.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    pub(crate) seen: Glimpse<'a>,
    pub(crate) user_agent: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    /// What a request that was read asks for.
    pub(crate) fn by(request: &Request<'a>) -> Self {
        Self {
            seen: Glimpse {
                method: Some(request.method.as_bytes()),
                target: Some(request.target.as_bytes()),
                minor_version: Some(request.minor_version),
                host: request.host,
            },
            user_agent: request.user_agent,
        }
    }
}

/// The part of a line that is known when the answer has been sent, or not been.
#[derive(Default)]
pub(crate) struct Outcome<'a> {
    pub(crate) answer: line::Outcome,
    /// Why the answer is an error or was cut short.
    pub(crate) error: Option<&'a str>,
}

/// Begins a line in `line`. Kept apart from [`finish`] because the request is gone by
/// the time its answer has been sent.
pub(crate) fn begin(
    log: &AccessLog,
    line: &mut Vec<u8>,
    (time, described): (&str, &[u8]),
    asked: &Asked<'_>,
) {
    if log.is_off() {
        return;
    }
    line::begin(line, time, described, line::http1(asked.seen.minor_version));
    line::seen(line, &asked.seen);
    line::bytes(line, "user_agent", asked.user_agent);
}

/// Completes a line and queues it.
pub(crate) fn finish(log: &AccessLog, line: &mut Vec<u8>, outcome: &Outcome<'_>) {
    if log.is_off() {
        return;
    }
    line::end(line, &outcome.answer);
    line::close(line, outcome.error);
    log.push(line);
}
