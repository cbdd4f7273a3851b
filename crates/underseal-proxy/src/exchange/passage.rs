//! What goes on of a request.

use http::uri::Scheme;
use underseal_http::{Framing, Outgoing, Passage, Request, Upgrade, Version};

use super::Client;
use crate::forwarded::{FIELD, Forwarded, Told, spelled};
use crate::listener::Listener;
use crate::session::Session;

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// How its body is delimited; of HTTP/2 without Content-Length, [`Framing::Chunked`].
    pub(crate) framing: Framing,
    /// Whether it may go on with another protocol.
    pub(crate) upgrade: Upgrade<'a>,
}

impl Client {
    /// Writes down what goes on of `request`, which is not CONNECT.
    pub(crate) fn write_down(&self, request: &Request<'_>, incoming: Incoming<'_>) -> Outgoing {
        let (session, service) = (&self.session, &self.service);
        let (process, listener) = (&self.worker.process, &self.worker.listener);
        let version = service.settings.to_protocol;
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
