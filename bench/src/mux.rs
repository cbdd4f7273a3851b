//! A request and reply service over TLS with many connections of uneven load: `underseal::Mux`
//! against threads that have their connections for themselves.
//!
//! Some requests cost much more CPU than others, and some connections send many more of them. The
//! load is open: requests are sent when they are due, whether earlier ones were answered or not,
//! and their latency counts from then.

pub mod load;
pub mod report;
pub mod service;
mod tasks;
mod workers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::cpu_time::raise_open_files;
use crate::credentials::{Credentials, Provider};
use crate::machine::Machine;
use crate::report::compare;
use crate::round_trip::quantile;
use crate::run::{Run, Samples};
use crate::suite::{keep, unused};
use load::{Load, Schedule};
use service::Contender;

/// Names of the rows.
pub mod name {
    /// One thread for each group of connections, as in Watson's talk.
    pub const PINNED: &str = "pinned: a thread per group of connections";
    /// `Mux`, whose idle workers drive the runtime.
    pub const DRIVING: &str = "Mux: idle workers drive the runtime";
    /// `Mux` in tasks of a work-stealing runtime.
    pub const TASKS: &str = "Mux: a task per worker, tokio's threads";
    /// `Mux` with parked workers, and a thread for the sockets.
    pub const PARKED: &str = "Mux: parked workers and a socket thread";
    /// What most services do.
    pub const STEALING: &str = "a task per connection, tokio's threads";
}

/// What the samples are kept under.
pub const MEASURE: &str = "mux";

/// Options of `underseal-bench mux`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Smoke run of a second: every row once, too little of each to mean anything
    #[arg(long)]
    pub quick: bool,

    /// Measure only rows whose name contains ROW (may be repeated)
    #[arg(long, value_name = "ROW")]
    pub only: Vec<String>,

    /// How often each row is measured [default: 5]
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,

    /// Threads of the service (may be repeated) [default: 2 4 8]
    #[arg(long, value_name = "N")]
    pub threads: Vec<usize>,

    /// Requests per second, all connections together [default: 6000]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,

    /// CPU time of a dear request, in microseconds [default: 5000]
    #[arg(long, value_name = "N")]
    pub dear: Option<u64>,

    /// One request in N is dear [default: 250]
    #[arg(long, value_name = "N")]
    pub one_in: Option<u32>,

    /// Print ratios against an earlier run: its directory, or its raw.json
    #[arg(long, value_name = "OLD")]
    pub compare: Option<PathBuf>,

    /// Keep the run in DIR [default: bench/runs/DATE-CPU-mux, target/bench-quick-mux with --quick]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Debug)]
struct Scale {
    rounds: u32,
    threads: Vec<usize>,
    load: Load,
}

impl Scale {
    fn of(options: &Options) -> Self {
        let (rounds, threads, load) = match options.quick {
            true => (1, vec![2], Load::QUICK),
            false => (5, vec![2, 4, 8], Load::FULL),
        };
        let load = Load {
            rate: options.rate.unwrap_or(load.rate),
            dear: options.dear.map_or(load.dear, Duration::from_micros),
            one_in: options.one_in.unwrap_or(load.one_in),
            ..load
        };
        Self {
            rounds: options.rounds.unwrap_or(rounds),
            threads: match options.threads.is_empty() {
                true => threads,
                false => options.threads.clone(),
            },
            load,
        }
    }
}

/// Measures, prints the summary, and keeps the run.
///
/// # Errors
///
/// When a row fails: a connection ends, or a reply is missing, wrong or out of order.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let earlier = options.compare.as_deref().map(Run::read).transpose()?;
    let scale = Scale::of(options);
    raise_open_files(2 * scale.load.connections as u64 + 200)?;
    let machine = Machine::this()?;
    let samples = take_all(options, &scale)?;
    let run = Run::new(machine, samples);
    let summary = report::summary(&run, &scale.load);
    print!("{summary}");
    let directory = match &options.out {
        Some(directory) => directory.clone(),
        None if options.quick => PathBuf::from("target/bench-quick-mux"),
        None => unused(&format!("bench/runs/{}-mux", run.machine.slug())),
    };
    keep(&directory, &run, &summary)?;
    if let Some(earlier) = earlier {
        print!("\n{}", compare::table(&earlier, &run));
    }
    eprintln!("kept in {}", directory.display());
    Ok(())
}

fn take_all(options: &Options, scale: &Scale) -> anyhow::Result<Samples> {
    let credentials = Credentials::generate()?;
    let wants = |row: &str| {
        options.only.is_empty() || options.only.iter().any(|only| row.contains(only.as_str()))
    };
    let mut contenders = service::contenders();
    contenders.retain(|contender| wants(contender.name()));
    ensure!(
        !contenders.is_empty(),
        "nothing was measured; hint: --only takes a part of a row's name"
    );
    let mut samples = Samples::default();
    for round in 0..scale.rounds {
        for &threads in &scale.threads {
            // Another load each round, the same for every row of it.
            let schedule = Schedule::new(&scale.load, u64::from(round) + 1);
            for contender in &contenders {
                eprintln!(
                    "round {}: {threads} threads, {}",
                    round + 1,
                    contender.name()
                );
                take(
                    &credentials,
                    contender.as_ref(),
                    threads,
                    &schedule,
                    round,
                    &mut samples,
                )
                .with_context(|| format!("{}, {threads} threads", contender.name()))?;
            }
        }
        // Whoever comes first finds the machine in another state than who comes last.
        contenders.rotate_left(1);
    }
    Ok(samples)
}

fn take(
    credentials: &Credentials,
    contender: &dyn Contender,
    threads: usize,
    schedule: &Schedule,
    round: u32,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let acceptor = underseal::TlsAcceptor::from(credentials.server(Provider::Ring)?);
    let service = contender.start(threads, acceptor)?;
    let peers = load::connect(credentials, service.as_ref(), schedule.connections())?;
    let before = clock_gettime(ClockId::ProcessCPUTime);
    let mut outcome = load::run(peers, schedule)?;
    let after = clock_gettime(ClockId::ProcessCPUTime);
    service.stop()?;
    let seconds = |time: rustix::time::Timespec| time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    let own = seconds(after) - seconds(before) - outcome.client_cpu.as_secs_f64();
    outcome.latencies.sort_unstable();
    let at = |share| quantile(&outcome.latencies, share);
    samples.add(
        (MEASURE, contender.name(), &threads.to_string(), round),
        &[
            ("p50_us", at(0.50)),
            ("p99_us", at(0.99)),
            ("p999_us", at(0.999)),
            (
                "requests_per_s",
                outcome.requests as f64 / outcome.elapsed.as_secs_f64(),
            ),
            ("cpu_us_per_request", own * 1e6 / outcome.requests as f64),
            ("late_us", outcome.late.as_secs_f64() * 1e6),
        ],
    );
    Ok(())
}
