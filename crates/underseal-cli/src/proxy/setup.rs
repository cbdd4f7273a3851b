//! What the command line comes to: certificates, authorities, policies, backends.

mod dtls;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::ServerName;
use underseal::Offloads;
use underseal_http::ReadOptions;
use underseal_proxy::policy::{InForce, Loaded, Policies};
use underseal_proxy::tls::{Backends, Clients, Configured};
use underseal_proxy::{Address, HealthCheck, Metrics, Name, Shared, Timeouts};
use underseal_server::access_log::Sink;
use underseal_server::certificate::{Identity, Paths};
use underseal_server::control::Reload;
use underseal_server::current::Current;

use super::arguments::{Protocol, ProxyArgs, ToProtocol};
use super::endpoint::Destination;
use crate::development;
use crate::exit::{Exit, Failure, one_line};

/// What the command line comes to, while it is read.
pub(super) struct Setup<'a> {
    args: &'a ProxyArgs,
    /// Where the listeners are.
    address: SocketAddr,
    offloads: Offloads,
    provider: Arc<CryptoProvider>,
    /// What can be loaded again.
    pub(super) reloads: Vec<Arc<dyn Reload>>,
    /// What is printed about the certificate.
    banner: String,
    /// What is printed about policies.
    selected: String,
    metrics: Arc<Metrics>,
    /// The development certificate, where there is no other.
    #[cfg(feature = "dtls")]
    developed: Option<Paths>,
}

