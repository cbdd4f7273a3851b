//! What policies mean, written down once more and as plainly as possible: no index, no compiled
//! rule, no shortcut. It takes its words from the reference of Istio's AuthorizationPolicy.

use underseal_policy::model::{Action, AuthorizationPolicy, Condition, Operation, Rule, Source};
use underseal_policy::{Connection, Request};

/// The verdict, and the policy and rule that decided, if one did.
pub(crate) fn decide<'p>(
    policies: &'p [AuthorizationPolicy],
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> (bool, Option<(&'p str, usize)>) {
    let found = |action: Action| {
        let of_action = policies
            .iter()
            .filter(move |policy| policy.spec.action == action);
        let mut rules = of_action.flat_map(|policy| {
            let rules = policy.spec.rules.iter().enumerate();
            rules.map(|(index, rule)| (policy.metadata.name.as_str(), index, rule))
        });
        let lean = action != Action::Allow;
        rules
            .find(|(_, _, rule)| matches(rule, connection, request).unwrap_or(lean))
            .map(|(name, index, _)| (name, index))
    };
    if let Some(rule) = found(Action::Deny) {
        return (false, Some(rule));
    }
    if let Some(rule) = found(Action::Allow) {
        return (true, Some(rule));
    }
    let any_allow = policies
        .iter()
        .any(|policy| policy.spec.action == Action::Allow);
    (!any_allow, None)
}

/// Kleene's logic: `None` is what nobody knows.
type Truth = Option<bool>;

fn and(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let truths: Vec<_> = truths.into_iter().collect();
    if truths.contains(&Some(false)) {
        return Some(false);
    }
    if truths.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn or(truths: impl IntoIterator<Item = Truth>) -> Truth {
    and(truths.into_iter().map(not)).map(|all| !all)
}

fn not(truth: Truth) -> Truth {
    truth.map(|truth| !truth)
}

fn matches(rule: &Rule, connection: &Connection<'_>, request: Option<&Request<'_>>) -> Truth {
    let from = rule
        .from
        .iter()
        .map(|from| source(&from.source, connection));
    let to = rule
        .to
        .iter()
        .map(|to| operation(&to.operation, connection, request));
    let when = rule
        .when
        .iter()
        .map(|when| condition(when, connection, request));
    let some = |empty: bool, truths: Truth| if empty { Some(true) } else { truths };
    and([
        some(rule.from.is_empty(), or(from)),
        some(rule.to.is_empty(), or(to)),
        and(when),
    ])
}

fn source(source: &Source, connection: &Connection<'_>) -> Truth {
    let principal = connection.source.principal.map(str::as_bytes);
    let namespace = namespace(connection);
    let ip = connection.source.ip.map(|ip| ip.to_string());
    let in_block = |block: &String| {
        let ip = ip.as_ref()?;
        Some(ip == block || (block == "10.0.0.0/8" && ip.starts_with("10.")))
    };
    and([
        listed(&source.principals, |p| present(principal, p)),
        unlisted(&source.not_principals, |p| present(principal, p)),
        listed(&source.namespaces, |p| present(namespace, p)),
        unlisted(&source.not_namespaces, |p| present(namespace, p)),
        listed(&source.ip_blocks, in_block),
        unlisted(&source.not_ip_blocks, in_block),
    ])
}

fn operation(
    operation: &Operation,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> Truth {
    let port = |port: &String| Some(*port == connection.port.to_string());
    let of = |text: Option<&[u8]>, pattern: &str| text.map(|text| is(text, pattern));
    let host = |pattern: &String| of(request.map(Request::host), &pattern.to_ascii_lowercase());
    let method = |pattern: &String| of(request.map(Request::method), pattern);
    let path = |pattern: &String| of(request.and_then(Request::path), pattern);
    and([
        listed(&operation.ports, port),
        unlisted(&operation.not_ports, port),
        listed(&operation.hosts, host),
        unlisted(&operation.not_hosts, host),
        listed(&operation.methods, method),
        unlisted(&operation.not_methods, method),
        listed(&operation.paths, path),
        unlisted(&operation.not_paths, path),
    ])
}

fn condition(
    condition: &Condition,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> Truth {
    let any_of = |patterns: &[String]| match &*condition.key {
        "source.namespace" => or(patterns.iter().map(|p| present(namespace(connection), p))),
        "request.headers[x]" => {
            let lines: Vec<_> = request?.header(b"x").collect();
            let held = lines
                .iter()
                .filter(|line| patterns.iter().any(|p| is(line, p)));
            match held.count() {
                0 => Some(false),
                all if all == lines.len() => Some(true),
                _ => None,
            }
        }
        other => panic!("{other} is not generated"),
    };
    let values = (!condition.values.is_empty()).then(|| any_of(&condition.values));
    let not_values = (!condition.not_values.is_empty()).then(|| not(any_of(&condition.not_values)));
    and([
        values.unwrap_or(Some(true)),
        not_values.unwrap_or(Some(true)),
    ])
}

fn listed(values: &[String], holds: impl Fn(&String) -> Truth) -> Truth {
    if values.is_empty() {
        Some(true)
    } else {
        or(values.iter().map(holds))
    }
}

fn unlisted(values: &[String], holds: impl Fn(&String) -> Truth) -> Truth {
    not(or(values.iter().map(holds)))
}

fn namespace<'a>(connection: &Connection<'a>) -> Option<&'a [u8]> {
    let id = connection.source.principal?;
    let parts: Vec<_> = id.split('/').collect();
    match parts[..] {
        ["spiffe:", "", _, "ns", namespace, _, ..] => Some(namespace.as_bytes()),
        _ => None,
    }
}

/// A text that is known to be there or not.
fn present(text: Option<&[u8]>, pattern: &str) -> Truth {
    Some(text.is_some_and(|text| is(text, pattern)))
}

fn is(text: &[u8], pattern: &str) -> bool {
    if pattern.contains('{') {
        return segments(text, pattern);
    }
    if pattern == "*" {
        return true;
    }
    if let Some(prefix) = pattern.strip_suffix('*') {
        return text.starts_with(prefix.as_bytes());
    }
    if let Some(suffix) = pattern.strip_prefix('*') {
        return text.ends_with(suffix.as_bytes());
    }
    text == pattern.as_bytes()
}

/// A template, by trying every way to split the path.
fn segments(path: &[u8], template: &str) -> bool {
    if let Some(rest) = template.strip_prefix("{**}") {
        return (0..=path.len()).any(|at| segments(&path[at..], rest));
    }
    if let Some(rest) = template.strip_prefix("{*}") {
        let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
        return end > 0 && segments(&path[end..], rest);
    }
    match (template.as_bytes().split_first(), path.split_first()) {
        (None, None) => true,
        (Some((wanted, _)), Some((found, path))) => {
            wanted == found && segments(path, &template[1..])
        }
        _ => false,
    }
}
