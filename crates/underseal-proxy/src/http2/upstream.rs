//! Backends, as one HTTP/2 stream sees them: a request goes out, on a connection of its own or on
//! one that others share, and a response comes back.

mod http1;
pub(super) mod multiplexed;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use http::Response;
use http::uri::Scheme;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use underseal_http::Outgoing;

use self::http1::Idle;
use self::multiplexed::Shared;
use super::pump::{Broken, Progress, Pump, Source, Waiting};
use super::request::written;
use crate::backend::Known;
use crate::exchange::{Allowed, Connected, Unanswered};
use crate::http1::Fault;
use crate::protocol::ToProtocol;
use crate::worker::Worker;
use underseal_http::http1::ResponseRefusal;
use underseal_server::watch::Watch;

/// Connections to backends: those of a worker, or where each carries the address of a client, those
/// of that client.
pub(crate) struct Upstreams {
    /// By backend.
    http1: Box<[Rc<Idle>]>,
    multiplexed: Box<[Shared]>,
}

/// A connection to a backend, for one request.
pub(super) enum Reached {
    Http1(http1::Lent),
    Http2(Rc<multiplexed::Connection>),
}

/// A request that is on its way.
pub(super) struct Begun {
    pub(super) awaited: Awaited,
    pub(super) upload: Upload,
    pub(super) link: Link,
    /// Whether the connection served a request before: it may have died since.
    pub(super) is_reused: bool,
}

/// The response that is waited for.
pub(super) enum Awaited {
    Http2(h2::client::ResponseFuture),
    Http1 {
        future: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>,
        interim: mpsc::Receiver<Response<()>>,
    },
}

/// What has come of a response.
pub(super) enum Event {
    /// A head with a status of 1xx; another one follows.
    Interim(Response<()>),
    Final(Response<Source>),
}

/// Why no response comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) fault: Fault,
    why: Unanswered,
    /// Whether the connection takes no more requests.
    pub(super) is_over: bool,
}

/// The body of a request, on its way.
pub(super) enum Upload {
    Done {
        passed: u64,
    },
    Going(Pump),
    /// The connection's own task sends it.
    Task(Rc<Progress>),
}

/// What an exchange holds of a connection.
pub(super) enum Link {
    Http1(http1::Lent),
    Http2(multiplexed::Stream),
}

impl Upstreams {
    /// For this many backends.
    pub(crate) fn new(backends: usize) -> Self {
        Self {
            http1: (0..backends).map(|_| Rc::default()).collect(),
            multiplexed: (0..backends).map(|_| Shared::default()).collect(),
        }
    }

    /// A connection to a backend that takes a request; if that is one that did not answer, to be
    /// tried `again`, a new one where it is for one request at a time. `proxied` is what a new
    /// connection is to carry first.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn reach(
        &self,
        worker: &Rc<Worker>,
        watch: &Watch,
        proxied: Option<&[u8]>,
        again: Option<usize>,
    ) -> Result<Reached, Fault> {
        Ok(match worker.shared.to_protocol {
            ToProtocol::Http1 => Reached::Http1(self.lend(worker, watch, proxied, again).await?),
            ToProtocol::H2 => Reached::Http2(self.connection(worker, watch, proxied, again).await?),
        })
    }
}

impl Connected for Reached {
    fn known(&self) -> &Known {
        match self {
            Self::Http1(lent) => lent.known(),
            Self::Http2(connection) => connection.known(),
        }
    }
}

impl Reached {
    /// Sends a request, and begins to send its body; `None` if the connection has ended meanwhile, and
    /// nothing was sent.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(super) async fn send(
        self,
        worker: &Worker,
        watch: &Watch,
        (allowed, scheme): (Allowed<&Outgoing>, &Scheme),
        body: &mut Option<Source>,
    ) -> Result<Option<Begun>, Fault> {
        match self {
            Self::Http1(lent) => lent.send(allowed, body, worker.guard()).map(Some),
            Self::Http2(connection) => {
                let head = allowed.written(|outgoing| written(outgoing, scheme.clone()))?;
                connection.send(worker, watch, head, body).await
            }
        }
    }

    /// Gives back what is not used.
    pub(super) fn keep(self) {
        if let Self::Http1(lent) = self {
            lent.keep();
        }
    }
}

impl Awaited {
    /// What comes next.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Lost>> {
        match self {
            Self::Http2(future) => {
                if let Poll::Ready(Some(interim)) = future.poll_informational(cx) {
                    return Poll::Ready(interim.map(Event::Interim).map_err(lost_http2));
                }
                let response = ready!(Pin::new(future).poll(cx)).map_err(lost_http2)?;
                Poll::Ready(Ok(Event::Final(response.map(Source::from))))
            }
            Self::Http1 { future, interim } => {
                let response = future.as_mut().poll(cx);
                // Those that came go first.
                if let Poll::Ready(Some(interim)) = interim.poll_recv(cx) {
                    if response.is_pending() {
                        return Poll::Ready(Ok(Event::Interim(interim)));
                    }
                    tracing::debug!("an interim response came too late to be passed on");
                }
                let response = ready!(response).map_err(|error| lost_http1(&error))?;
                Poll::Ready(Ok(Event::Final(response.map(Source::Http1))))
            }
        }
    }
}

