//! What Istio decides, written from its source (`pilot/pkg/security/authz/model`, `trustdomain`) and
//! Envoy's matchers, as regular expressions where those are: nothing of the crate is used.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;
use serde_json::Value;

/// The mesh that policies are applied in.
pub(crate) struct Mesh {
    /// The trust domain and its aliases.
    pub(crate) domains: Vec<String>,
    pub(crate) root_namespace: String,
}

/// Who judges.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// All that Istio knows of a request, or of a connection that does not speak HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) source: Option<String>,
    pub(crate) source_ip: IpAddr,
    pub(crate) destination_ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) sni: Option<String>,
    /// What a token that was verified says.
    pub(crate) claims: Option<Value>,
    pub(crate) http: Option<Http>,
}

#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// Whether an attribute has a value; `None` if it is of HTTP and none is spoken.
type Held = Option<bool>;

pub(crate) fn allows(mesh: &Mesh, policies: &[Value], workload: &Workload, sent: &Sent) -> bool {
    let enforced: Vec<_> = policies
        .iter()
        .filter(|policy| mesh.applies(policy, workload) && !is_dry_run(policy))
        .collect();
    let of = |action: &'static str| {
        let policies = enforced.iter();
        policies.filter(move |policy| text(&policy["spec"]["action"]).unwrap_or("ALLOW") == action)
    };
    let matched = |policy: &Value, action| {
        let namespace = text(&policy["metadata"]["namespace"]).expect("a namespace");
        let rules = list(&policy["spec"]["rules"]);
        let judge = Judge {
            mesh,
            namespace,
            sent,
        };
        rules
            .iter()
            .any(|rule| judge.rule(rule, action) == Some(true))
    };
    if of("DENY").any(|policy| matched(policy, "DENY")) {
        return false;
    }
    of("ALLOW").next().is_none() || of("ALLOW").any(|policy| matched(policy, "ALLOW"))
}

fn is_dry_run(policy: &Value) -> bool {
    let mark = text(&policy["metadata"]["annotations"]["istio.io/dry-run"]);
    mark.is_some_and(|mark| ["1", "t", "T", "TRUE", "true", "True"].contains(&mark))
}

const GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";

impl Mesh {
    fn applies(&self, policy: &Value, workload: &Workload) -> bool {
        let namespace = text(&policy["metadata"]["namespace"]).expect("a namespace");
        if namespace != self.root_namespace && namespace != workload.namespace {
            return false;
        }
        let label = |name: &str| {
            let mut labels = workload.labels.iter();
            labels
                .find(|(label, _)| label == name)
                .map(|(_, value)| &**value)
        };
        let spec = &policy["spec"];
        let mut targets: Vec<_> = list(&spec["targetRefs"]).iter().collect();
        if targets.is_empty() && spec["targetRef"].is_object() {
            targets.push(&spec["targetRef"]);
        }
        if !targets.is_empty() {
            return namespace == workload.namespace
                && targets.iter().any(|target| {
                    text(&target["kind"]) == Some("Gateway")
                        && text(&target["name"]) == label(GATEWAY)
                });
        }
        let labels = spec["selector"]["matchLabels"].as_object();
        labels.is_none_or(|labels| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| label(name) == text(value))
        })
    }

    /// Identities of the mesh's trust domain, under each of its names.
    fn principals(&self, principal: &str) -> Vec<String> {
        let parts: Vec<_> = principal.split('/').collect();
        let [domain, rest @ ..] = &*parts else {
            return vec![principal.to_owned()];
        };
        let is_known = self.domains.iter().any(|own| is_one(domain, own));
        if rest.len() != 4 || *domain == "*" || !(is_known || *domain == "cluster.local") {
            return vec![principal.to_owned()];
        }
        let mut all = Vec::new();
        for own in &self.domains {
            let end = domain.strip_prefix('*');
            let name = if end.is_some_and(|end| own.ends_with(end)) {
                principal.to_owned()
            } else {
                format!("{own}/{}", rest.join("/"))
            };
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    fn trust_domains(&self, domain: &str) -> Vec<String> {
        if self.domains.iter().any(|own| own == domain) {
            self.domains.clone()
        } else {
            vec![domain.to_owned()]
        }
    }
}

/// Whether a trust domain, or a pattern of one, is `own`.
fn is_one(domain: &str, own: &str) -> bool {
    let prefix = domain.strip_suffix('*');
    let suffix = domain.strip_prefix('*');
    domain == own
        || prefix.is_some_and(|prefix| own.starts_with(prefix))
        || suffix.is_some_and(|suffix| own.ends_with(suffix))
}

/// One policy and one request.
struct Judge<'a> {
    mesh: &'a Mesh,
    namespace: &'a str,
    sent: &'a Sent,
}

