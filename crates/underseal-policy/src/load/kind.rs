//! What kind of object a document is.

use super::Value;
use super::node::Node;

/// Whose words a document is written in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<'n> {
    /// A policy of ours, or meant to be one.
    Own,
    /// Which tokens are believed, in our words.
    OwnTokens,
    /// Istio's AuthorizationPolicy.
    Istio,
    /// Istio's RequestAuthentication.
    IstioTokens,
    /// A policy of Cilium, for a namespace or for all.
    Cilium { clusterwide: bool },
    /// Several objects, in this list.
    List(Value<'n>),
    /// No policy of these, but one that denies beside them.
    Denies(&'n str),
    /// Something else that says what it is.
    Other(&'n str),
    /// What does not say what it is.
    Unknown,
}

impl<'n> Kind<'n> {
    pub(crate) fn of(value: &Value<'n>) -> Self {
        let text = |key| value.get(key).and_then(|value| value.as_text());
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return Self::Unknown;
        };
        let group = version.split('/').next().unwrap_or_default();
        let items = value
            .get("items")
            .filter(|items| matches!(items.node.value, Node::List(_)));
        match (group, kind, items) {
            (_, kind, Some(items)) if kind.ends_with("List") => Self::List(items),
            ("underseal", "RequestAuthentication", _) => Self::OwnTokens,
            ("underseal", ..) => Self::Own,
            ("security.istio.io", "RequestAuthentication", _) => Self::IstioTokens,
            ("security.istio.io", "AuthorizationPolicy", _) => Self::Istio,
            (_, "AuthorizationPolicy", _) => Self::Own,
            (_, "CiliumNetworkPolicy", _) => Self::Cilium { clusterwide: false },
            (_, "CiliumClusterwideNetworkPolicy", _) => Self::Cilium { clusterwide: true },
            (_, "RequestAuthentication" | "PeerAuthentication", _) => Self::Denies(kind),
            // Of releases of Istio before 1.6.
            ("rbac.istio.io" | "authentication.istio.io", ..) => Self::Denies(kind),
            // Of Kubernetes, also its AdminNetworkPolicy, and of others.
            (_, kind, _) if kind.ends_with("NetworkPolicy") => Self::Denies(kind),
            _ => Self::Other(kind),
        }
    }
}
