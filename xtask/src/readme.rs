//! The README's commands: every line of its `sh` blocks, so that none of them is a promise only. They are run with what
//! the tests were built with, and not with the optimised programs that they ask cargo for: those take minutes, and
//! answer the same.
//!
//! Its Rust blocks are doc tests of `underseal`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use serde_json::Value;

use crate::{Cli, shell};

/// How long the server may take to print its `curl` line; building it comes before.
const START: Duration = Duration::from_secs(30);

/// Checks each command of the README.
pub(crate) fn check() -> Result<()> {
    let readme = fs::read_to_string(shell::root().join("README.md")).context("README.md")?;
    let commands = commands(&readme);
    ensure!(!commands.is_empty(), "README.md has no commands");
    ensure!(
        run_by_cargo()? == ["underseal"],
        "`cargo run` starts another program"
    );
    let underseal = build()?;
    for command in commands {
        eprintln!("xtask: readme: {command}");
        check_command(command, &underseal)
            .with_context(|| format!("README.md says `{command}`"))?;
    }
    Ok(())
}

/// The programs of which `cargo run` starts one.
fn run_by_cargo() -> Result<Vec<String>> {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&shell::output(shell::cargo(&metadata))?)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let members = list(&metadata["workspace_default_members"]);
    let packages = list(&metadata["packages"]);
    let targets = packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .flat_map(|package| list(&package["targets"]));
    Ok(targets
        .filter(|target| list(&target["kind"]).contains(&"bin".into()))
        .map(|target| target["name"].as_str().unwrap_or_default().to_owned())
        .collect())
}

/// Builds the binary as the tests of the workspace have it built, with their features of its dependencies.
fn build() -> Result<PathBuf> {
    let mut build = shell::cargo(&["build", "--locked", "--workspace", "--bin", "underseal"]);
    build.args(["--test", "cli"]);
    shell::run(build)?;
    Ok(shell::root().join("target/debug/underseal"))
}

/// The lines of the `sh` blocks.
fn commands(markdown: &str) -> Vec<&str> {
    let mut block = None;
    let mut commands = Vec::new();
    for line in markdown.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) if !line.trim().is_empty() => commands.push(line.trim()),
            (None, _) => {}
        }
    }
    commands
}

fn check_command(command: &str, underseal: &Path) -> Result<()> {
    let words: Vec<_> = command.split_whitespace().collect();
    match words.as_slice() {
        // Running it would run this step again; it is running now.
        ["cargo", "xtask", arguments @ ..] => {
            Cli::try_parse_from([&["xtask"], arguments].concat())?;
            Ok(())
        }
        ["cargo", "run", "--release", "--", "serve", arguments @ ..] => serve(underseal, arguments),
        // It lists what there is, and that may be nothing.
        ["cargo", "run", "--release", "--", arguments @ ..]
            if arguments.first() == Some(&"conns") =>
        {
            shell::run(shell::program(underseal, arguments))
        }
        ["cargo", "run", "--release", "--", "doctor"] => doctor(underseal),
        _ => bail!("nothing checks such a command: teach xtask/src/readme.rs about it"),
    }
}

/// Runs `doctor` as the README says, and sees that it answers.
fn doctor(underseal: &Path) -> Result<()> {
    let printed = shell::output(shell::program(underseal, &["doctor"]))?;
    let answered = |line: &str| line.contains("upper layer protocol");
    ensure!(printed.lines().any(answered), "it says `{printed}`");
    Ok(())
}

/// Runs `serve` as the README says, but for the port, which may be in use here; runs the `curl`
/// line that it prints; and stops it.
fn serve(underseal: &Path, arguments: &[&str]) -> Result<()> {
    let state = shell::root().join("target/readme-state");
    let mut command = shell::program(underseal, &["serve"]);
    command
        .args(arguments)
        .args(["--listen", "127.0.0.1:0"])
        .env("XDG_STATE_HOME", state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut server = Server(command.spawn().context("the server does not start")?);
    let curl = server.curl_line()?;
    let page = shell::output(shell::program("sh", &["-c", &curl]))
        .with_context(|| format!("the server says `{curl}`"))?;
    ensure!(page.contains("Cargo.toml"), "the listing lacks Cargo.toml");
    server.stop()
}

/// A running server, killed when a check fails.
struct Server(Child);

impl Server {
    /// Reads what it prints up to the line with `curl`.
    fn curl_line(&mut self) -> Result<String> {
        let stderr = self.0.stderr.take().context("the server has no stderr")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The receiver leaves once it has its line; the pipe is drained all the same.
                let _ = sender.send(line);
            }
        });
        loop {
            let line = receiver
                .recv_timeout(START)
                .context("the server prints no `curl` line")?;
            if let Some(start) = line.find("curl ") {
                return Ok(line[start..].to_owned());
            }
        }
    }

    /// Ends it as an operator does.
    fn stop(&mut self) -> Result<()> {
        let id = self.0.id().to_string();
        shell::run(shell::program("kill", &["-TERM", &id]))?;
        let status = self.0.wait()?;
        ensure!(
            status.success(),
            "after SIGTERM the server ended with {status}"
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended by itself where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_lines_of_sh_blocks() {
        let markdown = "text\n```sh\none two\n\nthree\n```\n```rust\nlet x;\n```\n";
        assert_eq!(commands(markdown), ["one two", "three"]);
    }

    #[test]
    fn a_flag_that_does_not_exist_is_an_error() {
        let check = |command| check_command(command, Path::new("/no/binary"));
        assert!(check("cargo xtask test").is_ok());
        assert!(check("cargo xtask test --no-such-flag").is_err());
        assert!(check("make install").is_err());
    }
}
