//! The start of a request head that has not come to its end yet.

use super::request::{MAX_HEAD, Request, has_blank_line};
use crate::http1::{Glimpse, glimpse, head};
use crate::refusal::Refusal;

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
    pub outcome: Result<Option<T>, Refusal>,
}

impl Inbox {
    /// Whether a head has begun; an empty line before it is none of it.
    pub fn has_begun(&self) -> bool {
        !matches!(&*self.partial, b"" | b"\r" | b"\r\n")
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
        let mut partial = std::mem::take(&mut self.partial);
        let before = partial.len();
        let read = if before == 0 {
            Request::parse(fresh)
        } else {
            partial.extend_from_slice(fresh);
            resume(&partial, before)
        };
        let outcome = match read {
            Ok(Some((request, length))) => {
                return Advance {
                    used: length.saturating_sub(before),
                    outcome: Ok(Some(ready(&request))),
                };
            }
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        if before == 0 {
            partial.extend_from_slice(fresh);
        }
        self.partial = partial;
        Advance {
            used: fresh.len(),
            outcome,
        }
    }
}

/// Reads `partial`, whose first bytes were read `before`, if its end may have come.
fn resume(partial: &[u8], before: usize) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    // The blank line may have begun up to three bytes before what is new.
    match has_blank_line(&partial[before.saturating_sub(3)..]) {
        true => Request::parse(partial),
        false => head::check_part(partial, MAX_HEAD).map(|()| None),
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
            let bytes = b"\r\nGET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /3 HTTP/1.0\r\n\r\n";
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
        let head = b"\r\nGET /a HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n";
        for size in [head.len(), 7] {
            let mut inbox = Inbox::default();
            let mut pieces = head.chunks(size);
            let refused = pieces.find_map(|piece| inbox.advance(piece, |_| ()).outcome.err());
            assert_eq!(refused, Some(Refusal::SeveralHosts));
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
    fn an_empty_line_begins_no_head_and_a_second_one_is_refused() {
        let mut inbox = Inbox::default();
        for byte in b"\r\n" {
            assert_eq!(inbox.advance(&[*byte], |_| ()).outcome, Ok(None));
            assert!(!inbox.has_begun());
        }
        assert_eq!(inbox.advance(b"\r", |_| ()).outcome, Ok(None));
        assert!(inbox.has_begun());
        let refused = inbox.advance(b"\n", |_| ()).outcome;
        assert_eq!(refused, Err(Refusal::RequestLine));
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut inbox = Inbox::default();
        let begun = inbox.advance(b"\r\nGET / HTTP/1.1\r\n", |_| ());
        assert_eq!(begun.outcome, Ok(None));
        let mut lines = std::iter::repeat_n(b"A: b\r\n", 20_000);
        let refused = lines.find_map(|line| inbox.advance(line, |_| ()).outcome.err());
        assert_eq!(refused, Some(Refusal::HeadTooLong));
    }
}
