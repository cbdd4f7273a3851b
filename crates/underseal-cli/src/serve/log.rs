//! What a line of the access log says: one JSON object per request.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use underseal_server::access_log::{AccessLog, field, text};

/// What is known about a connection after its handshake.
pub(crate) struct Session {
    pub(crate) remote: SocketAddr,
    /// `None` for a client that did not speak TLS.
    pub(crate) tls: Option<&'static str>,
    pub(crate) suite: Option<&'static str>,
    pub(crate) sni: Option<Box<str>>,
    pub(crate) alpn: Option<&'static str>,
}

/// The part of a line that the request decides.
pub(crate) struct Asked<'a> {
    pub(crate) time: &'a str,
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) user_agent: Option<&'a [u8]>,
}

/// The part of a line that is known when the answer has been sent, or not been.
pub(crate) struct Outcome<'a> {
    pub(crate) status: u16,
    /// Bytes of body handed to the TLS stream.
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    /// Why the answer is an error or was cut short.
    pub(crate) error: Option<&'a str>,
}

/// Begins a line in `line`. Kept apart from [`finish`] because the request is gone by
/// the time its answer has been sent.
pub(crate) fn begin(log: &AccessLog, line: &mut Vec<u8>, session: &Session, asked: &Asked<'_>) {
    if log.is_off() {
        return;
    }
    line.extend_from_slice(b"{\"ts\":");
    text(line, asked.time);
    let _ = write!(line, ",\"remote\":\"{}\"", session.remote);
    field(line, "method", asked.method);
    field(line, "path", asked.path);
    field(line, "tls", session.tls);
    field(line, "suite", session.suite);
    field(line, "sni", session.sni.as_deref());
    field(line, "alpn", session.alpn);
    let user_agent = asked.user_agent.map(String::from_utf8_lossy);
    field(line, "user_agent", user_agent.as_deref());
}

/// Completes a line and queues it.
pub(crate) fn finish(log: &AccessLog, line: &mut Vec<u8>, outcome: &Outcome<'_>) {
    if log.is_off() {
        return;
    }
    // Writing to a Vec cannot fail.
    let _ = write!(
        line,
        ",\"status\":{},\"bytes\":{},\"duration_us\":{}",
        outcome.status,
        outcome.bytes,
        outcome.duration.as_micros()
    );
    field(line, "error", outcome.error);
    line.extend_from_slice(b"}\n");
    log.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use underseal_server::access_log::{MAX_TEXT, Sink};

    fn session() -> Session {
        Session {
            remote: "127.0.0.1:9".parse().expect("address"),
            tls: Some("TLSv1_3"),
            suite: Some("TLS13_AES_128_GCM_SHA256"),
            sni: None,
            alpn: None,
        }
    }

    fn logged(path: &str, user_agent: &[u8]) -> String {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("log");
        let log = AccessLog::new(Sink::open(&file).expect("open"));
        let mut line = Vec::new();
        let asked = Asked {
            time: "2026-11-21T00:00:00.000000Z",
            method: Some("GET"),
            path: Some(path),
            user_agent: Some(user_agent),
        };
        begin(&log, &mut line, &session(), &asked);
        let outcome = Outcome {
            status: 200,
            bytes: 5,
            duration: Duration::from_micros(12),
            error: None,
        };
        finish(&log, &mut line, &outcome);
        assert_eq!(std::fs::read(&file).expect("read"), b"", "not flushed yet");
        log.flush();
        std::fs::read_to_string(&file).expect("read")
    }

    #[test]
    fn what_clients_send_cannot_break_out_of_its_string() {
        let line = logged("/\"},\"x\":\"\n", b"a\r\n\x00\x1b\xff\"");
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["path"], "/\"},\"x\":\"\n");
        assert_eq!(value["user_agent"], "a\r\n\0\u{1b}\u{fffd}\"");
        assert_eq!(
            (&value["status"], &value["bytes"]),
            (&200.into(), &5.into())
        );
        assert!(value["sni"].is_null() && value["error"].is_null() && value["x"].is_null());
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        let line = logged(&"\u{e9}".repeat(5000), b"");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let path = value["path"].as_str().expect("string");
        assert_eq!(path.len(), MAX_TEXT);
    }
}
