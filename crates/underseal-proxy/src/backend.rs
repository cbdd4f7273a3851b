//! The backends: which one is next, and connections to them.
//!
//! Each worker has connections of its own, so that no lock is taken and no other thread woken; those
//! that are kept for the next request, [`Upstreams`](crate::upstream::Upstreams) has.

mod addresses;
mod check;
mod connect;
#[cfg(feature = "dtls")]
mod datagrams;
mod health;
mod names;
#[cfg(test)]
pub(crate) mod testing;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead as _, ReadBuf};
use underseal::TlsConnector;

pub(crate) use self::addresses::Trial;
use self::addresses::Tried;
pub use self::check::HealthCheck;
pub(crate) use self::check::keep_checking;
pub(crate) use self::connect::{Failure, Unreachable};
#[cfg(feature = "dtls")]
pub(crate) use self::datagrams::{DatagramBackend, word};
use self::health::Health;
pub use self::names::{Name, keep_resolving};
use super::exchange::Unanswered;
use super::stream::Stream;
use underseal_server::current::Latest;

/// A backend, as the command line names it.
#[derive(Clone)]
pub struct Address {
    /// For logs: `HOST:PORT`, or `unix:PATH`.
    pub name: Box<str>,
    /// Where it is.
    pub at: At,
    /// What the certificate has to prove; `None` without TLS.
    pub tls: Option<ServerName<'static>>,
}

/// Where a backend is.
#[derive(Clone)]
pub enum At {
    /// What the name stands for is tried in its order.
    Name(Name),
    /// A socket in the file system; without TLS.
    Path(Arc<Path>),
}

/// The backends of a worker.
pub(crate) struct Backends {
    targets: Vec<Target>,
    /// Where the next search begins.
    next: Cell<usize>,
    connector: Option<Latest<TlsConnector>>,
    check: Option<Arc<HealthCheck>>,
}

/// One of them.
struct Target {
    address: Address,
    /// The server name that TLS asks for (RFC 6066 section 3): none for an address.
    sni: Option<Rc<str>>,
    sockets: Sockets,
    tried: Tried,
    health: Health,
}

/// Where one of them is now.
enum Sockets {
    Addresses(Latest<Vec<SocketAddr>>),
    Path(Arc<Path>),
}

/// A connection to a backend; boxed wherever it is handed on, since those who wait for one are many.
pub(crate) struct Backend {
    pub(crate) stream: Stream,
    pub(crate) known: Known,
    /// Whether it served a request before: it may have died since, without anybody's fault.
    pub(crate) reused: bool,
}

/// What is known of who is at the other end of a connection to a backend: what policies of egress
/// judge, beside the request.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Which of the backends it is.
    pub(crate) target: usize,
    /// Where it is; `None` of a socket in the file system.
    pub(crate) address: Option<SocketAddr>,
    /// The SPIFFE ID that its certificate proved.
    pub(crate) principal: Option<Rc<str>>,
    /// The server name that it was asked for.
    pub(crate) sni: Option<Rc<str>>,
}

impl Backends {
    /// There is at least one; `connector` is for those that have a name to prove.
    pub(crate) fn new(
        addresses: &[Address],
        connector: Option<Latest<TlsConnector>>,
        check: Option<Arc<HealthCheck>>,
    ) -> Self {
        let target = |address: &Address| Target {
            address: address.clone(),
            sni: address.server_name().map(Rc::from),
            sockets: match &address.at {
                At::Name(name) => Sockets::Addresses(Latest::of(&name.sockets)),
                At::Path(path) => Sockets::Path(Arc::clone(path)),
            },
            tried: Tried::default(),
            health: Health::default(),
        };
        Self {
            targets: addresses.iter().map(target).collect(),
            next: Cell::new(0),
            connector,
            check,
        }
    }

    /// The name of a backend, for logs.
    pub(crate) fn name_of(&self, target: usize) -> &str {
        &self.targets[target].address.name
    }

    /// The host that a backend is asked for by ourselves.
    pub(crate) fn host_of(&self, target: usize) -> &str {
        let address = &self.targets[target].address;
        match &address.at {
            At::Name(_) => &address.name,
            At::Path(_) => "localhost",
        }
    }

    /// How many backends there are.
    pub(crate) fn count(&self) -> usize {
        self.targets.len()
    }

    /// The backend whose turn it is: not one that is passed over, if there is another.
    pub(crate) fn pick(&self) -> usize {
        let first = self.next.get();
        self.next.set((first + 1) % self.targets.len());
        self.pick_over(first)
    }

    /// The same backend again, or if it is passed over the next that is not.
    pub(crate) fn pick_over(&self, picked: usize) -> usize {
        let mut order = self.from(picked);
        order
            .find(|index| !self.is_passed_over(*index))
            .unwrap_or(picked)
    }

    /// How often the backend has failed of late.
    pub(crate) fn failures(&self, index: usize) -> u32 {
        self.targets[index].health.failures()
    }

    /// Whether others are to be asked first.
    fn is_passed_over(&self, index: usize) -> bool {
        let check = self.check.as_ref();
        self.targets[index].health.is_passed_over()
            || check.is_some_and(|check| check.is_failing(index))
    }

    /// All backends, one after the other, from one of them on.
    fn from(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.targets.len();
        (0..count).map(move |step| (first + step) % count)
    }
}

impl Address {
    /// The server name that TLS asks for.
    fn server_name(&self) -> Option<&str> {
        match &self.tls {
            Some(ServerName::DnsName(name)) => Some(name.as_ref()),
            _ => None,
        }
    }
}

impl Backend {
    /// Why a request on it may not be answered without anybody's fault, if that can be.
    pub(crate) fn may_be_unanswered(&self) -> Option<Unanswered> {
        self.reused.then_some(Unanswered::Died)
    }

    /// A connection that served before, if it can serve again: nothing has come since.
    pub(crate) fn revived(mut self: Box<Self>) -> Option<Box<Self>> {
        self.reused = true;
        self.is_silent().then_some(self)
    }

    /// Whether it has sent nothing that nobody asked for, nor its end. Costs a system call only if
    /// something has come: a ticket or a key update may.
    pub(crate) fn is_silent(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer);
        read.is_pending()
    }
}
