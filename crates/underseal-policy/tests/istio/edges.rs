//! Requests at the edges of the values that policies name: each value, one character more and less,
//! in other case, and without it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::mesh::{Http, Mesh, Sent};

/// One thing of a request made something else.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Source(Option<String>),
    Ip(IpAddr),
    Destination(IpAddr),
    Port(u16),
    Sni(Option<String>),
    Method(String),
    Path(String),
    Host(String),
    Field(String, Vec<String>),
    /// A claim, by the names that lead to it.
    Claim(Vec<String>, Option<Value>),
    NoToken,
    NoHttp,
}

impl Change {
    pub(crate) fn apply(&self, sent: &mut Sent) {
        match self.clone() {
            Self::Source(id) => sent.source = id,
            Self::Ip(ip) => sent.source_ip = ip,
            Self::Destination(ip) => sent.destination_ip = ip,
            Self::Port(port) => sent.port = port,
            Self::Sni(name) => sent.sni = name,
            Self::NoToken => sent.claims = None,
            Self::NoHttp => sent.http = None,
            Self::Claim(names, value) => {
                let token = || json!({ "iss": "https://issuer.test", "sub": "nobody" });
                let mut at = sent.claims.get_or_insert_with(token);
                for name in &names[..names.len() - 1] {
                    if !at[name].is_object() {
                        at[name] = json!({});
                    }
                    at = &mut at[name];
                }
                match (value, names.last()) {
                    (Some(value), Some(name)) => at[name] = value,
                    (None, Some(name)) => drop(at.as_object_mut().map(|at| at.remove(name))),
                    (_, None) => {}
                }
            }
            of_http => {
                let Some(http) = &mut sent.http else { return };
                match of_http {
                    Self::Method(method) => http.method = method,
                    Self::Path(path) => http.path = path,
                    Self::Host(host) => http.host = host,
                    Self::Field(name, lines) => {
                        http.fields.retain(|(field, _)| *field != name);
                        let lines = lines.into_iter().map(|line| (name.clone(), line));
                        http.fields.extend(lines);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A request that no policy says anything of.
pub(crate) fn plain() -> Sent {
    Sent {
        source: None,
        source_ip: "203.0.113.7".parse().expect("an address"),
        destination_ip: "203.0.113.8".parse().expect("an address"),
        port: 443,
        sni: None,
        claims: None,
        http: Some(Http {
            method: "OPTIONS".to_owned(),
            path: "/".to_owned(),
            host: "nobody.test".to_owned(),
            fields: Vec::new(),
        }),
    }
}

/// What every policy is asked, whatever it says.
pub(crate) fn always() -> Vec<Change> {
    let id = |id: &str| Change::Source(Some(id.to_owned()));
    vec![
        Change::Source(None),
        id("spiffe://corp/ns/default/sa/default"),
        id("spiffe://other/ns/other/sa/other"),
        id("spiffe://corp"),
        id("spiffe://corp/ns/a/sa/b/c"),
        id("spiffe://corp/x/ns/a/sa/b"),
        Change::Ip("::1".parse().expect("an address")),
        Change::Ip("10.0.0.1".parse().expect("an address")),
        Change::Port(80),
        Change::Port(9000),
        Change::Sni(Some("nobody.test".to_owned())),
        Change::Method("GET".to_owned()),
        Change::Method("POST".to_owned()),
        Change::Path("/other".to_owned()),
        Change::Path("/a/b=c".to_owned()),
        Change::Host("nobody.test:8080".to_owned()),
        Change::Host("[2001:db8::1]:443".to_owned()),
        Change::NoToken,
        Change::Claim(vec!["sub".to_owned()], Some(json!("somebody"))),
        Change::NoHttp,
    ]
}

/// What the values of a key suggest to ask; first what has the value.
pub(crate) fn of(mesh: &Mesh, namespace: &str, key: &str, value: &str) -> Vec<Change> {
    let ids = |ids: Vec<String>| {
        let ids = ids.into_iter().filter(|id| is_id(id));
        ids.map(|id| Change::Source(Some(id))).collect()
    };
    let domain = &mesh.domains[0];
    let key = match key.strip_prefix("not") {
        Some(rest) => format!("{}{}", rest[..1].to_lowercase(), &rest[1..]),
        None => key.to_owned(),
    };
    match &*key {
        "principals" | "source.principal" => ids(principals(mesh, value)),
        "namespaces" | "source.namespace" => {
            let names = around(value).into_iter();
            ids(names
                .map(|name| format!("spiffe://{domain}/ns/{name}/sa/x"))
                .collect())
        }
        "serviceAccounts" | "source.serviceAccount" => {
            let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
            let id = |namespace: &str, name: &str| format!("spiffe://td/ns/{namespace}/sa/{name}");
            let names = around(name);
            let names = names.iter().map(|name| id(namespace, name));
            let namespaces = around(namespace);
            let namespaces = namespaces.iter().map(|namespace| id(namespace, name));
            let odd = [
                format!("spiffe://td/ns/{namespace}/x/sa/{name}"),
                format!("spiffe://td/ns/{namespace}/sa/{name}/x"),
                format!("spiffe://td/x/ns/{namespace}/sa/{name}"),
            ];
            ids(names.chain(namespaces).chain(odd).collect())
        }
        "trustDomains" | "source.trustDomain" => {
            let mut names = around(value);
            names.extend(mesh.domains.iter().cloned());
            let mut all = Vec::new();
            for name in names {
                all.push(format!("spiffe://{name}/ns/a/sa/b"));
                all.push(format!("spiffe://{name}"));
                all.push(format!("spiffe://{name}/x"));
            }
            ids(all)
        }
        "ipBlocks" | "remoteIpBlocks" | "source.ip" | "remote.ip" => {
            addresses(value).into_iter().map(Change::Ip).collect()
        }
        "destination.ip" => addresses(value)
            .into_iter()
            .map(Change::Destination)
            .collect(),
        "ports" | "destination.port" => {
            let port: u16 = value.parse().expect("a port");
            let ports = [port, port.saturating_add(1), port.saturating_sub(1).max(1)];
            ports.map(Change::Port).to_vec()
        }
        "connection.sni" => {
            let names = around(&value.to_lowercase());
            let names = names.into_iter().filter(|name| is_host(name));
            names.map(|name| Change::Sni(Some(name))).collect()
        }
        "methods" => {
            let is_method =
                |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic());
            let methods = around(value).into_iter().filter(is_method);
            methods.map(Change::Method).collect()
        }
        "hosts" => {
            let mut hosts = Vec::new();
            for host in around(value).into_iter().filter(|host| is_host(host)) {
                hosts.push(host.clone());
                if !host.contains(':') {
                    hosts.push(format!("{host}:8080"));
                    hosts.push(format!("{host}:443"));
                }
            }
            hosts.into_iter().map(Change::Host).collect()
        }
        "paths" => paths(value).into_iter().map(Change::Path).collect(),
        "requestPrincipals" | "request.auth.principal" => subjects(value),
        "request.auth.audiences" => claim("aud", value),
        "request.auth.presenter" => claim("azp", value),
        key => match key.split_once('[') {
            Some(("request.headers", name)) => field(name.trim_end_matches(']'), value),
            Some((_, names)) => claim(names.trim_end_matches(']'), value),
            None => panic!("no such key: {key}"),
        },
    }
}

/// A text of the pattern, and others near it.
fn around(value: &str) -> Vec<String> {
    let core = value.trim_matches('*');
    let in_the_middle = core.replace('*', "x");
    let core = &*in_the_middle;
    let other_case = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    let mut texts = Vec::new();
    if value == "*" {
        texts.push("x".to_owned());
    }
    texts.extend([
        core.to_owned(),
        format!("{core}x"),
        format!("x{core}"),
        format!("x{core}x"),
        format!("{core}/x"),
        core.chars().map(other_case).collect(),
        core.chars().skip(1).collect(),
    ]);
    let mut shorter = core.to_owned();
    shorter.pop();
    texts.push(shorter);
    if core.contains('.') {
        texts.push(core.replace('.', "x"));
    }
    texts
}

fn principals(mesh: &Mesh, value: &str) -> Vec<String> {
    let mut spellings = vec![value.to_owned()];
    if let Some((_, path)) = value.split_once('/') {
        let domains = mesh.domains.iter().map(String::as_str);
        let domains = domains.chain(["cluster.local", "other", "x"]);
        spellings.extend(domains.map(|domain| format!("{domain}/{path}")));
    }
    let mut ids = Vec::new();
    for spelling in spellings {
        for text in around(&spelling) {
            ids.push(format!("spiffe://{text}"));
            ids.push(format!("spiffe://td{text}"));
            ids.push(format!("spiffe://td/{text}"));
        }
    }
    ids
}

fn paths(value: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let is_template = value.contains('{');
    let stars = ["x", "a=b", "a*b", "a/b", ""];
    let rests = ["x", "", "x/y", "a*b", "/"];
    for (star, rest) in stars.into_iter().zip(rests) {
        let path = value.replace("{**}", rest).replace("{*}", star);
        let texts = if is_template {
            vec![path]
        } else {
            around(&path)
        };
        for text in texts {
            paths.push(if text.starts_with('/') {
                text.clone()
            } else {
                format!("/{text}")
            });
            paths.push(format!("{text}/"));
        }
        if !is_template {
            break;
        }
    }
    paths
}

/// The issuer and subject of the pattern, and others near them.
fn subjects(value: &str) -> Vec<Change> {
    let claim = |name: &str, text: &str| Change::Claim(vec![name.to_owned()], Some(json!(text)));
    let (issuer, subject) = value.rsplit_once('/').unwrap_or((value, ""));
    let mut changes = Vec::new();
    changes.extend(around(issuer).iter().map(|text| claim("iss", text)));
    changes.extend(around(subject).iter().map(|text| claim("sub", text)));
    changes.push(Change::Claim(vec!["sub".to_owned()], None));
    changes.push(Change::Claim(vec!["iss".to_owned()], Some(json!(7))));
    changes
}

/// A claim that has the value, alone or in a list, and others.
fn claim(names: &str, value: &str) -> Vec<Change> {
    let names: Vec<_> = names.split("][").map(str::to_owned).collect();
    let mut values = Vec::new();
    for text in around(value) {
        values.push(Some(json!(text)));
        values.push(Some(json!(["other", text])));
    }
    values.extend([None, Some(json!(true)), Some(json!([])), Some(json!("a b"))]);
    let core = value.trim_matches('*');
    values.push(Some(json!(format!("a {core}"))));
    values.push(Some(json!([[core]])));
    values.push(Some(json!({ "x": core })));
    let change = |value| Change::Claim(names.clone(), value);
    values.into_iter().map(change).collect()
}

fn field(name: &str, value: &str) -> Vec<Change> {
    let mut lines: Vec<_> = around(value).into_iter().map(|text| vec![text]).collect();
    let core = lines[0][0].clone();
    lines.extend([
        Vec::new(),
        vec![String::new()],
        vec![core.clone(), core.clone()],
        vec!["other".to_owned(), core],
    ]);
    let change = |lines| Change::Field(name.to_lowercase(), lines);
    lines.into_iter().map(change).collect()
}

/// The first and the last address of a block, and their neighbours outside.
fn addresses(value: &str) -> Vec<IpAddr> {
    let block = value.parse::<IpAddr>().map(IpNet::from);
    let block = block.or_else(|_| value.parse::<IpNet>()).expect("a block");
    let (first, last) = (block.network(), block.broadcast());
    let beside = |ip: IpAddr, step: i8| match ip {
        IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).wrapping_add_signed(step.into()).into()),
        IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).wrapping_add_signed(step.into()).into()),
    };
    vec![first, last, beside(first, -1), beside(last, 1)]
}

fn is_host(text: &str) -> bool {
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    text.bytes().all(in_name) && !text.split(['.', ':']).any(str::is_empty)
}

/// The grammar of SPIFFE-ID, section 2.
fn is_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("spiffe://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let in_domain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let domain = parts.next().unwrap_or_default();
    let in_segment = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    !domain.is_empty()
        && domain.bytes().all(in_domain)
        && parts.all(|part| !part.is_empty() && part.bytes().all(in_segment))
}
