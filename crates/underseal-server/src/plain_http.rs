//! The answer to clients that speak plain HTTP on a TLS port.

use std::io::Write as _;
use std::pin::pin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal_http::http1::{self, Glimpse};

use super::closing::{LingerLimits, linger};
use super::deadline::Deadline;
use super::redirect::Answered;

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
    let (response, length) = response(port, seen.method != Some(b"HEAD"));
    let sent = deadline.until(pin!(tcp.write_all(&response))).await;
    let is_sent = matches!(sent, Ok(Ok(())));
    let answered = Answered {
        status: is_sent.then_some(400),
        length: if is_sent { length } else { 0 },
        error: Some(WHY),
    };
    log(&seen, answered);
    if is_sent && matches!(deadline.until(pin!(tcp.shutdown())).await, Ok(Ok(()))) {
        let limits = match seen.method {
            Some(b"GET" | b"HEAD") => LingerLimits::brief(),
            // What else it may send, nobody reads.
            _ => LingerLimits::UPLOAD,
        };
        linger(deadline, &mut tcp, limits).await;
    }
}

/// The response, and how long the body is that there is.
fn response(port: u16, with_body: bool) -> (Vec<u8>, u64) {
    let body = format!(
        "400 Bad Request\nThis is an HTTPS port: use https:// instead of http://, port {port}.\n"
    );
    let mut response = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write!(
        response,
        "HTTP/1.1 400 Bad Request\r\nServer: underseal\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let body = if with_body { body.as_str() } else { "" };
    response.extend_from_slice(body.as_bytes());
    (response, body.len() as u64)
}
