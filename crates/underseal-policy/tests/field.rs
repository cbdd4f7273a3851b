//! Policies that people wrote, `tests/field`: each was once taken for something else than it says.

#[path = "support/requests.rs"]
mod requests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use requests::Sent;
use underseal_policy::model::{Action, AuthorizationPolicy, TrafficDirection};
use underseal_policy::{
    Connection, ConvertOptions, Fact, Labels, Matcher, Peer, PolicyFile, Verdict, convert, load,
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/field")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).expect("a file")
}

fn converted(name: &str, options: &ConvertOptions) -> Result<Vec<AuthorizationPolicy>, String> {
    let text = text(name);
    let converted = convert(&[PolicyFile { name, text: &text }], options);
    let errors = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    converted
        .map(|converted| converted.policies)
        .map_err(|found| errors(found).join("\n"))
}

fn loaded(name: &str) -> Result<Vec<AuthorizationPolicy>, String> {
    let text = text(name);
    let loaded = load(&[PolicyFile { name, text: &text }], &[]);
    loaded.map_err(|errors| {
        let errors = errors.iter().map(ToString::to_string);
        errors.collect::<Vec<_>>().join("\n")
    })
}

/// What judges a workload of the namespace `shop`.
fn matcher(policies: &[AuthorizationPolicy], direction: TrafficDirection) -> Matcher {
    let labels = [("io.kubernetes.pod.namespace", "shop"), ("app", "db")];
    let labels: Labels = labels
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into();
    Matcher::new(policies, &labels, direction).expect("valid")
}

fn ingress(policies: &[AuthorizationPolicy]) -> Matcher {
    matcher(policies, TrafficDirection::Ingress)
}

fn is_allowed(matcher: &Matcher, connection: &Connection<'_>, line: &str, host: &str) -> bool {
    let mut sent = Sent::new(line, host, &[]);
    matcher.decide(connection, Some(&sent.request())).verdict == Verdict::Allow
}

/// A connection to port 80 whose opener is known.
fn from<'a>(principal: Option<&'a str>, ip: &str) -> Connection<'a> {
    Connection {
        source: Peer {
            principal: principal.into(),
            ip: Some(ip.parse().expect("an address")),
            labels: None,
        },
        port: 80,
        ..Connection::default()
    }
}

fn in_cluster(blocks: &[&str]) -> ConvertOptions {
    ConvertOptions {
        trust_domain: Some("corp".to_owned()),
        cluster_blocks: blocks.iter().map(|block| (*block).to_owned()).collect(),
        ..ConvertOptions::default()
    }
}

#[test]
fn an_escaped_bar_is_one_character() {
    let policies = converted("cilium-escaped-bar.yaml", &in_cluster(&[])).expect("converts");
    let matcher = ingress(&policies);
    let nobody = from(None, "192.0.2.7");
    for (path, allowed) in [
        ("/a|b/c", true),
        ("/a/c", false),
        ("/b/c", false),
        ("/a", false),
    ] {
        let line = format!("GET {path}");
        assert_eq!(is_allowed(&matcher, &nobody, &line, "a"), allowed, "{path}");
    }
}

#[test]
fn values_of_fields_that_no_pattern_says_are_refused_where_they_stand() {
    for (name, said) in [
        ("cilium-header-empty.yaml", "no pattern says an empty value"),
        ("cilium-header-star.yaml", "no pattern says a `*`"),
        (
            "cilium-header-two-spaces.yaml",
            "begins or ends with white space",
        ),
    ] {
        let errors = converted(name, &in_cluster(&[])).expect_err(name);
        assert!(errors.contains(said), "{errors}");
        let place = format!("{name}:12:35: spec.ingress[0].toPorts[0].rules.http[0].headers[0]");
        assert!(errors.contains(&place), "{errors}");
    }
}

