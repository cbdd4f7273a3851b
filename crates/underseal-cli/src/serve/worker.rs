//! What the connections of a worker share.
//!
//! Nothing is shared between workers but what does not change (site, TLS configuration, log
//! target) and what each writes for itself (the connections that `underseal conns` lists).
//! Connections borrow their worker's buffers, clock and log.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use underseal::Offloads;

use super::answer::{self, Refused, Reply};
use super::connection::{self, Session};
use super::log::{self, Asked, Outcome};
use super::open_files::OpenFiles;
use super::plain_http;
use super::site::Site;
use super::stream::TlsAcceptor;
use underseal_http::http1::Glimpse;
use underseal_http::origin::Request;
use underseal_server::access_log::line::{self, Client};
use underseal_server::access_log::{AccessLog, Sink};
use underseal_server::buffers::Buffers;
use underseal_server::clock::Clock;
use underseal_server::deadline::Deadlines;
use underseal_server::live::Table;
use underseal_server::worker::{Accept, Permit};

/// What every worker is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) site: Arc<Site>,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) offloads: Offloads,
    pub(crate) log: Arc<Sink>,
    pub(crate) timeouts: Timeouts,
    /// The port of TLS.
    pub(crate) port: u16,
}

/// The bounds of a client's patience with us, and ours with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) send: Duration,
}

/// What the connections of a worker share.
pub(crate) struct Worker {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) timeouts: Timeouts,
    /// The port of TLS.
    pub(crate) port: u16,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Buffers,
    pub(crate) log: AccessLog,
    /// Those whose handshake is complete, for `underseal conns`.
    pub(crate) connections: Arc<Table>,
    files: OpenFiles,
    pub(crate) clock: Clock,
}

/// An answer with the buffers it was written to.
pub(crate) struct Prepared {
    pub(crate) started: Instant,
    pub(crate) reply: Reply,
    /// Head, and body if it is short.
    pub(crate) out: Vec<u8>,
    /// The log line so far.
    pub(crate) line: Vec<u8>,
}

impl Accept for Worker {
    fn accept(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        // Nothing bounds the connections of `serve` but descriptors.
        drop(permit);
        spawn_local(connection::serve(self, tcp, remote));
    }

    fn redirect(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        drop(permit);
        spawn_local(plain_http::redirect(self, tcp, remote));
    }

    fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    fn tick(&self) {
        self.log.flush();
        self.files.forget();
    }
}

impl Worker {
    /// Made on the worker's own thread.
    pub(crate) fn new(shared: Shared, connections: Arc<Table>) -> Rc<Self> {
        Rc::new(Self {
            acceptor: TlsAcceptor::from(shared.tls).offload(shared.offloads),
            timeouts: shared.timeouts,
            port: shared.port,
            deadlines: Deadlines::new(),
            buffers: Buffers::default(),
            log: AccessLog::new(shared.log),
            files: OpenFiles::new(shared.site),
            clock: Clock::default(),
            connections,
        })
    }

    /// Logs what came to an end without an answer from [`Self::prepare`].
    pub(crate) fn log_line(&self, remote: SocketAddr, asked: &Asked<'_>, outcome: &Outcome<'_>) {
        let described = line::describe(&Client {
            remote,
            sni: None,
            tls: None,
            suite: None,
        });
        let mut line = self.buffers.take();
        self.clock.with_now(|_, time| {
            log::begin(&self.log, &mut line, (time, &described), asked);
        });
        log::finish(&self.log, &mut line, outcome);
        self.buffers.give(line);
    }

    /// Answers a request, or the lack of one, into buffers of this worker.
    pub(crate) fn prepare(
        &self,
        session: &Session,
        request: Result<&Request<'_>, (Refused, Glimpse<'_>)>,
    ) -> Prepared {
        let started = Instant::now();
        let (mut out, mut line) = (self.buffers.take(), self.buffers.take());
        let reply = self.clock.with_now(|date, time| {
            let asked = match request {
                Ok(request) => Asked::by(request),
                Err((_, seen)) => Asked {
                    seen,
                    user_agent: None,
                },
            };
            log::begin(&self.log, &mut line, (time, &session.logged), &asked);
            match request {
                Ok(request) => {
                    let may_persist = !self.deadlines.closing();
                    answer::answer(&self.files, date, may_persist, request, &mut out)
                }
                Err((refused, _)) => answer::refuse(refused, date, &mut out),
            }
        });
        Prepared {
            started,
            reply,
            out,
            line,
        }
    }
}
