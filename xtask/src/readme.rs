//! The README's commands: every line of its `sh` blocks, so that none of them is a promise only.
//!
//! Its Rust blocks are doc tests of `underseal`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;

use crate::{Cli, shell};

/// How long the server may take to print its `curl` line; building it comes before.
const START: Duration = Duration::from_secs(30);

/// Checks each command of the README.
pub(crate) fn check() -> Result<()> {
    let readme = fs::read_to_string(shell::root().join("README.md")).context("README.md")?;
    let commands = commands(&readme);
    ensure!(!commands.is_empty(), "README.md has no commands");
    for command in commands {
        eprintln!("xtask: readme: {command}");
        check_command(command).with_context(|| format!("README.md says `{command}`"))?;
    }
    Ok(())
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

fn check_command(command: &str) -> Result<()> {
    let words: Vec<_> = command.split_whitespace().collect();
    match words.as_slice() {
        // Running it would run this step again; it is running now.
        ["cargo", "xtask", arguments @ ..] => {
            Cli::try_parse_from([&["xtask"], arguments].concat())?;
            Ok(())
        }
        ["cargo", "run", "--release", "--", "serve", arguments @ ..] => serve(arguments),
        // It lists what there is, and that may be nothing.
        ["cargo", "run", "--release", "--", "conns", ..] => shell::run(shell::cargo(&words[1..])),
        ["cargo", "run", "--release", "--", "doctor"] => doctor(),
        _ => bail!("nothing checks such a command: teach xtask/src/readme.rs about it"),
    }
}

/// Runs `doctor` as the README says, and sees that it answers.
fn doctor() -> Result<()> {
    let printed = shell::output(shell::cargo(&[
        "run",
        "--quiet",
        "--release",
        "--",
        "doctor",
    ]))?;
    let answered = |line: &str| line.contains("upper layer protocol");
    ensure!(printed.lines().any(answered), "it says `{printed}`");
    Ok(())
}

/// Runs `serve` as the README says, but for the port, which may be in use here; runs the `curl`
/// line that it prints; and stops it.
fn serve(arguments: &[&str]) -> Result<()> {
    let release = ["build", "--release", "--locked"];
    shell::run(shell::cargo(&release))?;
    let state = shell::root().join("target/readme-state");
    let mut command = shell::cargo(&["run", "--quiet", "--release", "--", "serve"]);
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
        assert!(check_command("cargo xtask test").is_ok());
        assert!(check_command("cargo xtask test --no-such-flag").is_err());
        assert!(check_command("make install").is_err());
    }
}
