//! The answer to clients that speak plain HTTP on a TLS port.

use std::io::Write as _;
use std::pin::pin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal_http::http1::{self, Glimpse};

use super::closing::linger;
use super::deadline::Deadline;

/// For the log.
pub const WHY: &str = "plain HTTP on the HTTPS port";

/// Tells the client in words what is wrong; a TLS alert would be noise to it. Calls `log` with what
/// can be read of the request, unless nothing came.
pub async fn answer(deadline: &Deadline, mut tcp: TcpStream, log: impl FnOnce(&Glimpse<'_>)) {
    let mut received = [0; 1024];
    let Ok(Ok(length)) = deadline.until(pin!(tcp.read(&mut received))).await else {
        return;
    };
    let port = tcp.local_addr().map_or(0, |address| address.port());
    let response = response(port);
    let sent = deadline.until(pin!(tcp.write_all(&response))).await;
    log(&http1::glimpse(&received[..length]));
    if matches!(sent, Ok(Ok(())))
        && matches!(deadline.until(pin!(tcp.shutdown())).await, Ok(Ok(())))
    {
        linger(deadline, &mut tcp).await;
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
