//! What each document of the corpus is asked: requests that fulfil its items, with each thing of them
//! changed alone.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::{Http, Peer, Pod, Sent, Way, list};

/// The namespace of what names none.
pub(crate) const NAMESPACE: &str = "given";

/// The files of the corpus, and of a directory that an operator names.
pub(crate) fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cilium");
    let given = std::env::var_os("UNDERSEAL_CILIUM_CORPUS").map(PathBuf::from);
    let directories = [own].into_iter().chain(given);
    let entries = directories.flat_map(|path| std::fs::read_dir(path).expect("a directory"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == "yaml"))
        .collect();
    files.sort();
    files
}

/// The policies of a file, each with a namespace if it has to have one.
pub(crate) fn policies(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_default();
    let policies = values.into_iter().filter_map(|mut value| {
        match value["kind"].as_str()? {
            "CiliumNetworkPolicy" if value["metadata"]["namespace"].is_null() => {
                value["metadata"]["namespace"] = NAMESPACE.into();
            }
            "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy" => {}
            _ => return None,
        }
        Some(value)
    });
    policies.collect()
}

/// The rules of a policy.
pub(crate) fn specs(policy: &Value) -> Vec<&Value> {
    let one = Some(&policy["spec"]).filter(|spec| !spec.is_null());
    one.into_iter().chain(list(&policy["specs"])).collect()
}

/// A pod that a rule is for.
pub(crate) fn own(policy: &Value, spec: &Value) -> Pod {
    pod(&spec["endpointSelector"], namespace(policy))
}

fn namespace(policy: &Value) -> &str {
    policy["metadata"]["namespace"]
        .as_str()
        .unwrap_or(NAMESPACE)
}

/// A pod that a selector selects; in `namespace` unless it says another.
fn pod(selector: &Value, namespace: &str) -> Pod {
    let mut pod = Pod {
        namespace: namespace.to_owned(),
        account: "some".to_owned(),
        labels: Vec::new(),
    };
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| (&**key, value.as_str()));
    let expressions = list(&selector["matchExpressions"]).iter();
    let expressions = expressions.filter_map(|expression| {
        let value = match expression["operator"].as_str()? {
            "In" => expression["values"][0].as_str(),
            "Exists" => Some("there"),
            _ => return None,
        };
        Some((expression["key"].as_str()?, value))
    });
    for (key, value) in labels.chain(expressions) {
        let key = key.trim_start_matches("k8s:").trim_start_matches("any:");
        let value = value.expect("a value").to_owned();
        match key {
            "io.kubernetes.pod.namespace" => pod.namespace = value,
            "io.cilium.k8s.policy.serviceaccount" => pod.account = value,
            key => pod.labels.push((key.to_owned(), value)),
        }
    }
    pod
}

/// All that a rule is asked, of one way.
pub(crate) fn asked(policy: &Value, spec: &Value, way: Way) -> Vec<Sent> {
    let keys = match way {
        Way::In => ["ingress", "ingressDeny"],
        Way::Out => ["egress", "egressDeny"],
    };
    let items: Vec<_> = keys.iter().flat_map(|key| list(&spec[*key])).collect();
    let mut peers = vec![Peer::Host];
    peers.extend(["198.51.100.7", "198.51.100.200", "203.0.113.9"].map(world));
    peers.push(Peer::Pod(pod(&Value::Null, namespace(policy))));
    peers.push(Peer::Pod(pod(&Value::Null, "elsewhere")));
    let mut ports = vec![(1, false)];
    let mut requests = vec![None];
    for item in &items {
        peers.extend(peers_of(item, namespace(policy)));
        for asked in list(&item["toPorts"]) {
            ports.extend(list(&asked["ports"]).iter().flat_map(ports_of));
            let rules = list(&asked["rules"]["http"]).iter();
            requests.extend(rules.flat_map(requests_of).map(Some));
        }
    }
    requests.push(Some(http("GET", "/", "a.test")));
    let mut all = Vec::new();
    for peer in &peers {
        for (port, is_udp) in &ports {
            for http in requests.iter().filter(|http| !is_udp || http.is_none()) {
                all.push(Sent {
                    peer: peer.clone(),
                    port: *port,
                    is_udp: *is_udp,
                    http: http.clone(),
                });
            }
        }
    }
    all
}

