//! HAProxy, as a reverse proxy that tells the backend how it reads a request.

use std::net::SocketAddr;
use std::path::Path;

use underseal_testkit::peers;

use super::proxy::Proxy;

pub(super) fn start() -> Proxy {
    Proxy::start("HAProxy", configuration, |_, file| peers::haproxy(file))
}

/// It normalises paths as far as it can and is told to.
fn configuration(_: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global
    expose-experimental-directives
    nbthread 1
    maxconn 200
    noreuseport
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend clients
    bind {address}
    http-request normalize-uri percent-decode-unreserved
    http-request normalize-uri percent-to-uppercase
    http-request normalize-uri path-merge-slashes
    http-request normalize-uri path-strip-dot
    http-request normalize-uri path-strip-dotdot full
    http-request set-header Seen-Uri %[path]
    http-request set-header Seen-Host %[req.hdr(host)]
    default_backend backend
backend backend
    server backend {backend}
"
    )
}
