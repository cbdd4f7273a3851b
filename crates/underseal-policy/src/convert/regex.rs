//! The regular expressions of Cilium's HTTP rules that are patterns in disguise.

/// How many alternatives one expression may have.
const MAX_ALTERNATIVES: usize = 64;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `.*`
    Anything,
    /// `[^/]+`
    Segment,
}

/// What an expression becomes, one pattern for each of its alternatives. The expression matches
/// whole texts, as Envoy has it.
///
/// # Errors
/// What in the expression no pattern can say.
pub(super) fn patterns(expression: &str) -> Result<Vec<String>, String> {
    let mut patterns = Vec::new();
    for alternative in alternatives(expression)? {
        let pattern = pattern(&parts(&alternative)?).ok_or_else(|| {
            format!(
                "no pattern says `{expression}`: `.*` may stand at one end, `[^/]+` for a segment"
            )
        })?;
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// The expression without `|`, once for each way to choose.
fn alternatives(expression: &str) -> Result<Vec<String>, String> {
    let mut open = vec![expression.to_owned()];
    let mut closed = Vec::new();
    while let Some(expression) = open.pop() {
        if open.len() + closed.len() >= MAX_ALTERNATIVES {
            return Err(format!("more than {MAX_ALTERNATIVES} alternatives"));
        }
        let at = |byte| unescaped(&expression, byte);
        match (at(b'('), at(b')'), at(b'|')) {
            // Before any group, `|` divides the whole.
            (start, _, Some(bar)) if start.is_none_or(|start| bar < start) => {
                open.push(expression[bar + 1..].to_owned());
                open.push(expression[..bar].to_owned());
            }
            (Some(start), Some(end), _) if start < end => {
                let (before, inner) = (&expression[..start], &expression[start + 1..end]);
                let after = &expression[end + 1..];
                if inner.contains(['(', '?']) || after.starts_with(['*', '+', '?', '{']) {
                    return Err(format!("no pattern says the group of `{expression}`"));
                }
                if unescaped(after, b'|')
                    .is_some_and(|bar| unescaped(after, b'(').is_none_or(|group| bar < group))
                {
                    return Err(format!("`|` beside a group: `{expression}`"));
                }
                let mut choices: Vec<_> = inner.split('|').collect();
                choices.reverse();
                open.extend(
                    choices
                        .iter()
                        .map(|choice| format!("{before}{choice}{after}")),
                );
            }
            (None, None, None) => closed.push(expression),
            _ => return Err(format!("the parentheses of `{expression}` do not close")),
        }
    }
    Ok(closed)
}

/// Where `byte` stands, not behind a backslash.
fn unescaped(expression: &str, byte: u8) -> Option<usize> {
    let mut escaped = false;
    expression.bytes().position(|found| {
        let hit = found == byte && !escaped;
        escaped = found == b'\\' && !escaped;
        hit
    })
}

fn parts(expression: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let rest = expression.strip_prefix('^').unwrap_or(expression);
    let mut rest = match rest.strip_suffix('$') {
        Some(before) if !before.ends_with('\\') => before,
        _ => rest,
    };
    while let Some(next) = rest.chars().next() {
        let (part, after) = if let Some(after) = rest.strip_prefix(".*") {
            (Part::Anything, after)
        } else if let Some(after) = rest.strip_prefix("[^/]+") {
            (Part::Segment, after)
        } else if let Some(after) = rest.strip_prefix('\\') {
            escaped(after, expression)?
        } else if ".*+?[]{}()|^$".contains(next) {
            let hint = if next == '.' {
                "; for a dot write `\\.`"
            } else {
                ""
            };
            return Err(format!("no pattern says `{next}` of `{expression}`{hint}"));
        } else {
            (Part::Literal(next.to_string()), &rest[next.len_utf8()..])
        };
        if after.starts_with(['?', '+', '*', '{']) {
            return Err(format!("no pattern says the repetition of `{expression}`"));
        }
        rest = after;
        match (parts.last_mut(), part) {
            (Some(Part::Literal(text)), Part::Literal(more)) => text.push_str(&more),
            (_, part) => parts.push(part),
        }
    }
    Ok(parts)
}

/// A character behind a backslash: itself, if it is no letter or digit.
fn escaped<'e>(rest: &'e str, expression: &str) -> Result<(Part, &'e str), String> {
    match rest.chars().next() {
        Some(literal) if literal.is_ascii_punctuation() => {
            Ok((Part::Literal(literal.to_string()), &rest[1..]))
        }
        _ => Err(format!("no pattern says the class in `{expression}`")),
    }
}

fn pattern(parts: &[Part]) -> Option<String> {
    let star = |text: &str| text.contains('*');
    match parts {
        [Part::Literal(text)] => (!star(text)).then(|| text.clone()),
        [Part::Anything] => Some("*".to_owned()),
        [Part::Literal(text), Part::Anything] => (!star(text)).then(|| format!("{text}*")),
        [Part::Anything, Part::Literal(text)] => (!star(text)).then(|| format!("*{text}")),
        _ if parts.contains(&Part::Segment) => template(parts),
        _ => None,
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
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_in_disguise_are_found() {
        for (expression, expected) in [
            ("GET", &["GET"][..]),
            ("^GET$", &["GET"]),
            ("GET|POST", &["GET", "POST"]),
            ("(GET|POST|PUT)", &["GET", "POST", "PUT"]),
            ("/public", &["/public"]),
            ("/v1/.*", &["/v1/*"]),
            (".*", &["*"]),
            (".*\\.example\\.com", &["*.example.com"]),
            ("/a\\.html", &["/a.html"]),
            ("/v1/[^/]+", &["/v1/{*}"]),
            ("/v1/[^/]+/items/.*", &["/v1/{*}/items/{**}"]),
            ("/(a|b)/(c|d)", &["/a/c", "/a/d", "/b/c", "/b/d"]),
            ("/(a|b)/.*", &["/a/*", "/b/*"]),
            ("/a\\|b", &["/a|b"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(patterns(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_no_pattern_says_is_refused() {
        for expression in [
            "/index.html",
            "/a.+",
            "/a?",
            "/a*",
            "/a+",
            "/[0-9]+",
            "/[^/]*",
            "/\\d+",
            "/a{2}",
            "/.*/b",
            ".*a.*",
            "/(a|b)+",
            "/(a",
            "/a)",
            "(?i)get",
            "/(a(b|c))",
            "/a\\",
            "/a\\*",
            "/x.*y",
            "[^/]+.*?",
            "/a$b",
            "(a|b)|c",
            "/a\\*.*",
        ] {
            assert!(
                patterns(expression).is_err(),
                "{expression}: {:?}",
                patterns(expression)
            );
        }
        let many = "(a|b|c|d)".repeat(8);
        assert!(patterns(&many).is_err());
    }
}
