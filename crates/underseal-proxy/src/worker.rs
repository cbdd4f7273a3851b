//! What the connections of a worker share.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::spawn_local;
use underseal::{Direction as Way, TlsAcceptor, TlsConnector};
#[cfg(feature = "dtls")]
use underseal_dtls::DtlsAcceptor;
use underseal_http::host::Named;
use underseal_http::proxy_protocol::{self, Addresses};
use underseal_http::{self as http, PathForm, ReadOptions, Scratch, Version};
use underseal_policy::model::Direction;

use super::backend::{Address, Backends, HealthCheck, keep_checking};
use super::connection;
#[cfg(feature = "dtls")]
use super::datagrams::DtlsConnector;
use super::exchange::Heads;
use super::forwarded::{Forwarded, TrustedProxies};
use super::log;
use super::metrics::{Metrics, Protocol as Counted, Side, Tally};
use super::policy::InForce;
use super::protocol::{EncodedSlash, PathParameters, Protocol, ToProtocol};
use super::session::Session;
use super::tokens;
use super::upstream::Upstreams;
use underseal_server::access_log::{AccessLog, Sink};
use underseal_server::buffers::Buffers;
use underseal_server::certificate::{Identities, Identity};
use underseal_server::clock::Clock;
use underseal_server::current::{Current, Latest};
#[cfg(feature = "dtls")]
use underseal_server::descriptors::Reserve;
use underseal_server::live::Table;
use underseal_server::watch::Watches;
use underseal_server::worker::{Accept, Permit};

/// What every worker is given.
pub struct Shared {
    /// `None` for a plaintext listener.
    pub acceptor: Option<Arc<Current<TlsAcceptor>>>,
    /// `None` if no backend has TLS.
    pub connector: Option<Arc<Current<TlsConnector>>>,
    /// `None` without policies: everything is allowed.
    pub in_force: Option<Arc<Current<InForce>>>,
    /// Where requests go; at least one.
    pub backends: Vec<Address>,
    /// What backends are asked for to find out whether they are well; `None` asks for nothing.
    pub health_check: Option<Arc<HealthCheck>>,
    /// What we show to clients.
    pub server_identities: Option<Arc<Identities>>,
    /// What we show to backends.
    pub client_identity: Option<Arc<Identity>>,
    /// What is spoken.
    pub protocol: Protocol,
    /// What is spoken to backends.
    pub to_protocol: ToProtocol,
    /// Which policies judge.
    pub direction: Direction,
    /// Where the lines of the access log go.
    pub log: Arc<Sink>,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// How heads are read; what becomes of parameters in paths, [`Shared::path_parameters`] says.
    pub read_options: ReadOptions,
    /// What becomes of `;` in a path; `None` refuses it where the policies that judge ask for paths.
    pub path_parameters: Option<PathParameters>,
    /// What becomes of `%2F` in a path; `None` refuses it where the policies that judge ask for paths.
    pub encoded_slash: Option<EncodedSlash>,
    /// The host that backends are told, in the place of the client's.
    pub host: Option<Named>,
    /// What backends are told of whom a request came from.
    pub forwarded: Forwarded,
    /// Who is believed to tell that.
    pub trusted_proxies: TrustedProxies,
    /// Whether a client of HTTP/1.1 that ends its sending may still read its response; else it has
    /// left.
    pub half_close: bool,
    /// The port of TLS that plain HTTP is led to, where it is.
    pub redirect_to: u16,
    /// Whether clients say, by the PROXY protocol, whom they speak for.
    pub accept_proxy: bool,
    /// Whether backends are told, by the PROXY protocol, whom we speak for.
    pub send_proxy: bool,
    /// Where is counted.
    pub metrics: Arc<Metrics>,
    /// What datagrams need beside it.
    #[cfg(feature = "dtls")]
    pub dtls: Dtls,
}

/// What workers need whose clients send datagrams.
#[cfg(feature = "dtls")]
pub struct Dtls {
    /// `None` for clients without DTLS.
    pub acceptor: Option<Arc<Current<DtlsAcceptor>>>,
    /// `None` if no backend has DTLS.
    pub connector: Option<Arc<Current<DtlsConnector>>>,
    /// Most clients of one worker.
    pub max_clients: usize,
    /// Where the sockets are.
    pub local: SocketAddr,
    /// The descriptors that are held back from clients, each of which has a socket to its backend.
    pub reserve: Reserve,
}

