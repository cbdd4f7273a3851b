//! Programs of crates that depend on tokio-rustls, with the shim in its place: some run against
//! servers of Debian, the others are compiled.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{ensure_count, target, workspace};
use crate::shell;

/// How many crates the programs are of: those that are compiled, and those that are run.
const COMPILED: usize = 10;
const RUN: usize = 3;

/// Compiles and runs them.
pub(super) fn check() -> Result<()> {
    only_the_shim()?;
    let programs = fs::read_dir(directory().join("check/src/bin"))?.count();
    ensure_count("programs that are compiled", programs, COMPILED)?;
    let mut check = cargo(&["check", "--locked", "--bins"]);
    check.args(["--package", "tokio-rustls-programs"]);
    shell::run(check).context("a program does not compile with the shim")?;
    let mut test = cargo(&["test", "--locked", "--test", "servers"]);
    test.args(["--package", "tokio-rustls-programs-run"]);
    let output = shell::output(test).context("a program does not run with the shim")?;
    print!("{output}");
    let passed = output.lines().filter(|line| line.ends_with("... ok"));
    ensure_count("programs that ran", passed.count(), RUN)
}

fn directory() -> PathBuf {
    workspace().join("programs")
}

fn cargo(args: &[&str]) -> Command {
    let mut command = shell::cargo(args);
    command.arg("--target-dir").arg(target().join("programs"));
    command.current_dir(directory());
    command
}

/// The lock file knows no other tokio-rustls, so that nothing is compiled with the real one.
fn only_the_shim() -> Result<()> {
    let lock = directory().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let all = lock.split("[[package]]");
    let theirs: Vec<_> = all
        .filter(|package| package.contains("\nname = \"tokio-rustls\"\n"))
        .collect();
    ensure_count("packages called tokio-rustls", theirs.len(), 1)?;
    ensure!(
        !theirs[0].contains("\nsource = "),
        "compat/programs/Cargo.lock has the published tokio-rustls in it"
    );
    Ok(())
}
