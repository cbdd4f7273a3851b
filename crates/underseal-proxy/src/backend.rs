//! The backends: which one is next, and connections to them that are kept for the next request.
//!
//! Each worker has connections of its own, so that no lock is taken and no other thread woken.

mod connect;
mod idle;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use underseal::TlsConnector;

pub(crate) use self::connect::Unreachable;
use self::idle::Idle;
use super::stream::Stream;
use underseal_server::current::Latest;

/// How long a backend that refused a connection is passed over, if there are others.
const PASSED_OVER: Duration = Duration::from_secs(2);

/// A backend, as the command line names it.
#[derive(Clone, Debug)]
pub struct Address {
    /// For logs: `HOST:PORT`.
    pub name: Box<str>,
    /// What the name resolved to, tried in this order.
    pub sockets: Vec<SocketAddr>,
    /// What the certificate has to prove; `None` without TLS.
    pub tls: Option<ServerName<'static>>,
}

/// The backends of a worker.
pub(crate) struct Backends {
    targets: Vec<Target>,
    /// Where the next search begins.
    next: Cell<usize>,
    connector: Option<Latest<TlsConnector>>,
}

/// One of them.
struct Target {
    address: Address,
    refused: Cell<Option<Instant>>,
    idle: Idle,
}

/// A connection to a backend; boxed wherever it is handed on, since those who wait for one are many.
pub(crate) struct Backend {
    pub(crate) stream: Stream,
    /// The SPIFFE ID that its certificate proved.
    pub(crate) principal: Option<Rc<str>>,
    /// Whether it served a request before: it may have died since, without anybody's fault.
    pub(crate) reused: bool,
    /// Which of the backends it is to, and where that is.
    pub(crate) target: usize,
    pub(crate) peer: Option<SocketAddr>,
}

impl Backends {
    /// There is at least one; `connector` is for those that have a name to prove.
    pub(crate) fn new(addresses: &[Address], connector: Option<Latest<TlsConnector>>) -> Self {
        let target = |address: &Address| Target {
            address: address.clone(),
            refused: Cell::new(None),
            idle: Idle::default(),
        };
        Self {
            targets: addresses.iter().map(target).collect(),
            next: Cell::new(0),
            connector,
        }
    }

    /// The name of a backend, for logs.
    pub(crate) fn name_of(&self, target: usize) -> &str {
        &self.targets[target].address.name
    }

    /// The name of the backend that a connection is to.
    pub(crate) fn name(&self, backend: &Backend) -> &str {
        self.name_of(backend.target)
    }

    /// How many backends there are.
    pub(crate) fn count(&self) -> usize {
        self.targets.len()
    }

    /// The port of the first backend: the one that an egress policy means.
    pub(crate) fn port(&self) -> u16 {
        let first = self
            .targets
            .first()
            .and_then(|target| target.address.sockets.first());
        first.map_or(0, SocketAddr::port)
    }

    /// Keeps a connection whose last exchange is complete for the next.
    pub(crate) fn keep(&self, backend: Box<Backend>) {
        if !backend.stream.is_bridged() {
            self.targets[backend.target].idle.put(backend);
        }
    }

    /// Drops the kept connections that ended or were kept for too long.
    pub(crate) fn sweep(&self) {
        for target in &self.targets {
            target.idle.sweep();
        }
    }

    /// The backend whose turn it is: not one that refused a moment ago, if there is another.
    pub(crate) fn pick(&self) -> usize {
        let first = self.next.get();
        self.next.set((first + 1) % self.targets.len());
        self.pick_over(first)
    }

    /// The same backend again, or if it refused meanwhile the next that did not.
    pub(crate) fn pick_over(&self, picked: usize) -> usize {
        let mut order = self.from(picked);
        order
            .find(|index| !self.targets[*index].refuses())
            .unwrap_or(picked)
    }

    /// A connection to a backend that was kept, without waiting.
    pub(crate) fn kept(&self, index: usize) -> Option<Box<Backend>> {
        self.targets[index].idle.take()
    }

    /// All backends, one after the other, from one of them on.
    fn from(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.targets.len();
        (0..count).map(move |step| (first + step) % count)
    }
}

/// What is known of a backend before a request goes to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) peer: Option<SocketAddr>,
    /// The SPIFFE ID that its certificate proved.
    pub(crate) principal: Option<&'a str>,
}

impl Backend {
    /// What policies may ask of it.
    pub(crate) fn known(&self) -> Known<'_> {
        Known {
            peer: self.peer,
            principal: self.principal.as_deref(),
        }
    }

    /// A connection that served before, if it can serve again: nothing has come since.
    pub(crate) fn revived(mut self: Box<Self>) -> Option<Box<Self>> {
        self.reused = true;
        idle::is_silent(&mut self).then_some(self)
    }
}

impl Target {
    fn refuses(&self) -> bool {
        let since = self.refused.get().map(|refused| refused.elapsed());
        since.is_some_and(|since| since < PASSED_OVER)
    }
}
