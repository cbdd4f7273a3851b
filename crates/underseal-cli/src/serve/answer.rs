//! From a request to its answer: which file, which status, which fields.
//!
//! Everything here is synchronous and happens while the request is still borrowed from the
//! connection's receive buffer. Heads, short bodies, error texts and listings are complete in the
//! output buffer afterwards, to be sent by one write; longer bodies are left as a [`Rest`].

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;

use super::conditions::{self, Verdict};
use super::entity::{Entity, Opened};
use super::listing;
use super::mime::{self, Charset};
use super::multipart::{Layout, Parts};
use super::path::{self, Refusal};
use super::range::{self, Wanted};
use super::request::{Refused, Request, Version};
use super::response::{Head, Persistence, reason};
use super::site::{OpenError, Site};

/// Bodies up to this many bytes are read behind their head and sent with it: one record, one
/// system call.
const INLINE_BODY: u64 = 16 * 1024;

/// Longest request body that is read and thrown away to keep the connection, in bytes.
const MAX_DISCARD: u64 = 64 * 1024;

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
    /// For the log: why the answer is an error, if the status does not say it all.
    pub(crate) error: Option<&'static str>,
}

/// The part of a body that is sent from the file.
#[derive(Debug)]
pub(crate) enum Rest {
    Nothing,
    File { file: Arc<File>, range: Range<u64> },
    Parts(Box<Parts>),
}

