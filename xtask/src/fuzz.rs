//! The fuzz targets: built with libFuzzer's coverage flags on the stable compiler, run from a copy
//! of their committed corpus.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// How long the smoke runs each target.
const SMOKE_SECONDS: u32 = 10;

/// What cargo-fuzz passes on nightly, by the names the stable compiler has for it. One codegen unit
/// keeps every function's counters in the module that libFuzzer reads.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What the smoke compiles with: ten seconds are not worth the minutes that the optimiser takes for each
/// counter of an edge, nor lines that only a stack names. Whoever looks into a fault runs it with both.
const QUICK: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The targets to run, all of them by default; they are the files of fuzz/fuzz_targets
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "SECONDS", default_value_t = SMOKE_SECONDS)]
    seconds: u32,
}

/// Runs the targets asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    run_built_with(&[], args)
}

fn run_built_with(environment: &[(&str, &str)], args: &Args) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!(
            "there is no fuzz target `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let chosen = if args.targets.is_empty() {
        &known
    } else {
        &args.targets
    };
    let binaries = build(environment)?;
    side_by_side(chosen, |target| fuzz(&binaries, target, args.seconds))
}

/// Runs the targets, as many at a time as there are CPUs; none is begun after one failed.
fn side_by_side(targets: &[String], run: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Relaxed))
            && !failed.load(Relaxed)
        {
            run(target).inspect_err(|_| failed.store(true, Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cpus).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })
}

/// Runs every target for ten seconds.
pub(crate) fn smoke() -> Result<()> {
    let args = Args {
        targets: Vec::new(),
        seconds: SMOKE_SECONDS,
    };
    run_built_with(QUICK, &args)
}

fn targets() -> Result<Vec<String>> {
    let directory = shell::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    ensure!(
        !names.is_empty(),
        "there are no fuzz targets in {}",
        directory.display()
    );
    names.sort();
    Ok(names)
}

/// Builds all targets and returns the directory of their binaries.
fn build(environment: &[(&str, &str)]) -> Result<PathBuf> {
    // Naming the target keeps the flags away from build scripts and procedural macros.
    let host = host()?;
    let mut command = shell::cargo(&["build", "--release", "--locked", "--bins"]);
    command
        .args([
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "fuzz/target",
        ])
        .args(["--target", &host])
        .env("RUSTFLAGS", COVERAGE)
        .envs(environment.iter().copied());
    shell::run(command)?;
    Ok(shell::root().join("fuzz/target").join(host).join("release"))
}