impl Judge<'_> {
    /// `None` if the rule is left out.
    fn rule(&self, rule: &Value, action: &str) -> Held {
        let when = list(&rule["when"]);
        let when: Vec<_> = when
            .iter()
            .map(|when| self.condition(when, action))
            .collect();
        let any_of = |key: &str, item: &str, keys: &[&str]| -> Held {
            let alternatives = list(&rule[key]);
            if alternatives.is_empty() {
                return Some(true);
            }
            let held: Vec<_> = alternatives
                .iter()
                .map(|one| self.all_of(&one[item], keys, action))
                .collect();
            // One of HTTP leaves out the whole rule.
            held.iter()
                .try_fold(false, |any, held| Some(any | (*held)?))
        };
        let from = any_of("from", "source", &SOURCE);
        let to = any_of("to", "operation", &OPERATION);
        when.into_iter()
            .chain([from, to])
            .try_fold(true, |all, held| Some(all & held?))
    }

    fn all_of(&self, object: &Value, keys: &[&str], action: &str) -> Held {
        let mut all = true;
        for key in keys {
            let not = format!("not{}{}", key[..1].to_uppercase(), &key[1..]);
            all &= self.held(key, &object[*key], false, action)?;
            all &= self.held(key, &object[&*not], true, action)?;
        }
        Some(all)
    }

    fn condition(&self, when: &Value, action: &str) -> Held {
        let key = text(&when["key"]).expect("a key");
        let values = self.held(key, &when["values"], false, action)?;
        Some(values & self.held(key, &when["notValues"], true, action)?)
    }

    fn held(&self, key: &str, values: &Value, negated: bool, action: &str) -> Held {
        let values: Vec<_> = list(values).iter().filter_map(text).collect();
        if values.is_empty() {
            return Some(true);
        }
        match self.attribute(key, &values) {
            Some(held) => Some(held != negated),
            // DENY leaves out what is of HTTP alone, ALLOW the rule.
            None if action == "ALLOW" => None,
            None => Some(true),
        }
    }

    fn attribute(&self, key: &str, values: &[&str]) -> Held {
        let Sent {
            source, sni, http, ..
        } = self.sent;
        let any = |test: &dyn Fn(&str) -> bool| values.iter().any(|value| test(value));
        let identity = |patterns: Vec<String>| {
            let mut patterns = patterns.into_iter();
            source
                .as_ref()
                .is_some_and(|id| patterns.any(|pattern| full(&pattern, id)))
        };
        let of = |made: &dyn Fn(&str) -> Vec<String>| {
            let patterns = values.iter().flat_map(|value| made(value));
            Some(identity(patterns.collect()))
        };
        match key {
            "principals" | "source.principal" => of(&|value| {
                let names = self.mesh.principals(value).into_iter();
                names.map(|name| spiffe(&name)).collect()
            }),
            "namespaces" | "source.namespace" => {
                // As it is written: a dot is any character.
                of(&|value| vec![format!(".*/ns/{}/.*", value.replace('*', ".*"))])
            }
            "serviceAccounts" | "source.serviceAccount" => of(&|value| {
                let (namespace, name) = value.split_once('/').unwrap_or((self.namespace, value));
                vec![format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?")]
            }),
            "trustDomains" | "source.trustDomain" => of(&|value| {
                let names = self.mesh.trust_domains(value).into_iter();
                names
                    .map(|name| match &*name {
                        "*" => "spiffe://.*".to_owned(),
                        name => format!("spiffe://{}/.*", starred(name, "[^/]*")),
                    })
                    .collect()
            }),
            "ipBlocks" | "source.ip" | "remoteIpBlocks" | "remote.ip" => {
                Some(any(&|value| in_block(value, self.sent.source_ip)))
            }
            "destination.ip" => Some(any(&|value| in_block(value, self.sent.destination_ip))),
            "ports" | "destination.port" => Some(any(&|value| value.parse() == Ok(self.sent.port))),
            "connection.sni" => {
                // Envoy keeps it in lower case (`setRequestedServerName`).
                let name = sni.as_deref().unwrap_or_default().to_lowercase();
                Some(any(&|value| full(&string(value), &name)))
            }
            _ => {
                let http = http.as_ref()?;
                Some(match key {
                    "methods" => any(&|value| header(value, &http.method)),
                    "hosts" => {
                        any(&|value| header(&value.to_lowercase(), &http.host.to_lowercase()))
                    }
                    "paths" => any(&|value| path(value, &http.path)),
                    _ => self.http_attribute(key, values, http),
                })
            }
        }
    }

    fn http_attribute(&self, key: &str, values: &[&str], http: &Http) -> bool {
        if let Some(name) = bracketed("request.headers", key) {
            let lines: Vec<_> = http
                .fields
                .iter()
                .filter(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| &**value)
                .collect();
            let joined = lines.join(",");
            return !lines.is_empty() && values.iter().any(|value| header(value, &joined));
        }
        let Some(claims) = &self.sent.claims else {
            return false;
        };
        let string_is =
            |value: &Value, pattern: &str| text(value).is_some_and(|text| full(pattern, text));
        let listed = |value: &Value| {
            let items = list(value).iter().chain([value]);
            let mut texts = items.filter_map(text);
            texts.any(|text| values.iter().any(|value| full(&string(value), text)))
        };
        match key {
            "requestPrincipals" | "request.auth.principal" => values.iter().any(|value| {
                let (issuer, subject) = request_principal(value);
                string_is(&claims["iss"], &issuer) && string_is(&claims["sub"], &subject)
            }),
            "request.auth.audiences" => listed(&claims["aud"]),
            "request.auth.presenter" => listed(&claims["azp"]),
            _ => {
                let names = bracketed("request.auth.claims", key).expect("a key of Istio");
                let mut found = claims;
                for name in names.split("][") {
                    found = &found[name];
                }
                let is_spaced = ["scope", "permission"].contains(&names);
                match text(found) {
                    Some(words) if is_spaced => listed(&words.split(' ').collect()),
                    _ => listed(found),
                }
            }
        }
    }
}

