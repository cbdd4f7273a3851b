//! The command line, compared with `tests/snapshots`. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

fn underseal(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
    for variable in ["RUST_LOG", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("underseal runs")
}

/// Exit code, stdout and stderr of a run, as one text.
fn shown(arguments: &[&str]) -> String {
    let output = underseal(arguments);
    format!(
        "$ underseal {}\n{}{}exit {}\n",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status.code().expect("no signal")
    )
}

fn check(name: &str, arguments: &[&str]) {
    let actual = shown(arguments);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
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
    check("help.txt", &["--help"]);
}

#[test]
fn help_of_serve() {
    check("help-serve.txt", &["serve", "--help"]);
}

#[test]
fn help_of_proxy() {
    check("help-proxy.txt", &["proxy", "--help"]);
}

#[test]
fn help_of_run() {
    check("help-run.txt", &["run", "--help"]);
}

#[test]
fn help_of_conns() {
    check("help-conns.txt", &["conns", "--help"]);
}

#[test]
fn help_of_doctor() {
    check("help-doctor.txt", &["doctor", "--help"]);
}

#[test]
fn help_of_a_subcommand_fits_a_screen() {
    for subcommand in ["serve", "run", "conns", "doctor"] {
        let help = shown(&[subcommand, "--help"]);
        assert!(help.lines().count() <= 40, "{} lines", help.lines().count());
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
}

#[test]
fn errors_have_a_line_a_hint_and_a_code() {
    check("no-directory.txt", &["serve", "/nonexistent/dir"]);
    check("bad-listen.txt", &["serve", ".", "--listen", "nonsense"]);
    check("cert-without-key.txt", &["serve", ".", "--cert", "x.pem"]);
    check("bad-seconds.txt", &["serve", ".", "--grace", "soon"]);
    check("no-subcommand.txt", &["frobnicate"]);
    check("no-man-page.txt", &["man", "frobnicate"]);
}

#[test]
fn version_names_the_program() {
    let output = underseal(&["-V"]);
    let expected = format!("underseal {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn man_pages_and_completions_know_every_option_of_serve() {
    let man = underseal(&["man", "serve"]);
    let bash = underseal(&["completions", "bash"]);
    for output in [man, bash] {
        assert!(output.status.success());
        // roff writes a hyphen that is not a minus sign with a backslash.
        let text = String::from_utf8_lossy(&output.stdout).replace('\\', "");
        for option in [
            "--listen",
            "--cert",
            "--key",
            "--workers",
            "--access-log",
            "--grace",
        ] {
            assert!(text.contains(option), "{option} in {text}");
        }
    }
}

#[test]
fn man_page_of_doctor_has_its_option_variables_and_exit_codes() {
    let man = underseal(&["man", "doctor"]);
    let text = String::from_utf8_lossy(&man.stdout).replace('\\', "");
    for word in [
        "--json",
        "UNDERSEAL_OFFLOAD",
        "UNDERSEAL_AEAD",
        "NO_COLOR",
        "Exit codes",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn subcommands_of_subcommands_have_man_pages_too() {
    let page = |arguments: &[&str]| {
        let man = underseal(&[&["man"], arguments].concat());
        assert!(man.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&man.stdout).replace('\\', "")
    };
    let check = page(&["policy", "check"]);
    assert_eq!(page(&["policy-check"]), check);
    for word in [".TH underseal-policy-check", "policy check", "--tcp-port"] {
        assert!(check.contains(word), "{word} in {check}");
    }
    assert!(page(&["policy"]).contains(".TH underseal-policy 1"));
    for none in [&["policy", "frobnicate"][..], &["serve-x"], &[""]] {
        let output = underseal(&[&["man"], none].concat());
        assert_eq!(output.status.code(), Some(2), "{none:?}");
    }
}

/// The words of `text` that are names of environment variables.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let variables = words.filter(|word| {
        let upper = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        upper && word.contains('_')
    });
    variables.map(str::to_owned).collect()
}

#[test]
fn help_and_readme_list_the_same_variables_and_those_that_the_library_reads() {
    let help = shown(&["--help"]);
    let (_, help) = help.split_once("Environment:").expect("a list");
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("## Environment").expect("a section");
    let (table, _) = table.split_once("## ").expect("another section");
    assert_eq!(variables(help), variables(table));
    for variable in [underseal::OFFLOAD_VARIABLE, underseal::BACKEND_VARIABLE] {
        assert!(variables(help).contains(variable), "{variable}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let script = "\"$0\" completions bash 2>&1 >&3 3>&- | cat >&2; exit ${PIPESTATUS[0]}";
    let status = Command::new("bash")
        .args(["-c", &format!("exec 3> >(exec true); sleep 0.2; {script}")])
        .arg(env!("CARGO_BIN_EXE_underseal"))
        .output()
        .expect("bash runs");
    assert!(
        status.status.success() && status.stderr.is_empty(),
        "{status:?}"
    );
}

#[test]
fn no_colour_is_written_where_none_is_wanted() {
    let output = Command::new(env!("CARGO_BIN_EXE_underseal"))
        .args(["serve", "/nonexistent/dir"])
        .env("NO_COLOR", "1")
        .output()
        .expect("underseal runs");
    assert!(!output.stderr.contains(&0x1b));
}
