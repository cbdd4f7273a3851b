//! Connections to backends that speak HTTP/1.1: one request at a time, the next one later.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE};
use http::{HeaderValue, Response, Uri, Version};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::ext::on_informational;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::{Awaited, Begun, Link, Upload, Upstreams};
use crate::backend::{Backend, Unreachable};
use crate::http1::Fault;
use crate::http2::active::{Active, Open, Presence};
use crate::http2::pump::{Outgoing, Source};
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
    sender: SendRequest<Outgoing>,
    active: Rc<Active>,
    name: Rc<str>,
}

/// A connection that serves one exchange.
pub(crate) struct Lent {
    kept: Kept,
    open: Open,
    home: Rc<Idle>,
}

impl Lent {
    pub(super) fn name(&self) -> &str {
        &self.kept.name
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
    /// As [`Self::begin`], to a backend that speaks HTTP/1.1.
    pub(super) async fn begin_http1(
        &self,
        worker: &Rc<Worker>,
        watch: &Watch,
        head: &http::Request<()>,
        body: Option<Source>,
        proxied: Option<&[u8]>,
    ) -> Result<Begun, Fault> {
        let index = worker.backends.pick();
        let (kept, is_reused, target) = match self.http1[index].take() {
            Some(kept) => (kept, true, index),
            None => {
                let connected = worker.backends.connect(worker, watch, index, proxied);
                // Boxed because it is rare and large.
                let backend = Box::pin(connected).await.map_err(Fault::Unreachable)?;
                let target = backend.target;
                (handshake(worker, *backend).await?, false, target)
            }
        };
        let mut lent = Lent {
            open: kept.active.open(),
            kept,
            home: Rc::clone(&self.http1[target]),
        };
        let length = head.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let progress = Rc::default();
        let upload = match body {
            None => Upload::Done { passed: 0 },
            Some(_) => Upload::Task(Rc::clone(&progress)),
        };
        let mut request = written(head).map(|()| Outgoing::new(body, length, progress));
        let (tell, interim) = mpsc::channel(MAX_INTERIM);
        on_informational(&mut request, move |response| {
            let mut copy = Response::new(());
            *copy.status_mut() = response.status();
            copy.headers_mut().clone_from(response.headers());
            // More of them than anybody waits for.
            let _ = tell.try_send(copy);
        });
        let future = Box::pin(lent.kept.sender.send_request(request));
        Ok(Begun {
            awaited: Awaited::Http1 { future, interim },
            upload,
            link: Link::Http1(lent),
            is_reused,
        })
    }
}

/// The head as HTTP/1.1 writes it: the host in a field of its own.
fn written(head: &http::Request<()>) -> http::Request<()> {
    let mut request = head.clone();
    *request.version_mut() = Version::HTTP_11;
    let target = head.uri().path_and_query().cloned();
    let host = head.uri().authority().map(http::uri::Authority::as_str);
    let host = HeaderValue::from_str(host.unwrap_or_default());
    let fields = request.headers_mut();
    if let Ok(host) = host {
        fields.insert(HOST, host);
    }
    if fields.contains_key(TE) {
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
    request
}

/// Begins to speak HTTP/1.1 on a connection, and has a task go on with it.
async fn handshake(worker: &Rc<Worker>, backend: Backend) -> Result<Kept, Fault> {
    let name = Rc::from(worker.backends.name(&backend));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER).max_headers(MAX_FIELDS);
    let handshake = builder.handshake(TokioIo::new(backend.stream));
    let (sender, driven) = handshake.await.map_err(|error| {
        tracing::warn!("backend {name}: {error}");
        Fault::Unreachable(Unreachable::Handshake)
    })?;
    let active = Rc::<Active>::default();
    let presence = Presence::new(worker.watches.add(), Rc::clone(&active));
    spawn_local(drive(driven, presence));
    Ok(Kept {
        sender,
        active,
        name,
    })
}

/// Runs a connection until it ends, or is not used any more.
async fn drive(mut driven: http1::Connection<TokioIo<Stream>, Outgoing>, mut presence: Presence) {
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