const SOURCE: [&str; 7] = [
    "principals",
    "requestPrincipals",
    "namespaces",
    "serviceAccounts",
    "trustDomains",
    "ipBlocks",
    "remoteIpBlocks",
];

const OPERATION: [&str; 4] = ["hosts", "methods", "paths", "ports"];

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bracketed<'k>(start: &str, key: &'k str) -> Option<&'k str> {
    key.strip_prefix(start)?
        .strip_prefix('[')?
        .strip_suffix(']')
}

/// Whether the whole text is what the expression says.
fn full(pattern: &str, text: &str) -> bool {
    let pattern = format!("^(?s-u:{pattern})$");
    let pattern = regex::bytes::Regex::new(&pattern).expect("an expression");
    pattern.is_match(text.as_bytes())
}

fn starred(value: &str, star: &str) -> String {
    let parts: Vec<_> = value.split('*').map(regex::escape).collect();
    parts.join(star)
}

/// `StringMatcher`.
fn string(value: &str) -> String {
    let escaped = regex::escape;
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(""), _) => ".+".to_owned(),
        (Some(end), _) => format!(".*{}", escaped(end)),
        (_, Some(start)) => format!("{}.*", escaped(start)),
        (None, None) => escaped(value),
    }
}

/// `StringMatcherWithPrefix`.
fn spiffe(value: &str) -> String {
    match value.strip_prefix('*') {
        Some("") => string(value),
        // As it is written: a dot is any character.
        Some(end) => format!("spiffe://.*{end}"),
        None => format!("spiffe://{}", string(value)),
    }
}

/// `HeaderMatcher`, of a field that is there.
fn header(value: &str, found: &str) -> bool {
    value == "*" || full(&string(value), found)
}

/// `PathMatcher`, or Envoy's URI template.
fn path(value: &str, found: &str) -> bool {
    const LITERAL: &str = r"a-zA-Z0-9\-._~%!$&'()+,;:@";
    if !value.contains("{*}") && !value.contains("{**}") {
        return full(&string(value), found);
    }
    let operator = Regex::new(r"\\\{\\\*(\\\*)?\\\}").expect("an expression");
    let pattern = regex::escape(value);
    let pattern =
        operator.replace_all(&pattern, |found: &regex::Captures<'_>| match found.get(1) {
            None => format!("[{LITERAL}]+"),
            Some(_) => format!("[{LITERAL}/]*"),
        });
    full(&pattern, found)
}

/// What the issuer and the subject must be.
fn request_principal(value: &str) -> (String, String) {
    let any = || ".+".to_owned();
    let parts = value.rsplit_once('/');
    match (value.strip_prefix('*'), value.strip_suffix('*'), parts) {
        (Some(""), ..) => (any(), any()),
        (Some(_), _, Some((issuer, subject))) => (string(issuer), regex::escape(subject)),
        (Some(_), _, None) => (any(), string(value)),
        (_, Some(_), Some((issuer, subject))) => (regex::escape(issuer), string(subject)),
        (_, Some(_), None) => (string(value), any()),
        (None, None, Some((issuer, subject))) => (regex::escape(issuer), regex::escape(subject)),
        (None, None, None) => (regex::escape(value), String::new()),
    }
}

fn in_block(block: &str, ip: IpAddr) -> bool {
    match block.parse::<IpAddr>() {
        Ok(address) => address == ip,
        Err(_) => block.parse::<IpNet>().expect("a block").contains(&ip),
    }
}
