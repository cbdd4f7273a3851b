//! The fields that the lines of `serve` and `proxy` have in common, in their order.
//!
//! Who reads the logs of both finds one idea under one name. A command puts what only it knows
//! between [`seen`] and [`end`], or between that and [`close`].

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use underseal_http::http1::Glimpse;

use super::field;

/// A client and what its handshake agreed on; `None` without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address.
    pub remote: SocketAddr,
    /// The server name that it asked for.
    pub sni: Option<&'a str>,
    /// The version of TLS.
    pub tls: Option<&'a str>,
    /// The cipher suite.
    pub suite: Option<&'a str>,
}

/// What is known when the answer was sent, or was not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// What the client was answered; `None` if it was not, or if no HTTP is spoken.
    pub status: Option<u16>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to it.
    pub bytes_out: u64,
    /// From the complete head on.
    pub duration: Duration,
}

/// The part of each line that the connection decides, made once.
pub fn describe(client: &Client<'_>) -> Vec<u8> {
    let mut part = Vec::with_capacity(192);
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(part, ",\"remote\":\"{}\"", client.remote);
    field(&mut part, "sni", client.sni);
    field(&mut part, "tls", client.tls);
    field(&mut part, "suite", client.suite);
    part
}

/// Begins a line with the time and with what [`describe`] made of the connection.
pub fn begin(line: &mut Vec<u8>, time: &str, described: &[u8], protocol: &str) {
    let _ = write!(line, "{{\"time\":\"{time}\"");
    line.extend_from_slice(described);
    let _ = write!(line, ",\"protocol\":\"{protocol}\"");
}

/// The protocol of a request in HTTP/1; where its version was not read, that of our answers.
pub fn http1(minor_version: Option<u8>) -> &'static str {
    match minor_version {
        Some(0) => "http/1.0",
        _ => "http/1.1",
    }
}

/// What was asked for, as far as it could be read.
pub fn seen(line: &mut Vec<u8>, seen: &Glimpse<'_>) {
    for (name, value) in [
        ("method", seen.method),
        ("path", seen.target),
        ("host", seen.host),
    ] {
        bytes(line, name, value);
    }
}

/// Adds a field whose value a client chose, which need not be UTF-8.
pub fn bytes(line: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    let value = value.map(String::from_utf8_lossy);
    field(line, name, value.as_deref());
}

/// Adds how it ended.
pub fn end(line: &mut Vec<u8>, outcome: &Outcome) {
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
}

/// Completes a line with a word on what went wrong.
pub fn close(line: &mut Vec<u8>, error: Option<&str>) {
    field(line, "error", error);
    line.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::super::MAX_TEXT;
    use super::*;

    fn written(path: &[u8], status: Option<u16>) -> String {
        let client = Client {
            remote: ([127, 0, 0, 1], 9).into(),
            sni: None,
            tls: Some("TLSv1_3"),
            suite: Some("TLS13_AES_128_GCM_SHA256"),
        };
        let mut line = Vec::new();
        let time = "2026-11-21T00:00:00.000000Z";
        begin(&mut line, time, &describe(&client), http1(Some(1)));
        let asked = Glimpse {
            method: Some(b"GET"),
            target: Some(path),
            ..Glimpse::default()
        };
        seen(&mut line, &asked);
        let outcome = Outcome {
            status,
            bytes_in: 3,
            bytes_out: 5,
            duration: Duration::from_micros(12),
        };
        end(&mut line, &outcome);
        close(&mut line, None);
        String::from_utf8(line).expect("UTF-8")
    }

    #[test]
    fn a_line_has_the_fields_of_the_schema_in_their_order() {
        assert_eq!(
            written(b"/", Some(200)),
            "{\"time\":\"2026-11-21T00:00:00.000000Z\",\"remote\":\"127.0.0.1:9\",\"sni\":null,\
             \"tls\":\"TLSv1_3\",\"suite\":\"TLS13_AES_128_GCM_SHA256\",\"protocol\":\"http/1.1\",\
             \"method\":\"GET\",\"path\":\"/\",\"host\":null,\"status\":200,\"bytes_in\":3,\
             \"bytes_out\":5,\"duration_us\":12,\"error\":null}\n"
        );
        assert!(written(b"/", None).contains(",\"status\":null,"));
    }

    #[test]
    fn what_clients_send_cannot_break_out_of_its_string() {
        let line = written(b"/\"},\"x\":\"\r\n\x00\x1b\xff\"", None);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["path"], "/\"},\"x\":\"\r\n\0\u{1b}\u{fffd}\"");
        assert!(value["x"].is_null());
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        let line = written("\u{e9}".repeat(5000).as_bytes(), None);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let path = value["path"].as_str().expect("string");
        assert_eq!(path.len(), MAX_TEXT);
    }
}
