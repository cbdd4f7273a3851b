//! Access logs: one JSON object per line.
//!
//! Lines are collected per worker and written together, at the latest by the sweep after they were
//! made; a busy worker thus makes one write for many requests. Strings that clients chose go
//! through `serde_json`, which escapes quotes, control characters and line breaks. What a line says
//! is in `line`.

pub mod line;

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Error;
use crate::terminal::is_control;

/// Lines are written out at once when they have come to this many bytes.
const FLUSH_AT: usize = 32 * 1024;

/// Longest string of a client that is logged, in bytes; the rest is cut off.
pub const MAX_TEXT: usize = 2048;

/// Where the lines of all workers go.
pub struct Sink {
    target: Target,
    /// Set after a failed write, so that the loss is reported once and not per line.
    broken: AtomicBool,
}

enum Target {
    Off,
    Stdout,
    File { path: PathBuf, file: RwLock<File> },
}

impl Sink {
    /// Opens the log: `-` is stdout, `off` is none, anything else a file that is appended to.
    ///
    /// # Errors
    /// [`Error::AccessLog`] when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Arc<Self>, Error> {
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
    pub fn reopen(&self) -> Result<(), Error> {
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

fn append_to(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| Error::AccessLog {
        path: path.to_owned(),
        error,
    })
}

fn write_stdout(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}

/// The log of one worker.
pub struct AccessLog {
    sink: Arc<Sink>,
    pending: RefCell<Vec<u8>>,
}

impl AccessLog {
    /// The log of a worker whose lines go to `sink`.
    pub fn new(sink: Arc<Sink>) -> Self {
        Self {
            sink,
            pending: RefCell::new(Vec::new()),
        }
    }

    /// Queues a whole line, line break included.
    pub fn push(&self, line: &[u8]) {
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(line);
        if pending.len() >= FLUSH_AT {
            self.sink.write(&pending);
            pending.clear();
        }
    }

    /// Writes out what is queued.
    pub fn flush(&self) {
        let mut pending = self.pending.borrow_mut();
        if !pending.is_empty() {
            self.sink.write(&pending);
            pending.clear();
        }
    }

    /// Whether there is no log, and lines need not be made.
    pub fn is_off(&self) -> bool {
        matches!(self.sink.target, Target::Off)
    }
}

/// Adds a field with a string or null to an object that has one already.
pub fn field(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let _ = write!(line, ",\"{name}\":");
    match value {
        Some(value) => text(line, value),
        None => line.extend_from_slice(b"null"),
    }
}

/// Adds a string, cut to what is logged of one.
pub fn text(line: &mut Vec<u8>, value: &str) {
    let value = &value[..value.floor_char_boundary(MAX_TEXT)];
    let from = line.len();
    // Neither serialising a str nor writing to a Vec can fail, here and below.
    let _ = serde_json::to_writer(&mut *line, value);
    if value.is_ascii() && !value.contains('\u{7f}') {
        return;
    }
    // What JSON lets stand as it is, a terminal need not.
    let written = String::from_utf8_lossy(&line[from..]).into_owned();
    line.truncate(from);
    for character in written.chars() {
        let _ = match is_control(character) {
            // All of them are in the first plane.
            true => write!(line, "\\u{:04x}", u32::from(character)),
            false => write!(line, "{character}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_logged_controls_a_terminal() {
        let value = "\u{1b}[31m\u{9b}31m\u{7f}\u{202e}txt.exe\u{2066} \u{e9} \"\\";
        let mut line = Vec::new();
        text(&mut line, value);
        let line = String::from_utf8(line).expect("UTF-8");
        assert!(!line.chars().any(is_control), "{line:?}");
        assert!(line.contains("\\u009b31m\\u007f\\u202etxt"), "{line}");
        let read: String = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read, value);
    }
}