/// The bounds of everybody's patience.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Longest TLS handshake or request head.
    pub header: Duration,
    /// Longest wait for the next request.
    pub idle: Duration,
    /// Longest stall of a client within a body.
    pub send: Duration,
    /// Longest wait for a backend to accept, TLS handshake included.
    pub connect: Duration,
    /// Longest stall of a backend that is to respond.
    pub response: Duration,
    /// Longest silence of both ends of a tunnel.
    pub tunnel: Duration,
    /// The same once one end has ended, where that is shorter.
    pub half_close: Duration,
}

impl Timeouts {
    /// How long nothing may pass in a tunnel of which both ends are open, or one has ended.
    pub(crate) fn silence(&self, is_half_closed: bool) -> Duration {
        match is_half_closed {
            true => self.half_close.min(self.tunnel),
            false => self.tunnel,
        }
    }
}

/// What the connections of a worker share.
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) watches: Rc<Watches>,
    pub(crate) buffers: Buffers,
    pub(crate) log: AccessLog,
    pub(crate) clock: Clock,
    pub(crate) backends: Backends,
    /// Connections to backends, whatever clients speak.
    pub(crate) upstreams: Rc<Upstreams>,
    /// Those that are one client's.
    own_upstreams: RefCell<Vec<Weak<Upstreams>>>,
    /// The TLS connections, of clients and to backends, for `underseal conns`.
    pub(crate) connections: Arc<Table>,
    pub(crate) acceptor: Option<Latest<TlsAcceptor>>,
    pub(crate) in_force: Option<Latest<InForce>>,
    #[cfg(feature = "dtls")]
    pub(crate) dtls_connector: Option<Latest<DtlsConnector>>,
    /// For writing down what goes on of a request.
    pub(crate) heads: Heads,
    /// Tokens that were verified; never borrowed while waiting.
    pub(crate) verified: RefCell<tokens::Cache>,
    /// For reading a head; never borrowed while waiting.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) tally: Tally,
    /// Whether it does what one worker does for all.
    is_first: bool,
}

impl Worker {
    /// The worker of number `index`, made on its own thread; `connections` is its own table.
    ///
    /// # Panics
    /// If [`Shared::metrics`] are of fewer workers.
    pub fn new(shared: Arc<Shared>, index: usize, connections: Arc<Table>) -> Rc<Self> {
        let connector = shared.connector.as_ref().map(Latest::of);
        Rc::new(Self {
            watches: Watches::new(),
            buffers: Buffers::default(),
            log: AccessLog::new(Arc::clone(&shared.log)),
            clock: Clock::default(),
            backends: Backends::new(&shared.backends, connector, shared.health_check.clone()),
            upstreams: Rc::new(Upstreams::new(shared.backends.len(), None)),
            own_upstreams: RefCell::default(),
            connections,
            acceptor: shared.acceptor.as_ref().map(Latest::of),
            in_force: shared.in_force.as_ref().map(Latest::of),
            #[cfg(feature = "dtls")]
            dtls_connector: shared.dtls.connector.as_ref().map(Latest::of),
            heads: Heads::default(),
            verified: RefCell::default(),
            scratch: RefCell::default(),
            tally: shared.metrics.tally(index),
            is_first: index == 0,
            shared,
        })
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.shared.timeouts
    }

    /// The version that requests go on in: ours, whatever the client's is (RFC 9112 section 2.3).
    pub(crate) fn to_version(&self) -> Version {
        match self.shared.to_protocol {
            ToProtocol::H2 => Version::Http2,
            ToProtocol::Http1 => Version::Http11,
        }
    }

    /// Whether the backend's identity is a part of what policies judge: then it has to be known
    /// first.
    pub(crate) fn judges_backend(&self) -> bool {
        self.shared.direction == Direction::Egress && self.in_force.is_some()
    }

