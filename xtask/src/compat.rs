//! `compat/tokio-rustls` in the place of tokio-rustls: how much of what was written for tokio-rustls
//! compiles and runs with it. And `underseal_quic::quinn` below quinn: whether its own tests pass.

mod crates;
mod document;
mod items;
mod own_tests;
mod programs;
mod quinn;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Compiles published crates that depend on tokio-rustls: hours of a small machine
    #[arg(long)]
    crates: bool,
    /// Runs quinn's own tests only
    #[arg(long, conflicts_with = "crates")]
    quinn: bool,
    /// Keeps the outcome of the crates, in compat/crates.json and docs/tokio-rustls.md
    #[arg(long, requires = "crates")]
    write: bool,
    /// These crates only
    #[arg(requires = "crates")]
    names: Vec<String>,
}

/// Runs what was asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    match (args.crates, args.quinn) {
        (true, _) => crates::run(&args.names, args.write),
        (_, true) => quinn::run(),
        _ => step(),
    }
}

/// The API item by item, tokio-rustls' own tests, and programs of crates that depend on it; quinn's
/// own tests.
pub(crate) fn step() -> Result<()> {
    items::check()?;
    own_tests::run()?;
    programs::check()?;
    quinn::run()
}

fn workspace() -> PathBuf {
    shell::root().join("compat")
}

/// Where everything is compiled, and what others wrote is kept.
fn target() -> PathBuf {
    shell::root().join("target/compat")
}

/// A cargo command in the workspace of the shim.
fn cargo(args: &[&str]) -> Command {
    let mut command = shell::cargo(args);
    command
        .arg("--target-dir")
        .arg(target())
        .current_dir(workspace());
    command
}

/// Whether there are as many as documents say: a check that finds nothing must not pass.
fn ensure_count(what: &str, found: usize, expected: usize) -> Result<()> {
    ensure!(
        found == expected,
        "there are {found} {what}, not {expected}"
    );
    Ok(())
}