fn world(address: &str) -> Peer {
    Peer::World(address.parse().expect("an address"))
}

/// Who fulfils an item, and those who differ from them in one thing.
fn peers_of(item: &Value, namespace: &str) -> Vec<Peer> {
    let keys = ["fromEndpoints", "toEndpoints"];
    let selectors = keys.iter().flat_map(|key| list(&item[*key]));
    let mut pods = Vec::new();
    for selector in selectors {
        let pod = pod(selector, namespace);
        for index in 0..pod.labels.len() {
            let mut other = pod.clone();
            other.labels[index].1 += "x";
            pods.push(other);
            let mut other = pod.clone();
            other.labels.remove(index);
            pods.push(other);
        }
        pods.push(Pod {
            namespace: format!("{}x", pod.namespace),
            ..pod.clone()
        });
        pods.push(Pod {
            account: format!("{}x", pod.account),
            ..pod.clone()
        });
        pods.push(pod);
    }
    pods.into_iter().map(Peer::Pod).collect()
}

/// The ends of a range, and what lies beside them, over both carriers.
fn ports_of(port: &Value) -> Vec<(u16, bool)> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|port| u16::try_from(port).ok()),
    };
    let first = number(&port["port"]).unwrap_or(crate::cluster::HTTP);
    let last = number(&port["endPort"]).unwrap_or(first);
    let numbers = [first - 1, first, last, last.saturating_add(1)];
    let both = numbers.map(|number| [(number, false), (number, true)]);
    both.concat()
}

fn http(method: &str, target: &str, host: &str) -> Http {
    Http {
        method: method.to_owned(),
        target: target.to_owned(),
        host: host.to_owned(),
        fields: Vec::new(),
    }
}

/// A text that an expression of the corpus matches, near enough: whether it does is for the
/// interpreter to say.
fn example(expression: &Value, usual: &str) -> String {
    let Some(expression) = expression.as_str() else {
        return usual.to_owned();
    };
    let text = expression.split('|').next().unwrap_or_default();
    let text = text.trim_start_matches('^').trim_end_matches('$');
    [
        (".*", "x"),
        ("[^/]+", "x"),
        ("[0-9]+", "7"),
        ("[0-9]*", "7"),
        ("\\.", "."),
        ("\\", ""),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Requests that fulfil a rule, and those that differ from them in one thing.
fn requests_of(rule: &Value) -> Vec<Http> {
    let fulfilling = Http {
        fields: fields_of(rule),
        ..http(
            &example(&rule["method"], "GET"),
            &example(&rule["path"], "/any"),
            &example(&rule["host"], "a.test"),
        )
    };
    let mut all = vec![fulfilling.clone()];
    for method in ["PUT", "GET", "GETX", "get"] {
        let method = method.to_owned();
        all.push(Http {
            method,
            ..fulfilling.clone()
        });
    }
    for end in ["/", "x", "/x", "?", "?a=b", "/../y", "%2e"] {
        let target = format!("{}{end}", fulfilling.target);
        all.push(Http {
            target,
            ..fulfilling.clone()
        });
    }
    let host = format!("x{}", fulfilling.host);
    all.push(Http {
        host,
        ..fulfilling.clone()
    });
    let host = format!("{}:8080", fulfilling.host);
    all.push(Http {
        host,
        ..fulfilling.clone()
    });
    for index in 0..fulfilling.fields.len() {
        let mut other = fulfilling.clone();
        other.fields[index].1 += "x";
        all.push(other);
        let mut other = fulfilling.clone();
        other.fields.remove(index);
        all.push(other);
    }
    all
}

fn fields_of(rule: &Value) -> Vec<(String, String)> {
    let fields = list(&rule["headers"]).iter().filter_map(Value::as_str);
    let fields = fields.map(|field| match field.split_once(' ') {
        Some((name, value)) => (name.trim_end_matches(':').to_owned(), value.to_owned()),
        None => (field.to_owned(), "there".to_owned()),
    });
    fields.collect()
}
