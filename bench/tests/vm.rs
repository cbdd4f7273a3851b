//! The bench of the VM, run outside of one: what it measures means nothing here, but that each row
//! moves its data, says what it took, and ends up in the summary.

use std::fs;
use std::process::{Command, Output};

use underseal_bench::credentials::Suite;
use underseal_bench::rows::name::{OPENSSL, PLAIN, RUSTLS_AWS, RUSTLS_RING, USER_ENGINE};
use underseal_bench::run::Run;
use underseal_bench::vm::{RUN_MARK, measure};

/// The rows that need no kernel TLS.
const ROWS: [&str; 5] = [PLAIN, USER_ENGINE, RUSTLS_RING, RUSTLS_AWS, OPENSSL];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal-bench"));
    let output = command.args(arguments).output();
    output.expect("start the bench")
}

#[test]
fn every_row_is_measured_and_shown() {
    let mut arguments = vec!["vm", "--any-clock", "--rounds", "1", "--mebibytes", "1"];
    for row in ROWS {
        arguments.extend(["--only", row]);
    }
    let output = bench(&arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let line = stdout.lines().find_map(|line| line.strip_prefix(RUN_MARK));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.json");
    fs::write(&file, line.expect("a run")).expect("write");

    let run = Run::read(&file).expect("a run");
    for suite in Suite::ALL {
        for role in ["send", "receive", "file"] {
            let measure = measure(role, suite);
            assert_eq!(run.samples.rows(&measure), ROWS, "{measure}");
            for row in ROWS {
                let setting = &run.samples.settings(&measure, row)[0];
                let cost = run.samples.series(&measure, row, setting, "own").median();
                assert!(cost > 0.0, "{measure}, {row}: {cost}");
            }
        }
    }
    let (file, out) = (file.to_str().expect("UTF-8"), directory.path().join("out"));
    let summary = bench(&[
        "vm-summary",
        "--run",
        file,
        "--commit",
        "c0ffee",
        "--out",
        out.to_str().expect("UTF-8"),
    ]);
    assert!(summary.status.success(), "{summary:?}");
    let printed = String::from_utf8(summary.stdout).expect("UTF-8");
    assert_eq!(
        fs::read_to_string(out.join("summary.md")).expect("kept"),
        printed
    );
    assert!(printed.contains("commit c0ffee"), "{printed}");
    assert!(printed.contains("| underseal, user engine |"), "{printed}");
    assert_eq!(
        Run::read(&out).expect("kept").samples.all().len(),
        run.samples.all().len()
    );
}

#[test]
fn a_peer_that_is_no_openssl_is_an_error() {
    let peer = env!("CARGO_BIN_EXE_underseal-bench");
    let output = bench(&["vm", "--any-clock", "--openssl", peer]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("has no version"), "{stderr}");
}
