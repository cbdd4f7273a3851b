//! Cilium's policies.

use underseal_policy::model::{Source, TrafficDirection};
use underseal_policy::{
    Connection, ConvertOptions, Labels, Matcher, NamedPort, Transport, Verdict, convert,
};

use crate::{CILIUM, check, converted, file, has, options, refused, refused_with};

#[test]
fn cilium_s_http_rules_become_patterns() {
    let (yaml, notes) = converted(CILIUM);
    check("cilium.yaml", &yaml);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn cilium_s_peers_become_spiffe_ids_of_the_trust_domain() {
    let all = CILIUM.replace("'k8s:io.cilium.k8s.policy.serviceaccount': web", "");
    let (yaml, _) = converted(&all);
    assert!(yaml.contains("- spiffe://corp/ns/default/*\n"), "{yaml}");
    assert!(yaml.contains("- spiffe://corp/ns/db/sa/store\n"), "{yaml}");
    has(
        &refused_with(&all, &ConvertOptions::default()),
        "give `--trust-domain`",
    );
    let entities = CILIUM.replace("fromCIDR: [10.0.0.0/8]", "fromEntities: [all]");
    let (yaml, _) = converted(&entities);
    assert!(yaml.contains("  - {}\n"), "{yaml}");
    let nobody = CILIUM.replace("fromCIDR: [10.0.0.0/8]", "{}");
    let (yaml, _) = converted(&nobody);
    assert!(!yaml.contains("{}"), "{yaml}");
}

/// The rule of the peers that stand for `fromCIDR` in the policy.
fn peers_of(peers: &str) -> Source {
    let text = CILIUM.replace("fromCIDR: [10.0.0.0/8]", peers);
    let converted = convert(&[file(&text)], &options()).expect("converts");
    let rules = &converted.policies[0].spec.rules;
    rules.last().expect("a rule").from[0].source.clone()
}

#[test]
fn addresses_are_never_those_of_the_cluster() {
    let block = peers_of("fromCIDR: [198.51.100.9/24]");
    assert_eq!(block.ip_blocks, ["198.51.100.0/24"]);
    assert_eq!(block.not_ip_blocks, ["10.0.0.0/8", "192.0.2.1"]);
    let set = peers_of("fromCIDRSet: [{ cidr: 198.51.0.0/16, except: [198.51.100.0/24] }]");
    assert_eq!(
        set.not_ip_blocks,
        ["198.51.100.0/24", "10.0.0.0/8", "192.0.2.1"]
    );
    assert_eq!(
        peers_of("fromEntities: [world]").not_ip_blocks,
        ["10.0.0.0/8", "192.0.2.1"]
    );
    assert_eq!(
        peers_of("fromEntities: [cluster]").ip_blocks,
        ["10.0.0.0/8", "192.0.2.1"]
    );
    assert_eq!(peers_of("fromEntities: [host]").ip_blocks, ["192.0.2.1"]);
    has(
        &refused_with(CILIUM, &ConvertOptions::default()),
        "16:15: spec.ingress[1].fromCIDR: a block is never",
    );
}

#[test]
fn what_cilium_denies_is_denied_and_the_rest_is_not_allowed_by_it() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: d, namespace: shop }
spec:
  endpointSelector: {}
  ingressDeny:
  - fromEndpoints: [{}]
    toPorts: [{ ports: [{ port: '80', endPort: 82 }] }]
  egressDeny:
  - toEndpoints: [{}]
