//! From a request to its answer: which file, which status, which fields.
//!
//! Everything here is synchronous and happens while the request is still borrowed from the
//! connection's receive buffer. Heads, short bodies, error texts and listings are complete in the
//! output buffer afterwards, to be sent by one write; longer bodies are left as a [`Rest`].

mod file;

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::entity::Opened;
use super::listing;
use super::open_files::OpenFiles;
use super::response::{Head, Persistence, reason};
use super::site::OpenError;
use underseal_http::origin::Request;
use underseal_http::origin::multipart::Layout;
use underseal_http::origin::path::{self, TargetFault};
use underseal_http::{Framing, Refusal};

/// Longest request body that is read and thrown away to keep the connection, in bytes.
const MAX_DISCARD: u64 = 64 * 1024;

/// Longest target that is looked up, in bytes: no file has a longer name.
const MAX_TARGET: usize = 8 * 1024;

/// Why there is no request to be answered; the connection ends behind the status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// For the log.
    pub(crate) why: &'static str,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status(),
            why: refusal.name(),
        }
    }
}

/// What is to be sent, besides the bytes in the output buffer, and what comes after it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) keep_alive: bool,
    /// How many of the bytes in the output buffer are body.
    pub(crate) inline_body: u64,
    pub(crate) rest: Rest,
    /// Bytes of request body to be read and thrown away before the next request.
    pub(crate) discard: u64,
    /// Whether all of the request has come, or what is left of it is thrown away before the next one.
    pub(crate) is_read: bool,
    /// For the log: why the answer is an error, if the status does not say it all.
    pub(crate) error: Option<&'static str>,
}

/// The part of a body that is sent from the file.
#[derive(Debug)]
pub(crate) enum Rest {
    Nothing,
    File { file: Rc<File>, range: Range<u64> },
    Parts { file: Rc<File>, layout: Box<Layout> },
}

/// Answers `request`. `may_persist` is false once the server is shutting down.
pub(crate) fn answer(
    files: &OpenFiles,
    date: &str,
    may_persist: bool,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Reply {
    let discardable = match request.body {
        Framing::Empty | Framing::Length(0) => true,
        // A client that asked for "100 Continue" may or may not send its body after the final status;
        // only closing is unambiguous then.
        Framing::Length(length) => length <= MAX_DISCARD && !request.expect,
        Framing::Chunked => false,
    };
    Answer {
        files,
        date,
        request,
        out,
        keep_alive: may_persist && request.keep_alive && discardable,
    }
    .choose()
}

/// Answers a head that could not be read; the connection is closed afterwards.
pub(crate) fn refuse(refused: Refused, date: &str, out: &mut Vec<u8>) -> Reply {
    let Refused { status, why } = refused;
    let body = write_error(out, status, date, Persistence::Close, None, true);
    Reply {
        status,
        keep_alive: false,
        inline_body: body,
        rest: Rest::Nothing,
        discard: 0,
        // One that was too slow was waited for.
        is_read: status == 408,
        error: Some(why),
    }
}

struct Answer<'a> {
    files: &'a OpenFiles,
    date: &'a str,
    request: &'a Request<'a>,
    out: &'a mut Vec<u8>,
    keep_alive: bool,
}

