//! The admin port: metrics, health and readiness, over HTTP/1.1 without TLS.
//!
//! It is served by the main thread, so that it never waits for a worker, nor a worker for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::intake;
use crate::worker::Order;

/// Most connections at once. One more ends the oldest: answers are made at once, so that it is the
/// slowest, and nobody who is slow keeps others out.
const MAX_CONNECTIONS: usize = 16;

/// How long a connection may take, its request and answer included: each is for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a request's head.
const MAX_HEAD: usize = 8192;

/// Most fields of a request's head.
const MAX_FIELDS: usize = 64;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

type Reply = Response<Full<Bytes>>;

/// What a program counts.
pub trait Expose: Send + Sync + 'static {
    /// All that it counts, as OpenMetrics text.
    ///
    /// # Errors
    /// When it cannot be written.
    fn expose(self: Arc<Self>) -> Result<String, fmt::Error>;
}

/// What the admin port tells.
pub struct Admin {
    /// What `/metrics` says.
    pub metrics: Arc<dyn Expose>,
    /// What the workers were told last: connections are wanted as long as that is to serve.
    pub orders: watch::Receiver<Order>,
}

/// Answers on `listener`, which does not block, until the runtime ends. To be called within a
/// runtime.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub fn spawn(listener: TcpListener, admin: Admin) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(accept(listener, Arc::new(admin)));
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, admin: Arc<Admin>) {
    let mut open = VecDeque::<AbortHandle>::new();
    loop {
        let (tcp, _) = intake::next(|cx| listener.poll_accept(cx)).await;
        open.retain(|connection| !connection.is_finished());
        if open.len() == MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let serving = tokio::spawn(serve(tcp, Arc::clone(&admin)));
        open.push_back(serving.abort_handle());
    }
}

async fn serve(tcp: TcpStream, admin: Arc<Admin>) {
    let local = tcp.local_addr().map(|local| local.ip());
    let answer = service_fn(|request: Request<Incoming>| {
        let reply = match is_addressed(&request, local.as_ref().ok()) {
            true => admin.answer(&request),
            false => plain(StatusCode::MISDIRECTED_REQUEST, "ask by address\n"),
        };
        async { Ok::<_, Infallible>(reply) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(tcp), answer);
    match timeout(TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection to the admin port failed: {error}"),
        Err(_) => tracing::debug!("a connection to the admin port took too long"),
    }
}

/// Whether a request was meant for the address that it came to. To loopback a browser can be led by
/// whoever has a name (DNS rebinding); `local` itself, other addresses and `localhost` nobody else has.
fn is_addressed<B>(request: &Request<B>, local: Option<&IpAddr>) -> bool {
    let is_loopback = local.is_none_or(|local| local.to_canonical().is_loopback());
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let Some(host) = host.filter(|_| is_loopback) else {
        return true;
    };
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = host.parse::<IpAddr>().is_ok()
        || name.parse::<IpAddr>().is_ok()
        || format!("{name}:0").parse::<SocketAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost")
}

impl Admin {
    fn answer<B>(&self, request: &Request<B>) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let methods = HeaderValue::from_static("GET, HEAD");
            reply.headers_mut().insert(ALLOW, methods);
            return reply;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(),
            "/healthz" => plain(StatusCode::OK, "alive\n"),
            "/readyz" => self.readiness(),
            _ => plain(StatusCode::NOT_FOUND, "/metrics, /healthz or /readyz\n"),
        }
    }

    fn metrics(&self) -> Reply {
        match Arc::clone(&self.metrics).expose() {
            Ok(text) => reply(StatusCode::OK, OPENMETRICS, text),
            Err(error) => {
                tracing::warn!("cannot write metrics: {error}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot write metrics\n")
            }
        }
    }

    fn readiness(&self) -> Reply {
        match *self.orders.borrow() {
            Order::Serve => plain(StatusCode::OK, "ready\n"),
            Order::Finish | Order::Quit => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
            }
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Reply {
    reply(status, PLAIN, text)
}

fn reply(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    reply.headers_mut().insert(CONTENT_TYPE, media_type);
    reply
}

#[cfg(test)]
mod tests;
