//! tokio-rustls' own tests, run with the shim. They are fetched with the published package and are
//! not in this repository: `compat/own-tests/tests` is a link to where they are put.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::items::copy_files;
use super::{cargo, ensure_count, target};
use crate::shell;

/// How many there are that need no Internet.
const TESTS: usize = 12;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// Fetches and runs them.
pub(super) fn run() -> Result<()> {
    let published = published()?;
    let copy = target().join("published");
    copy_files(&published.join("tests"), &copy.join("tests"))?;
    // The tests send it to each other.
    std::fs::copy(published.join("README.md"), copy.join("README.md"))?;
    let args = ["test", "--locked", "--package", "tokio-rustls-own-tests"];
    // `badssl` wants the Internet.
    let mut test = cargo(&args);
    test.args(["--test", "test", "--test", "early-data"]);
    let output = shell::output(test).context("tokio-rustls' own tests fail with the shim")?;
    print!("{output}");
    let passed = output
        .lines()
        .filter(|line| line.ends_with("... ok"))
        .count();
    ensure_count("tests of tokio-rustls that passed", passed, TESTS)
}

/// The directory of the last published tokio-rustls 0.26 that has its tests in it.
fn published() -> Result<PathBuf> {
    let mut metadata = shell::cargo(&["metadata", "--locked", "--format-version", "1"]);
    metadata.args(["--features", "tokio-rustls-own-tests/published"]);
    metadata.current_dir(super::workspace());
    let metadata: Metadata = serde_json::from_str(&shell::output(metadata)?)?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == "tokio-rustls" && package.source.is_some())
        .context("compat/Cargo.lock does not name a published tokio-rustls")?;
    let directory = package.manifest_path.parent().map(Path::to_path_buf);
    let directory = directory.context("a manifest is in a directory")?;
    ensure!(
        directory.join("tests/test.rs").exists(),
        "{} has no tests",
        directory.display()
    );
    Ok(directory)
}
