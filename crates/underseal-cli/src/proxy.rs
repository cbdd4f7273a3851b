//! `underseal proxy`: TLS towards clients, towards backends, or both, and a policy on each request.
//!
//! The main thread sets everything up, starts the workers, and then waits for signals and watches
//! files, as for every server. Each [`worker`] is given connections; [`connection`] does the
//! handshake and finds out what is spoken: [`http1`], [`http2`], or bytes ([`tcp`]). All three judge
//! by [`policy`], take connections to backends from [`backend`], and write [`log`] lines.

mod arguments;
mod backend;
mod chunk;
mod connection;
mod endpoint;
mod error;
mod fields;
mod flow;
mod http1;
mod http2;
mod log;
mod metrics;
mod pipe;
mod policy;
mod principal;
mod proxy_protocol;
mod session;
mod stream;
mod tcp;
mod tls;
mod tunnel;
mod worker;

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use underseal_http::ReadOptions;

pub(crate) use self::arguments::ProxyArgs;
use self::arguments::{Protocol, ToProtocol};
use self::backend::Address;
use self::endpoint::Destination;
pub(crate) use self::error::Error;
use self::metrics::Metrics;
use self::policy::{Loaded, Policies};
use self::tls::{Backends, Clients, Configured};
use self::worker::{Shared, Timeouts, Worker};
use crate::exit::{Exit, Failure, say};
use crate::{development, diagnostics, offload};
use underseal_server::access_log::Sink;
use underseal_server::admin::{self, Admin};
use underseal_server::certificate::{Identity, Paths};
use underseal_server::control::{self, Reload, Reloadable};
use underseal_server::current::Current;
use underseal_server::descriptors::Reserve;
use underseal_server::live::{Registry, socket};
use underseal_server::worker::Bounds;
use underseal_server::{listener, tls as server_tls, worker as workers};

/// Serves until a signal ends it.
///
/// # Errors
/// What kept the proxy from starting, each with its exit code.
pub(crate) fn run(args: &ProxyArgs) -> Result<(), Failure> {
    diagnostics::install(args.log.as_deref())?;
    offload::check(args.offload)?;
    let reserve = Reserve::set_up();
    let log = Sink::open(&args.access_log)?;
    let count = listener::count(args.workers);
    let (listeners, address) = listener::bind(&args.listen.address, count)?;
    let metrics = Metrics::new(count);
    let mut setup = Setup {
        args,
        address,
        provider: server_tls::provider(),
        reloads: Vec::new(),
        banner: String::new(),
        metrics: Arc::clone(&metrics),
    };
    let shared = Arc::new(setup.shared(Arc::clone(&log))?);
    let admin = args
        .admin
        .as_deref()
        .map(|address| listener::bind(address, 1));
    let admin = admin.transpose()?;
    let registry = Arc::new(Registry::new("proxy", count));
    let bounds = Bounds {
        reserve,
        connections: Some(Arc::new(Semaphore::new(args.max_connections as usize))),
    };
    let tables: Vec<_> = registry.tables().cloned().collect();
    let make =
        move |index: usize| Worker::new(Arc::clone(&shared), index, Arc::clone(&tables[index]));
    let workers = workers::start(listeners, &bounds, make)?;
    let mut banner = setup.banner(count);
    if let Some((_, address)) = &admin {
        let _ = writeln!(banner, "admin        http://{address}/metrics");
    }
    let reloadable = Reloadable {
        files: setup.reloads,
        log,
        observer: observer(Arc::clone(&metrics)),
    };
    let orders = workers.orders.subscribe();
    control::run(workers, &reloadable, args.grace, || {
        socket::answer_for(registry);
        for listener in admin.into_iter().flat_map(|(listeners, _)| listeners) {
            let admin = Admin {
                metrics: Arc::clone(&metrics) as _,
                orders: orders.clone(),
            };
            if let Err(error) = admin::spawn(listener, admin) {
                tracing::error!("no admin port: {error}");
            }
        }
        banner.push_str("ready\n");
        say(&banner);
    })?;
    Ok(())
}

/// Counts reloads.
fn observer(metrics: Arc<Metrics>) -> Box<dyn Fn(&'static str, bool)> {
    Box::new(move |what, done| {
        let reload = match done {
            true => metrics::Reload::Done,
            false => metrics::Reload::Failed,
        };
        metrics.reloaded(what, reload);
    })
}

/// What the command line comes to, while it is read.
struct Setup<'a> {
    args: &'a ProxyArgs,
    /// Where the listeners are.
    address: SocketAddr,
    provider: Arc<CryptoProvider>,
    /// What can be loaded again.
    reloads: Vec<Arc<dyn Reload>>,
    /// What is printed about the certificate.
    banner: String,
    metrics: Arc<Metrics>,
}

