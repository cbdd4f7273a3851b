//! What the command line comes to: certificates, authorities, policies, backends.

mod dtls;
mod useless;

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::ServerName;
use underseal::Offloads;
use underseal_http::host::Named;
use underseal_http::{ReadOptions, Version};
use underseal_policy::TcpPorts;
use underseal_policy::model::TrafficDirection;
use underseal_proxy::policy::{InForce, Loaded, Policies};
use underseal_proxy::tls::{Backends, Clients, Configured};
use underseal_proxy::{
    Address, At, HealthCheck, ListenerSettings, Metrics, Name, ProcessSettings, ServiceSettings,
    Settings, Timeouts, TrustedProxies,
};
use underseal_server::access_log::Sink;
use underseal_server::certificate::{Identities, Identity, Paths};
use underseal_server::control::Reload;
use underseal_server::current::Current;
use underseal_server::descriptors::Reserve;

use super::arguments::{Protocol, ProxyArgs};
use super::endpoint::{Destination, Host, with_port};
use crate::certificates::{pairs, paths};
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
    /// The descriptors that are held back from clients.
    #[cfg(feature = "dtls")]
    reserve: Reserve,
    /// The development certificate, where there is no other.
    #[cfg(feature = "dtls")]
    developed: Option<Paths>,
}

