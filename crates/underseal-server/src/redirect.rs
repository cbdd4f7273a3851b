//! Plain HTTP, answered with where the same is over TLS (RFC 9110 sections 15.4.2 and 15.4.9).

use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal_http::http1::{self, Glimpse, Head};
use underseal_http::{Framing, PathOptions, ReadOptions, Refusal, Scratch};

use crate::closing::{LingerLimits, linger};
use crate::deadline::{Deadline, Phase, Stop};

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// The port that an `https` URL need not name.
const HTTPS: u16 = 443;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status code, if the client took the answer.
    pub status: Option<u16>,
    /// Bytes of its body.
    pub length: u64,
    /// Why it is an error, for the log.
    pub error: Option<&'static str>,
}

/// An answer that was written down.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: Vec<u8>,
    /// Of its body.
    pub(crate) length: u64,
    pub(crate) error: Option<&'static str>,
    /// How long its client is heard out.
    pub(crate) limits: LingerLimits,
}

impl Answer {
    /// Sends it to whom `seen` came from, has it logged, and ends the connection.
    pub(crate) async fn send(
        self,
        deadline: &Deadline,
        mut tcp: TcpStream,
        seen: &Glimpse<'_>,
        log: impl FnOnce(&Glimpse<'_>, Answered),
    ) {
        let sent = deadline.until(pin!(tcp.write_all(&self.bytes))).await;
        let is_sent = matches!(sent, Ok(Ok(())));
        let answered = Answered {
            status: is_sent.then_some(self.status),
            length: if is_sent { self.length } else { 0 },
            error: self.error,
        };
        log(seen, answered);
        if is_sent && matches!(deadline.until(pin!(tcp.shutdown())).await, Ok(Ok(()))) {
            linger(deadline, &mut tcp, self.limits).await;
        }
    }
}

impl Answered {
    /// Nothing was, because the head did not come to its end.
    fn nothing(why: &'static str) -> Self {
        Self {
            status: None,
            length: 0,
            error: Some(why),
        }
    }
}

/// Reads one request, tells its client where the same is over TLS, which is on `port`, and ends the
/// connection. Its head has to come within `patience`, and so has the client to take the answer. Calls `log`
/// with what was asked, as far as it can be read, unless nothing came.
pub async fn answer(
    (deadline, patience): (&Deadline, Duration),
    mut tcp: TcpStream,
    port: u16,
    date: impl Fn() -> String,
    log: impl FnOnce(&Glimpse<'_>, Answered),
) {
    let local = tcp.local_addr().ok();
    let mut bytes = Vec::new();
    deadline.enter(Phase::Busy, patience);
    let answer = loop {
        let received = deadline.until(pin!(tcp.read_buf(&mut bytes))).await;
        let cut = match received {
            Ok(Ok(1..)) => None,
            _ if bytes.is_empty() => return,
            Err(Stop::TimedOut) => break refuse(408, "client-timeout", &date()),
            Ok(_) => Some("client-cut"),
            Err(Stop::Closing | Stop::Ended) => Some("proxy-ended"),
        };
        if let Some(cut) = cut {
            return log(&http1::glimpse(&bytes), Answered::nothing(cut));
        }
        if let Some(answer) = read(&bytes, local, port, &date) {
            break answer;
        }
    };
    deadline.enter(Phase::Busy, patience);
    let seen = http1::glimpse(&bytes);
    answer.send(deadline, tcp, &seen, log).await;
}

/// The answer to the request that `bytes` are; `None` if its head is not whole.
fn read(
    bytes: &[u8],
    local: Option<SocketAddr>,
    port: u16,
    date: &impl Fn() -> String,
) -> Option<Answer> {
    // Nobody judges it here: it goes back to who sent it.
    let options = ReadOptions {
        path: PathOptions::LENIENT,
        max_head: MAX_HEAD,
        local,
    };
    let mut scratch = Scratch::default();
    match http1::read(bytes, &options, &mut scratch) {
        Ok(None) => None,
        Ok(Some(head)) => Some(lead(&head, port, &date())),
        Err(refusal) => Some(refuse(refusal.status(), refusal.name(), &date())),
    }
}

fn lead(head: &Head<'_>, port: u16, date: &str) -> Answer {
    let Some(location) = location(head, port) else {
        let refusal = Refusal::Target;
        return refuse(refusal.status(), refusal.name(), date);
    };
    // Who speaks HTTP/1.0 need not know that methods can stay.
    let (status, reason) = match head.minor_version() {
        0 => (301, "Moved Permanently"),
        _ => (308, "Permanent Redirect"),
    };
    let with_body = head.request().method() != b"HEAD";
    let limits = match head.framing() {
        Framing::Empty | Framing::Length(0) => LingerLimits::brief(),
        Framing::Length(_) | Framing::Chunked => LingerLimits::UPLOAD,
    };
    Answer {
        limits,
        ..write((status, reason), Some(&location), with_body, date)
    }
}

/// The same over TLS; `None` for CONNECT, of which there is none.
fn location(head: &Head<'_>, port: u16) -> Option<Vec<u8>> {
    let request = head.request();
    let path = request.path()?;
    let mut location = b"https://".to_vec();
    location.extend_from_slice(request.host());
    if port != HTTPS {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    match head.target() {
        // As it was sent.
        target if target.starts_with(b"/") => location.extend_from_slice(target),
        b"*" => {}
        _ => {
            location.extend_from_slice(path);
            let query = request.query().map(|query| [b"?", query].concat());
            location.extend_from_slice(&query.unwrap_or_default());
        }
    }
    Some(location)
}

fn refuse(status: u16, error: &'static str, date: &str) -> Answer {
    let limits = match status {
        // It was waited for.
        408 => LingerLimits::brief(),
        _ => LingerLimits::UPLOAD,
    };
    let reason = match status {
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    };
    Answer {
        error: Some(error),
        limits,
        ..write((status, reason), None, true, date)
    }
}

fn write(
    (status, reason): (u16, &str),
    location: Option<&[u8]>,
    with_body: bool,
    date: &str,
) -> Answer {
    let body = format!("{status} {reason}\n");
    let mut bytes = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write!(bytes, "HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n");
    if let Some(location) = location {
        bytes.extend_from_slice(b"Location: ");
        bytes.extend_from_slice(location);
        bytes.extend_from_slice(b"\r\n");
    }
    let _ = write!(
        bytes,
        "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let length = if with_body { body.len() } else { 0 };
    bytes.extend_from_slice(&body.as_bytes()[..length]);
    Answer {
        status,
        bytes,
        length: length as u64,
        error: None,
        limits: LingerLimits::brief(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &str, port: u16) -> (u16, Option<String>) {
        let local = "127.0.0.1:80".parse().ok();
        let answer = read(request.as_bytes(), local, port, &|| "now".to_owned());
        let answer = answer.expect("a whole head");
        let text = String::from_utf8(answer.bytes).expect("ASCII");
        let mut lines = text.lines();
        let location = lines.find_map(|line| line.strip_prefix("Location: "));
        (answer.status, location.map(str::to_owned))
    }

    #[test]
    fn everything_is_led_to_its_own_place() {
        for (request, port, status, location) in [
            (
                "GET /a//%41?b=/c HTTP/1.1\r\nHost: A.test:80\r\n\r\n",
                443,
                308,
                "https://a.test/a//%41?b=/c",
            ),
            (
                "POST / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
                8443,
                308,
                "https://[::1]:8443/",
            ),
            (
                "GET http://a.test?b HTTP/1.1\r\nHost: a.test\r\n\r\n",
                443,
                400,
                "",
            ),
            (
                "GET http://a.test/c?b HTTP/1.1\r\nHost: a.test\r\n\r\n",
                443,
                308,
                "https://a.test/c?b",
            ),
            (
                "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                443,
                308,
                "https://a",
            ),
            ("GET / HTTP/1.0\r\n\r\n", 443, 301, "https://127.0.0.1/"),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 443, 400, ""),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 443, 400, ""),
            ("GET /\rX: HTTP/1.1\r\nHost: a\r\n\r\n", 443, 400, ""),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 443, 400, ""),
        ] {
            let expected = (!location.is_empty()).then(|| location.to_owned());
            assert_eq!(answered(request, port), (status, expected), "{request}");
        }
        let endless = format!("GET /{}", "x".repeat(2 * MAX_HEAD));
        assert_eq!(answered(&endless, 443), (414, None));
    }

    #[test]
    fn a_head_that_is_not_whole_is_waited_for() {
        let date = || "now".to_owned();
        assert!(read(b"GET / HTTP/1.1\r\nHo", None, 443, &date).is_none());
    }
}
