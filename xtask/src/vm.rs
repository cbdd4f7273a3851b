//! `cargo xtask vm`: the tests that need a kernel, run in Debian's kernels under QEMU.
//!
//! Software emulation only, so that it works where there is no `/dev/kvm`. Everything it makes lies
//! below `target/vm`: fetched packages and unpacked kernels, which later runs use again, and for
//! each kernel an initramfs and two logs.

pub(crate) mod apt;
mod binaries;
mod cpus;
mod document;
mod hang;
pub(crate) mod initramfs;
pub(crate) mod kernels;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod mirror;
pub(crate) mod modules;
mod results;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use self::apt::Apt;
use self::binaries::Binaries;
use self::cpus::Cpus;
use self::hang::Hung;
use self::initramfs::{Program, Tree};
use self::kernels::Name;
use self::log::{Log, Run};
use self::machine::{Emulation, LIMIT, Machine, tail};
use self::modules::Kernel;
use self::results::Results;
use crate::test::StepName;
use crate::{packages, shell};

/// In the names of tests that need a kernel without TLS.
const WITHOUT_TLS: &str = "without_tls";

/// In the names of tests in which the kernel neither seals nor opens.
const USER_ENGINES: &str = "::user_user::";

/// How many tests run at a time for each CPU of a VM: many wait for a second in which nothing happens.
/// With more, tests missed their deadlines.
const TESTS_PER_CPU: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains one of these, as a test binary takes them
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
    /// The kernels to boot, all of them by default
    #[arg(long = "kernel", value_name = "K")]
    kernels: Vec<Name>,
    /// The test binaries to run, all of them by default
    #[arg(long = "test", value_name = "NAME")]
    binaries: Vec<String>,
    /// Shows the kernels and which are fetched, and boots none
    #[arg(long)]
    list: bool,
    /// Writes KERNELS.md from the run, which must be of all tests on all kernels
    #[arg(long, conflicts_with_all = ["tests", "kernels", "binaries", "list"])]
    write: bool,
    /// How long a kernel may take in all, from boot to power off
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT.as_secs())]
    limit: u64,
    /// Leaves pairs of user engines out: they ask nothing of the kernel, and run on this machine
    #[arg(long, conflicts_with = "write")]
    kernel_engines: bool,
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
    let binaries = Binaries::build(&args.binaries)?;
    let apt = Apt::open(directory().join("apt"))?;
    let kernels = names.iter().map(|name| {
        let root = apt.kernel(*name);
        let root = root.with_context(|| format!("cannot fetch kernel {}", name.word()))?;
        Kernel::open(*name, root)
    });
    let kernels = kernels.collect::<Result<Vec<_>>>()?;
    let (results, failed) = boot_all(&kernels, &binaries, args);
    if failed.is_empty() {
        return if args.write {
            document::write(results)
        } else {
            Ok(())
        };
    }
    let words: Vec<_> = failed.iter().map(|name| name.word()).collect();
    bail!(
        "failed on {}; again with `cargo xtask vm --kernel {}`",
        words.join(", "),
        words.join(" --kernel ")
    )
}

