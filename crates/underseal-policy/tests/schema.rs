//! The JSON Schema in the repository. `UPDATE_SNAPSHOTS=1` writes it anew.

#[path = "schema/validator.rs"]
mod validator;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use underseal_policy::{ConvertOptions, PolicyFile, examine, json_schema, load_all, to_yaml};
use validator::is_valid;

#[test]
fn the_schema_in_the_repository_is_current() {
    let actual = format!("{:#}\n", json_schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &actual).expect("write the schema");
    }
    let kept = std::fs::read_to_string(&path).expect("schema.json");
    assert_eq!(actual, kept, "UPDATE_SNAPSHOTS=1 accepts the new schema");
}

#[test]
fn the_schema_knows_no_key_beside_those_that_load() {
    let schema = json_schema();
    let objects = schema["$defs"].as_object().expect("definitions");
    let mut closed = 0;
    for (name, definition) in objects {
        // Objects of Kubernetes have keys of their own.
        let is_foreign = ["List", "Other"].contains(&&**name);
        if definition["properties"].is_object() && !is_foreign {
            assert_eq!(
                definition["additionalProperties"],
                Value::Bool(false),
                "{definition:#}"
            );
            closed += 1;
        }
    }
    assert!(closed >= 9, "{closed} objects");
}

/// Whether a file that is this document loads.
fn loads(document: &Value) -> bool {
    let text = document.to_string();
    let name = "d.yaml";
    load_all(&[PolicyFile { name, text: &text }], &[]).is_ok()
}

/// The documents of a file.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

#[test]
fn the_schema_accepts_what_is_converted() {
    let schema = json_schema();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let options = ConvertOptions {
        namespace: Some("given".to_owned()),
        trust_domain: Some("corp".to_owned()),
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        ..ConvertOptions::default()
    };
    let mut seen = 0;
    for path in yaml_files(&corpus.join("istio")).chain(yaml_files(&corpus.join("cilium"))) {
        let text = std::fs::read_to_string(&path).expect("a file");
        let file = PolicyFile {
            name: "c.yaml",
            text: &text,
        };
        for document in examine(&[file], &options) {
            for value in documents(&to_yaml(&document.policies)) {
                assert!(is_valid(&schema, &schema, &value), "{value:#}");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "{seen} documents");
}

fn yaml_files(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").path())
}

/// Each key of a policy, and of a RequestAuthentication, in a list with something else.
fn every_key() -> Value {
    let metadata = json!({ "name": "p" });
    let policy = json!({
        "apiVersion": "underseal/v1alpha1", "kind": "AuthorizationPolicy", "metadata": metadata,
        "spec": {
            "selector": { "matchLabels": { "app": "orders" } },
            "direction": "Egress", "action": "AUDIT",
            "rules": [{
                "from": [{ "source": {
                    "principals": ["spiffe://corp/a"], "notPrincipals": ["*"],
                    "requestPrincipals": ["a/b"], "notRequestPrincipals": ["*"],
                    "namespaces": ["shop"], "notNamespaces": ["x*"],
                    "ipBlocks": ["10.0.0.0/8"], "notIpBlocks": ["::1"],
                } }],
                "to": [{ "operation": {
                    "hosts": ["a.test"], "notHosts": ["*"], "ports": [80, "443"], "notPorts": [1],
                    "methods": ["GET"], "notMethods": ["P*"], "paths": ["/a"], "notPaths": ["/*"],
                } }],
                "when": [{ "key": "source.ip", "values": ["::1"], "notValues": ["10.0.0.1"] }],
            }],
        },
    });
    let keys = json!({ "keys": [{ "kty": "EC" }] }).to_string();
    let tokens = json!({
        "apiVersion": "underseal/v1alpha1", "kind": "RequestAuthentication", "metadata": metadata,
        "spec": { "selector": { "matchLabels": { "app": "orders" } }, "jwtRules": [
            {
                "issuer": "i", "audiences": ["a"], "jwksFile": "k", "fromParams": ["t"],
                "fromHeaders": [{ "name": "x-t", "prefix": "T " }, { "name": "y" }],
                "fromCookies": ["c"], "spaceDelimitedClaims": ["s"],
            },
            { "jwks": keys },
        ] },
    });
    let other = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 1 } });
    json!({ "apiVersion": "v1", "kind": "List", "items": [policy, tokens, other] })
}

/// What a value may be made.
fn replacements() -> impl Strategy<Value = Option<Value>> {
    prop::sample::select(vec![
        None,
        Some(json!(null)),
        Some(json!(true)),
        Some(json!(8080)),
        Some(json!(1.5)),
        Some(json!("")),
        Some(json!("x")),
        Some(json!("8080")),
        Some(json!("*")),
        Some(json!("List")),
        Some(json!("Deployment")),
        Some(json!("AuthorizationPolicy")),
        Some(json!("underseal/v1alpha1")),
        Some(json!([])),
        Some(json!({})),
        Some(json!(["*"])),
        Some(json!([8080, "80"])),
        Some(json!({ "a": "b" })),
    ])
}

/// Replaces the value that `at` leads to, or takes it away.
fn mutate(value: &mut Value, at: &[usize], replacement: Option<&Value>) {
    let Some((place, rest)) = at.split_first() else {
        return;
    };
    let is_here = |child: &Value| rest.is_empty() || !(child.is_object() || child.is_array());
    match value {
        Value::Object(object) if !object.is_empty() => {
            let key = object.keys().nth(place % object.len()).cloned();
            let key = key.expect("a key");
            let child = object.get_mut(&key).expect("its value");
            match replacement {
                _ if !is_here(child) => mutate(child, rest, replacement),
                Some(new) => *child = new.clone(),
                None => drop(object.remove(&key)),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let place = place % items.len();
            match replacement {
                _ if !is_here(&items[place]) => mutate(&mut items[place], rest, replacement),
                Some(new) => items[place] = new.clone(),
                None => drop(items.remove(place)),
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_accepts_every_key_and_each_document_by_itself() {
    let schema = json_schema();
    let all = every_key();
    let list = all["items"].as_array().expect("documents");
    assert!(loads(&all) && is_valid(&schema, &schema, &all));
    for document in list {
        assert!(is_valid(&schema, &schema, document), "{document:#}");
    }
    let typo = json!({ "apiVersion": "underseal/v1alpha1", "kind": "Deployment" });
    assert!(!is_valid(&schema, &schema, &typo));
    let foreign = json!({ "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy" });
    assert!(!is_valid(&schema, &schema, &foreign));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_schema_accepts_what_loads(
        changes in prop::collection::vec(
            (prop::collection::vec(0..100_usize, 1..9), replacements()),
            1..4,
        ),
    ) {
        let schema = json_schema();
        let mut document = every_key();
        for (at, replacement) in &changes {
            mutate(&mut document, at, replacement.as_ref());
        }
        if loads(&document) {
            prop_assert!(is_valid(&schema, &schema, &document), "{document:#}");
        }
    }
}
