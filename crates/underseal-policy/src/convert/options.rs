//! What must be known to convert.

use std::collections::BTreeMap;

/// What must be known to convert. Where the meaning of a policy depends on something that is not
/// given, it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertOptions {
    /// The namespace of policies that name none: that in which they are applied.
    pub namespace: Option<String>,
    /// The trust domain of the SPIFFE IDs.
    pub trust_domain: Option<String>,
    /// Other names of it, under which identities are accepted too.
    pub trust_domain_aliases: Vec<String>,
    /// Where Istio's policies for the whole mesh are kept. Default: `istio-system`.
    pub root_namespace: String,
    /// The addresses of all pods and nodes of the cluster, as `10.0.0.0/8`: what Cilium's `world`
    /// and blocks of addresses never are, and `cluster` is.
    pub cluster_blocks: Vec<String>,
    /// The addresses of the node itself, which are Cilium's `host`.
    pub host_blocks: Vec<String>,
    /// The ports that policies of Cilium call by name, in lower case: those of the containers that are
    /// asked.
    pub named_ports: BTreeMap<String, NamedPort>,
    /// Whose addresses Istio's `remoteIpBlocks` and `remote.ip` are.
    pub remote_ip: RemoteIp,
    /// Files with the keys of issuers, by the address that Istio fetches them from, or by the issuer
    /// that it would ask.
    pub jwks: BTreeMap<String, String>,
}

/// A port of a container, as its pod declares it: a name stands for a number and what carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedPort {
    /// Kubernetes' default.
    Tcp(u16),
    /// Declared with `protocol: UDP`.
    Udp(u16),
}

/// Whose addresses Istio's `remoteIpBlocks` and `remote.ip` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteIp {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Of whoever connects: no proxy stands in front.
    Peer,
    /// Of whom trusted proxies take requests from. They are the same proxies there and here, no client
    /// has an address among theirs, and none comes past them.
    Told,
}

impl RemoteIp {
    /// The key of a condition that is about them.
    pub(super) const fn key(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Peer => Some("source.ip"),
            Self::Told => Some("source.remoteIp"),
        }
    }
}

impl NamedPort {
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Tcp(number) | Self::Udp(number) => number,
        }
    }

    /// As rules say it.
    pub(super) const fn transport(self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
        }
    }
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            namespace: None,
            trust_domain: None,
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            cluster_blocks: Vec::new(),
            host_blocks: Vec::new(),
            named_ports: BTreeMap::new(),
            remote_ip: RemoteIp::Unknown,
            jwks: BTreeMap::new(),
        }
    }
}

impl ConvertOptions {
    /// The names of the trust domain, its own first.
    pub(super) fn domains(&self) -> Option<Vec<&str>> {
        let own = self.trust_domain.as_deref()?;
        let aliases = self.trust_domain_aliases.iter().map(String::as_str);
        Some(std::iter::once(own).chain(aliases).collect())
    }
}
