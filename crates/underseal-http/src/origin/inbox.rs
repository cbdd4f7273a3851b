//! The start of a request head that has not come to its end yet.

use super::request::{self, Refused, Request};
use crate::http1::{Glimpse, glimpse};

/// Bytes of an incomplete head, or of one that was refused. Empty, and without memory of its own, unless a head arrived in
/// pieces: whole heads are read where the stream decrypted them.
#[derive(Default)]
pub struct Inbox {
    partial: Vec<u8>,
}

/// What became of newly arrived bytes.
pub struct Advance<T> {
    /// How many of them were used; the rest belongs to what comes after the head.
    pub used: usize,
    /// The result for a complete head, `None` while it is not complete.
    pub outcome: Result<Option<T>, Refused>,
}

impl Inbox {
    /// Whether a head has begun.
    pub fn has_begun(&self) -> bool {
        !self.partial.is_empty()
    }

    /// What a head seems to say that has begun, or was refused.
    pub fn glimpse(&self) -> Glimpse<'_> {
        glimpse(&self.partial)
    }

    /// Takes `fresh` bytes, and calls `ready` if they complete a head.
    pub fn advance<T>(
        &mut self,
        fresh: &[u8],
        ready: impl FnOnce(&Request<'_>) -> T,
    ) -> Advance<T> {
        if self.has_begun() {
            self.resume(fresh, ready)
        } else {
            self.begin(fresh, ready)
        }
    }

    fn begin<T>(&mut self, fresh: &[u8], ready: impl FnOnce(&Request<'_>) -> T) -> Advance<T> {
        // Empty lines before a request are tolerated (RFC 9112, section 2.2), and dropped here so
        // that they never have to be looked at twice.
        let blank = fresh
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let head = &fresh[blank..];
        if head.is_empty() {
            return Advance {
                used: blank,
                outcome: Ok(None),
            };
        }
        match Request::parse(head) {
            Ok(Some((request, length))) => Advance {
                used: blank + length,
                outcome: Ok(Some(ready(&request))),
            },
            Ok(None) => {
                self.partial.extend_from_slice(head);
                Advance {
                    used: fresh.len(),
                    outcome: Ok(None),
                }
            }
            Err(refused) => {
                self.partial.extend_from_slice(head);
                Advance {
                    used: fresh.len(),
                    outcome: Err(refused),
                }
            }
        }
    }

    fn resume<T>(&mut self, fresh: &[u8], ready: impl FnOnce(&Request<'_>) -> T) -> Advance<T> {
        let before = self.partial.len();
        self.partial.extend_from_slice(fresh);
        // The blank line may have begun up to three bytes before what is new.
        let news = &self.partial[before.saturating_sub(3)..];
        if !request::has_blank_line(news) {
            let outcome = request::may_grow(&self.partial).map(|()| None);
            return Advance {
                used: fresh.len(),
                outcome,
            };
        }
        let partial = std::mem::take(&mut self.partial);
        match Request::parse(&partial) {
            Ok(Some((request, length))) => Advance {
                used: length.saturating_sub(before),
                outcome: Ok(Some(ready(&request))),
            },
            Ok(None) => {
                self.partial = partial;
                Advance {
                    used: fresh.len(),
                    outcome: Ok(None),
                }
            }
            Err(refused) => {
                self.partial = partial;
                Advance {
                    used: fresh.len(),
                    outcome: Err(refused),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of the given sizes and collects the targets of the requests.
    fn targets(bytes: &[u8], pieces: &[usize]) -> Vec<String> {
        let mut inbox = Inbox::default();
        let mut found = Vec::new();
        let mut sizes = pieces.iter().copied().cycle();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (mut piece, tail) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
            rest = tail;
            while !piece.is_empty() {
                let advance = inbox.advance(piece, |request| request.target.to_owned());
                found.extend(advance.outcome.expect("well-formed"));
                piece = &piece[advance.used..];
            }
        }
        assert!(!inbox.has_begun());
        found
    }

    proptest! {
        #[test]
        fn segmentation_makes_no_difference(pieces in proptest::collection::vec(1usize..60, 1..8)) {
            let bytes = b"\r\nGET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\nHost: h\n\nGET /3 HTTP/1.0\r\n\r\n";
            prop_assert_eq!(targets(bytes, &pieces), ["/1", "/2", "/3"]);
        }
    }

    #[test]
    fn a_whole_head_needs_no_memory() {
        let mut inbox = Inbox::default();
        let advance = inbox.advance(b"GET / HTTP/1.0\r\n\r\nmore", |_| ());
        assert_eq!((advance.used, advance.outcome), (18, Ok(Some(()))));
        assert_eq!(inbox.partial.capacity(), 0);
    }

    #[test]
    fn what_a_refused_head_seems_to_say_is_still_known() {
        let head = b"\r\n\n\nGET /a HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n";
        for size in [head.len(), 7] {
            let mut inbox = Inbox::default();
            let mut pieces = head.chunks(size);
            let refused = pieces.find_map(|piece| inbox.advance(piece, |_| ()).outcome.err());
            assert_eq!(refused.map(|refused| refused.status), Some(400));
            let seen = Glimpse {
                method: Some(b"GET"),
                target: Some(b"/a"),
                minor_version: Some(0),
                host: Some(b"h"),
            };
            assert_eq!(inbox.glimpse(), seen);
        }
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut inbox = Inbox::default();
        let mut refused = None;
        for _ in 0..20_000 {
            let advance = inbox.advance(b"A: b\r\n", |_| ());
            if let Err(why) = advance.outcome {
                refused = Some(why.status);
                break;
            }
        }
        // The first line is no request line, which only shows when the head is parsed.
        assert!(matches!(refused, Some(400 | 431)), "{refused:?}");
    }
}
