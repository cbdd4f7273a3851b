//! What may be sent, and to whom.

use std::net::IpAddr;
use std::sync::Arc;

use underseal_http::{EncodedSlash, Outgoing, PathFault, Refusal, Request};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Keeps, Peer, Verdict};

use super::fault::Fault;
use crate::backend::Known;
use crate::listener::Listener;
use crate::log::Line;
use crate::policy::{self, Guard, Judged};
use crate::process::Process;
use crate::protocol::PathParameters;
use crate::session::Session;
use crate::tokens::{BadToken, Found};

/// What policies allowed to go to one target, and to no other. Only [`Listener::judge`] makes one of
/// what a client sent.
pub(crate) struct Allowed<T> {
    what: T,
    /// Which of the backends; where policies do not ask who answers, any.
    target: Option<usize>,
    /// Of the policies that allowed it: others may be in force when its trailers come.
    guard: Guard,
}

impl<T> Allowed<T> {
    /// What the proxy says for itself, and nobody asked it to.
    pub(crate) fn own(what: T, target: usize) -> Self {
        Self {
            what,
            target: Some(target),
            guard: Guard::new(None),
        }
    }

    /// What may be sent to a backend, and what looks through its trailers; `None` if it was allowed for
    /// another one.
    pub(crate) fn to(self, target: usize) -> Option<(T, Guard)> {
        let is_for = self.target.is_none_or(|allowed| allowed == target);
        is_for.then_some((self.what, self.guard))
    }

    /// The same, as another version writes it.
    ///
    /// # Errors
    /// Those of `write`.
    pub(crate) fn written<U, E>(
        self,
        write: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Allowed<U>, E> {
        Ok(Allowed {
            what: write(self.what)?,
            target: self.target,
            guard: self.guard,
        })
    }
}

/// Why something may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// By a policy, or because none allows it.
    Policy,
    /// No rule was asked: whoever serves it may see another request than the rules, or its token is
    /// not believed.
    Unasked(Fault),
}

impl Denied {
    /// Why the client is answered, beside that a policy says so.
    pub(super) fn fault(self) -> Option<Fault> {
        match self {
            Self::Policy => None,
            Self::Unasked(fault) => Some(fault),
        }
    }
}

/// What can be judged.
pub(crate) trait Judge {
    /// The request; `None` for a connection that speaks no HTTP.
    fn request(&self) -> Option<Request<'_>>;

    /// Who sent it, behind proxies that are trusted; of a connection, who opened it.
    fn client(&self, session: &Session) -> Option<IpAddr>;

    /// Whether its path is in another form than rules are compared with.
    fn is_as_sent(&self) -> bool {
        false
    }
}

impl Judge for &Outgoing {
    fn request(&self) -> Option<Request<'_>> {
        Some(Outgoing::request(self))
    }

    fn client(&self, _: &Session) -> Option<IpAddr> {
        Outgoing::client(self)
    }

    fn is_as_sent(&self) -> bool {
        Outgoing::is_as_sent(self)
    }
}

/// A connection of which nothing else is known.
impl Judge for () {
    fn request(&self) -> Option<Request<'_>> {
        None
    }

    fn client(&self, session: &Session) -> Option<IpAddr> {
        session.connection().remote_ip
    }
}

/// Judges what is to be sent of a request, and says so in its log `line`, in the place of what was said of
/// another target.
///
/// # Errors
/// Why it may not be sent.
pub(super) fn judge<'o>(
    (listener, process): (&Listener, &Process),
    session: &Session,
    target: Option<&Known>,
    outgoing: &'o Outgoing,
    line: &mut Line<'_>,
) -> Result<Allowed<&'o Outgoing>, Denied> {
    let request = outgoing.request();
    let allowed = listener.judge(process, session, target, outgoing, |judged| {
        if !process.log.is_off() {
            line.asked(&request, outgoing.target());
            line.judged(judged);
        }
    });
    if let Err(Denied::Unasked(_)) = allowed {
        // Without the query, where tokens may stand.
        line.asked(&request, request.path().unwrap_or_default());
        line.refused();
    }
    allowed
}

impl Listener {
    /// Decides on `what` is to go to `target`, by the policies that are in force; `then` is told.
    /// Where policies judge who answers, `target` is known.
    ///
    /// # Errors
    /// Why it may not go there. Where no rule was asked, `then` is not told.
    pub(crate) fn judge<T: Judge>(
        &self,
        process: &Process,
        session: &Session,
        target: Option<&Known>,
        what: T,
        then: impl FnOnce(&Judged<'_>),
    ) -> Result<Allowed<T>, Denied> {
        if self.judges_backend() && target.is_none() {
            // Whoever would answer is a part of what is judged.
            return Err(Denied::Policy);
        }
        match self.decide(process, session, target, &what, then) {
            Ok((Verdict::Allow, guard)) => Ok(Allowed {
                what,
                target: target.map(|known| known.target),
                guard,
            }),
            Ok((Verdict::Deny, _)) => Err(Denied::Policy),
            Err(fault) => Err(Denied::Unasked(fault)),
        }
    }

    /// The verdict, and what looks through the trailers for those who gave it.
    fn decide(
        &self,
        process: &Process,
        session: &Session,
        target: Option<&Known>,
        what: &impl Judge,
        then: impl FnOnce(&Judged<'_>),
    ) -> Result<(Verdict, Guard), Fault> {
        let request = what.request();
        let request = request.as_ref();
        let Some(in_force) = &self.in_force else {
            process.tally.decision(&Judged::UNJUDGED.decision);
            then(&Judged::UNJUDGED);
            return Ok((Verdict::Allow, Guard::new(None)));
        };
        let in_force = in_force.get();
        if what.is_as_sent() && in_force.asked.paths() {
            // They came into force while it was on its way.
            return Err(Fault::Refused(Refusal::Path(PathFault::NotNormal)));
        }
        let keeps = Keeps {
            parameters: self.settings.path_parameters == Some(PathParameters::Keep),
            encoded_slashes: self.settings.encoded_slash == Some(EncodedSlash::Keep),
        };
        let refusal = request.and_then(|request| in_force.asked.refuses(request, keeps));
        if let Some(refusal) = refusal {
            return Err(Fault::Refused(refusal));
        }
        let found = match request {
            Some(request) => in_force
                .tokens
                .find(request, &mut self.verified.borrow_mut()),
            None => Ok(Found::Unknown),
        };
        let found = found.map_err(|BadToken| {
            process.tally.bad_token();
            Fault::Token
        })?;
        let connection = Connection {
            token: found.token(),
            remote_ip: what.client(session),
            ..self.judged(session, target)
        };
        let explain = !process.log.is_off();
        let judged = policy::judge(&in_force.matcher, &connection, request, explain);
        process.tally.decision(&judged.decision);
        then(&judged);
        Ok((
            judged.decision.verdict,
            Guard::new(Some(Arc::clone(&in_force))),
        ))
    }

    /// The connection that a request is judged on: the client's, or for egress the one that goes out.
    fn judged<'a>(&self, session: &'a Session, target: Option<&'a Known>) -> Connection<'a> {
        let connection = session.connection();
        let (TrafficDirection::Egress, Some(target)) = (self.settings.direction, target) else {
            return connection;
        };
        Connection {
            destination: Peer {
                principal: target.principal.as_deref().into(),
                ip: target.address.map(|address| address.ip().to_canonical()),
                // What a peer's labels are, nobody tells a proxy.
                labels: None,
            },
            // A socket in the file system has none, and policies know of none then.
            port: target.address.map_or(0, |address| address.port()),
            sni: target.sni.as_deref().into(),
            ..connection
        }
    }
}
