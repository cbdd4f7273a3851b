//! Conversion of foreign policies: exact, or refused by name.

use std::path::Path;

use underseal_policy::{ConvertOptions, PolicyFile, convert, load, to_yaml};

fn options(trust_domain: Option<&str>) -> ConvertOptions {
    ConvertOptions {
        trust_domain: trust_domain.map(str::to_owned),
    }
}

/// The converted file, which loads, and the notes.
fn converted(text: &str, trust_domain: Option<&str>) -> (String, Vec<String>) {
    let file = PolicyFile {
        name: "f.yaml",
        text,
    };
    let converted = convert(&file, &options(trust_domain)).expect("converts");
    let yaml = to_yaml(&converted.policies);
    let file = PolicyFile {
        name: "new.yaml",
        text: &yaml,
    };
    assert_eq!(
        load(&[file], &[]).expect("what was converted loads"),
        converted.policies
    );
    let notes = converted.notes.iter();
    let notes = notes.map(|note| format!("{}: {}", note.path, note.message));
    (yaml, notes.collect())
}

fn refused(text: &str) -> Vec<String> {
    let file = PolicyFile {
        name: "f.yaml",
        text,
    };
    let errors = convert(&file, &options(None)).expect_err("cannot be said");
    errors.iter().map(ToString::to_string).collect()
}

/// Compares with `tests/converted`. `UPDATE_SNAPSHOTS=1` writes it anew.
fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/converted")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).expect("write the file");
    }
    let expected = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(actual, expected, "UPDATE_SNAPSHOTS=1 accepts the new text");
}

const ISTIO: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: httpbin, namespace: shop, labels: { a: b } }
spec:
  selector: { matchLabels: { app: httpbin } }
  action: DENY
  rules:
  - from: [{ source: { principals: [cluster.local/ns/default/sa/sleep, '*/sa/x', '*'], notPrincipals: ['cluster.local/*'] } }]
    to: [{ operation: { methods: [GET], paths: ['/info*', '/a/{**}'] } }]
    when: [{ key: source.principal, values: [td/ns/a/sa/b] }]
";

#[test]
fn istio_s_policies_keep_their_words() {
    let (yaml, notes) = converted(ISTIO, None);
    check("istio.yaml", &yaml);
    assert!(notes.is_empty());
}

#[test]
fn istio_s_root_namespace_is_everybody_s() {
    let text = ISTIO.replace("namespace: shop", "namespace: istio-system");
    let (yaml, _) = converted(&text, None);
    assert!(yaml.contains("name: istio-system/httpbin"), "{yaml}");
    assert!(!yaml.contains("pod.namespace"), "{yaml}");
    let (yaml, _) = converted(text.split("spec:").next().expect("a head"), None);
    assert!(!yaml.contains("selector"), "{yaml}");
}

#[test]
fn what_only_istio_knows_is_refused_by_name() {
    for (from, to, error) in [
        (
            "action: DENY",
            "action: CUSTOM",
            "f.yaml:6:11: spec.action: expected",
        ),
        (
            "action: DENY",
            "provider: { name: x }",
            "f.yaml:6:3: spec.provider: no such key",
        ),
        (
            "principals: [",
            "requestPrincipals: [",
            "source.requestPrincipals: no such key",
        ),
        (
            "notPrincipals: [",
            "remoteIpBlocks: [",
            "source.remoteIpBlocks: no such key",
        ),
        (
            "key: source.principal",
            "key: 'request.auth.claims[a]'",
            "no such key: `request.auth",
        ),
        (
            "paths: ['/info*', ",
            "paths: ['/a/../b', ",
            "paths[0]: is not in normal form",
        ),
        (
            "methods: [GET]",
            "hosts: ['a:80']",
            "hosts[0]: hosts are matched without port",
        ),
        (
            "security.istio.io/v1",
            "security.istio.io/v2",
            "expected `security.istio.io/v1`",
        ),
        (
            "kind: Auth",
            "kind: Peer",
            "kind: expected `AuthorizationPolicy` or `Cilium",
        ),
    ] {
        let errors = refused(&ISTIO.replace(from, to));
        assert!(
            errors.iter().any(|found| found.contains(error)),
            "{error}: {errors:?}"
        );
    }
}

