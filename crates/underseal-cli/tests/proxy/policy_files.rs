//! Which files are policies, and for whom they are.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::backend::Backend;
use crate::harness::{Start, policy};
use crate::issuer::{ISSUER, Issuer};

const DENY: &str = "{ action: DENY, rules: [{}] }";

fn write(directory: &Path, name: &str, text: &str) {
    let file = directory.join(name);
    fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    fs::write(file, text).expect("write");
}

fn start(directory: &TempDir, backend: &Backend) -> Start {
    let path = directory.path().display().to_string();
    Start::new(backend.address).with(&["--policy", &path])
}

#[test]
fn every_policy_below_a_directory_judges_and_what_is_not_read_is_named() {
    let backend = Backend::echo();
    for name in [
        "deny.yaml",
        "deny.yml",
        "deny.json",
        "deny.YAML",
        "sub/deeper/deny.yaml",
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let allow = "{ rules: [{ to: [{ operation: { paths: ['/*'] } }] }] }";
        write(directory.path(), "allow.yaml", &policy("allow", allow));
        let text = match name.ends_with("json") {
            true => r#"{"apiVersion":"underseal/v1alpha1","kind":"AuthorizationPolicy",
                        "metadata":{"name":"deny"},"spec":{"action":"DENY","rules":[{}]}}"#
                .to_owned(),
            false => policy("deny", DENY),
        };
        write(directory.path(), name, &text);
        write(directory.path(), "notes.txt", "no policy");
        write(directory.path(), ".deny.yaml", "no policy");
        let proxy = start(&directory, &backend).start();
        assert_eq!(
            proxy.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            403,
            "{name}"
        );
        proxy
            .peer
            .wait_for("policies     2 of 2 policies are for this workload: ingress, no label");
        for unread in ["notes.txt", ".deny.yaml"] {
            let unread = directory.path().join(unread);
            proxy
                .peer
                .wait_for(&format!("not read     {}", unread.display()));
        }
    }
}

#[test]
fn policies_that_are_for_nobody_keep_a_proxy_from_starting() {
    let backend = Backend::echo();
    for (spec, fitting) in [
        (
            "{ selector: { matchLabels: { app: orders } }, action: DENY, rules: [{}] }",
            "--label=app=orders",
        ),
        (
            "{ direction: Egress, action: DENY, rules: [{}] }",
            "--direction=egress",
        ),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path(), "deny.yaml", &policy("deny", spec));
        let (said, code) = start(&directory, &backend)
            .with(&["--label", "app=other"])
            .refused();
        let expected =
            "error: 0 of 1 policies are for this workload: ingress, label app=other\nhint: ";
        assert!(
            said.contains(expected) && said.contains("--allow-unselected"),
            "{said}"
        );
        assert_eq!(code, Some(6));

        let open = start(&directory, &backend)
            .with(&["--allow-unselected"])
            .start();
        assert_eq!(
            open.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            200,
            "{spec}"
        );
        open.peer
            .wait_for("policies     0 of 1 policies are for this workload: ingress, no label");
        let judged = start(&directory, &backend).with(&[fitting]).start();
        assert_eq!(
            judged.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            403,
            "{spec}"
        );
    }
}

#[test]
fn rules_on_tokens_that_are_for_nobody_do_so_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = serde_json::json!({ "keys": [Issuer::new("one").jwk()] });
    let text = format!(
        "apiVersion: underseal/v1alpha1\nkind: RequestAuthentication\nmetadata: {{ name: login }}\n\
         spec:\n  selector: {{ matchLabels: {{ app: orders }} }}\n  \
         jwtRules: [{{ issuer: '{ISSUER}', jwks: '{keys}' }}]\n"
    );
    write(directory.path(), "tokens.yaml", &text);
    let (said, code) = start(&directory, &Backend::echo()).refused();
    assert!(
        said.contains("0 of 1 rules on tokens are for this workload"),
        "{said}"
    );
    assert_eq!(code, Some(6));
}

#[test]
fn policies_that_become_nobodys_leave_the_old_in_force() {
    let proxy = Start::new(Backend::echo().address).policy(DENY).start();
    let nobody = "{ selector: { matchLabels: { app: orders } }, rules: [{}] }";
    fs::write(proxy.policy_file(), policy("nobody", nobody)).expect("write");
    proxy.signal(rustix::process::Signal::HUP);
    proxy
        .peer
        .wait_for("the old policy stays: 0 of 1 policies are for this workload");
    assert_eq!(proxy.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 403);
}
