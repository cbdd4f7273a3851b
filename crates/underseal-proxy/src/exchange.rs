//! The rules of an exchange that are the same whatever its client and its backend speak.
//!
//! A request is read, what will go on of it is written down ([`write_down`]), that is judged and
//! nothing else ([`mod@judge`]), for the backend that will answer ([`mod@reach`]), and only what was
//! allowed for a target is sent to it ([`Allowed`]). When a request is sent once more, one rule says
//! ([`Retry`]), and each try is a new judgement. What of a response goes on, [`mod@response`] says, and how
//! long is waited for it, [`Deadline`].

mod deadline;
mod heads;
mod judge;
mod reach;
pub(crate) mod response;
mod retry;

use http::uri::Scheme;
use underseal_http::{Framing, Outgoing, Passage, Request, Version};

pub(crate) use self::deadline::{Deadline, Late, Wait};
pub(crate) use self::heads::Heads;
pub(crate) use self::judge::{Allowed, Denied, judge, unjudged};
pub(crate) use self::reach::{Connected, Unreached, reach};
pub(crate) use self::retry::{MAX_KEPT, Retry, Unanswered};
use crate::session::Session;
use crate::worker::Worker;

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    /// How its body is delimited; of HTTP/2 without Content-Length, [`Framing::Chunked`].
    pub(crate) framing: Framing,
    /// Whether it may go on with another protocol.
    pub(crate) upgrade: bool,
}

/// Writes down what goes on of `request`, which is not CONNECT.
pub(crate) fn write_down(
    worker: &Worker,
    session: &Session,
    request: &Request<'_>,
    incoming: Incoming,
) -> Outgoing {
    let version = worker.to_version();
    let passage = Passage {
        version,
        framing: incoming.framing,
        upgrade: incoming.upgrade && version == Version::Http11,
        ours: &session.forwarded,
    };
    let mut outgoing = worker.heads.take();
    outgoing.write(request, &passage);
    outgoing
}

/// The scheme of what comes on a connection, and goes on under it: how a request came only we may say.
pub(crate) fn scheme(session: &Session) -> Scheme {
    match session.tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    }
}
