//! `cargo xtask test`: the steps, their order and what is said about each.

use std::num::NonZero;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cost::{Cost, Meter};
use crate::{boring, compat, features, fuzz, packages, python, readme, selftest, shell, tree, vm};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs these steps only
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<StepName>,
}

/// The steps, in the order they run: what fails soonest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum StepName {
    /// The repository's own rules: lock files, links, no `unsafe`, nothing left undone
    Tree,
    /// Formatting, in every workspace
    Fmt,
    /// What is published packs: manifests, their files, and the versions that they ask of each other
    Package,
    /// Clippy on every target of both workspaces, warnings denied
    Clippy,
    /// Documentation with private items, warnings denied
    Docs,
    /// Every test of the workspace, its doc tests and its examples
    Unit,
    /// Each crate with each AEAD library alone and with none, with and without tokio
    Features,
    /// The tests that need a kernel, in several kernels under QEMU
    Vm,
    /// Linux' own test of TLS sockets, from Debian's kernel source, under `underseal-preload`
    Selftest,
    /// The README's commands, run as they stand there
    Readme,
    /// The shim in the place of tokio-rustls: its API item by item, its own tests, programs of others;
    /// quinn's own tests
    Compat,
    /// DTLS 1.3 with handshakes of the `boring` crate; it builds BoringSSL, once, and runs only when asked for
    Boring,
    /// Each fuzz target for ten seconds
    Fuzz,
}

/// Runs the steps asked for, all but `boring` by default, in their order, and stops at the first that fails. One that
/// mostly waits runs beside those that come after it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let steps = match args.only.is_empty() {
        true => StepName::everyday(),
        false => in_order(&args.only),
    };
    packages::install_for(&steps)?;
    python::install_for(&steps)?;
    let meter = Meter::start();
    let costs = thread::scope(|scope| {
        let (mut results, mut beside) = (Vec::new(), Vec::new());
        for (index, step) in steps.iter().enumerate() {
            eprintln!("xtask: [{}/{}] {}", index + 1, steps.len(), step.word());
            match step.mostly_waits() {
                true => beside.push(scope.spawn(|| step.measured(false))),
                false => results.push(step.measured(beside.is_empty())),
            }
            if results.last().is_some_and(Result::is_err) {
                break;
            }
        }
        for step in beside {
            let result = step.join().unwrap_or_else(|_| bail!("a step panicked"));
            results.push(result);
        }
        all_or_each_failure(results)
    })?;
    for (word, cost) in costs {
        eprintln!("xtask: {word:<12} {cost}");
    }
    eprintln!("xtask: {:<12} {}", "all ok", meter.read());
    Ok(())
}

/// The steps that somebody asked for, each once: one that runs beside others may need what an earlier one has made.
fn in_order(asked_for: &[StepName]) -> Vec<StepName> {
    let mut steps = asked_for.to_vec();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// What all gave; or the first failure, once each other one has been printed.
fn all_or_each_failure<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let mut failures = bad.into_iter().filter_map(Result::err);
    match failures.next() {
        None => Ok(good.into_iter().flatten().collect()),
        Some(first) => {
            failures.for_each(|failure| eprintln!("xtask: {failure:?}"));
            Err(first)
        }
    }
}

impl StepName {
    /// All but the one that builds a C++ library of many minutes.
    fn everyday() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|step| *step != Self::Boring).collect()
    }

    /// The word that names the step on the command line.
    fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it uses little of a CPU: then the others need not wait for it.
    fn mostly_waits(self) -> bool {
        self == Self::Selftest
    }

    /// Runs it, and says how it went; of CPUs only where it is alone: what runs beside it would be counted, too.
    fn measured(self, alone: bool) -> Result<(String, Cost)> {
        let meter = Meter::start();
        self.run()
            .with_context(|| self.failure(meter.read().wall))?;
        let mut cost = meter.read();
        if !alone {
            cost.cpu = None;
        }
        eprintln!("xtask: {} ok ({})", self.word(), cost.to_string().trim());
        Ok((self.word(), cost))
    }

    fn failure(self, after: Duration) -> String {
        let word = self.word();
        format!(
            "step `{word}` failed after {:.1} s; run it alone with `cargo xtask test --only {word}`",
            after.as_secs_f64()
        )
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Tree => tree::check(),
            Self::Fmt => in_each_workspace(&["fmt", "--check"]),
            Self::Package => package(),
            Self::Clippy => clippy(),
            Self::Docs => docs(),
            Self::Unit => unit(),
            Self::Features => features::check(),
            Self::Vm => vm::step(),
            Self::Selftest => selftest::step(),
            Self::Readme => readme::check(),
            Self::Compat => compat::step(),
            Self::Boring => boring::step(),
            Self::Fuzz => fuzz::smoke(),
        }
    }
}

