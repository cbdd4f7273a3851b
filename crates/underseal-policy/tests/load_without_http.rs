//! What does not load for a proxy that speaks no HTTP.

#[path = "support/specs.rs"]
mod specs;

use specs::with_spec;
use underseal_policy::{PolicyFile, TcpPorts, load_without_http};

fn refused_without_http(spec: &str, ports: &TcpPorts, is_for: bool) -> Vec<String> {
    let file = PolicyFile {
        name: "p.yaml",
        text: &with_spec(spec),
    };
    let loaded = load_without_http(&[file], ports, |_| is_for);
    let errors = loaded.err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn an_http_key_is_refused_whatever_its_ports_where_any_port_may_be_asked_about() {
    for rule in [
        "to: [{ operation: { paths: [/a] } }]",
        "to: [{ operation: { ports: [80], paths: [/a] } }]",
        "to: [{ operation: { notPorts: [1], paths: [/a] } }]",
        "to: [{ operation: { paths: [/a] } }]\n  when: [{ key: destination.port, values: ['80'] }]",
    ] {
        let spec = format!("rules:\n- {rule}");
        let said = refused_without_http(&spec, &TcpPorts::Any, true);
        assert_eq!(said.len(), 1, "{rule}: {said:?}");
        assert!(
            said[0].ends_with("`paths` is known of HTTP only, which is spoken on no port"),
            "{said:?}"
        );
        assert_eq!(refused_without_http(&spec, &TcpPorts::Any, false), [""; 0]);
    }
    let asks_nothing = "rules: [{ to: [{ operation: { ports: [80] } }] }]";
    assert_eq!(
        refused_without_http(asks_nothing, &TcpPorts::Any, true),
        [""; 0]
    );
}

#[test]
fn an_http_key_of_a_rule_without_ports_is_refused_where_nothing_else_is_spoken() {
    let ports = TcpPorts::Only(vec![5432]);
    let refused = |spec: &str, is_for: bool| refused_without_http(spec, &ports, is_for);
    for (rule, key) in [
        ("to: [{ operation: { paths: [/a] } }]", "paths"),
        ("to: [{ operation: { notMethods: [GET] } }]", "notMethods"),
        (
            "to: [{ operation: { notPorts: [1], hosts: [a] } }]",
            "hosts",
        ),
        (
            "to: [{ operation: { ports: [5432], paths: [/a] } }]",
            "paths",
        ),
        (
            "from: [{ source: { requestPrincipals: ['*'] } }]",
            "requestPrincipals",
        ),
        (
            "when: [{ key: 'request.headers[a]', values: [b] }]",
            "request.headers[a]",
        ),
        (
            "to: [{ operation: { paths: [/a] } }]\n  \
             when: [{ key: destination.port, values: ['80', '5432'] }]",
            "paths",
        ),
    ] {
        for action in ["ALLOW", "DENY", "AUDIT"] {
            let spec = format!("action: {action}\nrules:\n- {rule}");
            let errors = refused(&spec, true);
            let expected =
                format!("`{key}` is known of HTTP only, and port 5432 does not speak it");
            assert_eq!(errors.len(), 1, "{rule}: {errors:?}");
            assert!(errors[0].ends_with(&expected), "{rule}: {errors:?}");
            assert_eq!(refused(&spec, false), [""; 0], "{rule}");
        }
    }
    for rule in [
        "to: [{ operation: { ports: [80], paths: [/a] } }]",
        "to: [{ operation: { notPorts: [5432], paths: [/a] } }]",
        "to: [{ operation: { paths: [/a] } }]\n  \
         when: [{ key: destination.port, values: ['80'] }]",
        "to: [{ operation: { paths: [/a] } }]\n  \
         when: [{ key: destination.port, notValues: ['5432'] }]",
        "from: [{ source: { ipBlocks: [10.0.0.0/8] } }]",
    ] {
        let spec = format!("rules:\n- {rule}");
        assert_eq!(refused(&spec, true), [""; 0], "{rule}");
    }
}
