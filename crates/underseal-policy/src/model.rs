//! `AuthorizationPolicy` as a file says it: the keys are Istio's, and `direction`.

mod authentication;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::authentication::{
    AuthenticationKind, AuthenticationSpec, JwtRule, RequestAuthentication, TokenHeader,
};

/// The only `apiVersion` there is.
pub const API_VERSION: &str = "underseal/v1alpha1";

/// The `kind` of a policy.
pub const KIND: &str = "AuthorizationPolicy";

/// Who may do what with a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct AuthorizationPolicy {
    /// Always `underseal/v1alpha1`
    pub api_version: ApiVersion,
    /// Always `AuthorizationPolicy`
    pub kind: Kind,
    /// What the policy is called
    pub metadata: Metadata,
    /// What it says
    pub spec: Spec,
}

impl AuthorizationPolicy {
    /// A policy named `name` that says `spec`.
    pub fn new(name: impl Into<String>, spec: Spec) -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: Kind::AuthorizationPolicy,
            metadata: Metadata { name: name.into() },
            spec,
        }
    }
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub enum ApiVersion {
    /// [`API_VERSION`]
    #[serde(rename = "underseal/v1alpha1")]
    V1Alpha1,
}

/// The kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub enum Kind {
    /// [`KIND`]
    AuthorizationPolicy,
}

/// What the policy is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Metadata {
    /// Unique among all policies that are loaded together; decisions and logs name it
    pub name: String,
}

/// What a policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Spec {
    /// The workloads that the policy is for; without it, all
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Whether it judges what arrives at the workload or what the workload sends
    #[serde(default, skip_serializing_if = "is_default")]
    pub direction: TrafficDirection,
    /// What becomes of a request that a rule matches
    #[serde(default, skip_serializing_if = "is_default")]
    pub action: Action,
    /// One of them is enough. A policy without rules matches nothing: ALLOW then denies all
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// Which workloads a policy is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Selector {
    /// Labels that the workload must have, all of them
    #[schemars(extend("minProperties" = 1))]
    pub match_labels: BTreeMap<String, String>,
}

/// Which way a judged request goes, as its subject sees it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
pub enum TrafficDirection {
    /// Arrives at the workload
    #[default]
    Ingress,
    /// Is sent by the workload
    Egress,
}

/// What a policy does with a request that it matches.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Allow it; where any ALLOW policy is, all that none of them matches is denied
    #[default]
    Allow,
    /// Deny it, whatever else would allow it
    Deny,
    /// Note it, and decide by the other policies
    Audit,
}

impl Action {
    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
        }
    }
}

impl TrafficDirection {
    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

/// What a request must be: all of `from`, `to` and `when` that are there. An empty rule matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Rule {
    /// Who sends it: one of these
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub from: Vec<From>,
    /// What it asks for: one of these
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub to: Vec<To>,
    /// What else must hold: all of these
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub when: Vec<Condition>,
}

/// One alternative of who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct From {
    /// The sender
    pub source: Source,
}

/// The sender of a request: all keys that are there must hold, one value of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct Source {
    /// SPIFFE IDs: exact, `prefix*`, `*suffix`, or `*` for any identity that was proven
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub principals: Vec<String>,
    /// SPIFFE IDs that it must not have; a sender without identity has none
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_principals: Vec<String>,
    /// `ISSUER/SUBJECT` of the token, which was verified: exact, with `*` at one end, or `*`. HTTP
    /// only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub request_principals: Vec<String>,
    /// `ISSUER/SUBJECT` that it must not be. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_request_principals: Vec<String>,
    /// Namespaces: NAME of a SPIFFE ID whose path begins with `/ns/NAME/`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub namespaces: Vec<String>,
    /// Namespaces that it must not be in
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_namespaces: Vec<String>,
    /// Addresses that it connects from: `10.1.0.0/16` or `2001:db8::1`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub ip_blocks: Vec<String>,
    /// Addresses that it must not connect from
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_ip_blocks: Vec<String>,
}

/// One alternative of what a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct To {
    /// The operation
    pub operation: Operation,
}

/// What a request asks for: all keys that are there must hold, one value of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct Operation {
    /// Hosts, with the port if one is written in the request, whatever their case: exact, `prefix*`,
    /// `*suffix` or `*`. Whether one without port is meant to hold for a host with a port is not
    /// known, and decided against the request: ALLOW takes it for no, DENY for yes. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub hosts: Vec<String>,
    /// Hosts that it must not name. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_hosts: Vec<String>,
    /// Ports that it connects to
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1, "items" = serde_json::json!({ "type": ["string", "integer"] })))]
    pub ports: Vec<String>,
    /// Ports that it must not connect to
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1, "items" = serde_json::json!({ "type": ["string", "integer"] })))]
    pub not_ports: Vec<String>,
    /// Methods, case-sensitive: exact, `prefix*`, `*suffix` or `*`. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub methods: Vec<String>,
    /// Methods that it must not have. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_methods: Vec<String>,
    /// Paths in normal form, without query: exact, `prefix*`, `*suffix`, `*`, or a template in
    /// which `{*}` is one segment and `{**}` any number; of letters, digits and `-._~%!$&'()+,;:@`,
    /// others are decided against the request. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub paths: Vec<String>,
    /// Paths that it must not have. HTTP only
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_paths: Vec<String>,
}

/// One more thing that must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, extend("minProperties" = 2))]
pub struct Condition {
    /// `request.headers[NAME]`, `source.ip`, `source.remoteIp` (behind trusted proxies),
    /// `source.namespace`, `source.principal`,
    /// `source.trustDomain`, `source.serviceAccount` (`NAMESPACE/ACCOUNT`), `source.labels[NAME]`,
    /// `destination.ip`, `destination.port`, `destination.principal`, `destination.labels[NAME]`,
    /// `connection.sni`, `connection.transport` (`tcp` or `udp`); of a verified token
    /// `request.auth.principal` (`ISSUER/SUBJECT`), `request.auth.audiences`,
    /// `request.auth.presenter` and `request.auth.claims[NAME]`; or `request.query`, whose only value
    /// is `*`: that the target has a `?`
    pub key: String,
    /// One of these must be its value
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub values: Vec<String>,
    /// None of these may be its value
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub not_values: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
