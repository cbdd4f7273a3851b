//! `underseal doctor`, run on this machine: its exit codes, its JSON, and answers that are known by
//! another route.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn underseal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
    for variable in ["UNDERSEAL_AEAD", "UNDERSEAL_OFFLOAD"] {
        command.env_remove(variable);
    }
    command.arg("doctor");
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("underseal runs");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    output
}

fn json(command: &mut Command) -> Value {
    let output = run(command.arg("--json"));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The paths to everything in `value` that is an answer, a choice or a plain value.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(members) if !members.contains_key("answer") && !members.contains_key("chosen") => {
            for (key, member) in members {
                let key = match path {
                    "kernel_tls.suites" => "SUITE",
                    "nic_tls.interfaces" => "INTERFACE",
                    "aead.backend" | "aead.gb_per_s" => "SUITE",
                    _ if path.starts_with("engines.") => "SUITE",
                    _ => key,
                };
                let dot = if path.is_empty() { "" } else { "." };
                paths(member, &format!("{path}{dot}{key}"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The keys that the README's table promises.
fn promised() -> BTreeSet<String> {
    let readme = include_str!("../README.md");
    let table = readme.split("| key | is |\n|---|---|\n").nth(1);
    let table = table.expect("the README has the table of keys");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn json_has_the_keys_that_are_promised_and_no_others() {
    let mut found = BTreeSet::new();
    paths(&json(&mut underseal()), "", &mut found);
    assert_eq!(found, promised());
}

#[test]
fn every_answer_is_one_of_three_words() {
    fn check(value: &Value) -> usize {
        let Some(members) = value.as_object() else {
            return 0;
        };
        let Some(answer) = members.get("answer") else {
            return members.values().map(check).sum();
        };
        let answer = answer.as_str().expect("a word");
        assert!(["yes", "no", "cannot_tell"].contains(&answer), "{answer}");
        for key in ["said", "fix"] {
            assert!(value[key].is_string() || value[key].is_null(), "{value}");
        }
        // What went wrong is always said, and what went right needs no fix.
        assert!(answer == "yes" || value["said"].is_string(), "{value}");
        assert!(answer != "yes" || value["fix"].is_null(), "{value}");
        1
    }
    let answers = check(&json(&mut underseal()));
    assert!(answers >= 5 + 8 * 4 + 3 + 2 + 5 + 6, "{answers} answers");
}

#[test]
fn answers_are_those_that_the_kernel_shows_elsewhere() {
    let report = json(&mut underseal());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc");
    assert_eq!(report["kernel"], release.trim());

    // The modules that are there are listed, and asking as root has loaded `tls` if there is one.
    let listed = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").expect("proc");
    let listed = listed.split_whitespace().any(|name| name == "tls");
    let expected = if listed { "yes" } else { "no" };
    assert_eq!(report["kernel_tls"]["ulp"]["answer"], expected);
    if !listed {
        assert_eq!(report["kernel_tls"]["ulp"]["said"], "ENOENT");
    }

    let interfaces = report["nic_tls"]["interfaces"].as_object();
    for name in interfaces.expect("interfaces").keys() {
        assert!(Path::new("/sys/class/net").join(name).exists(), "{name}");
    }

    let mounts = fs::read_to_string("/proc/self/mounts").expect("proc");
    let mounted = mounts
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let expected = if mounted { "yes" } else { "no" };
    assert_eq!(report["bpf"]["cgroup_v2"]["answer"], expected);
}

#[test]
fn probing_leaves_nothing_behind() {
    let state = || {
        let table = fs::read_to_string("/proc/net/dev").expect("proc");
        let names = table.lines().filter_map(|line| line.split_once(':'));
        let names: Vec<_> = names.map(|(name, _)| name.to_owned()).collect();
        let cgroups = fs::read_to_string("/proc/self/cgroup").expect("proc");
        (names, cgroups)
    };
    let before = state();
    run(&mut underseal());
    assert_eq!(state(), before);
}

/// The same without what root may do.
fn unprivileged() -> Command {
    if !rustix::process::geteuid().is_root() {
        return underseal();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .args([env!("CARGO_BIN_EXE_underseal"), "doctor"]);
    command
}

#[test]
fn who_may_not_ask_is_told_to_ask_as_root() {
    let report = json(&mut unprivileged());
    assert_eq!(report["privileged"], false);
    for program in ["sock_ops", "sk_msg", "cgroup_sock_addr", "sockmap"] {
        let answer = &report["bpf"][program];
        assert_eq!(answer["answer"], "cannot_tell", "{program}");
        assert_eq!(answer["said"], "EPERM", "{program}");
        assert_eq!(answer["fix"], "run as root to find out", "{program}");
    }
    // What everybody may ask is answered as for root.
    assert_eq!(report["udp"], json(&mut underseal())["udp"]);
    let text = String::from_utf8(run(&mut unprivileged()).stdout).expect("UTF-8");
    assert!(text.contains(", not as root: "), "{text}");
}

#[test]
fn the_environment_chooses_the_backend() {
    for backend in ["ring", "aws-lc-rs"] {
        let report = json(underseal().env("UNDERSEAL_AEAD", backend));
        let chosen = &report["aead"]["backend"]["AES-256-GCM"];
        assert_eq!(chosen["chosen"], backend);
        assert_eq!(chosen["because"], "UNDERSEAL_AEAD says so");
    }
    let nonsense = json(underseal().env("UNDERSEAL_AEAD", "rot13"));
    let because = nonsense["aead"]["backend"]["AES-256-GCM"]["because"].to_string();
    assert!(because.contains("UNDERSEAL_AEAD is ignored"), "{because}");
}

#[test]
fn the_environment_chooses_the_engine() {
    let report = json(underseal().env("UNDERSEAL_OFFLOAD", "user"));
    let choice = &report["engines"]["tls13_tx"]["AES-128-GCM"];
    assert_eq!(choice["chosen"], "user");
    assert_eq!(choice["because"], "UNDERSEAL_OFFLOAD says so");

    // What the kernel engine gets is what the kernel takes.
    let report = json(underseal().env("UNDERSEAL_OFFLOAD", "kernel"));
    let taken = &report["kernel_tls"]["suites"]["AES-128-GCM"]["tls13_rx"]["answer"];
    let expected = if taken == "yes" { "kernel" } else { "none" };
    assert_eq!(
        report["engines"]["tls13_rx"]["AES-128-GCM"]["chosen"],
        expected
    );
}

#[test]
fn text_has_no_colours_in_a_pipe() {
    let output = run(&mut underseal());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.starts_with("underseal "), "{text}");
    assert!(text.contains("\n  upper layer protocol "), "{text}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    // script(1) of util-linux runs a command on a terminal.
    let on_terminal = |variable: &str| {
        let command = format!("{} doctor", env!("CARGO_BIN_EXE_underseal"));
        let output = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("NO_COLOR", variable)
            .stdin(Stdio::null())
            .output()
            .expect("script runs; on Debian the package `bsdutils` has it");
        assert!(output.status.success(), "{output:?}");
        output.stdout.contains(&0x1b)
    };
    assert!(on_terminal(""), "an empty NO_COLOR is none");
    assert!(!on_terminal("1"));
}

#[test]
fn a_full_disk_is_a_failure_and_an_option_that_does_not_exist_too() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = underseal()
        .stdout(full.expect("/dev/full"))
        .output()
        .expect("underseal runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("error: cannot write to stdout"), "{said}");
    let output = underseal().arg("--xml").output().expect("underseal runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
