//! What cannot be said is refused by its name.

use crate::{CILIUM, ISTIO, refused};

#[test]
fn what_only_istio_knows_is_refused_by_name() {
    for (from, to, error) in [
        (
            "action: DENY",
            "action: CUSTOM",
            "f.yaml:6:11: spec.action: not supported: CUSTOM",
        ),
        (
            "action: DENY",
            "provider: { name: x }",
            "f.yaml:6:3: spec.provider: not supported: provider",
        ),
        (
            "notPrincipals: [",
            "remoteIpBlocks: [",
            "source.remoteIpBlocks: not supported: remoteIpBlocks",
        ),
        (
            "key: source.principal",
            "key: 'source.labels[a]'",
            "Istio has no such key: `source.labels[a]`",
        ),
        (
            "paths: ['/info*', ",
            "paths: ['/a/../b', ",
            "paths[0]: is not in normal form",
        ),
        (
            "methods: [GET]",
            "hosts: ['a:x']",
            "hosts[0]: is not a host name",
        ),
        (
            "security.istio.io/v1",
            "security.istio.io/v2",
            "expected `security.istio.io/v1`",
        ),
        (
            "kind: Auth",
            "kind: Peer",
            "there is no policy in this file",
        ),
    ] {
        let errors = refused(&ISTIO.replace(from, to));
        assert!(
            errors.iter().any(|found| found.contains(error)),
            "{error}: {errors:?}"
        );
    }
}

#[test]
fn what_cannot_be_said_of_cilium_s_rules_is_refused_by_name() {
    for (from, to, error) in [
        (
            "path: /public",
            "path: '/[0-9]+x'",
            "14:32: spec.ingress[0].toPorts[0].rules.http[0].path",
        ),
        ("method: GET", "method: get", "case-sensitive"),
        (
            "{ method: GET,",
            "{ headerMatches: [],",
            "headerMatches: not supported",
        ),
        (
            "fromCIDR: [10.0.0.0/8]",
            "fromEntities: [remote-node]",
            "not supported: the entity `remote-node`",
        ),
        (
            "fromCIDR: [10.0.0.0/8]",
            "fromNodes: []",
            "fromNodes: not supported",
        ),
        ("fromCIDR: [10.0.0.0/8]", "fromEndpoints: []", "is empty"),
        ("toEndpoints:", "toFQDNs:", "toFQDNs: not supported"),
        (
            "protocol: TCP",
            "protocol: SCTP",
            "not supported: the protocol `SCTP`",
        ),
        (
            "protocol: TCP",
            "protocol: UDP",
            "rules of HTTP for TCP alone",
        ),
        (
            "port: '5432'",
            "port: Dns",
            "give `--named-port dns=PORT/PROTOCOL`",
        ),
        (
            "port: '5432'",
            "port: 0x50",
            "give `--named-port 0x50=PORT/PROTOCOL`",
        ),
        ("port: '5432'", "port: '+80'", "expected a port"),
        (
            "port: '5432'",
            "port: http, endPort: 9000",
            "a range has no names of ports: `http`",
        ),
        (
            "port: '5432'",
            "port: http, protocol: UDP",
            "matches nothing: `http` is a port of tcp",
        ),
        (
            "fromCIDR: [10.0.0.0/8]",
            "fromCIDR: [10.0.0.0/8]\n    authentication: { mode: required }",
            "a proof of those that no endpoints name",
        ),
        (
            "  - toEndpoints:",
            "  - authentication: { mode: test-always-fail }\n    toEndpoints:",
            "expected `required` or `disabled`",
        ),
        (
            "  - fromEndpoints:",
            "  - fromEntities: [all]\n  ingressDeny:\n  - authentication: { mode: required }\n    fromEndpoints:",
            "what denies asks for no proof",
        ),
        (
            "  ingress:",
            "  enableDefaultDeny:",
            "enableDefaultDeny: not supported",
        ),
        ("        http:", "        kafka:", "kafka: not supported"),
        ("        http:", "        dns:", "dns: not supported"),
        ("'X-My-Header: true'", "'X: a*b'", "no pattern says a `*`"),
        (
            "'k8s:app': service",
            "'reserved:host': ''",
            "labels of `reserved`",
        ),
        (
            "matchLabels: { 'k8s:app': service }",
            "matchExpressions: [{ key: app, operator: Exists }]",
            "a workload is selected by one value of a label",
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