";
    let converted = convert(&[file(text)], &options()).expect("converts");
    let policies = converted.policies.iter();
    let told: Vec<_> = policies
        .map(|policy| {
            (
                &*policy.metadata.name,
                policy.spec.action.as_str(),
                policy.spec.rules.len(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("shop/d", "ALLOW", 0),
            ("shop/d/deny", "DENY", 2),
            ("shop/d/egress", "ALLOW", 0),
            ("shop/d/egress/deny", "DENY", 2),
        ]
    );
    let rules = &converted.policies[1].spec.rules;
    assert_eq!(rules[0].to[0].operation.ports, ["80", "81", "82"]);
    let told = &rules[1].from[0].source.not_principals;
    assert_eq!(told[..], ["spiffe://corp/ns/*"]);
}

#[test]
fn cilium_compares_the_path_with_its_query_and_values_letter_by_letter() {
    let one = |path: &str| CILIUM.replace("path: /public", &format!("path: '{path}'"));
    let whens = |path: &str| {
        let text = one(path);
        let converted = convert(&[file(&text)], &options()).expect("converts");
        let rules = &converted.policies[0].spec.rules;
        rules[0]
            .when
            .iter()
            .map(|when| when.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(whens("/public"), ["request.query"]);
    assert!(whens("/public/.*").is_empty());
    assert!(whens(".*").is_empty());
    let (_, notes) = converted(&one("/index.html"));
    has(&notes, "http[0].path: `.` is any character there");
    for (header, error) in [
        ("X-Token: *", "no pattern says a `*`"),
        ("X-Token: ", "no pattern says an empty value"),
        ("X-Token:  two", "begins or ends with white space"),
        ("X-Token:two", "expected `request.headers[NAME]`"),
    ] {
        let text = CILIUM.replace("X-My-Header: true", header);
        let found = refused(&text);
        has(&found, error);
        has(
            &found,
            "15:59: spec.ingress[0].toPorts[0].rules.http[1].headers[0]",
        );
    }
}

#[test]
fn what_cilium_allows_over_tcp_is_not_allowed_for_datagrams() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p, namespace: shop }
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports: [{ port: '5684', protocol: tcp }, { port: '5685', protocol: UDP }, { port: '5686' }]
";
    let converted = convert(&[file(text)], &options()).expect("converts");
    let matcher =
        Matcher::new(&converted.policies, &shop(), TrafficDirection::Ingress).expect("valid");
    let is_allowed = |port, transport| verdict(&matcher, port, transport) == Verdict::Allow;
    let [tcp, udp, unknown] = [Transport::Tcp, Transport::Udp, Transport::Unknown];
    for (port, allowed) in [(5684, vec![tcp]), (5685, vec![udp])] {
        for transport in [tcp, udp, unknown] {
            let expected = allowed.contains(&transport);
            assert_eq!(
                is_allowed(port, transport),
                expected,
                "{port} {transport:?}"
            );
        }
    }
    assert!(
        [tcp, udp, unknown]
            .iter()
            .all(|carrier| is_allowed(5686, *carrier))
    );
}

#[test]
fn a_port_by_name_has_the_protocol_of_its_container() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p, namespace: shop }
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports: [{ port: http }, { port: dns, protocol: ANY }]
";
    let mut options = options();
    let dns = NamedPort::Udp(53);
    options.named_ports.insert("dns".to_owned(), dns);
    let converted = convert(&[file(text)], &options).expect("converts");
    let matcher =
        Matcher::new(&converted.policies, &shop(), TrafficDirection::Ingress).expect("valid");
    for (port, transport, expected) in [
        (8080, Transport::Tcp, Verdict::Allow),
        (8080, Transport::Udp, Verdict::Deny),
        (53, Transport::Udp, Verdict::Allow),
        (53, Transport::Tcp, Verdict::Deny),
    ] {
        let decided = verdict(&matcher, port, transport);
        assert_eq!(decided, expected, "{port} {transport:?}");
    }
}

/// Of a connection of which nothing else is known.
fn verdict(matcher: &Matcher, port: u16, transport: Transport) -> Verdict {
    let connection = Connection {
        port,
        transport,
        ..Connection::default()
    };
    matcher.decide(&connection, None).verdict
}

fn shop() -> Labels {
    [("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())].into()
}

#[test]
fn a_port_by_name_is_the_one_that_is_given_for_it() {
    let text = CILIUM.replace("port: '5432'", "port: HTTP");
    let converted = convert(&[file(&text)], &options()).expect("converts");
    let rule = &converted.policies[1].spec.rules[0];
    assert_eq!(rule.to[0].operation.ports, ["8080"]);
}

#[test]
fn a_proof_that_cilium_asks_for_is_what_identities_are_here() {
    for (mode, key) in [
        ("required", "fromEndpoints"),
        ("disabled", "fromEndpoints"),
        ("required", "toEndpoints"),
    ] {
        let item = format!("  - authentication: {{ mode: {mode} }}\n    {key}:");
        let text = CILIUM.replace(&format!("  - {key}:"), &item);
        assert_ne!(text, CILIUM, "{key}");
        assert_eq!(converted(&text), converted(CILIUM), "{mode} {key}");
    }
}
