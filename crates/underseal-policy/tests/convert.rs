//! Conversion of foreign policies: exact, or refused by name.

#[path = "support/requests.rs"]
mod requests;

use std::path::Path;

use requests::Sent;
use underseal_policy::model::{Direction, Source};
use underseal_policy::{
    Connection, ConvertOptions, Labels, Matcher, Outcome, PolicyFile, Verdict, convert, examine,
    load, to_yaml,
};

fn options() -> ConvertOptions {
    ConvertOptions {
        trust_domain: Some("corp".to_owned()),
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        host_blocks: vec!["192.0.2.1".to_owned()],
        ..ConvertOptions::default()
    }
}

fn file(text: &str) -> PolicyFile<'_> {
    let name = "f.yaml";
    PolicyFile { name, text }
}

/// The converted file, which loads, and the notes, without that about the label.
fn converted_with(text: &str, options: &ConvertOptions) -> (String, Vec<String>) {
    let converted = convert(&[file(text)], options).expect("converts");
    let yaml = to_yaml(&converted.policies);
    assert_eq!(
        load(&[file(&yaml)], &[]).expect("what was converted loads"),
        converted.policies
    );
    let notes = converted.notes.iter();
    let notes = notes.filter(|note| !note.message.contains("with the label"));
    let notes = notes.map(|note| format!("{}: {}", note.path, note.message));
    (yaml, notes.collect())
}

fn converted(text: &str) -> (String, Vec<String>) {
    converted_with(text, &options())
}

fn refused_with(text: &str, options: &ConvertOptions) -> Vec<String> {
    let errors = convert(&[file(text)], options).expect_err("cannot be said");
    errors.iter().map(ToString::to_string).collect()
}

fn refused(text: &str) -> Vec<String> {
    refused_with(text, &options())
}

fn has(found: &[String], part: &str) {
    assert!(
        found.iter().any(|text| text.contains(part)),
        "{part}: {found:#?}"
    );
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
    let (yaml, notes) = converted(ISTIO);
    check("istio.yaml", &yaml);
    assert!(notes.is_empty());
}

#[test]
fn istio_s_root_namespace_is_everybody_s_and_may_be_another() {
    let text = ISTIO.replace("namespace: shop", "namespace: istio-system");
    let (yaml, _) = converted(&text);
    assert!(yaml.contains("name: istio-system/httpbin"), "{yaml}");
    assert!(!yaml.contains("pod.namespace"), "{yaml}");
    let options = ConvertOptions {
        root_namespace: "shop".to_owned(),
        ..options()
    };
    assert!(!converted_with(ISTIO, &options).0.contains("pod.namespace"));
    assert!(
        converted_with(&text, &options)
            .0
            .contains("pod.namespace: istio-system")
    );
}

#[test]
fn a_policy_without_namespace_is_for_the_one_that_is_given() {
    for text in [ISTIO, CILIUM] {
        let text = text
            .replace(", namespace: shop", "")
            .replace(", namespace: default", "");
        has(&refused(&text), "give `--namespace`");
        let options = ConvertOptions {
            namespace: Some("given".to_owned()),
            ..options()
        };
        let (yaml, _) = converted_with(&text, &options);
        assert!(
            yaml.contains("io.kubernetes.pod.namespace: given"),
            "{yaml}"
        );
    }
    let clusterwide = CILIUM.replace("CiliumNetwork", "CiliumClusterwideNetwork");
    let clusterwide = clusterwide.replace(", namespace: default", "");
    let clusterwide = clusterwide.replace("'k8s:io.cilium.k8s.policy.serviceaccount': web", "");
    let (yaml, _) = converted(&clusterwide);
    assert!(!yaml.contains("pod.namespace"), "{yaml}");
    assert!(yaml.contains("- spiffe://corp/*\n"), "{yaml}");
}

const ALLOW: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: a, namespace: shop, annotations: {} }
spec:
  rules: [{ from: [{ source: { namespaces: [x] } }] }]
";

