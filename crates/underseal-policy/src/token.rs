//! What a token of a request says (RFC 7519), and what is asked of it. Whether the token is to be
//! believed is for whoever verified its signature.

use std::fmt;

use serde_json::{Map, Value};

use crate::pattern::Pattern;

/// The claims of a JSON Web Token that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

/// Claims that are lists of words with spaces between them (RFC 8693 section 4.2).
const SPACED: [&str; 2] = ["scope", "permission"];

impl Claims {
    /// The claims of a payload. Those named in `spaced`, `scope` and `permission` are lists of the
    /// words that they consist of.
    pub fn new(mut payload: Map<String, Value>, spaced: &[String]) -> Self {
        let named = spaced.iter().map(String::as_str);
        for name in SPACED.into_iter().chain(named) {
            if let Some(value) = payload.get_mut(name)
                && let Some(words) = value.as_str()
            {
                *value = words.split(' ').collect();
            }
        }
        Self(payload)
    }

    /// The text of a claim, if it is one.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The claim that `names` lead to.
    pub(crate) fn find(&self, names: &[Box<str>]) -> Option<&Value> {
        let (first, rest) = names.split_first()?;
        let claim = self.0.get(&**first)?;
        rest.iter()
            .try_fold(claim, |claim, name| claim.as_object()?.get(&**name))
    }
}

/// What is known of the token of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Token<'a> {
    /// Nobody looked for one: what is asked of it is decided against the request.
    #[default]
    Unknown,
    /// There is none.
    Absent,
    /// It was verified, and says this.
    Is(&'a Claims),
}

/// A text of the claim, or a text in the list that it is, that has `is`.
pub(crate) fn any_text(claim: &Value, is: impl Fn(&str) -> bool) -> bool {
    match claim {
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

/// A pattern of issuer and subject, as Istio reads `ISSUER/SUBJECT`: the last slash is between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPrincipal {
    issuer: Pattern,
    subject: Pattern,
    written: Box<str>,
}

impl RequestPrincipal {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // What any of it may be.
        Pattern::parse(text)?;
        let exact = |text: &str| Pattern::Exact(text.as_bytes().into());
        let (issuer, subject) = match text.rsplit_once('/') {
            Some((issuer, subject)) if text.starts_with('*') => {
                (Pattern::parse(issuer)?, exact(subject))
            }
            Some((issuer, subject)) if text.ends_with('*') => {
                (exact(issuer), Pattern::parse(subject)?)
            }
            Some((issuer, subject)) => (exact(issuer), exact(subject)),
            None if text.starts_with('*') => (Pattern::Present, Pattern::parse(text)?),
            None if text.ends_with('*') => (Pattern::parse(text)?, Pattern::Present),
            // Exact, and without a subject: no one.
            None => return Err(format!("expected ISSUER/SUBJECT: `{text}`")),
        };
        Ok(Self {
            issuer,
            subject,
            written: text.into(),
        })
    }

    pub(crate) fn matches(&self, claims: &Claims) -> bool {
        let is = |name, pattern: &Pattern| {
            let text = claims.text(name);
            // What is there and empty is not there to `*`.
            let is_there = |text: &str| !text.is_empty() || *pattern != Pattern::Present;
            text.is_some_and(|text| is_there(text) && pattern.matches(text.as_bytes()))
        };
        is("iss", &self.issuer) && is("sub", &self.subject)
    }
}

/// As it was written.
impl fmt::Display for RequestPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Display for Claims {
    /// The issuer and the subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |name| self.text(name).unwrap_or("none");
        write!(f, "{}/{}", text("iss"), text("sub"))
    }
}
