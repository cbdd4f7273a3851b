//! The test binaries that belong into a VM, built and found by cargo.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// One target of one package.
struct Target {
    package: &'static str,
    /// Cargo's switch: `--lib`, `--test` or `--example`.
    switch: &'static str,
    /// Its name; for a library that of the crate.
    name: &'static str,
    /// The program that its tests start, by the path that cargo gave it.
    starts: Option<&'static str>,
}

/// Says what the kernel's TLS can do, for KERNELS.md.
const PROBE: Target = Target {
    package: "underseal-sys",
    switch: "--example",
    name: "kernel_tls",
    starts: None,
};

/// The tests, in the order they run: what explains the others' failures comes first.
const TESTS: &[Target] = &[
    Target {
        package: "underseal-sys",
        switch: "--lib",
        name: "underseal_sys",
        starts: None,
    },
    Target {
        package: "underseal-sys",
        switch: "--test",
        name: "kernel",
        starts: None,
    },
    Target {
        package: "underseal",
        switch: "--test",
        name: "parity",
        starts: None,
    },
    Target {
        package: "underseal",
        switch: "--test",
        name: "kernel_faults",
        starts: None,
    },
    Target {
        package: "underseal-cli",
        switch: "--test",
        name: "serve",
        starts: Some("underseal"),
    },
    Target {
        package: "underseal-cli",
        switch: "--test",
        name: "proxy",
        starts: Some("underseal"),
    },
];

/// A binary, by the name that messages give it.
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    /// A program that its tests start. They need more of a machine than a VM is, but for those that
    /// are ignored elsewhere.
    pub(crate) starts: Option<PathBuf>,
}

/// What cargo built.
pub(crate) struct Binaries {
    pub(crate) probe: Binary,
    pub(crate) tests: Vec<Binary>,
}

impl Binaries {
    /// Builds the probe and the tests named, all of them if none is.
    pub(crate) fn build(names: &[String]) -> Result<Self> {
        let unknown = |name: &&String| !TESTS.iter().any(|target| target.name == **name);
        if let Some(unknown) = names.iter().find(unknown) {
            let known: Vec<_> = TESTS.iter().map(|target| target.name).collect();
            bail!(
                "no test binary is called {unknown}; there are: {}",
                known.join(", ")
            );
        }
        let chosen = TESTS
            .iter()
            .filter(|target| names.is_empty() || names.iter().any(|name| name == target.name));
        Ok(Self {
            probe: build(&PROBE)?,
            tests: chosen.map(build).collect::<Result<_>>()?,
        })
    }
}

fn build(target: &Target) -> Result<Binary> {
    let build: &[&str] = match target.switch {
        // `cargo test` would make a test of it.
        "--example" => &["build"],
        _ => &["test", "--no-run"],
    };
    let mut command = shell::cargo(build);
    command
        .args(["--locked", "--quiet"])
        .args(["--message-format", "json", "--package", target.package])
        .arg(target.switch)
        // The CPU is emulated: code that is not optimised at all costs more than its compilation.
        // Dependencies are optimised by the profile already, and are not built again.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .stderr(Stdio::inherit());
    if target.switch != "--lib" {
        command.arg(target.name);
    }
    let messages = shell::output(command)?;
    let built =
        |name: &str| executable(&messages, name).with_context(|| format!("cargo built no {name}"));
    Ok(Binary {
        name: target.name,
        file: built(target.name)?,
        starts: target.starts.map(built).transpose()?,
    })
}

/// The executable of the target in cargo's messages, one JSON object per line.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_that_of_the_target() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"b"},"executable":"/t/b-1"}
            {"reason":"compiler-artifact","target":{"name":"a"},"executable":"/t/a-1"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "a"), Some(PathBuf::from("/t/a-1")));
        assert_eq!(executable(messages, "c"), None);
    }
}