#[test]
fn what_istio_only_tries_is_only_noted() {
    let dry = ALLOW.replace(
        "annotations: {}",
        "annotations: { istio.io/dry-run: 'true' }",
    );
    let (yaml, _) = converted(&dry);
    assert!(yaml.contains("action: AUDIT"), "{yaml}");
    let wet = dry.replace("'true'", "'false'");
    assert!(!converted(&wet).0.contains("action"));
    let audit = dry.replace("  rules", "  action: AUDIT\n  rules");
    let alone = refused(&audit);
    has(&alone, "there is no policy in this file");
    let other = ALLOW.replace("name: a", "name: b");
    let (yaml, notes) = converted(&format!("{audit}---\n{other}"));
    assert!(!yaml.contains("shop/a"), "{yaml}");
    has(&notes, "left out");
    let revision = ALLOW.replace("annotations: {}", "labels: { istio.io/rev: canary }");
    has(
        &refused(&revision),
        "3:63: metadata.labels.istio.io/rev: not supported",
    );
    let harmless = ALLOW.replace(
        "annotations: {}",
        "labels: { operator.istio.io/x: y, a/b: c }",
    );
    converted(&harmless);
}

#[test]
fn the_trust_domain_of_a_mesh_has_several_names() {
    let of =
        |principal: &str| ALLOW.replace("namespaces: [x]", &format!("principals: ['{principal}']"));
    let none = ConvertOptions::default();
    let own = of("cluster.local/ns/a/sa/b");
    has(
        &refused_with(&own, &none),
        "5:45: spec.rules[0].from[0].source.principals[0]: `cluster.local` stands for",
    );
    let both = ConvertOptions {
        trust_domain_aliases: vec!["old".to_owned()],
        ..options()
    };
    for (principal, expected) in [
        (
            "cluster.local/ns/a/sa/b",
            &["spiffe://corp/ns/a/sa/b", "spiffe://old/ns/a/sa/b"][..],
        ),
        (
            "old/ns/a/sa/*",
            &["spiffe://corp/ns/a/sa/*", "spiffe://old/ns/a/sa/*"],
        ),
        (
            "*ld/ns/a/sa/b",
            &["spiffe://corp/ns/a/sa/b", "*ld/ns/a/sa/b"],
        ),
        ("other/ns/a/sa/b", &["spiffe://other/ns/a/sa/b"]),
        ("cluster.local/ns/*", &["spiffe://cluster.local/ns/*"]),
        ("*/ns/a/sa/b", &["*/ns/a/sa/b"]),
    ] {
        let text = of(principal);
        let converted = convert(&[file(&text)], &both).expect("converts");
        let source = &converted.policies[0].spec.rules[0].from[0].source;
        assert_eq!(source.principals, expected, "{principal}");
    }
}

#[test]
fn accounts_and_trust_domains_are_identities() {
    let source = "principals: ['*'], serviceAccounts: [a, b/c], notTrustDomains: [corp, x]";
    let text = ALLOW.replace("namespaces: [x]", source);
    let converted = convert(&[file(&text)], &options()).expect("converts");
    let rule = &converted.policies[0].spec.rules[0];
    assert_eq!(
        rule.from[0].source.not_principals,
        ["spiffe://corp/*", "spiffe://x/*"]
    );
    assert_eq!(rule.when[0].key, "source.principal");
    assert_eq!(rule.when[0].values, ["*/ns/shop/sa/a", "*/ns/b/sa/c"]);
    let end = ALLOW.replace("namespaces: [x]", "trustDomains: ['*x']");
    has(&refused(&end), "the end of a trust domain");
    let every = ALLOW.replace("namespaces: [x]", "namespaces: ['*sa']");
    has(&refused(&every), "matches every namespace there");
}

#[test]
fn remote_addresses_are_known_where_no_proxy_stands_in_front() {
    let text = ALLOW.replace(
        "namespaces: [x]",
        "ipBlocks: [10.1.2.3/8], remoteIpBlocks: ['::1']",
    );
    has(&refused(&text), "not supported: remoteIpBlocks");
    let options = ConvertOptions {
        no_trusted_proxies: true,
        ..options()
    };
    let converted = convert(&[file(&text)], &options).expect("converts");
    let rule = &converted.policies[0].spec.rules[0];
    assert_eq!(rule.from[0].source.ip_blocks, ["10.0.0.0/8"]);
    assert_eq!(
        (&*rule.when[0].key, &rule.when[0].values[..]),
        ("source.ip", &["::1".to_owned()][..])
    );
}

