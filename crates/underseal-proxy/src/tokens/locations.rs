//! Where the token of a request stands.

use std::borrow::Cow;

use underseal_http::Request;
use underseal_policy::model::JwtRule;

use super::BadToken;

/// A part of a request whose value is a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer,
    Field {
        name: String,
        /// What stands before the token.
        prefix: String,
    },
    Parameter(String),
    Cookie(String),
}

impl Location {
    /// The locations of an issuer's tokens.
    pub(super) fn all(rule: &JwtRule) -> Vec<Self> {
        let fields = rule.from_headers.iter().map(|header| {
            let is_bearer = header.name.eq_ignore_ascii_case("authorization")
                && header.prefix.trim_end() == "Bearer";
            if is_bearer {
                return Self::Bearer;
            }
            Self::Field {
                name: header.name.to_ascii_lowercase(),
                prefix: header.prefix.clone(),
            }
        });
        let parameters = rule.from_params.iter().cloned().map(Self::Parameter);
        let cookies = rule.from_cookies.iter().cloned().map(Self::Cookie);
        let mut all: Vec<_> = fields.chain(parameters).chain(cookies).collect();
        if all.is_empty() {
            all.push(Self::Bearer);
            all.push(Self::Parameter("access_token".to_owned()));
        }
        all
    }

    /// The field that it stands in, if it is one.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::Bearer => Some("authorization"),
            Self::Field { name, .. } => Some(name),
            Self::Cookie(_) => Some("cookie"),
            Self::Parameter(_) => None,
        }
    }

    /// Tells each token that stands there.
    pub(super) fn each<'r>(
        &self,
        request: &'r Request<'_>,
        mut tell: impl FnMut(Cow<'r, [u8]>) -> Result<(), BadToken>,
    ) -> Result<(), BadToken> {
        match self {
            Self::Bearer => {
                let mut lines = request.header(b"authorization").filter_map(bearer);
                lines.try_for_each(|token| tell(token.into()))
            }
            Self::Field { name, prefix } => {
                let lines = request.header(name.as_bytes());
                let mut tokens = lines.filter_map(|line| line.strip_prefix(prefix.as_bytes()));
                tokens.try_for_each(|token| tell(token.into()))
            }
            Self::Parameter(name) => {
                let query = request.query().unwrap_or_default();
                let mut pairs = query.split(|byte| *byte == b'&').map(pair);
                pairs.try_for_each(|(key, value)| match decoded(key) == name.as_bytes() {
                    true => tell(decoded(value).into()),
                    false => Ok(()),
                })
            }
            Self::Cookie(name) => {
                let mut cookies = request.cookie(name.as_bytes());
                cookies.try_for_each(|token| tell(token.into()))
            }
        }
    }
}

/// What stands behind the scheme, whose case does not matter (RFC 9110 section 11.1). Of other schemes
/// nothing is a token.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer";
    let (scheme, rest) = line.split_at_checked(SCHEME.len())?;
    let is_bearer =
        scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_bearer.then(|| rest.trim_ascii())
}

/// What stands before the first `=`, and behind it.
fn pair(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// With `%XX` decoded.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = match byte {
            b'%' => digit(text.get(at + 1)).zip(digit(text.get(at + 2))),
            _ => None,
        };
        match escaped {
            // Two hexadecimal digits are a byte.
            Some((high, low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}
