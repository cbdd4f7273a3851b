//! Runs the measures round by round, keeps what they found, and prints it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::context::{Context, Options, Scale};
use crate::machine::Machine;
use crate::report::figures::{Figure, figures};
use crate::report::{compare, summary, tables};
use crate::run::{Run, Samples};
use crate::{files, handshakes, http, idle, proxy, records, replies, round_trip, streams};

/// What a run calls the OpenSSL that was named to it.
pub const NEWER_OPENSSL: &str = "newer OpenSSL";

type Take = fn(&Context, u32, &mut Samples) -> anyhow::Result<()>;

/// Measures that are taken in one run, and what is made of them.
pub struct Suite {
    /// The word behind `cargo xtask bench`.
    pub name: &'static str,
    /// What is measured.
    pub measures: &'static [Measure],
    /// Fails if a program is missing that these measures need.
    pub check: fn(&Context, &[&Measure]) -> anyhow::Result<()>,
    /// The figures to reach.
    pub figures: fn(&Run) -> Vec<Figure>,
    /// The other tables.
    pub tables: fn(&Run) -> String,
}

/// A measure: its name, how many rounds it takes, and itself.
pub struct Measure {
    /// What `--measure` takes a part of.
    pub name: &'static str,
    /// How many rounds it takes.
    pub rounds: fn(&Scale) -> u32,
    /// Takes every row once.
    pub take: Take,
}

impl Measure {
    /// What is timed, in every round.
    pub const fn each_round(name: &'static str, take: Take) -> Self {
        Self {
            name,
            rounds: |scale| scale.rounds,
            take,
        }
    }

    /// What is counted and not timed: one round says everything.
    pub const fn once(name: &'static str, take: Take) -> Self {
        Self {
            name,
            rounds: |_| 1,
            take,
        }
    }
}

/// `cargo xtask bench streams`.
pub const STREAMS: Suite = Suite {
    name: "streams",
    measures: &MEASURES,
    check: check_servers,
    figures,
    tables: tables::all,
};

const MEASURES: [Measure; 11] = [
    Measure::each_round("send", streams::send),
    Measure::each_round("receive", streams::receive),
    Measure::each_round("records", records::measure),
    Measure::each_round("round trip", round_trip::measure),
    Measure::each_round("replies", replies::measure),
    Measure::each_round("handshake", handshakes::measure),
    Measure {
        name: "file",
        rounds: |scale| scale.rounds.div_ceil(2),
        take: files::measure,
    },
    Measure::each_round("http connections", http::short_lived),
    Measure::each_round("http download", http::download),
    Measure {
        name: "http load",
        rounds: |scale| scale.long_rounds,
        take: http::many,
    },
    Measure::once("idle", idle::measure),
];

/// Takes the measures that `options` ask for, prints the summary, and keeps the run.
///
/// # Errors
///
/// When a program that is measured is missing, or a row fails.
pub fn run(suite: &Suite, options: &Options) -> anyhow::Result<()> {
    let earlier = options.compare.as_deref().map(Run::read).transpose()?;
    let measures = wanted(suite, options)?;
    let context = Context::new(options)?;
    (suite.check)(&context, &measures)?;
    let mut machine = Machine::this()?;
    if let Some(libraries) = context.newer_openssl() {
        let version = http::nginx::newer::version(libraries)?;
        machine.versions.push((NEWER_OPENSSL.to_owned(), version));
    }
    let samples = take_all(&context, &measures)?;
    let run = Run::new(machine, samples);
    let summary = summary(suite, &run);
    print!("{summary}");
    let directory = directory(suite, options, &run);
    keep(&directory, &run, &summary)?;
    if let Some(earlier) = earlier {
        print!("\n{}", compare::table(&earlier, &run));
    }
    eprintln!("kept in {}", directory.display());
    Ok(())
}

fn wanted(suite: &Suite, options: &Options) -> anyhow::Result<Vec<&'static Measure>> {
    let wants = |measure: &Measure| {
        options.measure.is_empty() || options.measure.iter().any(|m| measure.name.contains(m))
    };
    let measures: Vec<_> = suite
        .measures
        .iter()
        .filter(|measure| wants(measure))
        .collect();
    if measures.is_empty() {
        let names: Vec<_> = suite.measures.iter().map(|measure| measure.name).collect();
        bail!("no such measure; hint: one of {}", names.join(", "));
    }
    Ok(measures)
}

fn check_servers(context: &Context, measures: &[&Measure]) -> anyhow::Result<()> {
    if !measures
        .iter()
        .any(|measure| measure.name.starts_with("http"))
    {
        return Ok(());
    }
    if context.wants(http::name::NGINX_TLS) || context.wants(http::name::NGINX_PLAIN) {
        http::nginx::check_installed()?;
    }
    if context.wants(http::name::SERVE) {
        context.underseal()?;
    }
    let connects = measures
        .iter()
        .any(|measure| measure.name == "http connections");
    if connects && context.wants(http::name::HAPROXY) {
        proxy::haproxy::check_installed()?;
    }
    Ok(())
}

fn take_all(context: &Context, measures: &[&Measure]) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    let most = measures
        .iter()
        .map(|measure| (measure.rounds)(&context.scale))
        .max();
    for round in 0..most.unwrap_or(0) {
        for measure in measures {
            if round < (measure.rounds)(&context.scale) {
                eprintln!("round {}: {}", round + 1, measure.name);
                (measure.take)(context, round, &mut samples)
                    .with_context(|| format!("measure `{}`", measure.name))?;
            }
        }
    }
    if samples.all().is_empty() {
        bail!("nothing was measured; hint: --only takes a part of a row's name");
    }
    Ok(samples)
}

fn directory(suite: &Suite, options: &Options, run: &Run) -> PathBuf {
    // Runs of streams came first, and have no name behind the machine's.
    let suffix = match suite.name {
        "streams" => String::new(),
        name => format!("-{name}"),
    };
    match &options.out {
        Some(directory) => directory.clone(),
        None if options.quick => PathBuf::from(format!("target/bench-quick{suffix}")),
        None => unused(&format!("bench/runs/{}{suffix}", run.machine.slug())),
    }
}

/// Writes a run and its summary to `directory`.
pub(crate) fn keep(directory: &Path, run: &Run, summary: &str) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let raw = serde_json::to_string(run).context("cannot encode the run")?;
    fs::write(directory.join("raw.json"), raw).context("cannot write raw.json")?;
    fs::write(directory.join("summary.md"), summary).context("cannot write summary.md")
}

/// `path`, or `path` with a number behind it: no run overwrites another.
pub(crate) fn unused(path: &str) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{path}-{number}")));
    let mut candidates = std::iter::once(PathBuf::from(path)).chain(numbered);
    candidates
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| PathBuf::from(path))
}
