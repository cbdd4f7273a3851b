//! A connection to a program: what was sent, what it answered, and what it sent on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::proxy::Proxy;

/// How long a program may be silent before it counts as waiting for more. None is: what they are
/// sent is always enough.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request as a backend was sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// As the program normalised it, decoded.
    pub(crate) path: String,
    /// Without port.
    pub(crate) host: String,
    /// Bytes of its body.
    pub(crate) content: usize,
}

impl Seen {
    /// The request that comes behind every case.
    pub(crate) fn next() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/next".to_owned(),
            host: "a".to_owned(),
            content: 0,
        }
    }
}

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What the backend was sent.
    pub(crate) seen: Vec<Seen>,
    /// The status codes of the answers.
    pub(crate) answers: Vec<String>,
    /// Whether the program waited for more.
    pub(crate) waits: bool,
}

/// Sends a case and one more request behind it, and reads all answers.
pub(crate) fn exchange(proxy: &Proxy, sent: &[u8]) -> Exchange {
    let mut stream = TcpStream::connect(proxy.address).expect("the program listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout that is not zero");
    stream.set_nodelay(true).expect("a TCP socket");
    // It may have refused already, and closed.
    let _ = stream.write_all(&[sent, NEXT].concat());
    if sent.starts_with(b"CONNECT") {
        // A tunnel stays open as long as either end does.
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    let waits = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break false,
            Ok(len) => answers.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break true,
            // Reset: it closed while there was something to read.
            Err(_) => break false,
        }
    };
    Exchange {
        seen: proxy.record.take(),
        answers: statuses(&String::from_utf8_lossy(&answers)),
        waits,
    }
}

fn statuses(answers: &str) -> Vec<String> {
    let starts = answers.split("HTTP/1.").skip(1);
    starts
        .filter_map(|start| Some(start.get(2..5)?.to_owned()))
        .collect()
}

/// Decodes percent-encoding, a character per byte.
pub(crate) fn decode(path: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, len) = match byte.filter(|_| *first == b'%') {
            Some(byte) => (byte, 3),
            None => (*first, 1),
        };
        out.push(char::from(byte));
        rest = &rest[len..];
    }
    out
}