#[test]
fn a_block_of_addresses_is_never_that_of_a_pod() {
    let name = "cilium-from-cidr.yaml";
    let errors = converted(name, &in_cluster(&[])).expect_err("who is a pod is not known");
    assert!(errors.contains("give `--cluster-block`"), "{errors}");
    let policies = converted(name, &in_cluster(&["10.0.0.0/16"])).expect("converts");
    let labels = [("app", "web"), ("io.kubernetes.pod.namespace", "shop")];
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
    let matcher =
        Matcher::new(&policies, &labels.into(), TrafficDirection::Ingress).expect("valid");
    for (ip, allowed) in [
        ("10.9.0.1", true),
        ("10.0.3.4", false),
        ("192.0.2.7", false),
    ] {
        let allows = is_allowed(&matcher, &from(None, ip), "GET /", "a");
        assert_eq!(allows, allowed, "{ip}");
    }
}

#[test]
fn everybody_of_a_namespace_is_not_everybody() {
    let name = "cilium-no-namespace.yaml";
    let errors = converted(name, &in_cluster(&[])).expect_err("of which namespace");
    assert!(errors.contains("give `--namespace`"), "{errors}");
    let options = ConvertOptions {
        namespace: Some("shop".to_owned()),
        ..in_cluster(&[])
    };
    let matcher = ingress(&converted(name, &options).expect("converts"));
    for (id, allowed) in [
        ("spiffe://corp/ns/shop/sa/web", true),
        ("spiffe://corp/ns/batch/sa/web", false),
        ("spiffe://other/ns/shop/sa/web", false),
    ] {
        let allows = is_allowed(&matcher, &from(Some(id), "10.0.0.1"), "GET /", "a");
        assert_eq!(allows, allowed, "{id}");
    }
}

#[test]
fn cluster_local_is_the_trust_domain_of_the_mesh() {
    let policies = converted("istio-cluster-local.yaml", &in_cluster(&[])).expect("converts");
    let matcher = ingress(&policies);
    for (id, allowed) in [
        ("spiffe://corp/ns/batch/sa/cron", false),
        ("spiffe://corp/ns/batch/sa/web", true),
    ] {
        let allows = is_allowed(&matcher, &from(Some(id), "10.0.0.1"), "GET /", "a");
        assert_eq!(allows, allowed, "{id}");
    }
    let name = "istio-cluster-local.yaml";
    let errors = converted(name, &ConvertOptions::default()).expect_err("whose domain");
    assert!(errors.contains("give `--trust-domain`"), "{errors}");
}

#[test]
fn what_is_only_tried_is_only_noted() {
    let policies = converted("istio-dry-run-allow.yaml", &in_cluster(&[])).expect("converts");
    let actions = policies.iter().map(|policy| policy.spec.action);
    assert_eq!(actions.collect::<Vec<_>>(), [Action::Allow, Action::Audit]);
    let matcher = ingress(&policies);
    let nobody = from(None, "192.0.2.7");
    assert!(is_allowed(&matcher, &nobody, "GET /", "a"));
    assert!(!is_allowed(&matcher, &nobody, "POST /", "a"));
}

#[test]
fn a_host_with_a_port_is_another_host() {
    let nobody = from(None, "192.0.2.7");
    for name in ["istio-hosts-port.yaml", "istio-not-hosts-deny.yaml"] {
        let matcher = ingress(&converted(name, &in_cluster(&[])).expect("converts"));
        for (host, allowed) in [("shop.example.com", true), ("shop.example.com:8080", false)] {
            let allows = is_allowed(&matcher, &nobody, "GET /", host);
            assert_eq!(allows, allowed, "{name} {host}");
        }
    }
}

#[test]
fn a_list_holds_policies_of_a_namespace() {
    for name in ["istio-list.yaml", "istio-namespace-label.yaml"] {
        let policies = converted(name, &in_cluster(&[])).expect("converts");
        let selector = policies[0].spec.selector.as_ref().expect("a selector");
        assert_eq!(selector.match_labels["io.kubernetes.pod.namespace"], "shop");
        let matcher = ingress(&policies);
        assert!(!is_allowed(
            &matcher,
            &from(None, "192.0.2.7"),
            "GET /",
            "a"
        ));
    }
}

#[test]
fn the_root_namespace_is_everybody_s() {
    let name = "istio-other-root-namespace.yaml";
    let own = converted(name, &in_cluster(&[])).expect("converts");
    assert!(own[0].spec.selector.is_some());
    let options = ConvertOptions {
        root_namespace: "istio-config".to_owned(),
        ..in_cluster(&[])
    };
    let everybody_s = converted(name, &options).expect("converts");
    assert_eq!(everybody_s[0].spec.selector, None);
    let matcher = ingress(&everybody_s);
    assert!(!is_allowed(
        &matcher,
        &from(None, "192.0.2.7"),
        "GET /admin",
        "a"
    ));
}

