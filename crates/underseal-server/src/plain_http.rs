//! The answer to clients that speak plain HTTP on a TLS port.

use std::io::Write as _;
use std::pin::pin;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use underseal_http::http1::{self, Glimpse};

use super::closing::LingerLimits;
use super::deadline::Deadline;
use super::redirect::{Answer, Answered};

/// For the log.
pub const WHY: &str = "plain HTTP on the HTTPS port";

/// Tells the client in words what is wrong; a TLS alert would be noise to it. Calls `log` with what
/// can be read of the request, unless nothing came.
pub async fn answer(
    deadline: &Deadline,
    mut tcp: TcpStream,
    log: impl FnOnce(&Glimpse<'_>, Answered),
) {
    let mut received = [0; 1024];
    let Ok(Ok(length)) = deadline.until(pin!(tcp.read(&mut received))).await else {
        return;
    };
    let seen = http1::glimpse(&received[..length]);
    let port = tcp.local_addr().map_or(0, |address| address.port());
    let body = format!(
        "400 Bad Request\nThis is an HTTPS port: use https:// instead of http://, port {port}.\n"
    );
    let mut bytes = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write!(
        bytes,
        "HTTP/1.1 400 Bad Request\r\nServer: underseal\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let head = bytes.len();
    if seen.method != Some(b"HEAD") {
        bytes.extend_from_slice(body.as_bytes());
    }
    let answer = Answer {
        status: 400,
        length: (bytes.len() - head) as u64,
        bytes,
        error: Some(WHY),
        limits: match seen.method {
            Some(b"GET" | b"HEAD") => LingerLimits::brief(),
            // What else it may send, nobody reads.
            _ => LingerLimits::UPLOAD,
        },
    };
    answer.send(deadline, tcp, &seen, log).await;
}
