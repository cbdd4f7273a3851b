//! Policies of Cilium, put together of all that the language has.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A policy for one namespace, or for all.
pub(crate) fn policy() -> impl Strategy<Value = Value> {
    let sections = (
        prop::option::weighted(0.8, items(true, false)),
        prop::option::weighted(0.15, items(true, true)),
        prop::option::weighted(0.25, items(false, false)),
        prop::option::weighted(0.1, items(false, true)),
    );
    (any::<bool>(), own_selector(), sections).prop_map(|(is_clusterwide, selector, sections)| {
        let mut spec = json!({ "endpointSelector": selector });
        let (ingress, ingress_deny, egress, egress_deny) = sections;
        for (key, items) in [
            ("ingress", ingress),
            ("ingressDeny", ingress_deny),
            ("egress", egress),
            ("egressDeny", egress_deny),
        ] {
            if let Some(items) = items {
                spec[key] = items.into();
            }
        }
        let (kind, metadata) = match is_clusterwide {
            true => ("CiliumClusterwideNetworkPolicy", json!({ "name": "p" })),
            false => (
                "CiliumNetworkPolicy",
                json!({ "name": "p", "namespace": "shop" }),
            ),
        };
        json!({ "apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec })
    })
}

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

fn own_selector() -> impl Strategy<Value = Value> {
    one_of(&[
        json!({}),
        json!({}),
        json!({ "matchLabels": { "app": "web" } }),
        json!({ "matchLabels": { "k8s:app": "web" } }),
        json!({ "matchLabels": { "app": "other" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["web"] }] }),
    ])
}

/// Items of a section.
fn items(is_ingress: bool, denies: bool) -> impl Strategy<Value = Vec<Value>> {
    let mode = one_of(&["required", "required", "disabled"].map(Value::from));
    let item = (
        peers(is_ingress),
        prop::option::weighted(0.6, ports(denies)),
        prop::option::weighted(0.4, mode),
        odd(),
    );
    let item = item.prop_map(move |(mut item, ports, mode, has_odd_mode)| {
        let names_endpoints = item.keys().any(|key| key.ends_with("Endpoints"));
        let takes_mode = (names_endpoints && !denies) || has_odd_mode;
        if let Some(mode) = mode.filter(|_| takes_mode) {
            item.insert("authentication".to_owned(), json!({ "mode": mode }));
        }
        if let Some(ports) = ports {
            item.insert("toPorts".to_owned(), ports);
        }
        Value::Object(item)
    });
    prop::collection::vec(item, 1..3)
}

fn peers(is_ingress: bool) -> impl Strategy<Value = Map<String, Value>> {
    let keys = match is_ingress {
        true => ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"],
        false => ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
    };
    let [endpoints, entities, blocks, sets] = keys.map(str::to_owned);
    let entity = one_of(&["all", "world", "cluster", "host"].map(Value::from));
    let block = one_of(
        &[
            "198.51.100.0/24",
            "198.51.100.7",
            "198.51.100.7/16",
            "2001:db8::/32",
            "10.0.0.0/8",
            "0.0.0.0/0",
        ]
        .map(Value::from),
    );
    let set = one_of(&[
        json!({ "cidr": "198.51.0.0/16" }),
        json!({ "cidr": "198.51.0.0/16", "except": ["198.51.100.0/24"] }),
        json!({ "cidr": "::ffff:198.51.100.0/104" }),
    ]);
    let of = |key: String, values: BoxedStrategy<Value>| {
        let list = prop::collection::vec(values, 1..3);
        list.prop_map(move |list| Map::from_iter([(key.clone(), Value::from(list))]))
    };
    prop_oneof![
        6 => of(endpoints, selector().boxed()),
        2 => of(entities, entity.boxed()),
        1 => of(blocks, block.boxed()),
        1 => of(sets, set.boxed()),
        2 => Just(Map::new()),
    ]
}

/// Labels, and values that some pods have.
const LABELS: [(&str, &[&str]); 5] = [
    ("app", &["web", "db", "a"]),
    ("tier", &["back"]),
    ("io.kubernetes.pod.namespace", &["shop", "other", "a"]),
    ("io.cilium.k8s.policy.serviceaccount", &["web", "own"]),
    ("io.cilium.k8s.namespace.labels.team", &["x"]),
];

fn selector() -> impl Strategy<Value = Value> {
    let label = (0..LABELS.len(), any::<prop::sample::Index>(), 0..8_usize);
    let requirements = prop::collection::vec((label, any::<bool>()), 0..4);
    requirements.prop_map(|requirements| {
        let mut labels = Map::new();
        let mut expressions = Vec::new();
        for ((label, value, how), has_source) in requirements {
            let (name, values) = LABELS[label];
            let key = match has_source {
                true => format!("k8s:{name}"),
                false => name.to_owned(),
            };
            let value = *value.get(values);
            match how {
                0 => expressions.push(json!({ "key": key, "operator": "Exists" })),
                1 => expressions.push(json!({ "key": key, "operator": "DoesNotExist" })),
                2 => {
                    expressions.push(json!({ "key": key, "operator": "NotIn", "values": [value] }));
                }
                3 => expressions.push(json!({ "key": key, "operator": "In", "values": values })),
                4 => expressions.push(json!({ "key": key, "operator": "In", "values": [value] })),
                _ => drop(labels.insert(key, value.into())),
            }
        }
        let mut selector = json!({});
        if !labels.is_empty() {
            selector["matchLabels"] = labels.into();
        }
        if !expressions.is_empty() {
            selector["matchExpressions"] = expressions.into();
        }
        selector
    })
}

fn ports(denies: bool) -> impl Strategy<Value = Value> {
    let port = one_of(&[
        json!({ "port": "80" }),
        json!({ "port": "80" }),
        json!({ "port": "80" }),
        json!({ "port": "80" }),
        json!({ "port": "80", "protocol": "TCP" }),
        json!({ "port": "80", "protocol": "TCP" }),
        json!({ "port": "443", "protocol": "tcp" }),
        json!({ "port": "80", "protocol": "UDP" }),
        json!({ "port": "HTTP", "protocol": "TCP" }),
        json!({ "port": "80", "endPort": 81, "protocol": "ANY" }),
        json!({ "port": "443" }),
        json!({ "port": "1000", "endPort": 900 }),
        json!({ "port": "010" }),
        json!({ "port": "0" }),
    ]);
    let rules = prop::option::weighted(0.5, prop::collection::vec(rule(), 1..3));
    let item = (prop::collection::vec(port, 1..3), rules, odd(), odd());
    let item = item.prop_map(move |(ports, rules, is_odd, has_odd_rules)| {
        let mut item = json!({});
        if !is_odd {
            item["ports"] = ports.into();
        }
        if let Some(rules) = rules.filter(|_| !denies || has_odd_rules) {
            item["rules"] = json!({ "http": rules });
        }
        item
    });
    prop::collection::vec(item, 1..3).prop_map(Value::from)
}

/// What is seldom.
fn odd() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn rule() -> impl Strategy<Value = Value> {
    let text = |values: &[&str]| {
        let values: Vec<_> = values.iter().map(|value| Value::from(*value)).collect();
        prop::option::weighted(0.5, prop::sample::select(values))
    };
    let path = text(&[
        "/a",
        "/a.*",
        "/.*",
        ".*",
        "/a/[^/]+",
        "/a/.*/b",
        "/(a\\|b)",
        "/(a|b)",
        "/a\\.b",
        "/a.b",
        "/[ab]",
        "/[a[b]]",
        "/a?",
        "/a/?",
        ".*\\.html",
        "/.+",
        "/a(/.*)?",
        "(?i)/a",
        "/a{,1}",
    ]);
    let method = text(&["GET", "GET|PUT", ".*", "G.*", "G.T", "(GET)?", ".+"]);
    let host = text(&[
        "a\\.test",
        "a.test",
        ".*\\.test",
        ".*",
        ".+",
        "[^.]+\\.test",
        "a\\.test:80",
    ]);
    let field = prop::sample::select(vec![
        "X-Token",
        "X-Token: a",
        "X-Token: *",
        "X-Token: ",
        "X-Token:: a",
        "X-Token a",
        "X-Token:  b",
    ]);
    (path, method, host, prop::option::weighted(0.3, field)).prop_map(
        |(path, method, host, field)| {
            let mut rule = json!({});
            for (key, value) in [("path", path), ("method", method), ("host", host)] {
                if let Some(value) = value {
                    rule[key] = value;
                }
            }
            if let Some(field) = field {
                rule["headers"] = json!([field]);
            }
            rule
        },
    )
}
