//! The client of the big download: asks through rustls and then only counts what comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::{ClientConnection, Stream};

use super::server::Server;
use crate::context::Context;
use crate::credentials::Provider;
use crate::pairs::{client_handshake, drain};

/// An established connection to a server.
#[derive(Debug)]
pub struct Open {
    tcp: TcpStream,
    tls: Option<ClientConnection>,
}

/// Connects, and handshakes where the server speaks TLS.
///
/// # Errors
///
/// When the server does not answer.
pub fn open(context: &Context, server: &Server) -> anyhow::Result<Open> {
    let mut tcp = TcpStream::connect(server.address()).context("cannot connect")?;
    tcp.set_nodelay(true)?;
    let config = context.credentials.client(Provider::Ring)?;
    let tls = server
        .speaks_tls()
        .then(|| client_handshake(&config, &mut tcp))
        .transpose()?;
    Ok(Open { tcp, tls })
}

/// Asks for `path` and discards everything that comes, without opening it; returns how long it
/// took.
///
/// # Errors
///
/// When fewer than `bytes` come before the server closes the connection.
pub fn download(mut open: Open, path: &str, bytes: u64) -> anyhow::Result<Duration> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let began = Instant::now();
    match &mut open.tls {
        Some(tls) => Stream::new(tls, &mut open.tcp).write_all(request.as_bytes())?,
        None => open.tcp.write_all(request.as_bytes())?,
    }
    let count = drain(&mut open.tcp)?;
    ensure!(
        count >= bytes,
        "{count} bytes came, not the {bytes} of {path}"
    );
    Ok(began.elapsed())
}

/// Asks for `path` on a connection that stays, and reads the `bytes` of it.
///
/// # Errors
///
/// When they do not come, or the server speaks no TLS.
pub fn fetch(open: &mut Open, path: &str, bytes: usize) -> anyhow::Result<()> {
    let Open { tcp, tls } = open;
    let tls = tls.as_mut().context("a server without TLS")?;
    let mut stream = Stream::new(tls, tcp);
    stream.write_all(request(path).as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "no reply");
    }
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body).context("no body")
}

/// Asks for `path`, and reads nothing of it.
///
/// # Errors
///
/// When the connection broke, or the server speaks no TLS.
pub fn ask(open: &mut Open, path: &str) -> anyhow::Result<()> {
    let Open { tcp, tls } = open;
    let tls = tls.as_mut().context("a server without TLS")?;
    Ok(Stream::new(tls, tcp).write_all(request(path).as_bytes())?)
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Asks for `path` and returns the status of the answer.
///
/// # Errors
///
/// When there is no answer.
pub fn status(context: &Context, server: &Server, path: &str) -> anyhow::Result<u16> {
    let Open { mut tcp, tls } = open(context, server)?;
    let mut tls = tls.context("a server without TLS")?;
    let mut stream = Stream::new(&mut tls, &mut tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.with_context(|| format!("an odd answer: {line:?}"))
}
