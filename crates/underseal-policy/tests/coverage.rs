//! How much of what people write converts. `--nocapture` prints it, with every reason why not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use underseal_policy::{
    ConvertOptions, Document, NamedPort, Outcome, PolicyFile, RemoteIp, examine,
};

/// The documents of the files of the corpus named `kind`, and of a directory that `variable` names.
fn documents(kind: &str, variable: &str) -> Vec<Document> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let given = std::env::var_os(variable).map(PathBuf::from);
    let mut files: Vec<_> = std::fs::read_dir(given.unwrap_or(own))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files.iter().flat_map(|path| examined(path)).collect()
}

/// Each file by itself: those of one name come from many places.
fn examined(path: &Path) -> Vec<Document> {
    let text = std::fs::read_to_string(path).expect("a file");
    let name = path.file_name().expect("a name").to_string_lossy();
    let file = PolicyFile {
        name: &name,
        text: &text,
    };
    let mut options = options();
    loop {
        let documents = examine(&[file], &options);
        let errors = documents.iter().flat_map(|document| &document.errors);
        let wanted: Vec<_> = errors.filter_map(|error| wanted(&error.message)).collect();
        if wanted.is_empty() {
            return documents;
        }
        let keys = wanted
            .iter()
            .map(|address| ((*address).to_owned(), "keys.json".to_owned()));
        options.jwks.extend(keys);
    }
}

/// The address whose keys are asked for.
fn wanted(message: &str) -> Option<&str> {
    message
        .split_once("give `--jwks ")?
        .1
        .strip_suffix("=FILE`")
}

/// What an operator of the corpus would give.
fn options() -> ConvertOptions {
    let named_ports =
        ["http", "http-80", "http-8080"].map(|name| (name.to_owned(), NamedPort::Tcp(8080)));
    let named_ports = named_ports.into_iter();
    ConvertOptions {
        namespace: Some("given".to_owned()),
        trust_domain: Some("corp".to_owned()),
        trust_domain_aliases: vec!["old".to_owned()],
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        host_blocks: vec!["192.0.2.1".to_owned()],
        named_ports: named_ports.collect(),
        remote_ip: RemoteIp::Peer,
        ..ConvertOptions::default()
    }
}

/// How many of 100 convert.
fn report(what: &str, documents: &[Document]) -> usize {
    let mut counts = BTreeMap::new();
    for document in documents {
        *counts.entry(document.outcome.as_str()).or_insert(0) += 1;
        for error in &document.errors {
            println!("{} `{}`: {error}", document.kind, document.name);
        }
    }
    let is_kept =
        |document: &&Document| matches!(document.outcome, Outcome::Exact | Outcome::Narrowed);
    let kept = documents.iter().filter(is_kept).count();
    println!("{what}: {kept} of {} convert: {counts:?}", documents.len());
    kept * 100 / documents.len()
}

#[test]
fn of_istio_s_documents_85_in_100_convert() {
    let mut documents = documents("istio", "UNDERSEAL_ISTIO_CORPUS");
    let kinds = ["AuthorizationPolicy", "RequestAuthentication"];
    documents.retain(|document| kinds.contains(&&*document.kind));
    assert!(report("Istio", &documents) >= 85);
}

#[test]
fn of_cilium_s_documents_with_http_rules_60_in_100_convert() {
    let mut documents = documents("cilium", "UNDERSEAL_CILIUM_CORPUS");
    documents.retain(|document| document.kind.starts_with("Cilium"));
    assert!(report("Cilium, with HTTP rules", &documents) >= 60);
}

#[test]
fn what_does_not_convert_says_why() {
    for (kind, variable) in [
        ("istio", "UNDERSEAL_ISTIO_CORPUS"),
        ("cilium", "UNDERSEAL_CILIUM_CORPUS"),
    ] {
        for document in documents(kind, variable) {
            let is_refused = document.outcome == Outcome::Refused;
            assert_eq!(is_refused, !document.errors.is_empty(), "{document:?}");
            assert!(!is_refused || document.policies.is_empty(), "{document:?}");
        }
    }
}