fn host() -> Result<String> {
    let version = shell::output(shell::program("rustc", &["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not name its host")
}

/// Runs one target; what it says and finds stays below fuzz/target/runs.
fn fuzz(binaries: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = copy_corpus(target)?;
    let log_file = corpus.with_file_name("log");
    let mut command = shell::program(binaries.join(target), &[]);
    command
        .arg(format!("-max_total_time={seconds}"))
        // Inputs as long as a whole record from the start, and progress towards magic values counts
        // as coverage: with neither, a planted fault in the deframer was not found in ten seconds.
        .args(["-max_len=20000", "-len_control=0", "-use_value_profile=1"])
        .args(["-timeout=10", "-rss_limit_mb=2048"])
        .arg(format!(
            "-artifact_prefix={}/",
            corpus.with_file_name("found").display()
        ))
        .arg(&corpus)
        .stderr(fs::File::create(&log_file)?);
    let outcome = shell::run(command);
    let log = fs::read_to_string(&log_file)?;
    outcome.inspect_err(|_| eprint!("{log}")).with_context(|| {
        format!("fuzz target `{target}` found a fault; again with `cargo xtask fuzz {target}`")
    })?;
    let counters = Explored::parse(&log);
    let explored = counters.with_context(|| format!("no coverage in {}", log_file.display()))?;
    explored
        .check()
        .with_context(|| format!("fuzz target `{target}` runs blind"))?;
    eprintln!("xtask: fuzz {target}: {explored}");
    Ok(())
}

/// What libFuzzer said about its run.
#[derive(Debug, PartialEq)]
struct Explored {
    runs: u64,
    /// Code edges that the corpus reached, and those after the run.
    edges_at_start: u64,
    edges: u64,
}

impl Explored {
    fn parse(log: &str) -> Option<Self> {
        let number = |line: &str, before: &str| -> Option<u64> {
            line.split_once(before)?
                .1
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        let start = log.lines().find(|line| line.contains("INITED"))?;
        let end = log.lines().find(|line| line.contains("DONE "))?;
        let edges_at_start = number(start, "cov: ")?;
        Some(Self {
            runs: number(end, "#")?,
            edges_at_start,
            edges: number(end, "cov: ")?,
        })
    }

    /// A target without coverage feedback runs and finds nothing, which looks like success. How often it
    /// runs depends on the machine: one run of `streams` takes milliseconds of a CPU of its own.
    fn check(&self) -> Result<()> {
        ensure!(self.runs > 50, "{} runs are too few", self.runs);
        ensure!(
            self.edges >= 10,
            "{} edges reached: is the code instrumented?",
            self.edges
        );
        Ok(())
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            edges_at_start,
            edges,
        } = self;
        write!(
            f,
            "{runs} runs, {edges_at_start} edges at the start, {edges} at the end"
        )
    }
}

/// Copies the committed corpus to where the fuzzer may add to it, and makes the directory for what
/// it finds.
fn copy_corpus(target: &str) -> Result<PathBuf> {
    let committed = shell::root().join("fuzz/corpus").join(target);
    let scratch = shell::root().join("fuzz/target/runs").join(target);
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let copy = scratch.join("corpus");
    fs::create_dir_all(&copy)?;
    fs::create_dir_all(scratch.join("found"))?;
    let entries = fs::read_dir(&committed)
        .with_context(|| format!("fuzz target `{target}` has no corpus in fuzz/corpus/{target}"))?;
    for entry in entries {
        let entry = entry?;
        fs::copy(entry.path(), copy.join(entry.file_name()))?;
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#7\tINITED cov: 31 ft: 32 corp: 6/91b exec/s: 0 rss: 27Mb\n\
        #9000\tDONE   cov: 40 ft: 60 corp: 20/1Kb lim: 4096 exec/s: 900 rss: 40Mb\n";

    #[test]
    fn a_log_says_what_was_explored() {
        let explored = Explored::parse(LOG);
        assert_eq!(
            explored,
            Some(Explored {
                runs: 9000,
                edges_at_start: 31,
                edges: 40
            })
        );
    }

    #[test]
    fn a_blind_run_is_an_error() {
        let blind = Explored {
            runs: 100_000,
            edges_at_start: 2,
            edges: 2,
        };
        assert!(blind.check().is_err());
    }

    #[test]
    fn no_target_is_begun_after_one_failed() {
        let targets: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        let begun = AtomicUsize::new(0);
        let the_first_fails = |target: &str| {
            begun.fetch_add(1, Relaxed);
            ensure!(target != "0", "a finding");
            // Time for the other worker to note the failure: without it all of them would be run.
            thread::sleep(Duration::from_millis(1));
            Ok(())
        };
        assert!(side_by_side(&targets, the_first_fails).is_err());
        assert!(begun.into_inner() < targets.len());
    }

    #[test]
    fn every_target_runs_once() {
        let targets: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let seen = Mutex::new(Vec::new());
        let run = |target: &str| {
            seen.lock().unwrap().push(target.to_owned());
            Ok(())
        };
        side_by_side(&targets, run).unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|target| target.parse::<u32>().unwrap());
        assert_eq!(seen, targets);
    }

    #[test]
    fn every_target_has_a_corpus() {
        for target in targets().unwrap() {
            assert!(
                shell::root().join("fuzz/corpus").join(&target).is_dir(),
                "{target}"
            );
        }
    }
}
