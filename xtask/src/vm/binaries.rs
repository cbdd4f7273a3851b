//! The test binaries that belong into a VM, built and found by cargo.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// One target of one package.
struct Target {
    /// Cargo's switch: `--lib`, `--test` or `--example`.
    switch: &'static str,
    /// Its name; for a library that of the crate.
    name: &'static str,
    /// Only its tests that are ignored elsewhere: the others ask nothing of the kernel, or need more of a
    /// machine than a VM is.
    only_ignored: bool,
    /// The program that its tests start, by the path that cargo gave it.
    starts: Option<&'static str>,
}

/// Says what the kernel's TLS can do, for KERNELS.md.
const PROBE: Target = Target {
    switch: "--example",
    name: "kernel_tls",
    only_ignored: false,
    starts: None,
};

/// The tests, in the order they run: what explains the others' failures comes first.
const TESTS: &[Target] = &[
    Target {
        switch: "--lib",
        name: "underseal_sys",
        only_ignored: false,
        starts: None,
    },
    Target {
        switch: "--test",
        name: "kernel",
        only_ignored: false,
        starts: None,
    },
    Target {
        switch: "--test",
        name: "parity",
        only_ignored: false,
        starts: None,
    },
    Target {
        switch: "--test",
        name: "kernel_faults",
        only_ignored: false,
        starts: None,
    },
    Target {
        switch: "--test",
        name: "secrets",
        only_ignored: true,
        starts: None,
    },
    Target {
        switch: "--test",
        name: "serve",
        only_ignored: true,
        starts: Some("underseal"),
    },
    Target {
        switch: "--test",
        name: "proxy",
        only_ignored: true,
        starts: Some("underseal"),
    },
];

/// A binary, by the name that messages give it.
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    /// Only its tests that are ignored elsewhere run in a VM.
    pub(crate) only_ignored: bool,
    /// A program that its tests start.
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
        let chosen: Vec<_> = chosen.collect();
        let messages = build(&chosen)?;
        let tests = chosen.iter().map(|target| find(&messages, target));
        Ok(Self {
            probe: find(&build(&[&PROBE])?, &PROBE)?,
            tests: tests.collect::<Result<_>>()?,
        })
    }
}

/// Builds the targets; returns cargo's messages. Of the whole workspace, as the step `unit` has built them: a package
/// alone gets other features of its dependencies, and half of them would be built again. Optimised they would cost less
/// of the emulated CPU, and more than that to compile.
fn build(targets: &[&Target]) -> Result<String> {
    // `cargo test` would make a test of an example.
    let of_example = targets.iter().any(|target| target.switch == "--example");
    let mut command = match of_example {
        true => shell::cargo(&["build"]),
        false => shell::cargo(&["test", "--no-run"]),
    };
    command.args(["--locked", "--quiet", "--workspace"]);
    command.args(["--message-format", "json"]);
    command.stderr(Stdio::inherit());
    for target in targets {
        command.arg(target.switch);
        if target.switch != "--lib" {
            command.arg(target.name);
        }
    }
    shell::output(command)
}

/// The target, where cargo's messages say that it was put.
fn find(messages: &str, target: &Target) -> Result<Binary> {
    let built = |kind: &str, name: &str| {
        executable(messages, kind, name).with_context(|| format!("cargo built no {name}"))
    };
    let starts = target.starts.map(|name| built("bin", name));
    Ok(Binary {
        name: target.name,
        file: built(target.switch.trim_start_matches('-'), target.name)?,
        only_ignored: target.only_ignored,
        starts: starts.transpose()?,
    })
}

/// The executable of the target in cargo's messages, one JSON object per line.
fn executable(messages: &str, kind: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            let built = &message["target"];
            built["name"] == target && built["kind"][0] == kind
        })
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_that_of_the_target() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a"},"executable":null}
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"b"},"executable":"/t/b-1"}
            {"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":"/t/a-0"}
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a"},"executable":"/t/a-1"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "bin", "a"),
            Some(PathBuf::from("/t/a-1"))
        );
        assert_eq!(executable(messages, "bin", "c"), None);
    }
}