impl Answer<'_> {
    fn choose(mut self) -> Reply {
        match self.request.method {
            "GET" | "HEAD" => {}
            "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" | "TRACE" | "CONNECT" => {
                return self.error(405, None);
            }
            _ => return self.error(501, Some("unknown method")),
        }
        if let Some((status, why)) = self.refusal() {
            return self.error(status, Some(why));
        }
        let mut path = Vec::with_capacity(self.request.path.len() + "index.html.gz".len());
        match path::decode(self.request.path, self.files.dot_names(), &mut path) {
            Ok(()) if path.is_empty() || path.ends_with(b"/") => self.directory(path),
            Ok(()) => self.named(path),
            Err(TargetFault::Malformed) => self.error(400, Some("malformed path")),
            Err(TargetFault::Parent) => self.error(403, Some("path with a parent segment")),
            Err(TargetFault::Hidden) => self.error(404, Some("name begins with a dot")),
        }
    }

    /// Why it is not looked for, whatever the target names.
    fn refusal(&self) -> Option<(u16, &'static str)> {
        match self.request.body {
            Framing::Chunked => Some((411, "body of a GET in chunks")),
            Framing::Length(length) if length > MAX_DISCARD => {
                Some((413, "body of a GET over 64 KiB"))
            }
            _ if self.request.target.len() > MAX_TARGET => Some((414, "target over 8 KiB")),
            _ => None,
        }
    }

    fn directory(mut self, mut path: Vec<u8>) -> Reply {
        let length = path.len();
        path.extend_from_slice(b"index.html");
        match self.files.find(&path) {
            Ok(Opened::File(entity)) => return self.entity(&mut path, entity),
            Ok(_) | Err(OpenError::Missing) => {}
            Err(error) => return self.open_error(error),
        }
        path.truncate(length);
        match self.files.find(&path) {
            Ok(Opened::Directory(fd)) => self.listing(&fd, &path),
            Ok(_) => self.error(404, None),
            Err(error) => self.open_error(error),
        }
    }

    fn named(mut self, mut path: Vec<u8>) -> Reply {
        match self.files.find(&path) {
            Ok(Opened::File(entity)) => self.entity(&mut path, entity),
            Ok(Opened::Directory(_)) => self.redirect(&path),
            Ok(Opened::Special) => self.error(403, Some("neither file nor directory")),
            Err(error) => self.open_error(error),
        }
    }

    fn open_error(&mut self, error: OpenError) -> Reply {
        match error {
            OpenError::Missing => self.error(404, None),
            OpenError::Forbidden => self.error(403, Some("not readable, or a symlink that leaves")),
            OpenError::Exhausted => self.error(503, Some("out of file descriptors or memory")),
            OpenError::Other(errno) => {
                tracing::warn!(
                    "cannot open `{}`: {errno}",
                    self.request.target.escape_debug()
                );
                self.error(500, Some("cannot open the file"))
            }
        }
    }

    /// The location is built from the decoded path, so it always names this host: a target such
    /// as `//elsewhere` cannot come back as one.
    fn redirect(&mut self, path: &[u8]) -> Reply {
        let mut location = vec![b'/'];
        path::encode(path, &mut location);
        location.push(b'/');
        if let Some(query) = self.request.query {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        self.error_with(301, None, Some(("Location", &location)))
    }

    fn listing(&mut self, fd: &OwnedFd, path: &[u8]) -> Reply {
        let mut page = Vec::new();
        let names = self.files.dot_names();
        let leads_somewhere = |path: &[u8]| self.files.leads_somewhere(path);
        if let Err(error) = listing::write(fd, path, names, leads_somewhere, &mut page) {
            tracing::warn!("cannot list a directory: {error}");
            return self.error(500, Some("cannot read the directory"));
        }
        let mut head = self.head(200);
        head.field("Content-Type", "text/html; charset=utf-8");
        head.field_display("Content-Length", page.len());
        head.field("X-Content-Type-Options", "nosniff");
        head.end();
        let body = if self.wants_body() {
            page.as_slice()
        } else {
            &[]
        };
        self.out.extend_from_slice(body);
        self.reply(200, body.len() as u64, Rest::Nothing)
    }

    fn error(&mut self, status: u16, why: Option<&'static str>) -> Reply {
        let field: Option<(&str, &[u8])> = match status {
            405 => Some(("Allow", b"GET, HEAD")),
            503 => Some(("Retry-After", b"1")),
            _ => None,
        };
        self.error_with(status, why, field)
    }

    fn error_with(
        &mut self,
        status: u16,
        why: Option<&'static str>,
        field: Option<(&str, &[u8])>,
    ) -> Reply {
        let persistence = self.persistence();
        let with_body = self.wants_body();
        let body = write_error(self.out, status, self.date, persistence, field, with_body);
        Reply {
            error: why,
            ..self.reply(status, body, Rest::Nothing)
        }
    }

    fn head(&mut self, status: u16) -> Head<'_> {
        let persistence = self.persistence();
        Head::start(self.out, status, self.date, persistence)
    }

    fn reply(&self, status: u16, inline_body: u64, rest: Rest) -> Reply {
        Reply {
            status,
            keep_alive: self.keep_alive,
            inline_body,
            rest,
            discard: match self.request.body {
                Framing::Length(length) if self.keep_alive => length,
                _ => 0,
            },
            is_read: self.keep_alive
                || matches!(self.request.body, Framing::Empty | Framing::Length(0)),
            error: None,
        }
    }

    fn wants_body(&self) -> bool {
        self.request.method != "HEAD"
    }

    fn persistence(&self) -> Persistence {
        match (self.keep_alive, self.request.minor_version) {
            (false, _) => Persistence::Close,
            (true, 0) => Persistence::KeepAliveSaid,
            (true, _) => Persistence::KeepAlive,
        }
    }
}

/// Ends a head with the length of the body; gives that length.
fn head_end(mut head: Head<'_>, length: u64) -> u64 {
    head.field_display("Content-Length", length);
    head.end();
    length
}

/// Writes a whole error answer; gives the length of its body.
fn write_error(
    out: &mut Vec<u8>,
    status: u16,
    date: &str,
    persistence: Persistence,
    field: Option<(&str, &[u8])>,
    with_body: bool,
) -> u64 {
    let text = reason(status);
    // Three digits, a space, the reason, a line feed.
    let length = text.len() + 5;
    let mut head = Head::start(out, status, date, persistence);
    if let Some((name, value)) = field {
        head.field(name, value);
    }
    head.field("Content-Type", "text/plain; charset=utf-8");
    head_end(head, length as u64);
    if !with_body {
        return 0;
    }
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "{status} {text}");
    length as u64
}

#[cfg(test)]
mod tests;