const CILIUM: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: rule1, namespace: default }
spec:
  description: Allow HTTP GET /public from web
  endpointSelector: { matchLabels: { 'k8s:app': service } }
  ingress:
  - fromEndpoints:
    - matchLabels: { 'k8s:io.cilium.k8s.policy.serviceaccount': web }
    toPorts:
    - ports: [{ port: '80', protocol: TCP }, { port: 8080 }]
      rules:
        http:
        - { method: GET, path: /public }
        - { method: 'PUT|POST', path: '/v1/.*', headers: ['X-My-Header: true', X-Other] }
  - fromCIDR: [10.0.0.0/8]
  egress:
  - toEndpoints:
    - matchLabels: { io.kubernetes.pod.namespace: db, io.cilium.k8s.policy.serviceaccount: store }
    toPorts: [{ ports: [{ port: '5432' }] }]
";

#[test]
fn cilium_s_http_rules_become_patterns() {
    let (yaml, notes) = converted(CILIUM, None);
    check("cilium.yaml", &yaml);
    let note = "spec.ingress[0].toPorts[0].rules.http[0].path: is compared without the query, which \
                Cilium compares too";
    assert_eq!(notes, [note]);
}

#[test]
fn cilium_s_peers_become_spiffe_ids_of_the_trust_domain() {
    let all = CILIUM.replace("'k8s:io.cilium.k8s.policy.serviceaccount': web", "");
    let (yaml, _) = converted(&all, Some("corp"));
    assert!(yaml.contains("- spiffe://corp/ns/default/*\n"), "{yaml}");
    assert!(yaml.contains("- spiffe://corp/ns/db/sa/store\n"), "{yaml}");
    let entities = CILIUM.replace("fromCIDR: [10.0.0.0/8]", "fromEntities: [all]");
    let (yaml, _) = converted(&entities, None);
    assert!(yaml.contains("  - {}\n"), "{yaml}");
    let nobody = CILIUM.replace("fromCIDR: [10.0.0.0/8]", "{}");
    let (yaml, _) = converted(&nobody, None);
    assert!(!yaml.contains("{}"), "{yaml}");
}

#[test]
fn what_cannot_be_said_of_cilium_s_rules_is_refused_by_name() {
    for (from, to, error) in [
        (
            "path: /public",
            "path: '/[0-9]+'",
            "14:32: spec.ingress[0].toPorts[0].rules.http[0].path",
        ),
        ("path: /public", "path: /index.html", "for a dot write"),
        ("method: GET", "method: get", "case-sensitive"),
        (
            "{ method: GET,",
            "{ headerMatches: [],",
            "headerMatches: no such key",
        ),
        (
            "'k8s:io.cilium.k8s.policy.serviceaccount': web",
            "app: web",
            "does not tell this label",
        ),
        (
            "'k8s:io.cilium.k8s.policy.serviceaccount': web",
            "",
            "trust domain is given",
        ),
        (
            "fromCIDR: [10.0.0.0/8]",
            "fromEntities: [world]",
            "expected `all`",
        ),
        (
            "fromCIDR: [10.0.0.0/8]",
            "fromCIDRSet: []",
            "fromCIDRSet: no such key",
        ),
        ("fromCIDR: [10.0.0.0/8]", "fromEndpoints: []", "is empty"),
        ("toEndpoints:", "toFQDNs:", "toFQDNs: no such key"),
        ("protocol: TCP", "protocol: UDP", "expected `TCP` or `ANY`"),
        ("port: '5432'", "port: dns", "expected a port"),
        ("  ingress:", "  ingressDeny:", "ingressDeny: no such key"),
        ("        http:", "        kafka:", "kafka: no such key"),
        ("'X-My-Header: true'", "'X: a*b'", "no pattern says a `*`"),
        (
            "'k8s:app': service",
            "'reserved:host': ''",
            "labels of `reserved`",
        ),
        (
            "matchLabels: { 'k8s:app': service }",
            "matchExpressions: []",
            "matchExpressions: no such",
        ),
    ] {
        let text = CILIUM.replace(from, to);
        assert_ne!(text, CILIUM, "{from}");
        let errors = refused(&text);
        assert!(
            errors.iter().any(|found| found.contains(error)),
            "{error}: {errors:?}"
        );
    }
}
