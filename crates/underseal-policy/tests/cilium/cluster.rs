//! What Cilium decides, written from its source (`pkg/policy/api`, `pkg/k8s/apis/cilium.io/utils`,
//! `pkg/policy/l4.go`, `pkg/envoy`): nothing of the crate is used.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;
use serde_json::Value;

use crate::authentication::{self, Mode};

/// One end of a connection, as Cilium knows it.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A pod that Cilium manages.
    Pod(Pod),
    /// The node.
    Host,
    /// Somebody outside.
    World(IpAddr),
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) account: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// A request, or a connection that does not speak HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) peer: Peer,
    pub(crate) port: u16,
    /// Datagrams, which are no HTTP.
    pub(crate) is_udp: bool,
    pub(crate) http: Option<Http>,
}

#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) method: String,
    /// With its query.
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// The way of what is judged, as the pod sees it that judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Whether the policy, alone, allows it to or from `own`; `proves` says whether the peer can prove who
/// it is, if it is asked.
pub(crate) fn allows(policy: &Value, own: &Pod, way: Way, sent: &Sent, proves: bool) -> bool {
    let namespace = match policy["kind"].as_str() {
        Some("CiliumNetworkPolicy") => policy["metadata"]["namespace"].as_str(),
        _ => None,
    };
    if namespace.is_some_and(|namespace| namespace != own.namespace) {
        return true;
    }
    let (allow, deny) = match way {
        Way::In => ("ingress", "ingressDeny"),
        Way::Out => ("egress", "egressDeny"),
    };
    let specs = [&policy["spec"]].into_iter().chain(list(&policy["specs"]));
    let specs = specs.filter(|spec| !spec.is_null());
    let specs: Vec<_> = specs
        .filter(|spec| selects(&spec["endpointSelector"], own, None))
        .collect();
    let items = |key: &str| -> Vec<&Value> {
        let items = specs.iter().flat_map(|spec| list(&spec[key]));
        items.collect()
    };
    let (allow, deny) = (items(allow), items(deny));
    if allow.is_empty() && deny.is_empty() {
        return true;
    }
    let is_about = |item: &&Value| is_peer(item, namespace, way, &sent.peer);
    let allow: Vec<_> = allow.into_iter().filter(is_about).collect();
    let deny = deny.into_iter().filter(is_about);
    let is_proven = match authentication::asked(&allow, sent) {
        Mode::Disabled => true,
        Mode::Required => proves && matches!(sent.peer, Peer::Pod(_)),
        Mode::AlwaysFail => false,
    };
    let matches = |item: &Value, with_rules| is_asked(&item["toPorts"], sent, with_rules);
    is_proven
        && !deny.into_iter().any(|item| matches(item, false))
        && allow.iter().any(|item| matches(item, true))
}

/// Whether an item is about the peer. One that says nothing of peers is about all of them if it says
/// something of ports, and else about none.
fn is_peer(item: &Value, namespace: Option<&str>, way: Way, peer: &Peer) -> bool {
    let [endpoints, entities, blocks, sets] = match way {
        Way::In => ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"],
        Way::Out => ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
    };
    let keys = [endpoints, entities, blocks, sets];
    if keys.iter().all(|key| item[*key].is_null()) {
        return !item["toPorts"].is_null();
    }
    let of_pods = list(&item[endpoints]).iter().any(|selector| match peer {
        Peer::Pod(pod) => selects_peer(selector, pod, namespace),
        Peer::Host | Peer::World(_) => false,
    });
    let of_entities = list(&item[entities])
        .iter()
        .any(|entity| match entity.as_str() {
            Some("all") => true,
            Some("world") => matches!(peer, Peer::World(_)),
            Some("cluster") => !matches!(peer, Peer::World(_)),
            Some("host") => matches!(peer, Peer::Host),
            other => panic!("an entity that is not converted: {other:?}"),
        });
    let outside = match peer {
        Peer::World(ip) => Some(*ip),
        Peer::Pod(_) | Peer::Host => None,
    };
    let holds = |block: &Value| outside.is_some_and(|ip| in_block(block, ip));
    let of_blocks = list(&item[blocks]).iter().any(holds);
    let of_sets = list(&item[sets])
        .iter()
        .any(|set| holds(&set["cidr"]) && !list(&set["except"]).iter().any(holds));
    of_pods || of_entities || of_blocks || of_sets
}

const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// As [`selects`], in the namespace of the policy where the selector does not say another.
fn selects_peer(selector: &Value, pod: &Pod, namespace: Option<&str>) -> bool {
    let keys = requirements(selector).into_iter().map(|(key, _)| key);
    let keys: Vec<_> = keys.collect();
    let says = keys
        .iter()
        .any(|key| key == NAMESPACE || key.starts_with(NAMESPACE_LABELS));
    selects(selector, pod, namespace.filter(|_| !says))
}

fn selects(selector: &Value, pod: &Pod, namespace: Option<&str>) -> bool {
    let value = |key: &str| match key {
        NAMESPACE => Some(&*pod.namespace),
        ACCOUNT => Some(&*pod.account),
        key => {
            let mut labels = pod.labels.iter();
            let found = labels.find(|(label, _)| label == key);
            found.map(|(_, value)| &**value)
        }
    };
    namespace.is_none_or(|namespace| namespace == pod.namespace)
        && requirements(selector).iter().all(|(key, asks)| {
            let found = value(key);
            match asks {
                Asks::In(values) => found.is_some_and(|found| values.iter().any(|v| v == found)),
                Asks::NotIn(values) => {
                    !found.is_some_and(|found| values.iter().any(|v| v == found))
                }
                Asks::Exists => found.is_some(),
                Asks::DoesNotExist => found.is_none(),
            }
        })
}

