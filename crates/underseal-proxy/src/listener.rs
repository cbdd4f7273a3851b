//! What is true of all clients of the proxy's sockets: what they speak, and by what they are judged.

use std::cell::RefCell;
#[cfg(feature = "dtls")]
use std::net::SocketAddr;
use std::sync::Arc;

use underseal::TlsAcceptor;
#[cfg(feature = "dtls")]
use underseal_dtls::DtlsAcceptor;
use underseal_http::{EncodedSlash, PathForm, ReadOptions};
use underseal_policy::model::TrafficDirection;
use underseal_server::certificate::Identities;
use underseal_server::current::{Current, Latest};

use super::forwarded::{Forwarded, TrustedProxies};
use super::policy::InForce;
use super::protocol::{PathParameters, Protocol};
use super::tokens;

/// What a listener is given.
pub struct ListenerSettings {
    /// `None` for a plaintext listener.
    pub acceptor: Option<Arc<Current<TlsAcceptor>>>,
    /// `None` without policies: everything is allowed.
    pub in_force: Option<Arc<Current<InForce>>>,
    /// What we show to clients.
    pub server_identities: Option<Arc<Identities>>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Which policies judge.
    pub direction: TrafficDirection,
    /// How heads are read; what becomes of parameters in paths, [`Self::path_parameters`] says.
    pub read_options: ReadOptions,
    /// What becomes of `;` in a path; `None` refuses it where the policies that judge ask for paths.
    pub path_parameters: Option<PathParameters>,
    /// What becomes of `%2F` in a path; `None` refuses it where the policies that judge ask for paths.
    pub encoded_slash: Option<EncodedSlash>,
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
    /// `None` for clients without DTLS.
    #[cfg(feature = "dtls")]
    pub dtls_acceptor: Option<Arc<Current<DtlsAcceptor>>>,
    /// Most clients of one worker that send datagrams.
    #[cfg(feature = "dtls")]
    pub max_clients: usize,
    /// Where the sockets are that datagrams come to.
    #[cfg(feature = "dtls")]
    pub local: SocketAddr,
}

/// A worker's part of it.
pub(crate) struct Listener {
    pub(crate) settings: Arc<ListenerSettings>,
    pub(crate) acceptor: Option<Latest<TlsAcceptor>>,
    pub(crate) in_force: Option<Latest<InForce>>,
    /// Tokens that were verified; never borrowed while waiting.
    pub(crate) verified: RefCell<tokens::Cache>,
}

impl Listener {
    pub(crate) fn new(settings: Arc<ListenerSettings>) -> Self {
        Self {
            acceptor: settings.acceptor.as_ref().map(Latest::of),
            in_force: settings.in_force.as_ref().map(Latest::of),
            verified: RefCell::default(),
            settings,
        }
    }

    /// Whether the backend's identity is a part of what policies judge: then it has to be known
    /// first.
    pub(crate) fn judges_backend(&self) -> bool {
        self.settings.direction == TrafficDirection::Egress && self.in_force.is_some()
    }

    /// How heads are read: what only policies object to, they do when they judge.
    pub(crate) fn read_options(&self) -> ReadOptions {
        let mut options = self.settings.read_options;
        options.path.parameter = self.settings.path_parameters != Some(PathParameters::Reject);
        options.path.encoded_slash = self.settings.encoded_slash.unwrap_or(EncodedSlash::Keep);
        options
    }

    /// In which form paths go on: in the one that rules are compared with where a rule asks for them.
    pub(crate) fn path_form(&self) -> PathForm {
        let in_force = self.in_force.as_ref();
        let is_asked = in_force.is_some_and(|in_force| in_force.get().asked.paths());
        match is_asked || self.settings.encoded_slash == Some(EncodedSlash::Decode) {
            true => PathForm::Normal,
            false => PathForm::AsSent,
        }
    }
}
