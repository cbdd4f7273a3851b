//! Backends of either version, as an exchange sees them: a head and a body go out, on a connection of
//! their own or on one that others share, and a head and a body come back.
//!
//! There is one pool of connections ([`Upstreams`]), whatever clients speak.

mod answer;
mod http1;
mod idle;
mod liveness;
mod multiplexed;
mod queue;
mod shared;

use std::task::{Context, Poll};

use http::Response;
use http::uri::Scheme;
use underseal_http::{Outgoing, Version};

use self::http1::Http1;
use self::idle::Idle;
use self::multiplexed::Http2;
use self::shared::{Shared, Slot};
use crate::backend::{Backend, Known, Unreachable};
use crate::exchange::{Allowed, Connected, Fault, Lost, Unanswered};
use crate::flow::Broken;
use crate::http2::written;
use crate::parts::{Part, Parts};
use crate::process::Process;
use crate::service::Service;
use crate::websocket;
use underseal_server::deadline::Deadline;

/// Connections to backends: those of a worker, or where each carries the address of a client, those
/// of that client.
pub(crate) struct Upstreams {
    /// What a new connection carries first.
    header: Option<Vec<u8>>,
    /// Of HTTP/1.1, by backend.
    idle: Box<[Idle]>,
    /// Of HTTP/2, by backend.
    multiplexed: Box<[Shared]>,
}

/// A connection to a backend, for one request.
pub(crate) enum Reached {
    Http1(Box<Backend>),
    Http2(Slot),
}

/// What has come of a response: what goes on of its head.
pub(crate) enum Event {
    /// With a status of 1xx; another one follows.
    Interim(Response<()>),
    Final(Response<()>),
}

/// What follows a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    Nothing,
    Body,
    /// What a client of HTTP/2 sends once the backend, of HTTP/1.1, has gone over to WebSocket.
    WebSocket(websocket::Key),
}

impl Sends {
    pub(crate) fn body(has_body: bool) -> Self {
        match has_body {
            true => Self::Body,
            false => Self::Nothing,
        }
    }
}

impl Upstreams {
    /// To this many backends.
    pub(crate) fn new(backends: usize, header: Option<Vec<u8>>) -> Self {
        Self {
            header,
            idle: (0..backends).map(|_| Idle::default()).collect(),
            multiplexed: (0..backends).map(|_| Shared::default()).collect(),
        }
    }

    /// A connection that takes a request without waiting for it, to the backend whose turn it is, or to
    /// that one if it is to be tried `again`: then a new one, where it is for one request at a time.
    ///
    /// # Errors
    /// To which backend one is to be made.
    pub(crate) fn at_hand(
        &self,
        service: &Service,
        again: Option<usize>,
    ) -> Result<Reached, usize> {
        let index = again.unwrap_or_else(|| service.backends.pick());
        let found = match (service.settings.to_protocol, again) {
            (Version::Http11, None) => self.idle[index].take().map(Reached::Http1),
            (Version::Http11, Some(_)) => None,
            (Version::Http2, _) => self.multiplexed[index].at_hand().map(Reached::Http2),
        };
        found.ok_or(index)
    }

    /// A connection to the backend `index`, or to another one if it takes none.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn reach(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        index: usize,
    ) -> Result<Reached, Unreachable> {
        if service.settings.to_protocol == Version::Http2 {
            let slot = self.slot((process, service), deadline, index).await?;
            return Ok(Reached::Http2(slot));
        }
        let header = self.header.as_deref();
        let backend = service.backends.connect(process, deadline, index, header);
        Ok(Reached::Http1(backend.await?))
    }

    /// A connection to the backend `index` and to no other: a new one, where it is for one request at a
    /// time.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn reach_only(
        &self,
        (process, service): (&Process, &Service),
        to: (usize, Option<&[u8]>),
    ) -> Result<Reached, Unreachable> {
        if service.settings.to_protocol == Version::Http2 {
            let slot = self.slot_only((process, service), to).await?;
            return Ok(Reached::Http2(slot));
        }
        let begin = async |backend| Ok(backend);
        let backend = service.backends.connect_only(process, to, begin);
        Ok(Reached::Http1(backend.await?))
    }

    /// Keeps a connection whose last exchange is complete for the next.
    pub(crate) fn keep(&self, backend: Box<Backend>) {
        self.idle[backend.known.target].put(backend);
    }

    /// Gives back what is not used.
    pub(crate) fn give_back(&self, unused: Reached) {
        if let Reached::Http1(backend) = unused {
            self.keep(backend);
        }
    }

    /// Drops the kept connections that ended or were kept for too long.
    pub(crate) fn sweep(&self) {
        self.idle.iter().for_each(Idle::sweep);
    }
}

