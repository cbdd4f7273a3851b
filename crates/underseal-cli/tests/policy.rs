//! `underseal policy`, compared with `tests/snapshots`. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::path::{Path, PathBuf};
use std::process::Command;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Runs `underseal policy` beside the policies of `tests/policies`; exit code and both outputs.
fn shown(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_underseal"))
        .current_dir(directory().join("policies"))
        .env_remove("COLUMNS")
        .arg("policy")
        .args(arguments)
        .output()
        .expect("underseal runs");
    format!(
        "$ underseal policy {}\n{}{}exit {}\n",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status.code().expect("no signal")
    )
}

fn check(name: &str, arguments: &[&str]) {
    let actual = shown(arguments);
    let path = directory().join("snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &actual).expect("write the snapshot");
    }
    let expected = std::fs::read_to_string(&path).expect("a snapshot");
    assert_eq!(
        actual, expected,
        "{name} differs; UPDATE_SNAPSHOTS=1 accepts the new text"
    );
}

#[test]
fn help() {
    check("help-policy.txt", &["--help"]);
    check("help-policy-check.txt", &["check", "--help"]);
    check("help-policy-convert.txt", &["convert", "--help"]);
    check("help-policy-explain.txt", &["explain", "--help"]);
}

#[test]
fn policies_that_load_are_counted() {
    check("policy-check.txt", &["check", "orders.yaml"]);
    check("policy-check-json.txt", &["check", "orders.yaml", "--json"]);
}

#[test]
fn what_a_proxy_without_http_refuses_does_not_load_for_one() {
    let paths = ["check", "fields.yaml"];
    assert!(shown(&paths).ends_with("exit 0\n"));
    for protocol in ["tcp", "dtls"] {
        let said = shown(&[&paths[..], &["--protocol", protocol]].concat());
        assert!(
            said.contains("is known of HTTP only, which is spoken on no port"),
            "{said}"
        );
        assert!(said.ends_with("exit 6\n"), "{said}");
        let explain = ["explain", "fields.yaml", "--protocol", protocol];
        let explained = shown(&explain);
        assert!(explained.contains("is known of HTTP only"), "{explained}");
        // Those of others are theirs.
        let others = shown(&[&explain[..], &["--direction", "egress"]].concat());
        assert!(others.ends_with("exit 0\n"), "{others}");
    }
    let request = [
        "explain",
        "fields.yaml",
        "--protocol",
        "tcp",
        "--request",
        "GET /",
    ];
    assert!(shown(&request).ends_with("exit 2\n"));
    let port = ["--protocol", "tcp", "--tcp-port", "5432"];
    let said = shown(&[&paths[..], &port].concat());
    assert!(said.contains("and port 5432 does not speak it"), "{said}");
}

#[test]
fn every_error_of_every_file_is_printed() {
    let files = [
        "check",
        "orders.yaml",
        "wrong.yaml",
        "broken.yaml",
        "--tcp-port",
        "5432",
    ];
    check("policy-check-wrong.txt", &files);
    check(
        "policy-check-wrong-json.txt",
        &[&files[..], &["--json"]].concat(),
    );
    check("policy-check-missing.txt", &["check", "missing.yaml"]);
}

/// A request to orders that rule 0 of `orders-read` allows, changed by `more`.
fn explain(name: &str, request: &str, more: &[&str]) {
    let arguments = [
        "explain",
        "orders.yaml",
        "--labels",
        "app=orders",
        "--request",
        request,
        "--host",
        "orders.example.com",
        "--port",
        "8080",
        "--from",
        "spiffe://corp/ns/shop/sa/web",
    ];
    check(name, &[&arguments, more].concat());
}

#[test]
fn a_decision_is_explained_rule_by_rule() {
    let allowed = ["--header", "X-Env: prod"];
    let request = "GET /v1/./orders//7?x HTTP/1.1";
    explain("policy-explain-allow.txt", request, &allowed);
    explain(
        "policy-explain-json.txt",
        request,
        &[&allowed[..], &["--json"]].concat(),
    );
    explain("policy-explain-default.txt", "POST /v1/orders/7", &[]);
    explain(
        "policy-explain-deny.txt",
        "GET /x/../admin",
        &["--from-ip", "10.1.2.3"],
    );
    let egress = [
        "--direction",
        "egress",
        "--to",
        "spiffe://corp/stock",
        "--sni",
        "stock",
    ];
    explain("policy-explain-egress.txt", "GET /v1/stock", &egress);
}

#[test]
fn a_head_that_is_refused_is_explained_too() {
    explain("policy-explain-refused.txt", "GET /a%2f..%2fadmin", &[]);
    explain(
        "policy-explain-refused-json.txt",
        "GET /",
        &["--header", "Host: b", "--json"],
    );
    explain("policy-explain-control.txt", "GET /\u{1b}[2J", &[]);
}

