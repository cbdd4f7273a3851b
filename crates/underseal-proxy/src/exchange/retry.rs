//! When a request is sent once more.

use underseal_http::Outgoing;

/// Longest body that is kept until its response begins, in bytes, so that it can be sent once more.
pub(crate) const MAX_KEPT: usize = 64 * 1024;

/// How often a request is sent once more at most: backends that refuse all are not asked for ever.
const MOST: u8 = 2;

/// Why a backend did not answer. Nothing of a response came, interim ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It says that it has not looked at the request, or has not been sent it.
    Unprocessed,
    /// Its connection ended, which had served a request before: it may have died meanwhile.
    Died,
    /// What it did with the request nobody knows.
    Unknown,
}

/// Whether a request is sent once more, whatever its client and its backend speak (RFC 9110 section
/// 9.2.2): where it was certainly not processed, or doing it twice is the same as once. Its body has to
/// be there from the start, and each try is a new judgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    is_idempotent: bool,
    left: u8,
}

impl Retry {
    /// For a request that has not been sent yet.
    pub(crate) fn new(outgoing: &Outgoing) -> Self {
        const IDEMPOTENT: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        Self {
            is_idempotent: IDEMPOTENT.contains(&outgoing.request().method()),
            left: MOST,
        }
    }

    /// Whether a request that was not answered for this reason might be sent once more: then its body
    /// has to be kept.
    pub(crate) fn may_follow(&self, why: Unanswered) -> bool {
        let is_harmless = match why {
            Unanswered::Unprocessed => true,
            Unanswered::Died => self.is_idempotent,
            Unanswered::Unknown => false,
        };
        self.left > 0 && is_harmless
    }

    /// Says whether it is sent once more, and counts that.
    pub(crate) fn follows(&mut self, why: Unanswered) -> bool {
        let follows = self.may_follow(why);
        self.left -= u8::from(follows);
        follows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::outgoing;

    fn retry(method: &[u8]) -> Retry {
        Retry::new(&outgoing(method))
    }

    #[test]
    fn a_request_is_repeated_where_that_is_certain_to_do_no_harm() {
        use Unanswered::{Died, Unknown, Unprocessed};
        for (method, why, follows) in [
            (&b"GET"[..], Unprocessed, true),
            (b"GET", Died, true),
            (b"GET", Unknown, false),
            (b"PUT", Died, true),
            (b"POST", Unprocessed, true),
            (b"POST", Died, false),
            (b"PATCH", Died, false),
            (b"get", Died, false),
        ] {
            assert_eq!(retry(method).follows(why), follows, "{method:?} {why:?}");
        }
    }

    #[test]
    fn a_request_is_not_repeated_for_ever() {
        let mut retry = retry(b"GET");
        let follows = [(); 4].map(|()| retry.follows(Unanswered::Unprocessed));
        assert_eq!(follows, [true, true, false, false]);
    }
}
