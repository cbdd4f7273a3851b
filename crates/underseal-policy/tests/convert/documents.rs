//! Files with several documents, of several kinds.

use underseal_policy::{ConvertOptions, Outcome, PolicyFile, convert, examine};

use crate::{ALLOW, CILIUM, ISTIO, converted, converted_with, file, has, options, refused};

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
    assert!(yaml.contains("- spiffe://corp/ns/*\n"), "{yaml}");
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

/// What it denies would not be denied here, if it was passed over.
#[test]
fn policies_of_other_kinds_that_deny_by_themselves_are_refused() {
    for (group, kind) in [
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("rbac.istio.io/v1alpha1", "ClusterRbacConfig"),
        ("authentication.istio.io/v1alpha1", "MeshPolicy"),
    ] {
        let text = format!(
            "{ALLOW}---\napiVersion: {group}\nkind: {kind}\nmetadata: {{ name: none }}\n\
             spec: {{ podSelector: {{}}, policyTypes: [Ingress] }}\n"
        );
        has(
            &refused(&text),
            &format!("not supported: {kind} denies by itself"),
        );
    }
}
