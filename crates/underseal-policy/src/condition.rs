//! The keys of `when`.

use crate::pattern::{self, Pattern};
use crate::token::RequestPrincipal;

/// What a condition asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Every field line of this name, in lower case.
    Header(Box<[u8]>),
    SourceIp,
    /// Behind proxies that are trusted.
    SourceRemoteIp,
    SourceNamespace,
    SourcePrincipal,
    SourceTrustDomain,
    SourceServiceAccount,
    /// A label of whoever opened the connection.
    SourceLabel(Box<str>),
    DestinationIp,
    DestinationPort,
    DestinationPrincipal,
    /// A label of whoever accepted it.
    DestinationLabel(Box<str>),
    Sni,
    Transport,
    Query,
    RequestPrincipal,
    /// A claim of the token, by the names that lead to it.
    Claim(Box<[Box<str>]>),
}

impl Key {
    const ALL: [(&str, Self); 13] = [
        ("source.ip", Self::SourceIp),
        ("source.remoteIp", Self::SourceRemoteIp),
        ("source.namespace", Self::SourceNamespace),
        ("source.principal", Self::SourcePrincipal),
        ("source.trustDomain", Self::SourceTrustDomain),
        ("source.serviceAccount", Self::SourceServiceAccount),
        ("destination.ip", Self::DestinationIp),
        ("destination.port", Self::DestinationPort),
        ("destination.principal", Self::DestinationPrincipal),
        ("connection.sni", Self::Sni),
        ("connection.transport", Self::Transport),
        ("request.query", Self::Query),
        ("request.auth.principal", Self::RequestPrincipal),
    ];

    /// Keys with a name in brackets.
    const NAMED: [&str; 4] = [
        "request.headers[NAME]",
        "request.auth.claims[NAME]",
        "source.labels[NAME]",
        "destination.labels[NAME]",
    ];

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some((start, rest)) = text.split_once('[')
            && let Some(form) = Self::NAMED.iter().find(|form| form.starts_with(start))
            && form[start.len()..].starts_with('[')
        {
            let name = rest.strip_suffix(']').unwrap_or_default();
            return Self::named(start, name)
                .ok_or_else(|| format!("expected `{form}`: `{text}`"))?;
        }
        let of_claim = |name: &str| Self::Claim(Box::new([name.into()]));
        let known = Self::ALL.into_iter().chain([
            ("request.auth.audiences", of_claim("aud")),
            ("request.auth.presenter", of_claim("azp")),
        ]);
        let names = || known.clone().map(|(name, _)| name);
        let key = known.clone().find(|(name, _)| *name == text);
        key.map(|(_, key)| key).ok_or_else(|| {
            let names: Vec<_> = Self::NAMED.into_iter().chain(names()).collect();
            format!("no such key: `{text}`; there are {}", names.join(", "))
        })
    }

    fn named(start: &str, name: &str) -> Option<Result<Self, String>> {
        match start {
            "request.headers" => Self::header(name),
            "request.auth.claims" => Self::claim(name).map(Ok),
            _ if !is_label(name) => None,
            "source.labels" => Some(Ok(Self::SourceLabel(name.into()))),
            _ => Some(Ok(Self::DestinationLabel(name.into()))),
        }
    }

    /// `a`, or `a][b` for the claim `b` within `a`.
    fn claim(names: &str) -> Option<Self> {
        let names: Vec<Box<str>> = names.split("][").map(Into::into).collect();
        let is_name = |name: &str| !name.is_empty() && !name.contains(['[', ']']);
        names
            .iter()
            .all(|name| is_name(name))
            .then(|| Self::Claim(names.into()))
    }

    fn header(name: &str) -> Option<Result<Self, String>> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        if name == "host" {
            return Some(Err("the host is matched by `hosts`".to_owned()));
        }
        Some(Ok(Self::Header(name.into_bytes().into())))
    }

    /// Whether it is known of HTTP only.
    pub(crate) fn is_of_http(&self) -> bool {
        matches!(
            self,
            Self::Header(_) | Self::Query | Self::RequestPrincipal | Self::Claim(_)
        )
    }

    /// Whether `text` can be a value of this key.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::SourceIp | Self::SourceRemoteIp | Self::DestinationIp => {
                pattern::ip_block(text).map(drop)
            }
            Self::DestinationPort => pattern::port(text).map(drop),
            Self::RequestPrincipal => RequestPrincipal::parse(text).map(drop),
            _ => self.pattern(text).map(drop),
        }
    }

    /// The pattern that `text` is, for keys whose values are texts.
    pub(crate) fn pattern(&self, text: &str) -> Result<Pattern, String> {
        match self {
            Self::SourcePrincipal | Self::DestinationPrincipal => Pattern::principal(text),
            Self::Sni => Pattern::server_name(text),
            Self::Transport => Pattern::transport(text),
            Self::SourceNamespace => Pattern::namespace(text),
            Self::SourceTrustDomain => Pattern::trust_domain(text),
            Self::SourceServiceAccount => Pattern::service_account(text),
            Self::SourceLabel(_) | Self::DestinationLabel(_) | Self::Claim(_) => {
                Pattern::parse(text)
            }
            Self::Query => Pattern::presence(text),
            _ => Pattern::field_value(text),
        }
    }
}

/// The name of a label, as Kubernetes has them.
fn is_label(name: &str) -> bool {
    let in_label = |b: u8| b.is_ascii_alphanumeric() || b"-._/:".contains(&b);
    !name.is_empty() && name.bytes().all(in_label)
}
