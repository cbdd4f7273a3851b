//! Connections to backends that speak HTTP/1.1: one request at a time, the next one later.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::ext::on_informational;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use underseal_http::{Outgoing, Refusal};

use super::{Awaited, Begun, Link, Upload, Upstreams};
use crate::backend::{Backend, Known, Unreachable};
use crate::exchange::Allowed;
use crate::http1::Fault;
use crate::http2::active::{Active, Open, Presence};
use crate::http2::pump::{Outbound, Source};
use crate::http2::request::{head, target};
use crate::policy::Guard;
use crate::stream::Stream;
use crate::worker::Worker;
use underseal_server::watch::{Phase, Watch};

/// Most connections kept per backend.
const MAX: usize = 256;

/// How long one is kept: less than most servers wait for a request.
const KEPT: Duration = Duration::from_secs(4);

/// Longest head of a response, in bytes and fields, and bytes of a body that wait.
const MAX_BUFFER: usize = 128 * 1024;
const MAX_FIELDS: usize = 128;

/// Interim responses that wait to be passed on.
const MAX_INTERIM: usize = 4;

/// Connections to one backend that wait for a request; the one used last is used first.
#[derive(Default)]
pub(super) struct Idle(RefCell<Vec<Kept>>);

struct Kept {
    sender: SendRequest<Outbound>,
    active: Rc<Active>,
    name: Rc<str>,
    known: Known,
    /// The task that goes on with it.
    driven: AbortHandle,
}

/// A connection that serves one exchange.
pub(crate) struct Lent {
    kept: Kept,
    open: Open,
    home: Rc<Idle>,
    /// Whether it served a request before.
    is_reused: bool,
}

impl Lent {
    pub(super) fn name(&self) -> &str {
        &self.kept.name
    }

    /// Ends the connection, and drops what was still to be sent on it.
    pub(super) fn abort(self) {
        self.kept.driven.abort();
    }

    pub(super) fn keep(self) {
        let mut idle = self.home.0.borrow_mut();
        idle.retain(|kept| !kept.sender.is_closed());
        if idle.len() < MAX {
            idle.push(self.kept);
        }
        drop(idle);
        drop(self.open);
    }
}

impl Idle {
    /// A connection that takes a request now.
    fn take(&self) -> Option<Kept> {
        let mut idle = self.0.borrow_mut();
        idle.retain(|kept| !kept.sender.is_closed());
        let place = idle.iter().rposition(|kept| kept.sender.is_ready())?;
        Some(idle.remove(place))
    }
}

impl Upstreams {
    /// A connection to a backend that speaks HTTP/1.1: a new one, to that one, if it is to be tried
    /// `again`.
    pub(super) async fn lend(
        &self,
        worker: &Rc<Worker>,
        watch: &Watch,
        proxied: Option<&[u8]>,
        again: Option<usize>,
    ) -> Result<Lent, Fault> {
        let index = again.unwrap_or_else(|| worker.backends.pick());
        let kept = match again {
            None => self.http1[index].take(),
            Some(_) => None,
        };
        let is_reused = kept.is_some();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let connected = worker.backends.connect(worker, watch, index, proxied);
                // Boxed because it is rare and large.
                let backend = Box::pin(connected).await.map_err(Fault::Unreachable)?;
                handshake(worker, *backend).await?
            }
        };
        Ok(Lent {
            open: kept.active.open(),
            home: Rc::clone(&self.http1[kept.known.target]),
            kept,
            is_reused,
        })
    }
}

impl Lent {
    /// Who is at its other end.
    pub(super) fn known(&self) -> &Known {
        &self.kept.known
    }

    /// Sends a request, and begins to send its body.
    ///
    /// # Errors
    /// If hyper cannot have it.
    pub(super) fn send(
        mut self,
        allowed: Allowed<&Outgoing>,
        body: &mut Option<Source>,
        guard: Guard,
    ) -> Result<Begun, Fault> {
        let outgoing = allowed.to(self.kept.known.target);
        let head = written(outgoing.ok_or(Fault::BackendCut)?)?;
        let body = body.take();
        let length = head.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let progress = Rc::default();
        let upload = match body {
            None => Upload::Done { passed: 0 },
            Some(_) => Upload::Task(Rc::clone(&progress)),
        };
        let mut request = head.map(|()| Outbound::new(body, length, progress).guarded(guard));
        let (tell, interim) = mpsc::channel(MAX_INTERIM);
        on_informational(&mut request, move |response| {
            let mut copy = Response::new(());
            *copy.status_mut() = response.status();
            copy.headers_mut().clone_from(response.headers());
            // More of them than anybody waits for.
            let _ = tell.try_send(copy);
        });
        let future = Box::pin(self.kept.sender.send_request(request));
        Ok(Begun {
            awaited: Awaited::Http1 { future, interim },
            upload,
            is_reused: self.is_reused,
            link: Link::Http1(self),
        })
    }
}

/// The head as HTTP/1.1 writes it: the host in a field of its own.
fn written(outgoing: &Outgoing) -> Result<http::Request<()>, Fault> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target(outgoing)?);
    let mut head = head(outgoing, uri)?;
    let host = HeaderValue::from_bytes(outgoing.request().authority());
    let host = host.map_err(|_| Fault::Refused(Refusal::Host))?;
    head.headers_mut().insert(HOST, host);
    Ok(head)
}

/// Begins to speak HTTP/1.1 on a connection, and has a task go on with it.
async fn handshake(worker: &Rc<Worker>, backend: Backend) -> Result<Kept, Fault> {
    let name: Rc<str> = worker.backends.name(&backend).into();
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER).max_headers(MAX_FIELDS);
    let Backend { stream, known, .. } = backend;
    let handshake = builder.handshake(TokioIo::new(stream));
    let (sender, driven) = handshake.await.map_err(|error| {
        tracing::warn!("backend {name}: {error}");
        Fault::Unreachable(Unreachable::Handshake)
    })?;
    let active = Rc::<Active>::default();
    let presence = Presence::new(worker.watches.add(), Rc::clone(&active));
    let driven = spawn_local(drive(driven, presence)).abort_handle();
    Ok(Kept {
        driven,
        sender,
        active,
        name,
        known,
    })
}

/// Runs a connection until it ends, or is not used any more.
async fn drive(mut driven: http1::Connection<TokioIo<Stream>, Outbound>, mut presence: Presence) {
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut driven).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!("a connection to a backend ended: {error}");
            }
            return Poll::Ready(());
        }
        match presence.check(cx, Phase::Idle, KEPT) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    })
    .await;
}
