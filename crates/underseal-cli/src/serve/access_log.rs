//! The access log: one JSON object per request and line.
//!
//! Lines are collected per worker and written together, at the latest by the sweep after they were
//! made; a busy worker thus makes one write for many requests. Strings that clients chose go
//! through `serde_json`, which escapes quotes, control characters and line breaks.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// Lines are written out at once when they have come to this many bytes.
const FLUSH_AT: usize = 32 * 1024;

/// Longest string of a client that is logged, in bytes; the rest is cut off.
const MAX_TEXT: usize = 2048;

/// Where the lines of all workers go.
pub(crate) struct Sink {
    target: Target,
    /// Set after a failed write, so that the loss is reported once and not per line.
    broken: AtomicBool,
}

enum Target {
    Off,
    Stdout,
    File { path: PathBuf, file: RwLock<File> },
}

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

impl Sink {
    /// Opens the log: `-` is stdout, `off` is none, anything else a file that is appended to.
    ///
    /// # Errors
    /// [`Exit::Failure`] when the file cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, Failure> {
        let target = match path.to_str() {
            Some("-") => Target::Stdout,
            Some("off") => Target::Off,
            _ => Target::File {
                path: path.to_owned(),
                file: RwLock::new(append_to(path)?),
            },
        };
        Ok(Arc::new(Self {
            target,
            broken: AtomicBool::new(false),
        }))
    }

    /// Opens the log file again, which may have been renamed away by who rotates logs. On failure
    /// the one that is open stays.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn reopen(&self) -> Result<(), Failure> {
        if let Target::File { path, file } = &self.target {
            *file.write().unwrap_or_else(PoisonError::into_inner) = append_to(path)?;
        }
        Ok(())
    }

    /// Writes whole lines with one call, so that lines of several workers do not mix.
    fn write(&self, lines: &[u8]) {
        let written = match &self.target {
            Target::Off => Ok(()),
            Target::Stdout => write_stdout(lines),
            Target::File { file, .. } => {
                let file = file.read().unwrap_or_else(PoisonError::into_inner);
                (&*file).write_all(lines)
            }
        };
        match written {
            Ok(()) => self.broken.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.broken.swap(true, Ordering::Relaxed) {
                    tracing::warn!("access log lost, serving goes on: {error}");
                }
            }
        }
    }
}

fn append_to(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("cannot open access log `{}`: {error}", path.display()),
            "give a writable path, `-` for stdout, or `off`",
        )
    })
}

fn write_stdout(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}

/// The log of one worker.
pub(crate) struct AccessLog {
    sink: Arc<Sink>,
    pending: RefCell<Vec<u8>>,
}

impl AccessLog {
    pub(crate) fn new(sink: Arc<Sink>) -> Self {
        Self {
            sink,
            pending: RefCell::new(Vec::new()),
        }
    }

    /// Begins a line in `line`. Kept apart from [`Self::finish`] because the request is gone by
    /// the time its answer has been sent.
    pub(crate) fn begin(&self, line: &mut Vec<u8>, session: &Session, asked: &Asked<'_>) {
        if self.off() {
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
    pub(crate) fn finish(&self, line: &mut Vec<u8>, outcome: &Outcome<'_>) {
        if self.off() {
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
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(line);
        if pending.len() >= FLUSH_AT {
            self.sink.write(&pending);
            pending.clear();
        }
    }

    /// Writes out what is queued.
    pub(crate) fn flush(&self) {
        let mut pending = self.pending.borrow_mut();
        if !pending.is_empty() {
            self.sink.write(&pending);
            pending.clear();
        }
    }

    fn off(&self) -> bool {
        matches!(self.sink.target, Target::Off)
    }
}

fn field(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let _ = write!(line, ",\"{name}\":");
    match value {
        Some(value) => text(line, value),
        None => line.extend_from_slice(b"null"),
    }
}

fn text(line: &mut Vec<u8>, value: &str) {
    let cut = value.floor_char_boundary(MAX_TEXT);
    // Neither serialising a str nor writing to a Vec can fail.
    let _ = serde_json::to_writer(line, &value[..cut]);
}

#[cfg(test)]
mod tests {
    use super::*;

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
        log.begin(&mut line, &session(), &asked);
        let outcome = Outcome {
            status: 200,
            bytes: 5,
            duration: Duration::from_micros(12),
            error: None,
        };
        log.finish(&mut line, &outcome);
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