fn lost_http2(error: h2::Error) -> Lost {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    tracing::debug!("a backend did not answer: {error}");
    let is_over = error.is_io() || error.is_go_away();
    let why = if error.is_remote() && (refused || error.is_go_away()) {
        Unanswered::Unprocessed
    } else if is_over {
        Unanswered::Died
    } else {
        Unanswered::Unknown
    };
    Lost {
        fault: Fault::BackendCut,
        why,
        is_over,
    }
}

fn lost_http1(error: &hyper::Error) -> Lost {
    tracing::debug!("a backend did not answer: {error}");
    if error.is_parse_too_large() {
        Lost::bad(ResponseRefusal::TooLong)
    } else if error.is_parse() {
        Lost::bad(ResponseRefusal::Malformed)
    } else {
        let why = match (error.is_canceled(), error.is_user()) {
            // It ended before the request was begun.
            (true, _) => Unanswered::Unprocessed,
            // The request's body broke off.
            (false, true) => Unanswered::Unknown,
            (false, false) => Unanswered::Died,
        };
        Lost {
            fault: Fault::BackendCut,
            why,
            is_over: true,
        }
    }
}

impl Lost {
    /// A response that is none.
    pub(super) fn bad(bad: ResponseRefusal) -> Self {
        Self {
            fault: Fault::BackendResponse(bad),
            why: Unanswered::Unknown,
            is_over: false,
        }
    }

    /// A response that breaks off.
    pub(super) fn cut() -> Self {
        Self {
            fault: Fault::BackendCut,
            why: Unanswered::Unknown,
            is_over: false,
        }
    }

    /// Why, on a connection that served a request before if it `is_reused`.
    pub(super) fn why(self, is_reused: bool) -> Unanswered {
        match self.why {
            Unanswered::Died if !is_reused => Unanswered::Unknown,
            why => why,
        }
    }
}

impl Upload {
    /// Goes on with the body. Where the backend takes no more of it, that is the end of it: it may
    /// respond all the same.
    ///
    /// # Errors
    /// [`Broken::Source`] and [`Broken::Trailers`]: the client's fault.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let pump = match self {
            Self::Going(pump) => pump,
            // What the backend says of it then is not its fault.
            Self::Task(progress) if progress.refused.get() => return Err(Broken::Trailers),
            Self::Task(_) | Self::Done { .. } => return Ok(()),
        };
        match pump.poll(cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(()) | Err(Broken::Sink(_))) => {}
            Poll::Ready(Err(broken)) => {
                tracing::debug!("request: {broken}");
                pump.reset(Reason::CANCEL);
                return Err(broken);
            }
        }
        let passed = pump.passed;
        *self = Self::Done { passed };
        Ok(())
    }

    /// Bytes of the body that were sent.
    pub(super) fn passed(&self) -> u64 {
        match self {
            Self::Done { passed } => *passed,
            Self::Going(pump) => pump.passed,
            Self::Task(progress) => progress.passed.get(),
        }
    }

    /// Whether all of it was sent, or all that is wanted.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Done { .. } => true,
            Self::Going(_) => false,
            Self::Task(progress) => progress.ended.get(),
        }
    }

    /// Whether the client is to send more, and what it sent has been taken.
    pub(super) fn waits_for_client(&self) -> bool {
        match self {
            Self::Done { .. } => false,
            Self::Going(pump) => pump.waiting == Waiting::Source,
            Self::Task(progress) => !progress.ended.get() && progress.starved.get(),
        }
    }
}

impl Link {
    /// The backend's name, for logs.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Http1(lent) => lent.name(),
            Self::Http2(stream) => stream.name(),
        }
    }

    /// Which of the backends it is to.
    pub(super) fn target(&self) -> usize {
        match self {
            Self::Http1(lent) => lent.known().target,
            Self::Http2(stream) => stream.target(),
        }
    }

    /// Gives the connection back after a whole exchange.
    pub(super) fn keep(self) {
        if let Self::Http1(lent) = self {
            lent.keep();
        }
    }

    /// Ends what the exchange has of the connection: a request on it is not whole.
    pub(super) fn abort(self) {
        if let Self::Http1(lent) = self {
            lent.abort();
        }
    }

    /// Has nobody else use the connection: its other end does not answer.
    pub(super) fn distrust(self) {
        if let Self::Http2(stream) = self {
            stream.distrust();
        }
    }
}
