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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StepName {
    /// The repository's own rules: lock files, links, no `unsafe`, nothing left undone
    Tree,
    /// Formatting, in every workspace
    Fmt,
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

/// Runs the steps asked for, all but `boring` by default, and stops at the first that fails. One that mostly waits runs
/// beside those that come after it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let everyday = StepName::everyday();
    let steps = if args.only.is_empty() {
        &everyday
    } else {
        &args.only
    };
    packages::install_for(steps)?;
    python::install_for(steps)?;
    let meter = Meter::start();
    let costs = thread::scope(|scope| {
        let (mut costs, mut beside) = (Vec::new(), Vec::new());
        for (index, step) in steps.iter().enumerate() {
            eprintln!("xtask: [{}/{}] {}", index + 1, steps.len(), step.word());
            match step.mostly_waits() {
                true => beside.push(scope.spawn(|| step.measured())),
                false => costs.push(step.measured()?),
            }
        }
        for step in beside {
            let cost = step.join().unwrap_or_else(|_| bail!("a step panicked"));
            costs.push(cost?);
        }
        anyhow::Ok(costs)
    })?;
    for (word, cost) in costs {
        eprintln!("xtask: {word:<12} {cost}");
    }
    eprintln!("xtask: {:<12} {}", "all ok", meter.read());
    Ok(())
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

    /// Runs it, and says how it went.
    fn measured(self) -> Result<(String, Cost)> {
        let meter = Meter::start();
        self.run()
            .with_context(|| self.failure(meter.read().wall))?;
        let mut cost = meter.read();
        if self.mostly_waits() {
            // What ran beside it would be counted, too.
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
