//! The regular expressions of Cilium's HTTP rules that are patterns in disguise, or that a narrower
//! pattern stands for. They match whole texts, as Envoy has it.

mod parts;

use self::parts::{Part, sequences};
use crate::pattern::Pattern;

/// What an expression is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The path and the query behind it.
    Path,
    /// The host and its port.
    Host,
    Method,
}

/// What an expression becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Patterns {
    /// One for each alternative. None of them matches what the expression does not.
    pub(super) texts: Vec<String>,
    /// What the expression matches and the patterns do not, if there is anything.
    pub(super) narrower: Vec<&'static str>,
}

const DOT: &str = "`.` is any character there, and a dot alone here";
const OPERATORS: &str = "`{*}` and `{**}` take no `*` and no `=`, which the expression does";
const QUERY: &str = "`.*` and `[^/]+` take a query there, and stand for the path alone here";

/// Reads `expression`.
///
/// # Errors
/// What in the expression no pattern can say.
pub(super) fn patterns(expression: &str, kind: Kind) -> Result<Patterns, String> {
    let mut patterns = Patterns::default();
    for sequence in sequences(expression, kind)? {
        let parts: Vec<_> = sequence.iter().map(|part| plain(part, kind)).collect();
        if parts.is_empty() {
            // Neither a path nor a host nor a method is empty.
            continue;
        }
        let text = pattern(&merged(&parts), kind).ok_or_else(|| {
            format!(
                "no pattern says `{expression}`: `.*` may stand at one end, `[^/]+` for a segment"
            )
        })?;
        let check = match kind {
            Kind::Path => Pattern::path,
            Kind::Host => Pattern::host,
            Kind::Method => Pattern::method,
        };
        let read = check(&text)?;
        if kind == Kind::Host && read.to_string() != text {
            return Err(format!("no host is written so: `{text}`"));
        }
        patterns.note(sequence.contains(&Part::AnyByte), DOT);
        patterns.note(text.contains('{'), OPERATORS);
        let takes_query = parts.len() > 1 && kind == Kind::Path && !is_prefix(&text);
        let is_open = parts.iter().any(|part| !matches!(part, Part::Literal(_)));
        patterns.note(takes_query && is_open, QUERY);
        if !patterns.texts.contains(&text) {
            patterns.texts.push(text);
        }
    }
    if patterns.texts.is_empty() {
        return Err(format!("matches nothing that there is: `{expression}`"));
    }
    Ok(patterns)
}

/// Whether whatever stands behind the beginning matches, a query too.
fn is_prefix(pattern: &str) -> bool {
    pattern.ends_with('*')
}

impl Patterns {
    fn note(&mut self, holds: bool, what: &'static str) {
        if holds && !self.narrower.contains(&what) {
            self.narrower.push(what);
        }
    }
}

/// The part without what differs by kind only.
fn plain(part: &Part, kind: Kind) -> Part {
    match part {
        Part::AnyByte => Part::Literal(".".to_owned()),
        // There is no slash in it.
        Part::Segment if kind != Kind::Path => Part::Something,
        other => other.clone(),
    }
}

/// Literals that stand beside each other are one.
fn merged(parts: &[Part]) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts {
        match (merged.last_mut(), part) {
            (Some(Part::Literal(text)), Part::Literal(more)) => text.push_str(more),
            (_, part) => merged.push(part.clone()),
        }
    }
    merged
}

fn pattern(parts: &[Part], kind: Kind) -> Option<String> {
    let is_literal = |text: &str| !text.contains(['*', '{', '}']);
    match parts {
        [Part::Literal(text)] => is_literal(text).then(|| text.clone()),
        [Part::Anything | Part::Something] => Some("*".to_owned()),
        [Part::Literal(text), Part::Anything] => is_literal(text).then(|| format!("{text}*")),
        [Part::Anything, Part::Literal(text)] => is_literal(text).then(|| format!("*{text}")),
        // No path and no host is the end alone.
        [Part::Something, Part::Literal(text)] if cannot_be(text, kind) => {
            is_literal(text).then(|| format!("*{text}"))
        }
        _ if kind == Kind::Path => template(parts),
        _ => None,
    }
}

/// Whether no path or host is `text`.
fn cannot_be(text: &str, kind: Kind) -> bool {
    match kind {
        Kind::Path => !text.starts_with('/'),
        Kind::Host => text.starts_with(['.', ':']),
        Kind::Method => false,
    }
}

/// Whether it is one that [`Template`](crate::template::Template) reads is checked with the rest.
fn template(parts: &[Part]) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) if literal.contains(['{', '}', '*']) => return None,
            Part::Literal(literal) => text.push_str(literal),
            Part::Segment => text.push_str("{*}"),
            Part::Anything => text.push_str("{**}"),
            Part::Something | Part::AnyByte => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests;