impl<'a> Setup<'a> {
    /// Nothing is read yet; the listeners are at `address`.
    pub(super) fn new(
        args: &'a ProxyArgs,
        (address, reserve): (SocketAddr, Reserve),
        offloads: Offloads,
        metrics: Arc<Metrics>,
    ) -> Self {
        #[cfg(not(feature = "dtls"))]
        let _ = reserve;
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
            reserve,
            #[cfg(feature = "dtls")]
            developed: None,
        }
    }

    /// What every worker is given, and the service that all clients come to.
    ///
    /// # Errors
    /// What cannot be read or used, each with its exit code.
    pub(super) fn settings(
        &mut self,
        log: Arc<Sink>,
    ) -> Result<(Settings, Arc<ServiceSettings>), Failure> {
        let args = self.args;
        self.check_alpn()?;
        useless::check(args)?;
        if args.protocol == Protocol::Dtls {
            dtls::check(args)?;
        }
        let backends = args.to.iter().map(|to| self.address_of(to));
        let backends = backends.collect::<Result<Vec<_>, _>>()?;
        let given = pairs(&args.cert, &args.key)?;
        let given = given.into_iter().map(|paths| self.identity(paths));
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let client_given = given.first().cloned();
        let listener = self.listener_settings(given)?;
        let settings = Settings {
            process: ProcessSettings {
                log,
                timeouts: timeouts(args),
                metrics: Arc::clone(&self.metrics),
            },
            listener: Arc::new(listener),
        };
        let service = self.service_settings(backends, client_given)?;
        Ok((settings, Arc::new(service)))
    }

    fn listener_settings(
        &mut self,
        given: Vec<Arc<Identity>>,
    ) -> Result<ListenerSettings, Failure> {
        let args = self.args;
        let server_identities = self.server_identities(given)?;
        let acceptor = match &server_identities {
            None => None,
            Some(_) if args.protocol == Protocol::Dtls => None,
            Some(identities) => {
                let identities = Arc::clone(identities);
                let clients = Configured::new("client CA", self.clients(identities))?;
                if args.client_ca.is_some() {
                    self.reloads.push(Arc::clone(&clients) as _);
                }
                Some(Arc::clone(clients.current()))
            }
        };
        Ok(ListenerSettings {
            acceptor,
            in_force: self.policies()?,
            server_identities,
            protocol: args.protocol.into(),
            direction: args.judged_direction(),
            read_options: ReadOptions::default(),
            path_parameters: args.path_parameters,
            encoded_slash: args.encoded_slash,
            forwarded: args.forwarded,
            trusted_proxies: TrustedProxies::new(args.trusted_proxies.iter().copied()),
            half_close: args.half_close,
            redirect_to: self.address.port(),
            accept_proxy: args.accept_proxy,
            #[cfg(feature = "dtls")]
            dtls_acceptor: self.dtls_acceptor()?,
            #[cfg(feature = "dtls")]
            max_clients: args.max_connections as usize,
            #[cfg(feature = "dtls")]
            local: self.address,
        })
    }

    fn service_settings(
        &mut self,
        backends: Vec<Address>,
        client_given: Option<Arc<Identity>>,
    ) -> Result<ServiceSettings, Failure> {
        let args = self.args;
        let own_client = args.to_cert.iter().zip(&args.to_key).next();
        let own_client = own_client.map(|files| self.identity(paths(files)));
        let client_identity = own_client.transpose()?.or(client_given);
        let connector = if args.originates() && args.protocol != Protocol::Dtls {
            let backends = Configured::new("backend CA", self.backends(client_identity.clone()))?;
            if args.to_ca.is_some() {
                self.reloads.push(Arc::clone(&backends) as _);
            }
            Some(Arc::clone(backends.current()))
        } else {
            None
        };
        Ok(ServiceSettings {
            health_check: self.health_check(backends.len())?,
            backends,
            connector,
            client_identity,
            to_protocol: args.to_protocol,
            host: self.host()?,
            send_proxy: args.send_proxy,
            #[cfg(feature = "dtls")]
            dtls_connector: self.dtls_connector()?,
            #[cfg(feature = "dtls")]
            reserve: self.reserve,
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

    fn identity(&mut self, paths: Paths) -> Result<Arc<Identity>, Failure> {
        let identity = Arc::new(Identity::load(paths, Arc::clone(&self.provider))?);
        self.reloads.push(Arc::clone(&identity) as _);
        Ok(identity)
    }

    /// What clients are shown, if anything is.
    fn server_identities(
        &mut self,
        given: Vec<Arc<Identity>>,
    ) -> Result<Option<Arc<Identities>>, Failure> {
        if !self.args.listen.tls {
            return Ok(None);
        }
        let mut given = given.into_iter();
        let first = match given.next() {
            Some(first) => first,
            None => self.development()?,
        };
        let identities = Identities::new(first, given.collect());
        for identity in identities.iter() {
            let _ = writeln!(self.banner, "sha256       {}", identity.fingerprint());
        }
        Ok(Some(identities))
    }

    fn development(&mut self) -> Result<Arc<Identity>, Failure> {
        let paths = development::certificate(self.address)?;
        let shown = paths.certificate.display();
        let _ = writeln!(self.banner, "certificate  {shown} (development)");
        #[cfg(feature = "dtls")]
        {
            self.developed = Some(paths.clone());
        }
        self.identity(paths)
    }

    fn clients(&self, identities: Arc<Identities>) -> Clients {
        let args = self.args;
        Clients {
            identities,
            provider: Arc::clone(&self.provider),
            offloads: self.offloads,
            alpn: match args.protocol {
                Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()],
                Protocol::Tcp | Protocol::Dtls => self.alpn(),
            },
            min_tls: args.oldest_tls(),
            ca: args.client_ca.clone().map(|file| (file, args.client_auth)),
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
                (Protocol::Http, Version::Http11) => vec![b"http/1.1".to_vec()],
                (Protocol::Http, Version::Http2) => vec![b"h2".to_vec()],
            },
            min_tls: args.oldest_tls(),
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
                direction: args.judged_direction(),
                tcp_ports: self.tcp_ports(),
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

    /// The ports that rules are asked about, where no HTTP is spoken on them.
    fn tcp_ports(&self) -> TcpPorts {
        let args = self.args;
        let port_of = |to: &Destination| match to {
            Destination::Host { port, .. } => Some(*port),
            Destination::Path(_) => None,
        };
        let known: Option<Vec<_>> = match (args.protocol, args.judged_direction()) {
            (Protocol::Http, _) => Some(Vec::new()),
            // A socket in the file system has no port, and what comes to it is no more HTTP for that.
            (_, TrafficDirection::Egress) => args.to.iter().map(port_of).collect(),
            // Each client is asked about the port that the PROXY header tells.
            (_, TrafficDirection::Ingress) if args.accept_proxy => None,
            (_, TrafficDirection::Ingress) => Some(vec![self.address.port()]),
        };
        known.map_or(TcpPorts::Any, TcpPorts::Only)
    }

    fn address_of(&self, to: &Destination) -> Result<Address, Failure> {
        let refused = |why: String| {
            let message = format!("cannot use backend `{}`: {why}", one_line(&to.name()));
            let hint = "give `--to HOST:PORT` with a name that resolves";
            Failure::new(Exit::Usage, message, hint)
        };
        let (at, tls) = match to {
            Destination::Path(path) => (At::Path(path.as_path().into()), None),
            Destination::Host { tls, host, port } => {
                let at = Name::resolve(host, *port).map_err(|error| refused(error.to_string()))?;
                let tls = tls.then(|| ServerName::try_from(self.name_of(host).to_owned()));
                let tls = tls.transpose().map_err(|error| match &self.args.to_name {
                    Some(name) => no_name(name, &error),
                    None => refused(error.to_string()),
                })?;
                (At::Name(at), tls)
            }
        };
        Ok(Address {
            name: to.name().into(),
            at,
            tls,
        })
    }

    /// The name that a TLS backend has to prove.
    fn name_of<'h>(&'h self, host: &'h str) -> &'h str {
        self.args.to_name.as_deref().unwrap_or(host)
    }

    /// The host that backends are told instead of the client's.
    ///
    /// # Errors
    /// If they are to be told their own, and do not have one between them.
    fn host(&self) -> Result<Option<Named>, Failure> {
        let own = || {
            let mut own = self.args.to.iter().map(|to| self.own_host(to));
            let first = own.next().flatten()?;
            own.all(|other| other.as_ref() == Some(&first))
                .then_some(first)
        };
        let is_by_name = |to: &Destination| match to {
            Destination::Host {
                tls: true, host, ..
            } => self.name_of(host).parse::<IpAddr>().is_err(),
            Destination::Host { .. } | Destination::Path(_) => false,
        };
        match &self.args.host {
            Some(Host::Named(host)) => Ok(Some(host.clone())),
            Some(Host::Keep) => Ok(None),
            None => Ok(own().filter(|_| self.args.to.iter().all(is_by_name))),
            Some(Host::Backend) => own().map(Some).ok_or_else(|| {
                let message = "the backends do not have one host between them";
                let hint = "give `--host HOST` or `--host keep`";
                Failure::new(Exit::Usage, message, hint)
            }),
        }
    }

    /// The host of a backend, and its port unless it is the scheme's own.
    fn own_host(&self, to: &Destination) -> Option<Named> {
        let (tls, host, port) = match to {
            Destination::Path(_) => return Named::new("localhost"),
            Destination::Host { tls, host, port } => (*tls, host, *port),
        };
        let host = if tls { self.name_of(host) } else { host };
        match (tls, port) {
            (true, 443) | (false, 80) if host.contains(':') => Named::new(&format!("[{host}]")),
            (true, 443) | (false, 80) => Named::new(host),
            _ => Named::new(&with_port(host, port)),
        }
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
            let kind = if to.is_tls() { sealed } else { "plain" };
            let _ = writeln!(text, "backend      {} ({kind})", one_line(&to.name()));
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

fn no_name(name: &str, error: &impl fmt::Display) -> Failure {
    let message = format!(
        "backends cannot prove the name `{}`: {error}",
        one_line(name)
    );
    let hint = "give `--to-name NAME` with a name of DNS or an address";
    Failure::new(Exit::Usage, message, hint)
}

fn timeouts(args: &ProxyArgs) -> Timeouts {
    Timeouts {
        header: args.header_timeout,
        idle: args.idle_timeout,
        send: args.send_timeout,
        connect: args.connect_timeout,
        response: args.response_timeout,
        tunnel: args.tunnel_timeout,
        half_close: args.half_close_timeout,
    }
}
