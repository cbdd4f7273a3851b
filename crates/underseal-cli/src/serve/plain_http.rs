//! The answer to clients that speak plain HTTP on the HTTPS port.

use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::access_log::{Outcome, Session};
use super::connection;
use super::watch::Watch;
use super::worker::Worker;

const WHY: &str = "plain HTTP on the HTTPS port";

/// Tells the client in words what is wrong; a TLS alert would be noise to it.
pub(crate) async fn answer(worker: &Worker, watch: &Watch, mut tcp: TcpStream, remote: SocketAddr) {
    let started = Instant::now();
    let mut received = [0; 1024];
    let Ok(Ok(length)) = watch.until(pin!(tcp.read(&mut received))).await else {
        return;
    };
    let port = tcp.local_addr().map_or(0, |address| address.port());
    let response = response(port);
    let sent = watch.until(pin!(tcp.write_all(&response))).await;
    tracing::info!("{remote}: {WHY}");
    log(worker, remote, &received[..length], started);
    if matches!(sent, Ok(Ok(()))) && matches!(watch.until(pin!(tcp.shutdown())).await, Ok(Ok(()))) {
        connection::linger(watch, &tcp).await;
    }
}

fn response(port: u16) -> Vec<u8> {
    let body = format!(
        "400 Bad Request\nThis is an HTTPS port: use https:// instead of http://, port {port}.\n"
    );
    let mut response = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write!(
        response,
        "HTTP/1.1 400 Bad Request\r\nServer: underseal\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    response
}

fn log(worker: &Worker, remote: SocketAddr, received: &[u8], started: Instant) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    // Only what could be read of it is logged, so a failure here needs no answer of its own.
    let _ = request.parse(received);
    let session = Session {
        remote,
        tls: None,
        suite: None,
        sni: None,
        alpn: None,
    };
    let outcome = Outcome {
        status: 400,
        bytes: 0,
        duration: started.elapsed(),
        error: Some(WHY),
    };
    worker.log_line(&session, request.method, request.path, &outcome);
}
