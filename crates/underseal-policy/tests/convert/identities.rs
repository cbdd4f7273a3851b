//! Who somebody is: names of trust domains, accounts, addresses.

use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, ConvertOptions, Matcher, RemoteIp, Verdict, convert};

use crate::{ALLOW, converted, file, has, options, refused, refused_with};

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
    assert_eq!(rule.when[0].key, "source.serviceAccount");
    assert_eq!(rule.when[0].values, ["shop/a", "b/c"]);
    assert_eq!(rule.when[1].key, "source.trustDomain");
    assert_eq!(rule.when[1].not_values, ["corp", "x"]);
    // Without another key there is no `from`.
    let end = ALLOW.replace("namespaces: [x]", "trustDomains: ['*x']");
    let converted = convert(&[file(&end)], &options()).expect("converts");
    assert!(converted.policies[0].spec.rules[0].from.is_empty());
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
    for (remote_ip, key) in [
        (RemoteIp::Peer, "source.ip"),
        (RemoteIp::Told, "source.remoteIp"),
    ] {
        let options = ConvertOptions {
            remote_ip,
            ..options()
        };
        let converted = convert(&[file(&text)], &options).expect("converts");
        let rule = &converted.policies[0].spec.rules[0];
        assert_eq!(rule.from[0].source.ip_blocks, ["10.0.0.0/8"]);
        // What has to be in force is noted, once for the rule.
        let needs = "has to be given `--trusted-proxies`";
        let needs = converted
            .notes
            .iter()
            .filter(|note| note.message.contains(needs));
        assert_eq!(needs.count(), usize::from(remote_ip == RemoteIp::Told));
        assert_eq!(
            (&*rule.when[0].key, &rule.when[0].values[..]),
            (key, &["::1".to_owned()][..])
        );
    }
}

#[test]
fn whom_trusted_proxies_tell_is_another_than_who_connects() {
    let source = "source: { ipBlocks: [10.0.0.0/8], notRemoteIpBlocks: [198.51.100.9] }";
    let remote = "when: [{ key: remote.ip, values: [198.51.100.0/24] }]";
    let text = ALLOW.replace(
        "source: { namespaces: [x] } }]",
        &format!("{source} }}], {remote}"),
    );
    let options = ConvertOptions {
        remote_ip: RemoteIp::Told,
        ..options()
    };
    let converted = convert(&[file(&text)], &options).expect("converts");
    let labels = [("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())].into();
    let matcher =
        Matcher::new(&converted.policies, &labels, TrafficDirection::Ingress).expect("valid");
    for (proxy, told, expected) in [
        ("10.0.0.1", Some("198.51.100.7"), Verdict::Allow),
        ("10.0.0.1", Some("198.51.100.9"), Verdict::Deny),
        ("10.0.0.1", Some("203.0.113.1"), Verdict::Deny),
        ("10.0.0.1", None, Verdict::Deny),
        ("192.0.2.7", Some("198.51.100.7"), Verdict::Deny),
    ] {
        let ip = |text: &str| text.parse().expect("an address");
        let mut connection = Connection::default();
        connection.source.ip = Some(ip(proxy));
        connection.remote_ip = told.map(ip);
        let verdict = matcher.decide(&connection, None).verdict;
        assert_eq!(verdict, expected, "{proxy} {told:?}");
    }
}

#[test]
fn the_end_of_a_namespace_is_refused_where_it_would_match_less_than_there() {
    let of = |action: &str, key: &str| {
        let text = ALLOW.replace("namespaces: [x]", &format!("{key}: ['*x']"));
        text.replace("  rules", &format!("  action: {action}\n  rules"))
    };
    for (action, key) in [("DENY", "namespaces"), ("ALLOW", "notNamespaces")] {
        has(&refused(&of(action, key)), "may match what follows");
    }
    for (action, key) in [("ALLOW", "namespaces"), ("DENY", "notNamespaces")] {
        convert(&[file(&of(action, key))], &options()).expect("converts");
    }
}

/// The policy, with this source and action.
fn of(action: &str, source: &str) -> String {
    let text = ALLOW.replace("namespaces: [x]", source);
    text.replace("  rules", &format!("  action: {action}\n  rules"))
}

#[test]
fn a_dot_in_the_end_of_a_principal_is_refused_where_it_would_match_less_than_there() {
    let end = "'*.corp/ns/a/sa/b'";
    for (action, key) in [("DENY", "principals"), ("ALLOW", "notPrincipals")] {
        let text = of(action, &format!("{key}: [{end}]"));
        has(&refused(&text), "a dot is any character there");
    }
    let condition = |list: &str| {
        let text = of("DENY", "principals: ['*']");
        let when = format!("}}], when: [{{ key: source.principal, {list}: [{end}] }}] }}]");
        text.replace("}] }]", &when)
    };
    has(
        &refused(&condition("values")),
        "a dot is any character there",
    );
    for (text, key) in [
        (of("ALLOW", &format!("principals: [{end}]")), "principals"),
        (
            of("DENY", &format!("notPrincipals: [{end}]")),
            "notPrincipals",
        ),
        (condition("notValues"), "notValues"),
    ] {
        let (_, notes) = converted(&text);
        has(&notes, &format!("{key}: a dot is any character there"));
    }
    // Whole ones and beginnings are compared letter by letter.
    for exact in ["a.corp/ns/a/sa/b.c", "a.corp/*", "*/ns/a/sa/b", "*"] {
        let (_, notes) = converted(&of("DENY", &format!("principals: ['{exact}']")));
        assert!(notes.is_empty(), "{exact}: {notes:?}");
    }
}

#[test]
fn what_stands_behind_a_namespace_called_ns_is_one_there() {
    for name in ["sa", "s*", "sa*"] {
        let text = of("DENY", &format!("namespaces: ['{name}']"));
        has(
            &refused(&text),
            "matches every identity of the namespace `ns`",
        );
        converted(&of("ALLOW", &format!("namespaces: ['{name}']")));
    }
    converted(&of("DENY", "namespaces: ['*', 'sb*', s]"));
}
