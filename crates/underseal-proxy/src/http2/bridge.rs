//! Clients of HTTP/1.1 and backends of HTTP/2: a pipe in memory, on which the one side speaks
//! HTTP/1.1 and behind which a task sends the request on as a stream of a shared connection.
//!
//! What is refused and judged, and how bodies end, is thus the same for every backend.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::oneshot::{self, Receiver};
use tokio::task::spawn_local;
use underseal_http::Outgoing;

use super::pump::{Outbound, Source};
use super::request::written;
use super::response;
use super::upstream::multiplexed::Connection;
use super::upstream::{Awaited, Begun, Event, Link, Lost, Upload, Upstreams};
use crate::backend::{Backend, Unreachable};
use crate::exchange::{Allowed, Unanswered};
use crate::http1::Fault;
use crate::stream::Stream;
use crate::worker::Worker;
use underseal_server::watch::{Phase, Watch};

/// Bytes that the pipe holds in each direction.
const PIPE: usize = 64 * 1024;

/// Longest head on the pipe: one that was read here, and what we said in it.
const MAX_HEAD: usize = 64 * 1024;

/// A connection as HTTP/1.1 knows it, for one request to a backend that speaks HTTP/2.
///
/// # Errors
/// Why there is no such backend.
pub(crate) async fn connect(
    worker: &Rc<Worker>,
    watch: &Watch,
    upstreams: &Upstreams,
    proxied: Option<&[u8]>,
    again: Option<usize>,
) -> Result<Box<Backend>, Unreachable> {
    let found = upstreams.connection(worker, watch, proxied, again).await;
    let connection = found.map_err(|fault| match fault {
        Fault::Unreachable(unreachable) => unreachable,
        _ => Unreachable::Handshake,
    })?;
    let (near, pipe) = tokio::io::duplex(PIPE);
    let (held, left) = oneshot::channel();
    let bridge = Rc::<Bridge>::default();
    let backend = Backend {
        stream: Stream::bridged(near, held),
        known: connection.known().clone(),
        reused: false,
        bridge: Some(Rc::clone(&bridge)),
    };
    let far = Far {
        worker: Rc::clone(worker),
        connection,
        bridge,
        uploading: RefCell::default(),
    };
    spawn_local(far.serve(pipe, left));
    Ok(Box::new(backend))
}

/// What both ends of a pipe share.
#[derive(Default)]
pub(crate) struct Bridge {
    /// The request's head. What comes by the pipe says only how the body is delimited.
    head: RefCell<Option<Allowed<Request<()>>>>,
    /// Why the pipe ended without a response.
    lost: Cell<Option<(Fault, Unanswered)>>,
}

impl Bridge {
    /// Has this be the head of the request that comes by the pipe.
    ///
    /// # Errors
    /// If HTTP/2 cannot have it.
    pub(crate) fn begin(&self, allowed: Allowed<&Outgoing>, scheme: Scheme) -> Result<(), Fault> {
        let head = allowed.written(|outgoing| written(outgoing, scheme))?;
        *self.head.borrow_mut() = Some(head);
        Ok(())
    }

    /// Why the pipe ended without a response, if that is known.
    pub(crate) fn lost(&self) -> Option<(Fault, Unanswered)> {
        self.lost.get()
    }

    /// Takes down why there is no response; for the log.
    fn lose(&self, fault: Fault, why: Unanswered) -> String {
        self.lost.set(Some((fault, why)));
        fault.to_string()
    }
}

/// The end of a pipe behind which HTTP/2 is spoken.
struct Far {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    bridge: Rc<Bridge>,
    /// The body of the request, until it was sent.
    uploading: RefCell<Option<Upload>>,
}