impl Setup<'_> {
    fn shared(&mut self, log: Arc<Sink>) -> Result<Shared, Failure> {
        let args = self.args;
        let backends = args.to.iter().map(|to| self.address_of(to));
        let backends = backends.collect::<Result<Vec<_>, _>>()?;
        let given = self.identity(args.cert.as_ref().zip(args.key.as_ref()))?;
        let server_identity = match (&given, args.listen.tls) {
            (_, false) => None,
            (Some(identity), true) => Some(Arc::clone(identity)),
            (None, true) => Some(self.development()?),
        };
        let own_client = self.identity(args.to_cert.as_ref().zip(args.to_key.as_ref()))?;
        let client_identity = own_client.or(given);
        let acceptor = match &server_identity {
            None => None,
            Some(identity) => {
                let _ = writeln!(self.banner, "sha256       {}", identity.fingerprint());
                let clients = Configured::new("client CA", self.clients(Arc::clone(identity)))?;
                if args.client_ca.is_some() {
                    self.reloads.push(Arc::clone(&clients) as _);
                }
                Some(Arc::clone(&clients.current))
            }
        };
        let connector = if args.originates() {
            let backends = Configured::new("backend CA", self.backends(client_identity.clone()))?;
            if args.to_ca.is_some() {
                self.reloads.push(Arc::clone(&backends) as _);
            }
            Some(Arc::clone(&backends.current))
        } else {
            None
        };
        Ok(Shared {
            acceptor,
            connector,
            matcher: self.policies()?,
            backends,
            server_identity,
            client_identity,
            protocol: args.protocol,
            to_protocol: args.to_protocol,
            direction: args.way(),
            log,
            timeouts: Timeouts {
                header: args.header_timeout,
                idle: args.idle_timeout,
                send: args.send_timeout,
                connect: args.connect_timeout,
                response: args.response_timeout,
                tunnel: args.tunnel_timeout,
            },
            read_options: ReadOptions::default(),
            accept_proxy: args.accept_proxy,
            send_proxy: args.send_proxy,
            metrics: Arc::clone(&self.metrics),
        })
    }

    fn identity(
        &mut self,
        files: Option<(&std::path::PathBuf, &std::path::PathBuf)>,
    ) -> Result<Option<Arc<Identity>>, Failure> {
        let Some((certificate, key)) = files else {
            return Ok(None);
        };
        let paths = Paths {
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let identity = Arc::new(Identity::load(paths, Arc::clone(&self.provider))?);
        self.reloads.push(Arc::clone(&identity) as _);
        Ok(Some(identity))
    }

    fn development(&mut self) -> Result<Arc<Identity>, Failure> {
        let paths = development::certificate(self.address)?;
        let shown = paths.certificate.display();
        let _ = writeln!(self.banner, "certificate  {shown} (development)");
        let identity = Arc::new(Identity::load(paths, Arc::clone(&self.provider))?);
        self.reloads.push(Arc::clone(&identity) as _);
        Ok(identity)
    }

    fn clients(&self, identity: Arc<Identity>) -> Clients {
        let args = self.args;
        Clients {
            identity,
            provider: Arc::clone(&self.provider),
            offloads: args.offload,
            alpn: match args.protocol {
                Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()],
                Protocol::Tcp => Vec::new(),
            },
            ca: args.client_ca.clone().map(|file| (file, args.client_auth)),
        }
    }

    fn backends(&self, identity: Option<Arc<Identity>>) -> Backends {
        let args = self.args;
        Backends {
            identity,
            provider: Arc::clone(&self.provider),
            offloads: args.offload,
            alpn: match (args.protocol, args.to_protocol) {
                (Protocol::Tcp, _) => Vec::new(),
                (Protocol::Http, ToProtocol::Http1) => vec![b"http/1.1".to_vec()],
                (Protocol::Http, ToProtocol::H2) => vec![b"h2".to_vec()],
            },
            ca: args.to_ca.clone(),
        }
    }

    fn policies(&mut self) -> Result<Option<Arc<Current<underseal_policy::Matcher>>>, Failure> {
        let args = self.args;
        if args.policy.is_empty() {
            return Ok(None);
        }
        let loaded = Arc::new(Loaded::load(
            Policies {
                paths: args.policy.clone(),
                labels: args.label.iter().cloned().collect(),
                direction: args.way(),
                tcp_port: (args.protocol == Protocol::Tcp).then_some(self.address.port()),
            },
            Arc::clone(&self.metrics),
        )?);
        let current = Arc::clone(&loaded.current);
        self.reloads.push(loaded);
        Ok(Some(current))
    }

    fn address_of(&self, to: &Destination) -> Result<Address, Failure> {
        let refused = |why: String| {
            let message = format!("cannot use backend `{}:{}`: {why}", to.host, to.port);
            Failure::new(
                Exit::Usage,
                message,
                "give `--to HOST:PORT` with a name that resolves",
            )
        };
        let sockets: Vec<_> = (&*to.host, to.port)
            .to_socket_addrs()
            .map_err(|error| refused(error.to_string()))?
            .collect();
        if sockets.is_empty() {
            return Err(refused("the name has no address".to_owned()));
        }
        let tls = match to.tls {
            false => None,
            true => {
                let name = self.args.to_name.clone().unwrap_or_else(|| to.host.clone());
                let name =
                    ServerName::try_from(name).map_err(|error| refused(error.to_string()))?;
                Some(name)
            }
        };
        let name = match to.host.contains(':') {
            true => format!("[{}]:{}", to.host, to.port),
            false => format!("{}:{}", to.host, to.port),
        };
        Ok(Address {
            name: name.into(),
            sockets,
            tls,
        })
    }

    /// What is printed at the start, for the person who started the proxy.
    fn banner(&self, workers: usize) -> String {
        let args = self.args;
        let mut text = String::new();
        let kind = if args.listen.tls { "tls" } else { "plain" };
        let _ = writeln!(
            text,
            "listen       {} ({kind}, {workers} workers)",
            self.address
        );
        for to in &args.to {
            let kind = if to.tls { "tls" } else { "plain" };
            let _ = writeln!(text, "backend      {}:{} ({kind})", to.host, to.port);
        }
        match args.policy.len() {
            0 => text.push_str("policy       none: everything is allowed\n"),
            _ => {
                for path in &args.policy {
                    let _ = writeln!(text, "policy       {}", path.display());
                }
            }
        }
        text.push_str(&self.banner);
        text
    }
}
