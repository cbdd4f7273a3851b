//! `cargo xtask vm`: the tests that need a kernel, run in Debian's kernels under QEMU.
//!
//! Software emulation only, so that it works where there is no `/dev/kvm`. Everything it makes lies
//! below `target/vm`: fetched packages and unpacked kernels, which later runs use again, and for
//! each kernel an initramfs and two logs.

pub(crate) mod apt;
mod binaries;
pub(crate) mod initramfs;
pub(crate) mod kernels;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod mirror;
pub(crate) mod modules;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use self::apt::Apt;
use self::binaries::Binaries;
use self::initramfs::{Program, Tree};
use self::kernels::Name;
use self::log::{Log, Run};
use self::machine::{Emulation, LIMIT, Machine, tail};
use self::modules::Kernel;
use crate::test::StepName;
use crate::{packages, shell};

/// How many VMs run at a time. One emulates two CPUs and seldom keeps both busy.
const SIDE_BY_SIDE: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains one of these, as a test binary takes them
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
    /// The kernels to boot, all of them by default
    #[arg(long = "kernel", value_name = "K")]
    kernels: Vec<Name>,
    /// Shows the kernels and which are fetched, and boots none
    #[arg(long)]
    list: bool,
    /// Options of the test binaries, such as --nocapture
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Boots the kernels asked for and runs the tests in each.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        return list();
    }
    packages::install_for(&[StepName::Vm])?;
    let names = if args.kernels.is_empty() {
        Name::value_variants()
    } else {
        &args.kernels
    };
    let binaries = Binaries::build()?;
    let apt = Apt::open(directory().join("apt"))?;
    let kernels = names.iter().map(|name| {
        let root = apt.kernel(*name);
        let root = root.with_context(|| format!("cannot fetch kernel {}", name.word()))?;
        Kernel::open(*name, root)
    });
    let kernels = kernels.collect::<Result<VecDeque<_>>>()?;
    let failed = boot_all(kernels, &binaries, args);
    if failed.is_empty() {
        return Ok(());
    }
    for (name, error) in &failed {
        eprintln!("xtask: vm {}: {error:#}", name.word());
    }
    let words: Vec<_> = failed.iter().map(|(name, _)| name.word()).collect();
    bail!(
        "failed on {}; again with `cargo xtask vm --kernel {}`",
        words.join(", "),
        words.join(" --kernel ")
    )
}

/// All tests on all kernels: the step `vm` of `cargo xtask test`.
pub(crate) fn step() -> Result<()> {
    run(&Args {
        tests: Vec::new(),
        kernels: Vec::new(),
        list: false,
        options: Vec::new(),
    })
}

/// Where everything lies that has to do with VMs.
pub(crate) fn directory() -> PathBuf {
    shell::root().join("target/vm")
}

fn list() -> Result<()> {
    for name in Name::value_variants() {
        println!("{:<7} {}", name.word(), name.about());
    }
    let unpacked = directory().join("unpacked");
    let entries = fs::read_dir(&unpacked).into_iter().flatten();
    let mut versions = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    versions.sort();
    println!("fetched: {}", versions.join(", "));
    Ok(())
}

/// Boots each kernel and returns what failed.
fn boot_all(
    kernels: VecDeque<Kernel>,
    binaries: &Binaries,
    args: &Args,
) -> Vec<(Name, anyhow::Error)> {
    let queue = Mutex::new(kernels);
    let failed = Mutex::new(Vec::new());
    let worker = || {
        let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
        while let Some(kernel) = next() {
            if let Err(error) = boot(&kernel, binaries, args)
                && let Ok(mut failed) = failed.lock()
            {
                failed.push((kernel.name(), error));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(worker);
        }
    });
    failed.into_inner().unwrap_or_default()
}

/// Boots one kernel and runs the tests in it.
fn boot(kernel: &Kernel, binaries: &Binaries, args: &Args) -> Result<()> {
    let start = Instant::now();
    let word = kernel.name().word();
    let place = |suffix: &str| directory().join(format!("{word}{suffix}"));
    let tree = Tree::new(place(".root"), kernel)?;
    let programs = programs(kernel.name(), binaries, args);
    tree.add(&programs, &[("UNDERSEAL_VM_KERNEL", &word)])?;
    let machine = Machine {
        name: word.clone(),
        image: kernel.image()?,
        initramfs: place(".cpio"),
        log: place(".log"),
        console: place(".console.log"),
        emulation: Emulation::Fast,
        limit: LIMIT,
    };
    tree.pack(&machine.initramfs)?;
    eprintln!("xtask: vm {word}: booting Linux {}", kernel.release());
    let log = machine.run()?;
    check(&log, programs.len())
        .with_context(|| format!("the whole log is {}", machine.log.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("xtask: vm {word}: {} ({seconds:.1} s)", summary(&log));
    Ok(())
}

/// What runs on a kernel. Tests that need kernel TLS are ignored elsewhere; those below
/// `without_tls` need a kernel that lacks it.
fn programs(name: Name, binaries: &Binaries, args: &Args) -> Vec<Program> {
    let mut programs = vec![Program {
        name: binaries.probe.name.to_owned(),
        file: binaries.probe.file.clone(),
        args: Vec::new(),
    }];
    let choices: &[&[&str]] = if name.has_tls() {
        &[&["--include-ignored", "--skip", "without_tls"]]
    } else {
        &[&["--skip", "without_tls"], &["--ignored", "without_tls"]]
    };
    for binary in &binaries.tests {
        for choice in choices {
            let own = choice.iter().map(|word| (*word).to_owned());
            let given = args.tests.iter().chain(&args.options).cloned();
            programs.push(Program {
                name: binary.name.to_owned(),
                file: binary.file.clone(),
                args: own.chain(given).collect(),
            });
        }
    }
    programs
}

/// Fails on the first program that did.
pub(crate) fn check(log: &Log, expected: usize) -> Result<()> {
    if let Some(run) = log.runs.iter().find(|run| run.status != Some(0)) {
        let status = run
            .status
            .map_or("none".to_owned(), |status| status.to_string());
        return Err(anyhow!("{}", tail(&run.output)))
            .with_context(|| format!("{} failed with status {status}", run.name));
    }
    if log.runs.len() != expected {
        bail!("{} of {expected} programs ran", log.runs.len());
    }
    Ok(())
}

fn summary(log: &Log) -> String {
    let passed = |run: &Run| run.output.matches(" ... ok\n").count();
    let tests: usize = log.runs.iter().map(passed).sum();
    format!("{tests} tests passed")
}
