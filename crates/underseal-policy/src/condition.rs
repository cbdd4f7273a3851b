//! The keys of `when`.

use crate::pattern::{self, Pattern};

/// What a condition asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Every field line of this name, in lower case.
    Header(Box<[u8]>),
    SourceIp,
    SourceNamespace,
    SourcePrincipal,
    DestinationIp,
    DestinationPort,
    DestinationPrincipal,
    Sni,
    Query,
}

impl Key {
    const ALL: [(&str, Self); 8] = [
        ("source.ip", Self::SourceIp),
        ("source.namespace", Self::SourceNamespace),
        ("source.principal", Self::SourcePrincipal),
        ("destination.ip", Self::DestinationIp),
        ("destination.port", Self::DestinationPort),
        ("destination.principal", Self::DestinationPrincipal),
        ("connection.sni", Self::Sni),
        ("request.query", Self::Query),
    ];

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("request.headers[") {
            let name = rest.strip_suffix(']').unwrap_or_default();
            return Self::header(name)
                .ok_or_else(|| format!("expected `request.headers[NAME]`: `{text}`"))?;
        }
        let known = Self::ALL.into_iter().find(|(name, _)| *name == text);
        known.map(|(_, key)| key).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("no such key: `{text}`; there are request.headers[NAME], {names}")
        })
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

    /// Whether `text` can be a value of this key.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::SourceIp | Self::DestinationIp => pattern::ip_block(text).map(drop),
            Self::DestinationPort => pattern::port(text).map(drop),
            _ => self.pattern(text).map(drop),
        }
    }

    /// The pattern that `text` is, for keys whose values are texts.
    pub(crate) fn pattern(&self, text: &str) -> Result<Pattern, String> {
        match self {
            Self::SourcePrincipal | Self::DestinationPrincipal => Pattern::principal(text),
            Self::Sni => Pattern::server_name(text),
            Self::SourceNamespace => Pattern::namespace(text),
            Self::Query => Pattern::presence(text),
            _ => Pattern::field_value(text),
        }
    }
}
