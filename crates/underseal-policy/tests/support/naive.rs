//! What policies mean, written down once more and as plainly as possible: no index, no compiled
//! rule, no shortcut. It takes its words from the reference of Istio's AuthorizationPolicy.

use underseal_http::Request;
use underseal_policy::Connection;
use underseal_policy::model::{Action, AuthorizationPolicy, Condition, Operation, Rule, Source};

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

/// Of the rules that allow, the first of those that hold longest: its policy, its place and the key
/// at which it fails. `None` if a rule holds.
pub(crate) fn nearest<'p>(
    policies: &'p [AuthorizationPolicy],
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> Option<(&'p str, usize, String)> {
    let mut nearest: Option<((usize, usize), _)> = None;
    let allow = policies
        .iter()
        .filter(|policy| policy.spec.action == Action::Allow);
    for policy in allow {
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            let (held, key) = failed(&parts(rule, connection, request))?;
            if nearest.as_ref().is_none_or(|(most, _)| held > *most) {
                nearest = Some((held, (policy.metadata.name.as_str(), index, key)));
            }
        }
    }
    nearest.map(|(_, rule)| rule)
}

/// How many parts hold and how many keys of the next one, and the key that does not; of several
/// alternatives in that part, the first of those that hold longest.
fn failed(parts: &[Vec<Keys>]) -> Option<((usize, usize), String)> {
    let falls = |keys: &Keys| keys.iter().position(|(_, truth)| *truth != Some(true));
    let (part, alternatives) = parts.iter().enumerate().find(|(_, alternatives)| {
        !alternatives.is_empty() && alternatives.iter().all(|keys| falls(keys).is_some())
    })?;
    let held = alternatives.iter().filter_map(falls).max()?;
    let keys = alternatives.iter().find(|keys| falls(keys) == Some(held))?;
    Some(((part, held), keys[held].0.clone()))
}

/// The keys that are written, in the order in which they are looked at.
type Keys = Vec<(String, Truth)>;

/// `from`, `to` and `when` with their alternatives.
fn parts(
    rule: &Rule,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> [Vec<Keys>; 3] {
    let from = rule.from.iter();
    let to = rule.to.iter();
    let when = rule.when.iter();
    [
        from.map(|from| source(&from.source, connection)).collect(),
        to.map(|to| operation(&to.operation, connection, request))
            .collect(),
        vec![
            when.flat_map(|when| condition(when, connection, request))
                .collect(),
        ],
    ]
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
    and(parts(rule, connection, request).map(|alternatives| {
        let empty = alternatives.is_empty();
        let truths = alternatives
            .into_iter()
            .map(|keys| and(keys.into_iter().map(|(_, truth)| truth)));
        if empty { Some(true) } else { or(truths) }
    }))
}

fn source(source: &Source, connection: &Connection<'_>) -> Keys {
    let principal = connection.source.principal.known().map(str::as_bytes);
    let namespace = namespace(connection);
    let ip = connection.source.ip.map(|ip| ip.to_string());
    let in_block = |block: &String| {
        let ip = ip.as_ref()?;
        Some(ip == block || (block == "10.0.0.0/8" && ip.starts_with("10.")))
    };
    let keys = [
        (
            "source.principals",
            listed(&source.principals, |p| present(principal, p)),
        ),
        (
            "source.notPrincipals",
            unlisted(&source.not_principals, |p| present(principal, p)),
        ),
        (
            "source.namespaces",
            listed(&source.namespaces, |p| present(namespace, p)),
        ),
        (
            "source.notNamespaces",
            unlisted(&source.not_namespaces, |p| present(namespace, p)),
        ),
        ("source.ipBlocks", listed(&source.ip_blocks, in_block)),
        (
            "source.notIpBlocks",
            unlisted(&source.not_ip_blocks, in_block),
        ),
    ];
    written(keys)
}

fn operation(
    operation: &Operation,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> Keys {
    let port = |port: &String| Some(*port == connection.port.to_string());
    let of = |text: Option<&[u8]>, pattern: &str| text.map(|text| is(text, pattern));
    let host = |pattern: &String| {
        let pattern = pattern.to_ascii_lowercase();
        let (host, written) = (request?.host(), request?.authority());
        match (is(written, &pattern), is(host, &pattern)) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    };
    let method = |pattern: &String| of(request.map(Request::method), pattern);
    let path = |pattern: &String| of(request.and_then(Request::path), pattern);
    let keys = [
        ("operation.ports", listed(&operation.ports, port)),
        ("operation.notPorts", unlisted(&operation.not_ports, port)),
        ("operation.hosts", listed(&operation.hosts, host)),
        ("operation.notHosts", unlisted(&operation.not_hosts, host)),
        ("operation.methods", listed(&operation.methods, method)),
        (
            "operation.notMethods",
            unlisted(&operation.not_methods, method),
        ),
        ("operation.paths", listed(&operation.paths, path)),
        ("operation.notPaths", unlisted(&operation.not_paths, path)),
    ];
    written(keys)
}

fn condition(
    condition: &Condition,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
) -> Keys {
    let any_of = |patterns: &[String]| match &*condition.key {
        "source.namespace" => or(patterns.iter().map(|p| present(namespace(connection), p))),
        "request.headers[x]" => {
            let lines: Vec<_> = request?.header(b"x").collect();
            let joined = lines.join(&b","[..]);
            let held = |line: &[u8]| patterns.iter().any(|p| is(line, p));
            let mut readings = lines.iter().map(|line| held(line));
            let first = readings.next().unwrap_or(false);
            let agree = readings.all(|held| held == first);
            (lines.len() < 2 || (agree && held(&joined) == first)).then_some(first)
        }
        other => panic!("{other} is not generated"),
    };
    let values = (!condition.values.is_empty()).then(|| any_of(&condition.values));
    let not_values = (!condition.not_values.is_empty()).then(|| not(any_of(&condition.not_values)));
    written([(&*condition.key, values), (&*condition.key, not_values)])
}

fn written<'k>(keys: impl IntoIterator<Item = (&'k str, Option<Truth>)>) -> Keys {
    let keys = keys.into_iter();
    keys.filter_map(|(key, truth)| Some((key.to_owned(), truth?)))
        .collect()
}

/// Whether one of `values` holds; `None` if there are none.
fn listed(values: &[String], holds: impl Fn(&String) -> Truth) -> Option<Truth> {
    (!values.is_empty()).then(|| or(values.iter().map(holds)))
}

fn unlisted(values: &[String], holds: impl Fn(&String) -> Truth) -> Option<Truth> {
    listed(values, holds).map(not)
}

fn namespace<'a>(connection: &Connection<'a>) -> Option<&'a [u8]> {
    let id = connection.source.principal.known()?;
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