#[test]
fn what_a_proxy_would_send_on_is_explained() {
    for (fields, verdict) in [
        (&["X-Tenant: a", "Cookie: a=1", "Cookie: b=2"][..], "allow"),
        (&["X-Tenant: a", "Cookie: a=1", "Cookie: admin=1"], "deny"),
        (&["X-Tenant: a", "Keep-Alive: timeout=5"], "allow"),
        (&["X-Tenant: a", "Connection: X-Tenant"], "deny"),
        (&["X-Tenant: a", "X-Forwarded-For: 198.51.100.1"], "allow"),
        (&["X-Tenant: a", "X-Forwarded-For: 192.0.2.1"], "deny"),
    ] {
        let request = [
            "explain",
            "fields.yaml",
            "--request",
            "GET /",
            "--host",
            "a",
        ];
        let fields = fields.iter().flat_map(|field| ["--header", *field]);
        let arguments: Vec<_> = request.into_iter().chain(fields).collect();
        let text = shown(&arguments);
        let line = format!("\nverdict     {verdict}\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn a_connection_without_http_is_explained() {
    check(
        "policy-explain-tcp.txt",
        &["explain", "orders.yaml", "--labels", "app=orders"],
    );
}

#[test]
fn what_is_not_said_of_a_connection_is_not_known() {
    let text = shown(&["explain", "names.yaml"]);
    assert!(text.contains("\nverdict     deny\n"), "{text}");
    for key in [
        "connection.sni: evil.test",
        "source.principals: spiffe://corp/evil",
    ] {
        assert!(
            text.contains(&format!("matches   {key}; is not known\n")),
            "{text}"
        );
    }
    let said = ["--sni", "a.test", "--from", "spiffe://corp/a"];
    let text = shown(&[&["explain", "names.yaml"][..], &said].concat());
    assert!(text.contains("\nverdict     allow\n"), "{text}");
}

#[test]
fn datagrams_are_explained() {
    let text = shown(&[
        "explain",
        "datagrams.yaml",
        "--transport",
        "udp",
        "--port",
        "5684",
    ]);
    assert!(text.contains("\nverdict     allow\n"), "{text}");
    assert!(text.contains(" to UDP port 5684\n"), "{text}");
    let text = shown(&["explain", "datagrams.yaml", "--port", "5684"]);
    assert!(text.contains("\nverdict     deny\n"), "{text}");
    assert!(text.contains("connection.transport: udp; is tcp"), "{text}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    check("policy-explain-wrong.txt", &["explain", "wrong.yaml"]);
    let labels = ["explain", "orders.yaml", "--labels", "orders"];
    check("policy-explain-labels.txt", &labels);
}

#[test]
fn foreign_policies_are_converted_or_refused_by_name() {
    let domain = ["convert", "cilium.yaml", "--trust-domain", "cluster.local"];
    check("policy-convert.txt", &domain);
    check(
        "policy-convert-wrong.txt",
        &["convert", "cilium-wrong.yaml"],
    );
}

#[test]
fn a_port_by_name_has_one_number() {
    let convert = |ports: &[&str]| {
        let command = [
            "convert",
            "cilium-named-port.yaml",
            "--trust-domain",
            "corp",
        ];
        let ports = ports.iter().flat_map(|port| ["--named-port", *port]);
        shown(&command.into_iter().chain(ports).collect::<Vec<_>>())
    };
    let text = convert(&["HTTP=8080/tcp", "http=8080/TCP"]);
    assert!(text.contains("ports:\n        - \"8080\"\n"), "{text}");
    for (ports, said, code) in [
        (&[][..], "give `--named-port http=PORT/PROTOCOL`", 6),
        (
            &["http=8080/tcp", "http=80/tcp"],
            "is given with two ports",
            2,
        ),
        (
            &["http"],
            "expected NAME=PORT/PROTOCOL, such as http=8080/tcp",
            2,
        ),
        (
            &["http=80"],
            "expected NAME=PORT/PROTOCOL, such as http=8080/tcp",
            2,
        ),
        (&["http=0/tcp"], "expected a port from 1 to 65535", 2),
        (&["http=80/sctp"], "expected `tcp` or `udp`", 2),
        (
            &["http=80/tcp", "http=80/udp"],
            "is given with two ports",
            2,
        ),
    ] {
        let text = convert(ports);
        assert!(text.contains(said), "{text}");
        assert!(text.ends_with(&format!("exit {code}\n")), "{text}");
    }
}

#[test]
fn an_address_has_one_file_of_keys() {
    let convert = |other: &str| {
        let keys = ["--jwks", "https://a.test/jwks=a.json", "--jwks", other];
        let command = ["convert", "cilium.yaml", "--trust-domain", "cluster.local"];
        shown(&[&command[..], &keys].concat())
    };
    let text = convert("https://a.test/jwks=b.json");
    let said = "`--jwks https://a.test/jwks` is given with two files";
    assert!(text.contains(said) && text.ends_with("exit 2\n"), "{text}");
    for other in ["https://a.test/jwks=a.json", "https://b.test/jwks=b.json"] {
        let text = convert(other);
        assert!(text.ends_with("exit 0\n"), "{text}");
    }
}

#[test]
fn what_became_of_each_document_is_reported() {
    let files = [
        "convert",
        "cilium.yaml",
        "mixed.yaml",
        "--trust-domain",
        "corp",
    ];
    for format in ["text", "json"] {
        let report = [&files[..], &["--report", format]].concat();
        check(&format!("policy-convert-report-{format}.txt"), &report);
    }
    check(
        "policy-check-mixed.txt",
        &["check", "orders.yaml", "mixed.yaml"],
    );
}

#[test]
fn directories_are_read_and_what_else_is_there_is_named() {
    check("policy-check-directory.txt", &["check", "directory"]);
    check(
        "policy-check-no-directory.txt",
        &["check", "directory/empty"],
    );
    let unread = "note: directory/empty/notes.txt: not read\n";
    let text = shown(&["explain", "directory"]);
    assert!(text.contains(unread), "{text}");
    assert!(text.contains("\nverdict     "), "{text}");
    // It is one of ours, at its place in the directory.
    let text = shown(&["convert", "directory"]);
    assert!(text.contains(unread), "{text}");
    assert!(
        text.contains("directory/a.yml:1:1: is not a policy of Istio"),
        "{text}"
    );
}

#[test]
fn the_schema_is_that_of_the_crate() {
    let schema = include_str!("../../underseal-policy/schema.json");
    assert_eq!(
        shown(&["schema"]),
        format!("$ underseal policy schema\n{schema}exit 0\n")
    );
}
