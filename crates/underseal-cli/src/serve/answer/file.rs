//! Answers with a file: the representation, its conditions, its ranges.

use std::ops::Range;

use super::{Answer, Reply, Rest, head_end};
use crate::serve::entity::{Entity, Opened};
use crate::serve::inline::{self, Cached};
use crate::serve::mime::{self, Charset};
use crate::serve::response::Head;
use underseal_http::origin::conditions::{self, Verdict};
use underseal_http::origin::multipart::{Layout, content_range};
use underseal_http::origin::range::{self, Wanted};

/// Bodies up to this many bytes are read behind their head and sent with it: one record, one
/// system call.
const INLINE_BODY: u64 = 16 * 1024;

impl Answer<'_> {
    /// Answers with a file, found at `path`.
    pub(super) fn entity(mut self, path: &mut Vec<u8>, entity: Entity) -> Reply {
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
                let rest = Rest::Parts {
                    file: entity.file,
                    layout: Box::new(parts),
                };
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
        match self.files.find(path) {
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
            let file = entity.file;
            return self.reply(status, 0, Rest::File { file, range });
        }
        match inline::read_behind(self.out, &entity.file, &range) {
            Ok(Cached::Yes) => self.reply(status, length, Rest::Nothing),
            Ok(Cached::No) => {
                let file = entity.file;
                self.reply(status, 0, Rest::File { file, range })
            }
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