enum Asks {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

fn requirements(selector: &Value) -> Vec<(String, Asks)> {
    let plain = |key: &str| {
        let key = key.strip_prefix("k8s:").unwrap_or(key);
        key.strip_prefix("any:").unwrap_or(key).to_owned()
    };
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| {
        let value = value.as_str().expect("a label").to_owned();
        (plain(key), Asks::In(vec![value]))
    });
    let expressions = list(&selector["matchExpressions"])
        .iter()
        .map(|expression| {
            let values = list(&expression["values"]).iter().filter_map(Value::as_str);
            let values = values.map(str::to_owned).collect();
            let asks = match expression["operator"].as_str() {
                Some("In") => Asks::In(values),
                Some("NotIn") => Asks::NotIn(values),
                Some("Exists") => Asks::Exists,
                _ => Asks::DoesNotExist,
            };
            (plain(expression["key"].as_str().expect("a key")), asks)
        });
    labels.chain(expressions).collect()
}

/// Whether an item's ports, and rules if it may have some, allow it. What denies has no rules: where
/// some are written they are dropped.
fn is_asked(ports: &Value, sent: &Sent, with_rules: bool) -> bool {
    if ports.is_null() {
        return true;
    }
    list(ports).iter().any(|item| {
        let is_port = list(&item["ports"]).iter().any(|port| is_port(port, sent));
        let rules = &item["rules"]["http"];
        let is_allowed = !with_rules
            || rules.is_null()
            || sent
                .http
                .as_ref()
                .is_some_and(|http| list(rules).iter().any(|rule| is_allowed(rule, http)));
        is_port && is_allowed
    })
}

/// The port of every container that is called by name, of TCP.
pub(crate) const HTTP: u16 = 8080;

/// Whether a port is the one that something is sent to.
fn is_port(port: &Value, sent: &Sent) -> bool {
    length_of(port, sent).is_some()
}

/// How many bits of protocol and port are written out where the ports of an item hold what is sent,
/// at most; `None` if they do not.
pub(crate) fn length(ports: &Value, sent: &Sent) -> Option<u8> {
    if ports.is_null() {
        return Some(0);
    }
    let ports = list(ports).iter().flat_map(|item| list(&item["ports"]));
    ports.filter_map(|port| length_of(port, sent)).max()
}

/// The bits of a protocol.
const PROTOCOL: u8 = 8;

fn length_of(port: &Value, sent: &Sent) -> Option<u8> {
    let is_carried = match port["protocol"].as_str().map(str::to_uppercase).as_deref() {
        None | Some("ANY") => true,
        Some("TCP") => !sent.is_udp,
        Some("UDP") => sent.is_udp,
        other => panic!("a protocol that is not converted: {other:?}"),
    };
    let (first, last) = numbers(port, sent)?;
    let is_held = is_carried && (first..=last).contains(&sent.port);
    is_held.then(|| PROTOCOL + written_out(first, last, sent.port))
}

/// `strconv.ParseUint(port, 0, 16)`, whose zero before a number says that it is octal, for what is not
/// the name of a port.
fn numbers(port: &Value, sent: &Sent) -> Option<(u16, u16)> {
    let written = |value: &Value| match value {
        Value::Number(number) => number.to_string(),
        other => other.as_str().expect("a port").to_owned(),
    };
    let text = written(&port["port"]);
    if text.bytes().any(|b| b.is_ascii_alphabetic()) {
        // A container's port has one protocol, and a name of it is found under no other.
        return (!sent.is_udp).then_some((HTTP, HTTP));
    }
    let first = match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u16::from_str_radix(octal, 8),
        _ => text.parse(),
    };
    let first = first.expect("a port");
    let last = port["endPort"].as_u64().map_or(first, |last| last as u16);
    match first {
        0 => Some((0, u16::MAX)),
        first => Some((first, last.max(first))),
    }
}

/// How many bits of `port` are written out where a range is cut into blocks (`PortRangeToMaskedPorts`).
fn written_out(first: u16, last: u16, port: u16) -> u8 {
    let is_inside = |bits: &u8| {
        let free = u16::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
        first <= port & !free && port | free <= last
    };
    (0..=16).find(is_inside).expect("the port is in the range")
}

fn is_allowed(rule: &Value, http: &Http) -> bool {
    let full = |key: &str, text: &str| {
        rule[key].as_str().is_none_or(|pattern| {
            let pattern = Regex::new(&format!("^(?:{pattern})$")).expect("an expression");
            pattern.is_match(text)
        })
    };
    let field = |written: &Value| {
        let written = written.as_str().expect("a field");
        let (name, wanted) = match written.split_once(' ') {
            Some((name, wanted)) => (name.trim_end_matches(':'), Some(wanted)),
            None => (written, None),
        };
        let mut fields = http.fields.iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.is_some_and(|(_, found)| wanted.is_none_or(|wanted| wanted == found))
    };
    full("method", &http.method)
        && full("path", &http.target)
        && full("host", &http.host)
        && list(&rule["headers"]).iter().all(field)
}

/// As Go's `netip` reads blocks: one of IPv4 that is written as of IPv6 is one of IPv6.
fn in_block(block: &Value, ip: IpAddr) -> bool {
    let text = block.as_str().expect("a block");
    let block = text.parse::<IpAddr>().map(IpNet::from);
    let block = block.or_else(|_| text.parse::<IpNet>());
    block.expect("a block").contains(&ip)
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