impl Far {
    /// Answers the one request that comes by the pipe. What fails ends the pipe: within a body, short
    /// of its end.
    async fn serve(self, pipe: DuplexStream, left: Receiver<Infallible>) {
        if let Err(error) = self.answer_pipe(pipe, left).await {
            tracing::debug!("a request in HTTP/2 was not completed: {error}");
        }
        // Of what the client sent something may be left. A backend that does not take it keeps a
        // stream of a connection that others share, and has as long as anybody else.
        let watch = self.worker.watches.add();
        watch.enter(Phase::Busy, self.worker.timeouts().response);
        let rest = poll_fn(|cx| self.poll_upload(cx));
        if watch.until(pin!(rest)).await.is_err() {
            tracing::debug!("a backend did not take the rest of a request");
        }
    }

    /// Goes on with the pipe and with the request's body, which may take longer than the response.
    /// Where nobody is at the other end any more, `left` says so: the library does not look at the pipe
    /// while a body waits.
    async fn answer_pipe(
        &self,
        pipe: DuplexStream,
        mut left: Receiver<Infallible>,
    ) -> hyper::Result<()> {
        let service = service_fn(|request| self.answer(request));
        let mut builder = http1::Builder::new();
        builder.keep_alive(false).max_buf_size(MAX_HEAD);
        let mut served = pin!(builder.serve_connection(TokioIo::new(pipe), service));
        poll_fn(|cx| {
            let served = served.as_mut().poll(cx);
            // What breaks it off resets the stream, and so ends the response too.
            let _ = self.poll_upload(cx);
            match Pin::new(&mut left).poll(cx) {
                Poll::Ready(_) if served.is_pending() => Poll::Ready(Ok(())),
                _ => served,
            }
        })
        .await
    }

    /// Ready once there is nothing to send.
    fn poll_upload(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut uploading = self.uploading.borrow_mut();
        let Some(upload) = &mut *uploading else {
            return Poll::Ready(());
        };
        let broken = upload.poll(cx).is_err();
        if matches!(upload, Upload::Going(_)) && !broken {
            return Poll::Pending;
        }
        *uploading = None;
        Poll::Ready(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Answer>, Failed> {
        let body = request.into_body();
        let mut body = (!body.is_end_stream()).then_some(Source::Http1(body));
        let head = self.bridge.head.take().ok_or("no head")?;
        let watch = self.worker.watches.add();
        let connection = &self.connection;
        let sent = connection.send(&self.worker, &watch, head, &mut body).await;
        let lose = |fault, why| self.bridge.lose(fault, why);
        let begun = sent.map_err(|fault| lose(fault, Unanswered::Unknown))?;
        let Begun {
            mut awaited,
            upload,
            link,
            is_reused,
        } = begun.ok_or_else(|| lose(Fault::BackendCut, Unanswered::Unprocessed))?;
        *self.uploading.borrow_mut() = Some(upload);
        let found = match poll_fn(|cx| poll_final(&mut awaited, cx)).await {
            Ok(found) => found,
            Err(lost) => {
                if lost.is_over {
                    link.distrust();
                }
                return Err(lose(lost.fault, lost.why(is_reused)).into());
            }
        };
        let head = response::forwarded(&found)
            .map_err(|bad| lose(Fault::BackendResponse(bad), Unanswered::Unknown))?;
        let length = head.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(head.map(|()| Answer {
            body: Outbound::new(Some(found.into_body()), length, Rc::default()),
            _link: link,
        }))
    }
}

/// Why a request was not answered: it is in the log, and the pipe ends.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Interim responses end here: hyper says "100 Continue" itself, when the body is asked for.
fn poll_final(awaited: &mut Awaited, cx: &mut Context<'_>) -> Poll<Result<Response<Source>, Lost>> {
    loop {
        match ready!(awaited.poll(cx)) {
            Ok(Event::Interim(_)) => {}
            Ok(Event::Final(response)) => return Poll::Ready(Ok(response)),
            Err(lost) => return Poll::Ready(Err(lost)),
        }
    }
}

/// The body of a response, and what it holds of the connection.
struct Answer {
    body: Outbound,
    _link: Link,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
