//! `cargo xtask bench vm`: boots a VM whose clocks count instructions, has the bench measure in it,
//! and keeps what it found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::newer;
use crate::test::StepName;
use crate::vm::apt::Apt;
use crate::vm::initramfs::{Program, Tree};
use crate::vm::kernels::Name;
use crate::vm::log::Log;
use crate::vm::machine::{Emulation, Machine};
use crate::vm::modules::Kernel;
use crate::vm::{check, directory};
use crate::{packages, shell};

/// How long a run may take. It is as long for a busy machine, whose counts are the same.
const LIMIT: Duration = Duration::from_hours(2);
/// What the bench prints before the run (`bench/src/vm.rs`).
const RUN_MARK: &str = "run: ";
/// Where the newer OpenSSL and the C library it needs lie in the VM.
const NEWER: &str = "vm/newer";

/// The libraries that the newer OpenSSL needs.
const LIBRARIES: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libcrypto.so.3",
    "libssl.so.3",
    "libz.so.1",
    "libzstd.so.1",
];

/// Arguments of `cargo xtask bench vm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kernel to boot
    #[arg(long, value_name = "K", default_value = "7.x")]
    kernel: Name,
    /// One small round: proves that everything runs, and its numbers are not for keeping
    #[arg(long)]
    quick: bool,
    /// Keep the run in DIR [default: bench/runs/DATE-vm-KERNEL, target/bench-vm-quick with --quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Options of the bench itself, such as --rounds, --mebibytes or --only
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Builds, boots, measures and keeps.
///
/// # Errors
///
/// When something cannot be fetched or built, or the bench fails in the VM.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::install_for(&[StepName::Vm, StepName::Clippy])?;
    // Now, and not when the run is over: the tree may be another one by then.
    let commit = shell::output(shell::program("git", &["describe", "--always", "--dirty"]))?;
    shell::run(shell::cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "underseal-bench",
    ]))?;
    let bench = super::target_directory(&shell::root()).join("release/underseal-bench");
    let log = boot(args, &bench)?;
    check(&log, 1)?;
    let output = log.runs.iter().flat_map(|run| run.output.lines());
    let mut found = output.filter_map(|line| line.strip_prefix(RUN_MARK));
    let found = found.next().context("the bench printed no run")?;
    let file = directory().join("bench.json");
    fs::write(&file, found)?;
    let mut summary = shell::program(bench, &["vm-summary", "--run"]);
    summary.arg(file).args(["--commit", commit.trim()]);
    let quick = args.quick.then(|| PathBuf::from("target/bench-vm-quick"));
    if let Some(out) = args.out.clone().or(quick) {
        summary.arg("--out").arg(out);
    }
    shell::run(summary)
}

fn boot(args: &Args, bench: &Path) -> Result<Log> {
    let apt = Apt::open(directory().join("apt"))?;
    let kernel = Kernel::open(args.kernel, apt.kernel(args.kernel)?)?;
    let newer = newer::libraries(&apt)?;
    let place = |suffix: &str| directory().join(format!("bench{suffix}"));
    let tree = Tree::new(place(".root"), &kernel)?;
    let peer = tree.install(&build_peer()?)?;
    for library in LIBRARIES {
        tree.copy(&newer.join(library), &Path::new(NEWER).join(library))?;
    }
    let program = Program {
        name: "bench".to_owned(),
        file: bench.to_owned(),
        args: arguments(args, &peer),
        starts: None,
    };
    tree.add(&[program], &[])?;
    let machine = Machine {
        name: "bench".to_owned(),
        image: kernel.image()?,
        initramfs: place(".cpio"),
        log: place(".log"),
        console: place(".console.log"),
        emulation: Emulation::Counting,
        limit: LIMIT,
    };
    tree.pack(&machine.initramfs)?;
    eprintln!("xtask: bench vm: booting Linux {}", kernel.release());
    machine.run()
}

/// What the bench is started with: our options first, so that those given later win.
fn arguments(args: &Args, peer: &Path) -> Vec<String> {
    let peer = format!("/{}", peer.display());
    let loader = format!("/{NEWER}/ld-linux-x86-64.so.2 --library-path /{NEWER} {peer}");
    let mut words = vec!["vm".to_owned()];
    for command in [peer, loader] {
        words.extend(["--openssl".to_owned(), command]);
    }
    if args.quick {
        words.extend(["--rounds=1", "--mebibytes=1"].map(str::to_owned));
    }
    words.extend(args.options.iter().cloned());
    words
}

/// Compiles OpenSSL's side: it works with every OpenSSL from 3.0 on.
fn build_peer() -> Result<PathBuf> {
    let program = directory().join("openssl-ktls");
    let mut command = shell::program("cc", &["-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
    command.arg(&program);
    command.args(["bench/peers/openssl-ktls.c", "-lssl", "-lcrypto"]);
    shell::run(command)?;
    Ok(program)
}
