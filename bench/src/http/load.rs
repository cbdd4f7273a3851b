//! Many open connections, few of them busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::Resource;
use super::server::Server;
use crate::context::Context;
use crate::cpu_time::{ProcessCpu, raise_open_files};
use crate::credentials::{Provider, server_name};
use crate::round_trip::quantile;

/// How many connections do what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Connections that are held open.
    pub connections: usize,
    /// Connections, of these, that ask for files.
    pub active: usize,
    /// Requests, all active connections together.
    pub requests: usize,
    /// What is asked for.
    pub resource: Resource,
}

/// What came of it.
#[derive(Debug)]
pub struct Load {
    /// Requests that the busy connections made.
    pub requests: usize,
    /// Requests, of busy and idle connections, that got no or a wrong reply.
    pub errors: usize,
    /// CPU time of the server while the busy connections were at it.
    pub cpu: Duration,
    /// How long that took.
    pub elapsed: Duration,
    /// Median time of a request.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
}

impl Load {
    /// What is kept of it, by name with unit.
    pub fn values(&self) -> [(&'static str, f64); 5] {
        let requests = self.requests as f64;
        [
            (
                "cpu_us_per_request",
                self.cpu.as_secs_f64() * 1e6 / requests,
            ),
            ("errors", self.errors as f64),
            ("requests_per_s", requests / self.elapsed.as_secs_f64()),
            ("p50_us", self.p50_us),
            ("p99_us", self.p99_us),
        ]
    }
}

/// Handshakes under way at one time while the connections are opened.
const OPENING: usize = 32;
/// Bytes of the longest head of a reply.
const MOST_HEAD: usize = 3072;
/// No reply may take longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Opens every connection with one request each, lets some of them ask again and again, and then
/// asks once more on each of the others: an idle connection that was dropped is an error.
///
/// # Errors
///
/// When a connection cannot be opened.
pub fn run(context: &Context, server: &Server, shape: Shape) -> anyhow::Result<Load> {
    raise_open_files(shape.connections as u64 + 500)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let config = context.credentials.client(Provider::Ring)?;
    runtime.block_on(drive(server, config, shape))
}

async fn drive(server: &Server, config: Arc<ClientConfig>, shape: Shape) -> anyhow::Result<Load> {
    let resource = shape.resource;
    let mut idle = open_all(server, &config, &shape).await?;
    let busy = idle.split_off(shape.connections - shape.active);

    tokio::time::sleep(super::SETTLE).await;
    let before = ProcessCpu::of(server.pid())?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    let each = shape.requests / shape.active;
    for connection in busy {
        tasks.spawn(ask_repeatedly(connection, resource, each));
    }
    let mut latencies = Vec::with_capacity(shape.requests);
    let mut errors = 0;
    while let Some(done) = tasks.join_next().await {
        let (mut took, failed) = done.context("a client panicked")?;
        latencies.append(&mut took);
        errors += failed;
    }
    let elapsed = began.elapsed();
    tokio::time::sleep(super::SETTLE).await;
    let cpu = ProcessCpu::of(server.pid())?.since(&before);

    for connection in &mut idle {
        errors += usize::from(ask(connection, resource).await.is_err());
    }
    latencies.sort_unstable();
    Ok(Load {
        requests: each * shape.active,
        errors,
        cpu,
        elapsed,
        p50_us: quantile(&latencies, 0.50),
        p99_us: quantile(&latencies, 0.99),
    })
}

type Connection = Box<dyn Duplex>;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

async fn open_all(
    server: &Server,
    config: &Arc<ClientConfig>,
    shape: &Shape,
) -> anyhow::Result<Vec<Connection>> {
    let mut tasks = JoinSet::new();
    let mut connections = Vec::with_capacity(shape.connections);
    for number in 0..shape.connections {
        if number >= OPENING {
            let opened = tasks.join_next().await.context("no connection under way")?;
            connections.push(opened.context("a client panicked")??);
        }
        let tls = server
            .speaks_tls()
            .then(|| TlsConnector::from(Arc::clone(config)));
        tasks.spawn(open(server.address(), tls, shape.resource));
    }
    while let Some(opened) = tasks.join_next().await {
        connections.push(opened.context("a client panicked")??);
    }
    Ok(connections)
}

async fn open(
    address: std::net::SocketAddr,
    tls: Option<TlsConnector>,
    resource: Resource,
) -> anyhow::Result<Connection> {
    let tcp = TcpStream::connect(address)
        .await
        .context("cannot connect")?;
    tcp.set_nodelay(true)?;
    let mut connection: Connection = match tls {
        Some(connector) => Box::new(connector.connect(server_name(), tcp).await?),
        None => Box::new(tcp),
    };
    ask(&mut connection, resource).await?;
    Ok(connection)
}

/// Returns how long the requests took that were answered, and how many were not.
async fn ask_repeatedly(
    mut connection: Connection,
    resource: Resource,
    times: usize,
) -> (Vec<Duration>, usize) {
    let mut latencies = Vec::with_capacity(times);
    for done in 0..times {
        let began = Instant::now();
        if ask(&mut connection, resource).await.is_err() {
            // The connection is of no use any more: everything left to ask is lost.
            return (latencies, times - done);
        }
        latencies.push(began.elapsed());
    }
    (latencies, 0)
}

async fn ask(connection: &mut Connection, resource: Resource) -> anyhow::Result<()> {
    tokio::time::timeout(TIMEOUT, exchange(connection, resource))
        .await
        .context("no reply in time")?
}

/// One GET: a good reply is status 200 with a body of the right length.
async fn exchange(connection: &mut Connection, resource: Resource) -> anyhow::Result<()> {
    connection.write_all(resource.request).await?;
    connection.flush().await?;
    let mut reply = vec![0; MOST_HEAD + resource.bytes];
    let mut got = 0;
    loop {
        match connection.read(&mut reply[got..]).await? {
            0 => bail!("the connection ended, or the reply is too long"),
            count => got += count,
        }
        let head_end = reply[..got]
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        if let Some(head_end) = head_end {
            ensure!(reply.starts_with(b"HTTP/1.1 200 "), "not 200");
            match got.cmp(&(head_end + 4 + resource.bytes)) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(()),
                std::cmp::Ordering::Greater => bail!("more than one reply"),
            }
        }
    }
}
