//! Bodies out of their framing, as HTTP/2 has them: data, part by part, and then perhaps trailers.
//!
//! Those of HTTP/1.1 are taken out of it ([`unframed`]) and put into it ([`framer`]); those of HTTP/2
//! are sent ([`pump`]) and received ([`received`]) as they are.

mod framer;
mod held;
mod pump;
mod received;
#[cfg(test)]
mod tests;
mod unframed;

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::framer::{Framer, Framing};
pub(crate) use self::pump::Pump;
pub(crate) use self::received::Received;
pub(crate) use self::unframed::{Unframed, Unframing};
use crate::flow::Broken;
use crate::http2::limits::MAX_RESPONSE_HEAD;
use crate::policy::Guard;

/// Most trailers of a body, as many as a request's head has fields, and most names of them that are kept of
/// what a head announces: each is compared with each.
const MAX_TRAILERS: usize = 100;

/// Longest list of trailers, counted as HTTP/2 does: the library leaves out what goes beyond its limit on heads,
/// which is far more, and does not say so.
const MAX_TRAILERS_SIZE: usize = 16 * 1024;
const _: () = assert!(2 * MAX_TRAILERS_SIZE <= MAX_RESPONSE_HEAD as usize);

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Data(Bytes),
    /// The last.
    Trailers(HeaderMap),
}

/// Where the parts of a body come from.
pub(crate) trait Parts {
    /// Whether nothing more comes.
    fn is_at_end(&self) -> bool;

    /// What comes next; `None` at the end. Asking for it says that what came before was passed on.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>>;

    /// Takes what has come, though it cannot be passed on yet: to be called where that is so. What waits in a
    /// connection of HTTP/2 takes some hundred bytes beside its own, however small a piece is: one with a
    /// client ends where they are too many, and one to a backend, which others share, would let them grow.
    fn hold(&mut self, _: &mut Context<'_>) {}
}

/// Looks through the trailers of a body before any of them goes on. Those of a client have a `guard`.
///
/// # Errors
/// [`Broken::Trailers`] if it refuses one of them, or if there are too many, or too much of them.
fn check_trailers(trailers: &HeaderMap, guard: Option<&Guard>) -> Result<(), Broken> {
    // RFC 9113 section 6.5.2.
    let size_of =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    let is_long = trailers.len() > MAX_TRAILERS
        || trailers.iter().map(size_of).sum::<usize>() > MAX_TRAILERS_SIZE;
    match is_long || Guard::refuses_any(guard, trailers) {
        true => Err(Broken::Trailers),
        false => Ok(()),
    }
}

/// `None` is where there is no body.
impl<P: Parts> Parts for Option<P> {
    fn is_at_end(&self) -> bool {
        self.as_ref().is_none_or(Parts::is_at_end)
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        match self {
            Some(parts) => parts.poll_part(cx),
            None => Poll::Ready(None),
        }
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        if let Some(parts) = self {
            parts.hold(cx);
        }
    }
}
