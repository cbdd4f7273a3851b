//! A service: backends of which any may answer, and a worker's connections to them.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use underseal::TlsConnector;
use underseal_http::Version;
use underseal_http::host::Named;
use underseal_http::proxy_protocol::{self, Addresses};
use underseal_server::certificate::Identity;
use underseal_server::current::{Current, Latest};
#[cfg(feature = "dtls")]
use underseal_server::descriptors::Reserve;

use super::backend::{Address, Backends, HealthCheck};
#[cfg(feature = "dtls")]
use super::datagrams::DtlsConnector;
use super::session::Session;
use super::upstream::Upstreams;

/// What is known of a service.
pub struct ServiceSettings {
    /// Where requests go; at least one.
    pub backends: Vec<Address>,
    /// What backends are asked for to find out whether they are well; `None` asks for nothing.
    pub health_check: Option<Arc<HealthCheck>>,
    /// `None` if no backend has TLS.
    pub connector: Option<Arc<Current<TlsConnector>>>,
    /// What we show to backends.
    pub client_identity: Option<Arc<Identity>>,
    /// What is spoken to backends, without upgrade: requests go on in it, whatever version they came in (RFC
    /// 9112 section 2.3).
    pub to_protocol: Version,
    /// The host that backends are told, in the place of the client's.
    pub host: Option<Named>,
    /// Whether backends are told, by the PROXY protocol, whom we speak for.
    pub send_proxy: bool,
    /// `None` if no backend has DTLS.
    #[cfg(feature = "dtls")]
    pub dtls_connector: Option<Arc<Current<DtlsConnector>>>,
    /// The descriptors that are held back from clients that send datagrams, each of which has a socket
    /// to its backend.
    #[cfg(feature = "dtls")]
    pub reserve: Reserve,
}

/// A worker's part of it.
pub struct Service {
    pub(crate) settings: Arc<ServiceSettings>,
    pub(crate) backends: Backends,
    /// Connections to backends, whatever clients speak.
    pub(crate) upstreams: Rc<Upstreams>,
    /// Those that are one client's.
    own_upstreams: RefCell<Vec<Weak<Upstreams>>>,
    #[cfg(feature = "dtls")]
    pub(crate) dtls_connector: Option<Latest<DtlsConnector>>,
}

impl Service {
    /// The part of one worker, made on its own thread. It has connections of its own.
    pub fn new(settings: Arc<ServiceSettings>) -> Rc<Self> {
        let connector = settings.connector.as_ref().map(Latest::of);
        let check = settings.health_check.clone();
        Rc::new(Self {
            backends: Backends::new(&settings.backends, connector, check),
            upstreams: Rc::new(Upstreams::new(settings.backends.len(), None)),
            own_upstreams: RefCell::default(),
            #[cfg(feature = "dtls")]
            dtls_connector: settings.dtls_connector.as_ref().map(Latest::of),
            settings,
        })
    }

    /// What a backend is told of a client before anything else.
    pub(crate) fn proxy_header(&self, session: &Session) -> Option<Vec<u8>> {
        self.settings.send_proxy.then(|| {
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
    pub(crate) fn sweep(&self) {
        self.upstreams.sweep();
        self.own_upstreams.borrow_mut().retain(|own| {
            let own = own.upgrade();
            own.inspect(|own| own.sweep()).is_some()
        });
    }
}
