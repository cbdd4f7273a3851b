//! `RequestAuthentication` as a file says it: which JSON Web Tokens are believed.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ApiVersion, Metadata, Selector};

/// Which tokens of requests are believed. A request whose token is not, or that has several, is
/// refused; one without a token goes on to the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct RequestAuthentication {
    /// Always `underseal/v1alpha1`
    pub api_version: ApiVersion,
    /// Always `RequestAuthentication`
    pub kind: AuthenticationKind,
    /// What it is called
    pub metadata: Metadata,
    /// What it says
    pub spec: AuthenticationSpec,
}

impl RequestAuthentication {
    /// One named `name` that says `spec`.
    pub fn new(name: impl Into<String>, spec: AuthenticationSpec) -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: AuthenticationKind::RequestAuthentication,
            metadata: Metadata { name: name.into() },
            spec,
        }
    }
}

/// The kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub enum AuthenticationKind {
    /// The only one
    RequestAuthentication,
}

/// Whose tokens are believed, and by which workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct AuthenticationSpec {
    /// The workloads that it is for; without it, all
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Issuers, each with its keys. Those of all that are for a workload hold together
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub jwt_rules: Vec<JwtRule>,
}

/// An issuer, its keys, and where its tokens stand in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct JwtRule {
    /// What the claim `iss` must be; without it, anything
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// One of these must be in the claim `aud`; without them, anything may be
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub audiences: Vec<String>,
    /// The keys, as a JSON Web Key Set (RFC 7517). Either this or `jwksFile`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// A file with the keys; from the directory of this file, if it is not absolute
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// Fields whose value is a token. Without any place given, tokens stand in `Authorization: Bearer`
    /// and in the parameter `access_token`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub from_headers: Vec<TokenHeader>,
    /// Parameters of the query whose value is a token
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub from_params: Vec<String>,
    /// Cookies whose value is a token
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub from_cookies: Vec<String>,
    /// Claims that are words with spaces between them, beside `scope` and `permission`: lists of these
    /// words
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1))]
    pub space_delimited_claims: Vec<String>,
}

/// A field whose value is a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TokenHeader {
    /// The name of the field
    pub name: String,
    /// What stands before the token
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}
