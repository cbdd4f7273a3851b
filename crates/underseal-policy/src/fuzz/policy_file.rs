//! Whole files of policies.

use crate::model::Direction;
use crate::{Connection, ConvertOptions, Labels, Matcher, PolicyFile, convert, load, to_yaml};

/// Loads and converts arbitrary text: what loads can be compiled, decided by, and written down and
/// loaded again as the same.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let file = PolicyFile { name: "", text };
    if let Ok(policies) = load(&[file], &[]) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let matcher = Matcher::new(&policies, &Labels::new(), direction);
            let matcher = matcher.expect("what loads compiles");
            let connection = Connection::default();
            assert_eq!(
                matcher.explain(&connection, None).decision,
                matcher.decide(&connection, None)
            );
        }
        let yaml = to_yaml(&policies);
        let again = load(
            &[PolicyFile {
                name: "",
                text: &yaml,
            }],
            &[],
        );
        assert_eq!(again, Ok(policies), "{yaml}");
    }
    for options in [ConvertOptions::default(), all_given()] {
        if let Ok(converted) = convert(&[file], &options) {
            let yaml = to_yaml(&converted.policies);
            let name = "";
            let again = load(&[PolicyFile { name, text: &yaml }], &[]);
            assert!(
                converted.policies.is_empty() || again == Ok(converted.policies),
                "{yaml}"
            );
        }
    }
}

/// Options with which most can be converted.
fn all_given() -> ConvertOptions {
    ConvertOptions {
        namespace: Some("default".to_owned()),
        trust_domain: Some("cluster.local".to_owned()),
        trust_domain_aliases: vec!["old.local".to_owned()],
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        host_blocks: vec!["192.0.2.1".to_owned()],
        no_trusted_proxies: true,
        ..ConvertOptions::default()
    }
}