impl<'a> Setup<'a> {
    /// Nothing is read yet; the listeners are at `address`.
    pub(super) fn new(
        args: &'a ProxyArgs,
        address: SocketAddr,
        offloads: Offloads,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            args,
            address,
            offloads,
            provider: underseal_server::tls::provider(),
            reloads: Vec::new(),
            banner: String::new(),
            selected: String::new(),
            metrics,
            #[cfg(feature = "dtls")]
            developed: None,
        }
    }

    /// What every worker is given.
    ///
    /// # Errors
    /// What cannot be read or used, each with its exit code.
    pub(super) fn shared(&mut self, log: Arc<Sink>) -> Result<Shared, Failure> {
        let args = self.args;
        self.check_alpn()?;
        let is_dtls = args.protocol == Protocol::Dtls;
        if is_dtls {
            dtls::check(args)?;
        }
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
            Some(identity) if is_dtls => {
                let _ = writeln!(self.banner, "sha256       {}", identity.fingerprint());
                None
            }
            Some(identity) => {
                let _ = writeln!(self.banner, "sha256       {}", identity.fingerprint());
                let identity = Arc::clone(identity);
                let clients = Configured::new("client CA", self.clients(identity))?;
                if args.client_ca.is_some() {
                    self.reloads.push(Arc::clone(&clients) as _);
                }
                Some(Arc::clone(clients.current()))
            }
        };
        let connector = if args.originates() && !is_dtls {
            let backends = Configured::new("backend CA", self.backends(client_identity.clone()))?;
            if args.to_ca.is_some() {
                self.reloads.push(Arc::clone(&backends) as _);
            }
            Some(Arc::clone(backends.current()))
        } else {
            None
        };
        Ok(Shared {
            #[cfg(feature = "dtls")]
            dtls: self.dtls(is_dtls)?,
            acceptor,
            connector,
            in_force: self.policies()?,
            health_check: self.health_check(backends.len())?,
            backends,
            server_identity,
            client_identity,
            protocol: args.protocol.into(),
            to_protocol: args.to_protocol.into(),
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
            path_parameters: args.path_parameters.map(Into::into),
            half_close: args.half_close,
            accept_proxy: args.accept_proxy,
            send_proxy: args.send_proxy,
            metrics: Arc::clone(&self.metrics),
        })
    }

    fn health_check(&self, backends: usize) -> Result<Option<Arc<HealthCheck>>, Failure> {
        let Some(path) = &self.args.health_check else {
            return Ok(None);
        };
        let refused = |why: String| {
            let path = one_line(path);
            let message = format!("cannot ask backends for `{path}`: {why}");
            let hint = "give `--health-check /PATH`, with `--protocol http`";
            Failure::new(Exit::Usage, message, hint)
        };
        if self.args.protocol != Protocol::Http {
            return Err(refused("no HTTP is spoken to them".to_owned()));
        }
        let check = HealthCheck::new(path, backends).map_err(|why| refused(why.to_string()))?;
        Ok(Some(Arc::new(check)))
    }

    fn identity(
        &mut self,
        files: Option<(&PathBuf, &PathBuf)>,
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
        #[cfg(feature = "dtls")]
        {
            self.developed = Some(paths.clone());
        }
        let identity = Arc::new(Identity::load(paths, Arc::clone(&self.provider))?);
        self.reloads.push(Arc::clone(&identity) as _);
        Ok(identity)
    }

    fn clients(&self, identity: Arc<Identity>) -> Clients {
        let args = self.args;
        Clients {
            identity,
            provider: Arc::clone(&self.provider),
            offloads: self.offloads,
            alpn: match args.protocol {
                Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()],
                Protocol::Tcp | Protocol::Dtls => self.alpn(),
            },
            min_tls: args.min_tls.into(),
            ca: args
                .client_ca
                .clone()
                .map(|file| (file, args.client_auth.into())),
        }
    }

    fn backends(&self, identity: Option<Arc<Identity>>) -> Backends {
        let args = self.args;
        Backends {
            identity,
            provider: Arc::clone(&self.provider),
            offloads: self.offloads,
            alpn: match (args.protocol, args.to_protocol) {
                (Protocol::Tcp | Protocol::Dtls, _) => self.alpn(),
                (Protocol::Http, ToProtocol::Http1) => vec![b"http/1.1".to_vec()],
                (Protocol::Http, ToProtocol::H2) => vec![b"h2".to_vec()],
            },
            min_tls: args.min_tls.into(),
            ca: args.to_ca.clone(),
        }
    }

    /// The names that TLS agrees on where no HTTP is spoken.
    fn alpn(&self) -> Vec<Vec<u8>> {
        let names = self.args.alpn.iter();
        names.map(|name| name.as_bytes().to_vec()).collect()
    }

    /// # Errors
    /// If names are given where HTTP decides, or one that is none (RFC 7301 section 3.1).
    fn check_alpn(&self) -> Result<(), Failure> {
        let refused = |why: &str| {
            let hint = "give `--alpn NAME` with `--protocol tcp`";
            Err(Failure::new(Exit::Usage, why.to_owned(), hint))
        };
        let names = &self.args.alpn;
        if !names.is_empty() && self.args.protocol != Protocol::Tcp {
            return refused("HTTP has ALPN names of its own");
        }
        match names.iter().all(|name| (1..=255).contains(&name.len())) {
            true => Ok(()),
            false => refused("an ALPN name has 1 to 255 bytes"),
        }
    }

    fn policies(&mut self) -> Result<Option<Arc<Current<InForce>>>, Failure> {
        let args = self.args;
        if args.policy.is_empty() {
            return Ok(None);
        }
        let loaded = Arc::new(Loaded::load(
            Policies {
                paths: args.policy.clone(),
                labels: args.label.iter().cloned().collect(),
                direction: args.way(),
                tcp_port: (args.protocol != Protocol::Http).then_some(self.address.port()),
                allow_unselected: args.allow_unselected,
            },
            Arc::clone(&self.metrics),
        )?);
        let current = Arc::clone(loaded.current());
        let selected = loaded.selected();
        let _ = writeln!(self.selected, "policies     {selected}");
        for file in &selected.unread {
            let file = one_line(&file.to_string_lossy());
            let _ = writeln!(self.selected, "not read     {file}");
        }
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
        let at = Name::resolve(&to.host, to.port).map_err(|error| refused(error.to_string()))?;
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
            at,
            tls,
        })
    }

    /// What is printed at the start, for the person who started the proxy.
    pub(super) fn banner(&self, workers: usize) -> String {
        let args = self.args;
        let mut text = String::new();
        let sealed = match args.protocol {
            Protocol::Dtls => "dtls",
            Protocol::Http | Protocol::Tcp => "tls",
        };
        let kind = if args.listen.tls { sealed } else { "plain" };
        let _ = writeln!(
            text,
            "listen       {} ({kind}, {workers} workers)",
            self.address
        );
        for to in &args.to {
            let kind = if to.tls { sealed } else { "plain" };
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
        text.push_str(&self.selected);
        text.push_str(&self.banner);
        text
    }
}