/// What the policies decide about a GET with this Host.
fn verdict(text: &str, host: &str) -> Verdict {
    let converted = convert(&[file(text)], &options()).expect("converts");
    let labels = Labels::from([("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())]);
    let matcher = Matcher::new(&converted.policies, &labels, Direction::Ingress).expect("valid");
    let mut sent = Sent::new("GET /", host, &[]);
    let connection = Connection::default();
    matcher.decide(&connection, Some(&sent.request())).verdict
}

#[test]
fn a_host_with_a_port_is_another_host() {
    let rules = "rules: [{ from: [{ source: { namespaces: [x] } }] }]";
    let with = |spec: &str| ALLOW.replace(rules, spec);
    let allow = with("rules: [{ to: [{ operation: { hosts: [shop.test] } }] }]");
    assert_eq!(verdict(&allow, "Shop.test"), Verdict::Allow);
    assert_eq!(verdict(&allow, "shop.test:8080"), Verdict::Deny);
    let not = with("action: DENY\n  rules: [{ to: [{ operation: { notHosts: [shop.test] } }] }]");
    assert_eq!(verdict(&not, "shop.test"), Verdict::Allow);
    assert_eq!(verdict(&not, "shop.test:8080"), Verdict::Deny);
    let deny = with("action: DENY\n  rules: [{ to: [{ operation: { hosts: [shop.test] } }] }]");
    assert_eq!(verdict(&deny, "shop.test:8080"), Verdict::Deny);
    has(&converted(&deny).1, "a host with a port is denied here");
    assert!(converted(&allow).1.is_empty());
    let dot = with("rules: [{ to: [{ operation: { hosts: [shop.test.] } }] }]");
    has(&refused(&dot), "as it is written");
}

#[test]
fn policies_of_one_name_are_refused() {
    let twice = format!("{ALLOW}---\n{ALLOW}");
    assert_eq!(
        refused(&twice),
        ["f.yaml:9:19: metadata.name: there is another `shop/a`"]
    );
    let files = [
        file(ALLOW),
        PolicyFile {
            name: "g.yaml",
            text: ALLOW,
        },
    ];
    let errors = convert(&files, &options()).expect_err("twice");
    assert_eq!(
        errors[0].to_string(),
        "g.yaml:3:19: metadata.name: there is another `shop/a`"
    );
}

#[test]
fn lists_are_read_and_other_kinds_passed_over() {
    let item = ALLOW.replace('\n', "\n  ");
    let list = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: d }}\n---\n\
         apiVersion: v1\nkind: List\nitems:\n- {item}"
    );
    let documents = examine(&[file(&list)], &options());
    let told: Vec<_> = documents
        .iter()
        .map(|document| (&*document.kind, &*document.name, document.outcome))
        .collect();
    assert_eq!(
        told,
        [
            ("Deployment", "", Outcome::PassedOver),
            ("AuthorizationPolicy", "shop/a", Outcome::Exact),
        ]
    );
    let (_, notes) = converted(&list);
    assert_eq!(notes, [": `Deployment` is no policy: passed over"]);
    let wrong = list.replace("namespaces", "namspaces");
    has(
        &refused(&wrong),
        "f.yaml:12:34: items[0].spec.rules[0].from[0].source.namspaces: no such key",
    );
    let only = "apiVersion: apps/v1\nkind: Deployment\n";
    has(&refused(only), "there is no policy");
    let denies = ALLOW.replace("kind: Authorization", "kind: PeerAuthentication # ");
    has(&refused(&denies), "not supported: PeerAuthentication");
}

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
            "principals: [",
            "requestPrincipals: [",
            "source.requestPrincipals: not supported: requestPrincipals",
        ),
        (
            "notPrincipals: [",
            "remoteIpBlocks: [",
            "source.remoteIpBlocks: not supported: remoteIpBlocks",
        ),
        (
            "key: source.principal",
            "key: 'request.auth.claims[a]'",
            "not supported: request.auth.claims[a]",
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
    assert_eq!(rules[1].from[0].source.not_principals, ["*"]);
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
            "'k8s:io.cilium.k8s.policy.serviceaccount': web",
            "app: web",
            "does not tell this label",
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
        ("protocol: TCP", "protocol: UDP", "expected `TCP` or `ANY`"),
        ("port: '5432'", "port: dns", "expected a port"),
        (
            "  ingress:",
            "  enableDefaultDeny:",
            "enableDefaultDeny: not supported",
        ),
        ("        http:", "        kafka:", "kafka: not supported"),
        ("'X-My-Header: true'", "'X: a*b'", "no pattern says a `*`"),
        (
            "'k8s:app': service",
            "'reserved:host': ''",
            "labels of `reserved`",
        ),
        (
            "matchLabels: { 'k8s:app': service }",
            "matchExpressions: []",
            "matchExpressions: not supported",
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