#[test]
fn two_of_one_name_are_refused() {
    let errors = converted("istio-two-of-one-name.yaml", &in_cluster(&[])).expect_err("twins");
    assert!(
        errors.contains(":8:18: metadata.name: there is another `shop/a`"),
        "{errors}"
    );
}

#[test]
fn a_number_keeps_its_zeros_in_what_is_said_of_it() {
    let errors = loaded("label-number.yaml").expect_err("a number");
    assert!(
        errors.contains(":8:16:") && errors.contains("write \"1.10\""),
        "{errors}"
    );
}

#[test]
fn what_no_request_has_does_not_load() {
    let errors = loaded("never-matches-host.yaml").expect_err("no hosts");
    for value in ["`*.`", "`a..b`", "`a,b`", "`[zz]`"] {
        assert!(errors.contains(value), "{value}: {errors}");
    }
    assert_eq!(errors.lines().count(), 4, "{errors}");
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    let matcher = ingress(&loaded("never-matches-mapped-address.yaml").expect("loads"));
    for (ip, allowed) in [
        ("10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
        ("10.1.200.7", false),
        ("10.0.0.2", true),
    ] {
        let allows = is_allowed(&matcher, &from(None, ip), "GET /", "a");
        assert_eq!(allows, allowed, "{ip}");
    }
}

#[test]
fn what_is_denied_is_denied_in_every_spelling() {
    let matcher = ingress(&loaded("live-deny.yaml").expect("loads"));
    for (line, host, ip, allowed) in [
        ("GET /", "a", "127.0.0.1", true),
        ("GET /x/../admin/y", "a", "127.0.0.1", false),
        ("GET /%73ecret", "a", "127.0.0.1", false),
        ("GET /", "INTERNAL.example.com", "127.0.0.1", false),
        ("GET /", "internal.example.com.:80", "127.0.0.1", false),
        ("GET /", "[2001:DB8:0:0::1]", "127.0.0.1", false),
        ("GET /", "trail.example.com", "127.0.0.1", false),
        ("DELETE /", "a", "127.0.0.1", false),
        ("GET /pkg.Svc/Del", "a", "127.0.0.1", false),
        ("GET /", "a", "127.0.0.9", false),
    ] {
        let allows = is_allowed(&matcher, &from(None, ip), line, host);
        assert_eq!(allows, allowed, "{line} {host} {ip}");
    }
    for (field, allowed) in [
        (("X-Role", "admin"), false),
        (("x-role", "user"), true),
        (("Cookie", "a=1; admin=1"), false),
        (("Cookie", "a=1"), true),
    ] {
        let mut sent = Sent::new("GET /", "a", &[field]);
        let decision = matcher.decide(&from(None, "127.0.0.1"), Some(&sent.request()));
        assert_eq!(decision.verdict == Verdict::Allow, allowed, "{field:?}");
    }
}

#[test]
fn what_is_allowed_by_a_field_is_denied_without_it() {
    let matcher = ingress(&loaded("live-allow-by-field.yaml").expect("loads"));
    for (path, field) in [
        (
            "/xup",
            ("X-Underseal-Principal", "spiffe://corp/ns/shop/sa/web"),
        ),
        ("/xff", ("X-Forwarded-For", "10.0.0.1")),
        ("/proto", ("X-Forwarded-Proto", "https")),
        ("/conn", ("X-Tenant", "a")),
        ("/cookie", ("Cookie", "session=abc; b=2")),
        ("/ka", ("Keep-Alive", "timeout=5")),
        ("/empty", ("X-E", "")),
    ] {
        let line = format!("GET {path}");
        for (fields, allowed) in [(&[field][..], true), (&[][..], false)] {
            let mut sent = Sent::new(&line, "a", fields);
            let decision = matcher.decide(&from(None, "192.0.2.7"), Some(&sent.request()));
            assert_eq!(
                decision.verdict == Verdict::Allow,
                allowed,
                "{path} {fields:?}"
            );
        }
    }
    for (line, ip, fields, allowed) in [
        ("GET /not", "192.0.2.7", &[][..], true),
        ("GET /not", "192.0.2.7", &[("X-N", "")], false),
        ("GET /loop", "127.0.0.1", &[], true),
        ("GET /loop", "192.0.2.7", &[], false),
    ] {
        let mut sent = Sent::new(line, "a", fields);
        let decision = matcher.decide(&from(None, ip), Some(&sent.request()));
        assert_eq!(
            decision.verdict == Verdict::Allow,
            allowed,
            "{line} {ip} {fields:?}"
        );
    }
}

/// What a DENY rule asks for and nobody knows is denied; what is known not to be there is not.
#[test]
fn who_denies_does_so_to_what_is_not_known() {
    let allows = |name: &str, direction, connection: &Connection<'_>| {
        let matcher = matcher(&loaded(name).expect("loads"), direction);
        is_allowed(&matcher, connection, "GET /", "a")
    };
    let named = |sni| Connection {
        sni,
        ..from(None, "192.0.2.7")
    };
    let to = |principal, port| Connection {
        destination: Peer {
            principal,
            ..Peer::default()
        },
        port,
        ..from(None, "192.0.2.7")
    };
    let unknown = Connection::default();
    for (name, direction, connection, allowed) in [
        (
            "deny-principal.yaml",
            TrafficDirection::Ingress,
            from(None, "192.0.2.7"),
            true,
        ),
        (
            "deny-principal.yaml",
            TrafficDirection::Ingress,
            unknown,
            false,
        ),
        (
            "deny-principal.yaml",
            TrafficDirection::Ingress,
            from(Some("spiffe://corp/ns/batch/sa/other"), "192.0.2.7"),
            false,
        ),
        (
            "deny-sni.yaml",
            TrafficDirection::Ingress,
            named(Fact::Absent),
            true,
        ),
        (
            "deny-sni.yaml",
            TrafficDirection::Ingress,
            named(Fact::Is("INTERNAL.example.com.")),
            false,
        ),
        (
            "deny-sni.yaml",
            TrafficDirection::Ingress,
            named(Fact::Unknown),
            false,
        ),
        (
            "egress-deny-sni.yaml",
            TrafficDirection::Egress,
            named(Fact::Is("localhost")),
            false,
        ),
        (
            "egress-deny-sni.yaml",
            TrafficDirection::Egress,
            named(Fact::Unknown),
            false,
        ),
        (
            "egress-deny-sni.yaml",
            TrafficDirection::Egress,
            named(Fact::Absent),
            true,
        ),
        (
            "egress-deny-sni.yaml",
            TrafficDirection::Ingress,
            named(Fact::Is("localhost")),
            true,
        ),
        (
            "egress-deny-destination.yaml",
            TrafficDirection::Egress,
            to(Fact::Is("spiffe://corp/ns/evil/sa/a"), 80),
            false,
        ),
        (
            "egress-deny-destination.yaml",
            TrafficDirection::Egress,
            to(Fact::Unknown, 80),
            false,
        ),
        (
            "egress-deny-destination.yaml",
            TrafficDirection::Egress,
            to(Fact::Absent, 80),
            true,
        ),
        (
            "egress-deny-port.yaml",
            TrafficDirection::Egress,
            to(Fact::Unknown, 23_001),
            false,
        ),
        (
            "egress-deny-port.yaml",
            TrafficDirection::Egress,
            to(Fact::Unknown, 23_002),
            true,
        ),
    ] {
        assert_eq!(
            allows(name, direction, &connection),
            allowed,
            "{name} {connection:?}"
        );
    }
}

#[test]
fn no_file_is_without_a_test() {
    let own = include_str!("field.rs");
    let files = std::fs::read_dir(directory()).expect("a directory");
    let names = files.map(|file| file.expect("an entry").file_name().into_string());
    let names: BTreeSet<_> = names.collect::<Result<_, _>>().expect("UTF-8");
    assert_eq!(names.len(), 24);
    for name in names {
        assert!(own.contains(&format!("\"{name}\"")), "{name}");
    }
}