/// Answers `request`. `may_persist` is false once the server is shutting down.
pub(crate) fn answer(
    site: &Site,
    date: &str,
    may_persist: bool,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Reply {
    // A client that asked for "100 Continue" may or may not send its body after the final status;
    // only closing is unambiguous then.
    let discardable = request.body <= MAX_DISCARD && !(request.expect && request.body > 0);
    Answer {
        site,
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
        error: Some(why),
    }
}

struct Answer<'a> {
    site: &'a Site,
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
        if self.request.body > MAX_DISCARD {
            return self.error(413, Some("body of a GET over 64 KiB"));
        }
        let mut path = Vec::with_capacity(self.request.target.len() + "index.html.gz".len());
        let decoded = path::split_target(self.request.target).and_then(|target| {
            path::decode(target.path, self.site.dot_names, &mut path)?;
            Ok(target)
        });
        match decoded {
            Ok(target) if path.is_empty() || path.ends_with(b"/") => {
                debug_assert!(target.path.starts_with('/'));
                self.directory(path)
            }
            Ok(target) => self.named(path, target.query),
            Err(Refusal::Malformed) => self.error(400, Some("malformed path")),
            Err(Refusal::Parent) => self.error(403, Some("path with a parent segment")),
            Err(Refusal::Hidden) => self.error(404, Some("name begins with a dot")),
        }
    }

    fn directory(mut self, mut path: Vec<u8>) -> Reply {
        let length = path.len();
        path.extend_from_slice(b"index.html");
        match self.site.find(&path) {
            Ok(Opened::File(entity)) => return self.entity(&mut path, entity),
            Ok(_) | Err(OpenError::Missing) => {}
            Err(error) => return self.open_error(error),
        }
        path.truncate(length);
        match self.site.find(&path) {
            Ok(Opened::Directory(fd)) => self.listing(&fd, &path),
            Ok(_) => self.error(404, None),
            Err(error) => self.open_error(error),
        }
    }

    fn named(mut self, mut path: Vec<u8>, query: Option<&str>) -> Reply {
        match self.site.find(&path) {
            Ok(Opened::File(entity)) => self.entity(&mut path, entity),
            Ok(Opened::Directory(_)) => self.redirect(&path, query),
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
    fn redirect(&mut self, path: &[u8], query: Option<&str>) -> Reply {
        let mut location = vec![b'/'];
        path::encode(path, &mut location);
        location.push(b'/');
        if let Some(query) = query {
            location.push(b'?');
            location.extend_from_slice(query.as_bytes());
        }
        self.error_with(301, None, Some(("Location", &location)))
    }

    fn listing(&mut self, fd: &OwnedFd, path: &[u8]) -> Reply {
        let mut page = Vec::new();
        if let Err(error) = listing::write(fd, path, self.site.dot_names, &mut page) {
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

    fn entity(mut self, path: &mut Vec<u8>, entity: Entity) -> Reply {
        let (media_type, charset) = mime::of(path);
        let (entity, coding) = self.prefer_gzip(path, entity);
        let shown = Shown {
            media_type,
            charset,
            etag: entity.etag.quoted(),
            coding,
            entity: &entity,
        };
        match conditions::evaluate(self.request, &shown.etag, entity.modified) {
            Verdict::Proceed => {}
            Verdict::NotModified => return self.not_modified(&shown),
            Verdict::Failed => return self.error(412, None),
        }
        match self.wanted(&shown) {
            Wanted::Whole => {
                let mut head = self.head(200);
                shown.content_type(&mut head);
                shown.validators(&mut head);
                let length = head_end(head, entity.length);
                self.body(200, entity, 0..length)
            }
            Wanted::One(range) => {
                let mut head = self.head(206);
                shown.content_type(&mut head);
                shown.validators(&mut head);
                head.field_display("Content-Range", content_range(&range, entity.length));
                head_end(head, range.end - range.start);
                self.body(206, entity, range)
            }
            Wanted::Many(ranges) => {
                let parts = Layout::new(&ranges, media_type, entity.length);
                let mut head = self.head(206);
                head.field_display("Content-Type", parts.content_type());
                shown.validators(&mut head);
                head_end(head, parts.length());
                let rest = Rest::Parts(Box::new(parts.with_file(Arc::new(entity.file))));
                self.reply(206, 0, rest)
            }
            Wanted::Unsatisfiable => {
                let all = format!("bytes */{}", entity.length);
                self.error_with(416, None, Some(("Content-Range", all.as_bytes())))
            }
        }
    }

    /// Replaces the file by its `.gz` neighbour where that is asked for and not out of date.
    fn prefer_gzip(&self, path: &mut Vec<u8>, entity: Entity) -> (Entity, Coding) {
        if !self.request.accepts_gzip || path.ends_with(b".gz") {
            return (entity, Coding::Identity);
        }
        path.extend_from_slice(b".gz");
        match self.site.find(path) {
            Ok(Opened::File(packed)) if packed.modified >= entity.modified => {
                (packed, Coding::Gzip)
            }
            _ => (entity, Coding::Identity),
        }
    }

    fn wanted(&self, shown: &Shown<'_>) -> Wanted {
        match self.request.range {
            // Range means nothing to HEAD (RFC 9110, section 14.2).
            Some(value)
                if self.wants_body()
                    && conditions::range_applies(
                        self.request.if_range,
                        &shown.etag,
                        shown.entity.modified,
                    ) =>
            {
                range::parse(value, shown.entity.length)
            }
            _ => Wanted::Whole,
        }
    }

    fn not_modified(&mut self, shown: &Shown<'_>) -> Reply {
        let mut head = self.head(304);
        shown.validators(&mut head);
        head.end();
        self.reply(304, 0, Rest::Nothing)
    }

    /// Completes the answer with a file's bytes, behind the head if they are few.
    fn body(&mut self, status: u16, entity: Entity, range: Range<u64>) -> Reply {
        let length = range.end - range.start;
        if !self.wants_body() || length == 0 {
            return self.reply(status, 0, Rest::Nothing);
        }
        if length > INLINE_BODY {
            let file = Arc::new(entity.file);
            return self.reply(status, 0, Rest::File { file, range });
        }
        match read_behind(self.out, &entity.file, &range) {
            Ok(()) => self.reply(status, length, Rest::Nothing),
            Err(error) => {
                // Nothing has been sent yet, so the client can be told instead of cut off.
                self.out.clear();
                tracing::warn!(
                    "cannot read `{}`: {error}",
                    self.request.target.escape_debug()
                );
                self.error(500, Some("file shrank or cannot be read"))
            }
        }
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
            discard: if self.keep_alive {
                self.request.body
            } else {
                0
            },
            error: None,
        }
    }

    fn wants_body(&self) -> bool {
        self.request.method != "HEAD"
    }

    fn persistence(&self) -> Persistence {
        match (self.keep_alive, self.request.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAliveSaid,
            (true, Version::Http11) => Persistence::KeepAlive,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
}

/// The representation chosen, as its fields show it.
struct Shown<'a> {
    media_type: &'static str,
    charset: Charset,
    etag: String,
    coding: Coding,
    entity: &'a Entity,
}

impl Shown<'_> {
    fn content_type(&self, head: &mut Head<'_>) {
        match self.charset {
            Charset::Utf8 => head.field_display(
                "Content-Type",
                format_args!("{}; charset=utf-8", self.media_type),
            ),
            Charset::Unsaid => head.field("Content-Type", self.media_type),
        }
    }

    /// `Vary` is there whether or not a neighbour exists: one may be put there while a cache still
    /// holds this answer.
    fn validators(&self, head: &mut Head<'_>) {
        if self.coding == Coding::Gzip {
            head.field("Content-Encoding", "gzip");
        }
        head.field_display(
            "Last-Modified",
            httpdate::HttpDate::from(self.entity.modified),
        );
        head.field("ETag", &self.etag);
        head.field("Accept-Ranges", "bytes");
        head.field("Vary", "Accept-Encoding");
        head.field("X-Content-Type-Options", "nosniff");
    }
}

fn head_end(mut head: Head<'_>, length: u64) -> u64 {
    head.field_display("Content-Length", length);
    head.end();
    length
}

pub(crate) fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

/// Reads exactly `range` of `file` to the end of `out`.
fn read_behind(out: &mut Vec<u8>, file: &File, range: &Range<u64>) -> io::Result<()> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let end = out.len() + length;
    out.reserve(length);
    let mut offset = range.start;
    while out.len() < end {
        let got =
            rustix::io::retry_on_intr(|| rustix::io::pread(file, spare_capacity(out), offset))?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += got as u64;
    }
    // The buffer may have had more room than the range is long, and the file may have grown.
    out.truncate(end);
    Ok(())
}

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
