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
}

#[test]
fn policies_that_load_are_counted() {
    check("policy-check.txt", &["check", "orders.yaml"]);
    check("policy-check-json.txt", &["check", "orders.yaml", "--json"]);
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

#[test]
fn the_schema_is_that_of_the_crate() {
    let schema = include_str!("../../underseal-policy/schema.json");
    assert_eq!(
        shown(&["schema"]),
        format!("$ underseal policy schema\n{schema}exit 0\n")
    );
}
