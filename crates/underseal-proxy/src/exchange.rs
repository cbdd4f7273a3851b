//! The rules of an exchange that are the same whatever its client and its backend speak.
//!
//! A request is read, what will go on of it is written down ([`write_down`]), that is judged and
//! nothing else ([`mod@judge`]), for the backend that will answer ([`mod@reach`]), and only what was
//! allowed for a target is sent to it ([`Allowed`]). When a request is sent once more, one rule says
//! ([`Retry`]), and each try is a new judgement. What of a response goes on, [`mod@response`] says, and how
//! long is waited for it, [`TurnDeadline`].

mod deadline;
mod heads;
mod judge;
mod reach;
pub(crate) mod response;
mod retry;

use http::uri::Scheme;
use underseal_http::{Framing, Outgoing, Passage, Request, Upgrade, Version};

pub(crate) use self::deadline::{Late, TurnDeadline, Wait};
pub(crate) use self::heads::Heads;
pub(crate) use self::judge::{Allowed, Denied};
pub(crate) use self::reach::{Connected, Unreached, reach, reach_for};
pub(crate) use self::retry::{MAX_KEPT, Retry, Unanswered};
use crate::forwarded::{FIELD, Forwarded, Told, spelled};
use crate::listener::Listener;
use crate::process::Process;
use crate::service::Service;
use crate::session::Session;

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// How its body is delimited; of HTTP/2 without Content-Length, [`Framing::Chunked`].
    pub(crate) framing: Framing,
    /// Whether it may go on with another protocol.
    pub(crate) upgrade: Upgrade<'a>,
}

/// Writes down what goes on of `request`, which is not CONNECT.
pub(crate) fn write_down(
    (process, listener, service): (&Process, &Listener, &Service),
    session: &Session,
    request: &Request<'_>,
    incoming: Incoming<'_>,
) -> Outgoing {
    let version = service.to_version();
    let told = listener.told(session, request);
    let ours = told.as_ref().map(|told| listener.forward(session, told));
    let passage = Passage {
        upgrade: match version {
            Version::Http11 => incoming.upgrade,
            Version::Http2 => Upgrade::None,
        },
        path: listener.path_form(),
        host: service.settings.host.as_ref(),
        client: told.map_or_else(|| session.ip(), |told| told.client),
        ours: ours.as_deref().unwrap_or(&session.forwarded),
        ..Passage::new(version, incoming.framing)
    };
    let mut outgoing = process.heads.take();
    outgoing.write(request, &passage);
    outgoing
}

impl Listener {
    /// What a client that is trusted tells of whom it took a request from.
    fn told(&self, session: &Session, request: &Request<'_>) -> Option<Told> {
        let remote = session.ip()?;
        let trusted = &self.settings.trusted_proxies;
        trusted
            .has(remote)
            .then(|| Told::of(request, remote, trusted))
    }

    /// What the backend is told of it.
    fn forward(&self, session: &Session, told: &Told) -> Box<[(&'static str, Box<str>)]> {
        let remote = session.remote.ip().to_canonical();
        let value: Box<str> = match (self.settings.forwarded, told.client) {
            (Forwarded::Append, _) => told.appended(remote).into(),
            (Forwarded::Set, client) => spelled(client),
            (Forwarded::Off, _) => return session.forwarded.clone(),
        };
        let ours = session.forwarded.iter().map(|(name, own)| match *name {
            FIELD => (FIELD, value.clone()),
            name => (name, own.clone()),
        });
        ours.collect()
    }
}

/// The scheme of what comes on a connection, and goes on under it: how a request came only we may say.
pub(crate) fn scheme(session: &Session) -> Scheme {
    match session.tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    }
}
