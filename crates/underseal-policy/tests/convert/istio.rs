//! Istio's policies.

use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, ConvertOptions, Labels, Matcher, Verdict, convert};

use crate::requests::Sent;
use crate::{ALLOW, ISTIO, check, converted, converted_with, file, has, options, refused};

#[test]
fn istio_s_policies_keep_their_words() {
    let (yaml, notes) = converted(ISTIO);
    check("istio.yaml", &yaml);
    assert_eq!(notes.len(), 1, "{notes:?}");
    has(&notes, "take no `*` and no `=` there");
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

/// What the policies decide about a GET with this Host.
fn verdict(text: &str, host: &str) -> Verdict {
    let converted = convert(&[file(text)], &options()).expect("converts");
    let labels = Labels::from([("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())]);
    let matcher =
        Matcher::new(&converted.policies, &labels, TrafficDirection::Ingress).expect("valid");
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
