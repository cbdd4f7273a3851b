//! Clients of HTTP/1.1 and backends of HTTP/2: a pipe in memory, on which the one side speaks
//! HTTP/1.1 and behind which a task sends the request on as a stream of a shared connection.
//!
//! What is refused and judged, and how bodies end, is thus the same for every backend.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::oneshot::{self, Receiver};
use tokio::task::spawn_local;

use super::pump::{Outgoing, Source};
use super::response;
use super::upstream::multiplexed::Connection;
use super::upstream::{Awaited, Begun, Event, Link, Upload, Upstreams};
use crate::backend::{Backend, Unreachable};
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
) -> Result<Box<Backend>, Unreachable> {
    let found = upstreams.connection(worker, watch, proxied).await;
    let connection = found.map_err(|fault| match fault {
        Fault::Unreachable(unreachable) => unreachable,
        _ => Unreachable::Handshake,
    })?;
    let (near, far) = tokio::io::duplex(PIPE);
    let (held, left) = oneshot::channel();
    let backend = Backend {
        stream: Stream::bridged(near, held),
        principal: connection.principal().cloned(),
        peer: connection.peer(),
        reused: false,
        target: connection.target(),
    };
    spawn_local(serve(Rc::clone(worker), connection, far, left));
    Ok(Box::new(backend))
}

/// The body of the request, until it was sent.
type Uploading = Rc<RefCell<Option<Upload>>>;

/// Answers the one request that comes by the pipe. What fails ends the pipe: within a body, short
/// of its end.
async fn serve(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    pipe: DuplexStream,
    left: Receiver<Infallible>,
) {
    let uploading = Uploading::default();
    let served = answer_pipe(&worker, &connection, (pipe, left), &uploading).await;
    if let Err(error) = served {
        tracing::debug!("a request in HTTP/2 was not completed: {error}");
    }
    // Of what the client sent something may be left. A backend that does not take it keeps a stream
    // of a connection that others share, and has as long as anybody else.
    let watch = worker.watches.add();
    watch.enter(Phase::Busy, worker.timeouts().response);
    let rest = poll_fn(|cx| poll_upload(&uploading, cx));
    if watch.until(pin!(rest)).await.is_err() {
        tracing::debug!("a backend did not take the rest of a request");
    }
}

/// Goes on with the pipe and with the request's body, which may take longer than the response. Where
/// nobody is at the other end any more, `left` says so: the library does not look at the pipe while
/// a body waits.
async fn answer_pipe(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    (pipe, mut left): (DuplexStream, Receiver<Infallible>),
    uploading: &Uploading,
) -> hyper::Result<()> {
    let service = service_fn(|request| answer(worker, connection, request, uploading));
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(MAX_HEAD);
    let mut served = pin!(builder.serve_connection(TokioIo::new(pipe), service));
    poll_fn(|cx| {
        let served = served.as_mut().poll(cx);
        // What breaks it off resets the stream, and so ends the response too.
        let _ = poll_upload(uploading, cx);
        match Pin::new(&mut left).poll(cx) {
            Poll::Ready(_) if served.is_pending() => Poll::Ready(Ok(())),
            _ => served,
        }
    })
    .await
}

/// Ready once there is nothing to send.
fn poll_upload(uploading: &Uploading, cx: &mut Context<'_>) -> Poll<()> {
    let mut uploading = uploading.borrow_mut();
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

/// Why a request was not answered: it is in the log, and the pipe ends.
type Unanswered = Box<dyn std::error::Error + Send + Sync>;

async fn answer(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    uploading: &Uploading,
) -> Result<Response<Answer>, Unanswered> {
    let (head, body) = request.into_parts();
    let mut body = (!body.is_end_stream()).then_some(Source::Http1(body));
    let head = written(&head)?;
    let watch = worker.watches.add();
    let sent = connection.send(worker, &watch, &head, &mut body).await;
    let begun = sent.map_err(|fault| fault.to_string())?;
    let Begun {
        mut awaited,
        upload,
        link,
        ..
    } = begun.ok_or("the connection has ended")?;
    *uploading.borrow_mut() = Some(upload);
    let found = poll_fn(|cx| poll_final(&mut awaited, cx)).await?;
    let head =
        response::forwarded(&found).map_err(|bad| Fault::BackendResponse(bad).to_string())?;
    let length = head.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(head.map(|()| Answer {
        body: Outgoing::new(Some(found.into_body()), length, Rc::default()),
        _link: link,
    }))
}

/// Interim responses end here: hyper says "100 Continue" itself, when the body is asked for.
fn poll_final(
    awaited: &mut Awaited,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<Source>, Unanswered>> {
    loop {
        match ready!(awaited.poll(cx)) {
            Ok(Event::Interim(_)) => {}
            Ok(Event::Final(response)) => return Poll::Ready(Ok(response)),
            Err(lost) => return Poll::Ready(Err(lost.fault.to_string().into())),
        }
    }
}

/// The head as HTTP/2 has it, with scheme and host in its target.
fn written(head: &http::request::Parts) -> Result<Request<()>, Unanswered> {
    let mut fields = head.headers.clone();
    let host = fields.remove(HOST).ok_or("no Host")?;
    let mut uri = http::uri::Parts::default();
    let is_tls = fields
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto == "https");
    uri.scheme = Some(match is_tls {
        true => Scheme::HTTPS,
        false => Scheme::HTTP,
    });
    uri.authority = Some(Authority::try_from(host.as_bytes())?);
    uri.path_and_query = head.uri.path_and_query().cloned();
    for name in ["connection", "transfer-encoding", "upgrade", "expect"] {
        fields.remove(name);
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.headers_mut() = fields;
    Ok(request)
}

/// The body of a response, and what it holds of the connection.
struct Answer {
    body: Outgoing,
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
