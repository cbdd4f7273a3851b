//! Whole files of policies.

use crate::model::TrafficDirection;
use crate::{
    Connection, ConvertOptions, Converted, Labels, Loaded, Matcher, NamedPort, PolicyFile,
    RemoteIp, convert, load_all,
};

/// Loads and converts arbitrary text: what loads can be compiled, decided by, and written down and
/// loaded again as the same.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let file = PolicyFile { name: "", text };
    if let Ok(loaded) = load_all(&[file], &[]) {
        let Loaded {
            policies,
            authentications,
            ..
        } = loaded;
        for direction in [TrafficDirection::Ingress, TrafficDirection::Egress] {
            let matcher = Matcher::new(&policies, &Labels::new(), direction);
            let matcher = matcher.expect("what loads compiles");
            let connection = Connection::default();
            assert_eq!(
                matcher.explain(&connection, None).decision,
                matcher.decide(&connection, None)
            );
        }
        let says = authentications.into_iter().map(|found| found.says);
        is_read_again(&Converted {
            policies,
            authentications: says.collect(),
            ..Converted::default()
        });
    }
    for options in [ConvertOptions::default(), all_given()] {
        if let Ok(converted) = convert(&[file], &options) {
            is_read_again(&converted);
        }
    }
}

/// What is written is read as the same.
fn is_read_again(written: &Converted) {
    let text = written.to_yaml();
    let name = "";
    if let Ok(again) = load_all(&[PolicyFile { name, text: &text }], &[]) {
        let says = again.authentications.into_iter().map(|found| found.says);
        assert!(says.eq(written.authentications.iter().cloned()), "{text}");
        assert_eq!(again.policies, written.policies, "{text}");
    } else {
        assert!(
            written.policies.is_empty() && written.authentications.is_empty(),
            "{text}"
        );
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
        named_ports: [("http".to_owned(), NamedPort::Tcp(8080))].into(),
        remote_ip: RemoteIp::Told,
        ..ConvertOptions::default()
    }
}
