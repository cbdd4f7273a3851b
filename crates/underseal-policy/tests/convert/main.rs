//! Conversion of foreign policies: exact, or refused by name.

mod cilium;
mod documents;
mod identities;
mod istio;
mod refusals;
#[path = "../support/requests.rs"]
mod requests;
mod tokens;
mod widening;

use std::path::Path;

use underseal_policy::{ConvertOptions, NamedPort, PolicyFile, convert, load_all};

pub(crate) fn options() -> ConvertOptions {
    ConvertOptions {
        trust_domain: Some("corp".to_owned()),
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        host_blocks: vec!["192.0.2.1".to_owned()],
        named_ports: [("http".to_owned(), NamedPort::Tcp(8080))].into(),
        ..ConvertOptions::default()
    }
}

pub(crate) fn file(text: &str) -> PolicyFile<'_> {
    let name = "f.yaml";
    PolicyFile { name, text }
}

/// The converted file, which loads, and the notes, without that about the label.
pub(crate) fn converted_with(text: &str, options: &ConvertOptions) -> (String, Vec<String>) {
    let converted = convert(&[file(text)], options).expect("converts");
    let yaml = converted.to_yaml();
    let loaded = load_all(&[file(&yaml)], &[]).expect("what was converted loads");
    assert_eq!(loaded.policies, converted.policies);
    let notes = converted.notes.iter();
    let notes = notes.filter(|note| !note.message.contains("with the label"));
    let notes = notes.map(|note| format!("{}: {}", note.path, note.message));
    (yaml, notes.collect())
}

pub(crate) fn converted(text: &str) -> (String, Vec<String>) {
    converted_with(text, &options())
}

pub(crate) fn refused_with(text: &str, options: &ConvertOptions) -> Vec<String> {
    let errors = convert(&[file(text)], options).expect_err("cannot be said");
    errors.iter().map(ToString::to_string).collect()
}

pub(crate) fn refused(text: &str) -> Vec<String> {
    refused_with(text, &options())
}

pub(crate) fn has(found: &[String], part: &str) {
    assert!(
        found.iter().any(|text| text.contains(part)),
        "{part}: {found:#?}"
    );
}

/// Compares with `tests/converted`. `UPDATE_SNAPSHOTS=1` writes it anew.
pub(crate) fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/converted")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).expect("write the file");
    }
    let expected = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(actual, expected, "UPDATE_SNAPSHOTS=1 accepts the new text");
}

pub(crate) const ISTIO: &str = "\
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

pub(crate) const ALLOW: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: a, namespace: shop, annotations: {} }
spec:
  rules: [{ from: [{ source: { namespaces: [x] } }] }]
";

pub(crate) const CILIUM: &str = "\
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