    /// How heads are read: what only policies object to, they do when they judge.
    pub(crate) fn read_options(&self) -> ReadOptions {
        let mut options = self.shared.read_options;
        options.path.parameter = self.shared.path_parameters != Some(PathParameters::Reject);
        options.path.encoded_slash = match self.shared.encoded_slash {
            Some(EncodedSlash::Reject) => http::EncodedSlash::Reject,
            Some(EncodedSlash::Decode) => http::EncodedSlash::Decode,
            Some(EncodedSlash::Keep) | None => http::EncodedSlash::Keep,
        };
        options
    }

    /// In which form paths go on: in the one that rules are compared with where a rule asks for them.
    pub(crate) fn path_form(&self) -> PathForm {
        let in_force = self.in_force.as_ref();
        let is_asked = in_force.is_some_and(|in_force| in_force.get().asked.paths());
        match is_asked || self.shared.encoded_slash == Some(EncodedSlash::Decode) {
            true => PathForm::Normal,
            false => PathForm::AsSent,
        }
    }

    /// What a backend is told of a client before anything else.
    pub(crate) fn proxy_header(&self, session: &Session) -> Option<Vec<u8>> {
        self.shared.send_proxy.then(|| {
            let mut header = Vec::new();
            if !session.is_told {
                proxy_protocol::write_untold(&mut header);
                return header;
            }
            let addresses = Addresses {
                source: session.remote,
                destination: session.local,
            };
            proxy_protocol::write(Some(addresses), &mut header);
            header
        })
    }

    /// The connections that a client's requests go out on: where each carries the client's address,
    /// they are its own.
    pub(crate) fn upstreams_of(&self, session: &Session) -> Rc<Upstreams> {
        let Some(header) = self.proxy_header(session) else {
            return Rc::clone(&self.upstreams);
        };
        let own = Rc::new(Upstreams::new(self.backends.count(), Some(header)));
        self.own_upstreams.borrow_mut().push(Rc::downgrade(&own));
        own
    }

    /// Drops the connections that were kept for too long.
    fn sweep_upstreams(&self) {
        self.upstreams.sweep();
        self.own_upstreams.borrow_mut().retain(|own| {
            let own = own.upgrade();
            own.inspect(|own| own.sweep()).is_some()
        });
    }

    /// Counts who seals and opens for a TLS connection.
    pub(crate) fn count_engines(&self, side: Side, engines: underseal::Engines) {
        self.tally.engine(side, Way::Tx, engines.tx);
        self.tally.engine(side, Way::Rx, engines.rx);
    }

    /// Completes and queues a log line, and counts what it says.
    pub(crate) fn conclude(
        &self,
        mut line: Vec<u8>,
        protocol: Option<Counted>,
        outcome: &log::Outcome<'_>,
    ) {
        if let Some(protocol) = protocol {
            let status = outcome.status.unwrap_or_default();
            self.tally.request(protocol, status, outcome.duration);
        }
        self.tally.bytes(Side::Client, Way::Rx, outcome.bytes_in);
        self.tally.bytes(Side::Client, Way::Tx, outcome.bytes_out);
        if let Some(backend) = outcome.backend {
            self.tally.bytes(Side::Backend, Way::Tx, outcome.bytes_in);
            let received = if outcome.is_own { 0 } else { outcome.bytes_out };
            self.tally.bytes(Side::Backend, Way::Rx, received);
            if let Some(error) = outcome.error.filter(|error| error.starts_with("backend-")) {
                self.tally.backend_error(backend, log::backend_error(error));
            }
        }
        if !self.log.is_off() {
            log::finish(&mut line, outcome);
            self.log.push(&line);
        }
        self.buffers.give(line);
    }
}

impl Accept for Worker {
    fn start(self: Rc<Self>) {
        if self.is_first {
            keep_checking(&self);
        }
    }

    fn accept(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        spawn_local(async move {
            let _permit = permit;
            connection::serve(self, tcp, remote).await;
        });
    }

    fn redirect(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        spawn_local(async move {
            let _permit = permit;
            connection::redirect(self, tcp, remote).await;
        });
    }

    fn watches(&self) -> &Watches {
        &self.watches
    }

    fn tick(&self) {
        self.sweep_upstreams();
        self.log.flush();
    }
}