/// Runs a cargo command in the workspace, in those of the shim and in that of the fuzz targets.
fn in_each_workspace(args: &[&str]) -> Result<()> {
    let mut main = shell::cargo(args);
    main.arg("--all");
    shell::run(main)?;
    // The third package of the shim's workspace holds nothing of ours.
    for (workspace, packages) in [
        ("compat", ["tokio-rustls", "tokio-rustls-items"]),
        (
            "compat/programs",
            ["tokio-rustls-programs", "tokio-rustls-programs-run"],
        ),
    ] {
        let mut shim = shell::cargo(args);
        shim.args(
            packages
                .map(|package| ["--package", package])
                .as_flattened(),
        );
        shim.current_dir(shell::root().join(workspace));
        shell::run(shim)?;
    }
    let mut fuzz = shell::cargo(args);
    fuzz.args(["--manifest-path", "fuzz/Cargo.toml"]);
    shell::run(fuzz)
}

fn unit() -> Result<()> {
    shell::run(cargo_test(&["--workspace"]))
}

/// More tests at a time than there are CPUs: most of them wait for a socket, a program or a deadline.
pub(crate) fn cargo_test(args: &[&str]) -> Command {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let mut test = shell::cargo(&["test", "--locked"]);
    test.args(args);
    test.env("RUST_TEST_THREADS", (2 * cpus).to_string());
    test
}

/// Packs what is published, each against the others as they are here. What is packed is not compiled once more.
fn package() -> Result<()> {
    const UNPUBLISHED: [&str; 4] = [
        "underseal-bench",
        "underseal-preload",
        "underseal-testkit",
        "xtask",
    ];
    let mut package = shell::cargo(&["package", "--workspace", "--locked", "--no-verify"]);
    package.args(["--allow-dirty", "--quiet"]);
    package.args(UNPUBLISHED.map(|name| ["--exclude", name]).as_flattened());
    shell::run(package)
}

fn clippy() -> Result<()> {
    const DENY: &[&str] = &["--", "-D", "warnings"];
    let mut main = shell::cargo(&["clippy", "--workspace", "--all-targets", "--locked"]);
    main.args(DENY);
    shell::run(main)?;
    // The same target directory: its dependencies are checked once for both workspaces.
    let mut fuzz = shell::cargo(&["clippy", "--all-targets", "--locked"]);
    fuzz.args([
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
        "target",
    ])
    .args(DENY);
    shell::run(fuzz)
}

fn docs() -> Result<()> {
    // The binary has the library's name: its pages come first, so that the library's are left.
    let binary: &[&str] = &["--package", "underseal-cli"];
    let others: &[&str] = &["--workspace", "--exclude", "underseal-cli"];
    for packages in [binary, others] {
        let mut doc = shell::cargo(&["doc", "--no-deps", "--locked", "--document-private-items"]);
        doc.args(packages).env("RUSTDOCFLAGS", "-Dwarnings");
        shell::run(doc)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_once_and_in_their_order() {
        use StepName::{Selftest, Vm};
        assert_eq!(in_order(&[Selftest, Vm, Selftest]), [Vm, Selftest]);
    }

    #[test]
    fn the_first_failure_is_the_answer() {
        let results = vec![
            Ok(1),
            Err(anyhow::anyhow!("first")),
            Err(anyhow::anyhow!("second")),
        ];
        let failure = all_or_each_failure(results).expect_err("two failed");
        assert_eq!(failure.to_string(), "first");
        let all = all_or_each_failure(vec![Ok(1), Ok(2)]).expect("none failed");
        assert_eq!(all, [1, 2]);
    }
}