/// All tests that ask something of a kernel, on all kernels: the step `vm` of `cargo xtask test`.
pub(crate) fn step() -> Result<()> {
    run(&Args {
        tests: Vec::new(),
        binaries: Vec::new(),
        kernels: Vec::new(),
        list: false,
        write: false,
        kernel_engines: true,
        limit: LIMIT.as_secs(),
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

/// Boots each kernel; returns what was found out, and what failed. As many at a time as this machine has
/// CPUs for: tests of VMs that share one may miss their deadlines.
fn boot_all(kernels: &[Kernel], binaries: &Binaries, args: &Args) -> (Vec<Results>, Vec<Name>) {
    let cpus = Cpus::of_this_machine();
    let outcomes = thread::scope(|scope| {
        let mut order: Vec<_> = kernels.iter().collect();
        // What needs all CPUs comes last, so that none is idle before.
        order.sort_by_key(|kernel| kernel.name().cpus());
        let boots = order.into_iter().map(|kernel| {
            // Here, and not in its thread: nobody is overtaken.
            let taken = cpus.take(kernel.name().cpus());
            let boot = scope.spawn(move || {
                let _taken = taken;
                boot_twice_at_most(kernel, binaries, args)
            });
            (kernel.name(), boot)
        });
        let boots: Vec<_> = boots.collect();
        let outcomes = boots.into_iter();
        outcomes
            .map(|(name, boot)| (name, boot.join().unwrap_or(None)))
            .collect()
    });
    in_order(outcomes)
}

/// What was found out, and what failed, as the kernels are listed.
fn in_order(mut outcomes: Vec<(Name, Option<Results>)>) -> (Vec<Results>, Vec<Name>) {
    outcomes.sort_by_key(|(name, _)| *name);
    let (mut results, mut failed) = (Vec::new(), Vec::new());
    for (name, outcome) in outcomes {
        match outcome {
            Some(found) => results.push(found),
            None => failed.push(name),
        }
    }
    (results, failed)
}

/// Boots one kernel, again if the guest hung, and says how it went; none if it failed.
fn boot_twice_at_most(kernel: &Kernel, binaries: &Binaries, args: &Args) -> Option<Results> {
    let start = Instant::now();
    let word = kernel.name().word();
    let outcome = boot(kernel, binaries, args).or_else(|error| {
        if !error.is::<Hung>() {
            return Err(error);
        }
        eprintln!("xtask: vm {word}: {error:#}");
        eprintln!("xtask: vm {word}: booting again, once");
        boot(kernel, binaries, args)
    });
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(log) => {
            let tests = tests_passed(&log);
            eprintln!("xtask: vm {word}: {tests} tests passed ({seconds:.1} s)");
            Some(Results::read(kernel, &log))
        }
        Err(error) => {
            eprintln!("xtask: vm {word}: {error:#} ({seconds:.1} s)");
            None
        }
    }
}

/// Boots one kernel and runs the tests in it.
fn boot(kernel: &Kernel, binaries: &Binaries, args: &Args) -> Result<Log> {
    let word = kernel.name().word();
    let place = |suffix: &str| directory().join(format!("{word}{suffix}"));
    let tree = Tree::new(place(".root"), kernel)?;
    let programs = programs(kernel.name(), binaries, args);
    let cpus = kernel.name().cpus();
    let test_threads = (TESTS_PER_CPU * cpus).to_string();
    let environment = [
        ("UNDERSEAL_VM_KERNEL", word.as_str()),
        ("RUST_TEST_THREADS", test_threads.as_str()),
    ];
    tree.add(&programs, &environment)?;
    let machine = Machine {
        name: word.clone(),
        image: kernel.image()?,
        initramfs: place(".cpio"),
        log: place(".log"),
        console: place(".console.log"),
        emulation: Emulation::Fast { cpus },
        limit: Duration::from_secs(args.limit),
    };
    tree.pack(&machine.initramfs)?;
    eprintln!("xtask: vm {word}: booting Linux {}", kernel.release());
    let log = machine.run()?;
    check(&log, programs.len())
        .and_then(|()| some_test_passed(&log))
        .with_context(|| format!("the whole log is {}", machine.log.display()))?;
    Ok(log)
}

/// What runs on a kernel. Tests that need kernel TLS are ignored elsewhere; those below
/// `without_tls` need a kernel that lacks it.
fn programs(name: Name, binaries: &Binaries, args: &Args) -> Vec<Program> {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let (without, others): (Vec<_>, Vec<_>) = args
        .tests
        .iter()
        .cloned()
        .partition(|test| test.contains(WITHOUT_TLS));
    let skip: &[_] = match args.kernel_engines {
        true => &["--skip", USER_ENGINES],
        false => &[],
    };
    let choices = if name.has_tls() {
        let all = words(&["--include-ignored", "--skip", WITHOUT_TLS]);
        vec![[all, words(skip), args.tests.clone()].concat()]
    } else {
        // Names are alternatives to libtest: a second one would not narrow this choice down.
        let only = if without.is_empty() {
            words(&[WITHOUT_TLS])
        } else {
            without
        };
        vec![
            [words(&["--skip", WITHOUT_TLS]), words(skip), others].concat(),
            [words(&["--ignored"]), only].concat(),
        ]
    };
    let mut programs = vec![Program {
        name: binaries.probe.name.to_owned(),
        file: binaries.probe.file.clone(),
        args: Vec::new(),
        starts: None,
    }];
    let pairs = binaries.tests.iter();
    let pairs = pairs.flat_map(|binary| choices.iter().map(move |choice| (binary, choice)));
    for (binary, choice) in pairs {
        let choice = match binary.only_ignored {
            false => choice.clone(),
            true if name.has_tls() => [words(&["--ignored"]), args.tests.clone()].concat(),
            true => continue,
        };
        // What tests say is part of the log where they pass, too: `unsupported: …`.
        let fixed = words(&["--show-output"]);
        programs.push(Program {
            name: binary.name.to_owned(),
            file: binary.file.clone(),
            args: [choice, fixed, args.options.clone()].concat(),
            starts: binary.starts.clone(),
        });
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

fn some_test_passed(log: &Log) -> Result<()> {
    if tests_passed(log) == 0 {
        bail!("no test has such a name");
    }
    Ok(())
}

fn tests_passed(log: &Log) -> usize {
    let passed = |run: &Run| run.output.matches(" ... ok\n").count();
    log.runs.iter().map(passed).sum()
}