impl Connected for Reached {
    fn known(&self) -> &Known {
        match self {
            Self::Http1(backend) => &backend.known,
            Self::Http2(slot) => slot.known(),
        }
    }
}

/// A request that is with a backend, and the response that comes.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one more allocation of each request"
)]
pub(crate) enum Upstream {
    Http1(Box<Http1>),
    Http2(Http2),
}

impl Upstream {
    /// Begins to send a request.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(crate) fn begin(
        process: &Process,
        reached: Reached,
        (allowed, scheme): (Allowed<&Outgoing>, &Scheme),
        sends: Sends,
    ) -> Result<Self, Lost> {
        match reached {
            Reached::Http1(backend) => {
                let allowed = allowed.to(backend.known.target);
                let allowed = allowed.ok_or(Fault::BackendCut)?;
                let begun = Http1::new(process, backend, allowed, sends);
                Ok(Self::Http1(Box::new(begun)))
            }
            Reached::Http2(slot) => {
                let head = allowed.written(|outgoing| written(outgoing, scheme.clone()))?;
                let begun = slot.begin(head, sends == Sends::Body)?;
                begun.map(Self::Http2).ok_or_else(Lost::ended)
            }
        }
    }

    /// Whether the backend has gone over to another protocol.
    pub(crate) fn is_tunnel(&self) -> bool {
        match self {
            Self::Http1(begun) => begun.is_tunnel(),
            Self::Http2(_) => false,
        }
    }

    /// Whether that is so and its client has ended.
    pub(crate) fn has_tunnel_end(&self) -> bool {
        match self {
            Self::Http1(begun) => begun.has_tunnel_end(),
            Self::Http2(_) => false,
        }
    }

    /// Why there may be no response without anybody's fault, if that can be.
    pub(crate) fn may_be_unanswered(&self) -> Option<Unanswered> {
        match self {
            Self::Http1(begun) => begun.may_be_unanswered(),
            Self::Http2(_) => Some(Unanswered::Unprocessed),
        }
    }

    /// Goes on with the request's body. Where the backend takes no more of it, that is the end of it:
    /// it may respond all the same.
    ///
    /// # Errors
    /// Why `body` does not come to its end: never [`Broken::Sink`].
    pub(crate) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl Parts,
    ) -> Result<(), Broken> {
        match self {
            Self::Http1(begun) => begun.poll_upload(cx, body),
            Self::Http2(begun) => begun.poll_upload(cx, body),
        }
    }

    /// Bytes of the request's body that were taken.
    pub(crate) fn passed(&self) -> u64 {
        match self {
            Self::Http1(begun) => begun.passed(),
            Self::Http2(begun) => begun.passed(),
        }
    }

    /// Whether all of it was sent, or all that is wanted.
    pub(crate) fn is_sent(&self) -> bool {
        match self {
            Self::Http1(begun) => begun.is_sent(),
            Self::Http2(begun) => begun.is_sent(),
        }
    }

    /// Whether the client is to send more, and what it sent has been taken.
    pub(crate) fn waits_for_client(&self) -> bool {
        match self {
            Self::Http1(begun) => begun.waits_for_client(),
            Self::Http2(begun) => begun.waits_for_client(),
        }
    }

    /// The next head of a response.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Lost>> {
        match self {
            Self::Http1(begun) => begun.poll_head(cx),
            Self::Http2(begun) => begun.poll_head(cx),
        }
    }

    /// Gives the connection back after a whole response, if it can serve again.
    pub(crate) fn finish(self, process: &Process, upstreams: &Upstreams) {
        if let Self::Http1(begun) = self {
            begun.finish(process, upstreams);
        }
    }

    /// Ends what the exchange has of the connection: a request or a response on it is not whole.
    pub(crate) fn abort(self) {
        if let Self::Http1(begun) = self {
            begun.abort();
        }
    }

    /// Has nobody else use the connection: its other end does not answer.
    pub(crate) fn distrust(&self) {
        if let Self::Http2(begun) = self {
            begun.distrust();
        }
    }
}

/// The body of the response, once its head has come.
impl Parts for Upstream {
    fn is_at_end(&self) -> bool {
        match self {
            Self::Http1(begun) => begun.is_at_end(),
            Self::Http2(begun) => begun.is_at_end(),
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        match self {
            Self::Http1(begun) => begun.poll_part(cx),
            Self::Http2(begun) => begun.poll_part(cx),
        }
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        if let Self::Http2(begun) = self {
            begun.hold(cx);
        }
    }
}
