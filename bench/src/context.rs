//! What every measure needs: the rows, their order, and how much to measure.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, bail};

use crate::cpu_time::Cores;
use crate::credentials::Credentials;
use crate::rows::{self, Row};

/// Options of every suite that goes round by round.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Smoke run of a few seconds: every measure and row once, too little of each to mean anything
    #[arg(long)]
    pub quick: bool,

    /// Measure only rows whose name contains ROW (may be repeated)
    #[arg(long, value_name = "ROW")]
    pub only: Vec<String>,

    /// Take only measures whose name contains MEASURE (may be repeated)
    #[arg(long, value_name = "MEASURE")]
    pub measure: Vec<String>,

    /// How often each row is measured
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,

    /// Leave the C library as it is shipped, and not as the peers like it best
    #[arg(long)]
    pub stock_libc: bool,

    /// Print ratios against an earlier run: its directory, or its raw.json
    #[arg(long, value_name = "OLD")]
    pub compare: Option<PathBuf>,

    /// Keep the run in DIR [default: below bench/runs, or target with --quick]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// The `underseal` binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    pub underseal: Option<PathBuf>,

    /// An older `underseal` binary, which `proxy` measures beside the other where HTTP/2 is spoken
    #[arg(long, value_name = "FILE")]
    pub before: Option<PathBuf>,

    /// A newer OpenSSL, with the C library that it needs: `preload` measures nginx on it, too
    #[arg(long, value_name = "DIR")]
    pub newer_openssl: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Rounds of the measures of a few milliseconds each.
    pub rounds: u32,
    /// Rounds of the measures that open thousands of connections.
    pub long_rounds: u32,
    /// Bytes of one transfer.
    pub stream_bytes: u64,
    /// Bytes put through the AEAD for one sample.
    pub record_bytes: usize,
    /// Requests of one round-trip sample.
    pub round_trips: usize,
    /// Replies on one connection of HTTP/2.
    pub replies: usize,
    /// Connections that live for a handshake.
    pub handshakes: usize,
    /// Connections that are held open.
    pub connections: usize,
    /// Connections, of these, that ask for files.
    pub active: usize,
    /// Requests, all active connections together.
    pub requests: usize,
    /// Bytes of the file that is downloaded.
    pub file_bytes: u64,
    /// Request heads that are judged for one sample.
    pub heads: usize,
    /// Connections to a proxy, all of them busy.
    pub proxy_connections: usize,
    /// Requests to a proxy, all connections together.
    pub proxy_requests: usize,
    /// Bodies that are fetched through a proxy.
    pub proxy_bodies: usize,
    /// Bytes of each.
    pub proxy_body_bytes: u64,
    /// Key updates that one peer asks for.
    pub updates: usize,
    /// Downloads that nobody reads.
    pub stalled: usize,
}

impl Scale {
    /// The scale of the figures in the documentation.
    pub const FULL: Self = Self {
        rounds: 11,
        long_rounds: 3,
        stream_bytes: 256 << 20,
        record_bytes: 128 << 20,
        round_trips: 20_000,
        replies: 64_000,
        handshakes: 1000,
        connections: 10_000,
        active: 200,
        requests: 60_000,
        file_bytes: 1 << 30,
        heads: 100_000,
        proxy_connections: 64,
        proxy_requests: 32_000,
        proxy_bodies: 8,
        proxy_body_bytes: 64 << 20,
        updates: 1_000_000,
        stalled: 200,
    };

    /// Just enough to run every line of code.
    pub const QUICK: Self = Self {
        rounds: 1,
        long_rounds: 1,
        stream_bytes: 2 << 20,
        record_bytes: 1 << 18,
        round_trips: 20,
        replies: 64,
        handshakes: 5,
        connections: 100,
        active: 10,
        requests: 100,
        file_bytes: 4 << 20,
        heads: 100,
        proxy_connections: 4,
        proxy_requests: 40,
        proxy_bodies: 1,
        proxy_body_bytes: 1 << 20,
        updates: 2_000,
        stalled: 5,
    };
}

/// A run in progress.
pub struct Context {
    /// How much is measured.
    pub scale: Scale,
    /// The certificate of this run.
    pub credentials: Credentials,
    /// Where its files are.
    pub directory: tempfile::TempDir,
    /// Where threads are pinned.
    pub cores: Cores,
    /// Ciphertext that the fixed sender pours out; kept to be reused.
    pub sealed: Mutex<Vec<u8>>,
    underseal: Option<PathBuf>,
    before: Option<PathBuf>,
    newer_openssl: Option<PathBuf>,
    only: Vec<String>,
    rows: Vec<Box<dyn Row>>,
}

impl Context {
    /// Prepares a run.
    ///
    /// # Errors
    ///
    /// When certificates cannot be made, or `--only` names no row.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let mut scale = if options.quick {
            Scale::QUICK
        } else {
            Scale::FULL
        };
        if let Some(rounds) = options.rounds {
            scale.rounds = rounds;
            scale.long_rounds = scale.long_rounds.min(rounds);
        }
        let credentials = Credentials::generate()?;
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        credentials.write_below(directory.path())?;
        Ok(Self {
            scale,
            rows: rows::all(&credentials)?,
            credentials,
            directory,
            cores: Cores::of_this_process()?,
            underseal: options.underseal.clone(),
            before: options.before.clone(),
            newer_openssl: options.newer_openssl.clone(),
            sealed: Mutex::default(),
            only: options.only.clone(),
        })
    }

    /// The `underseal` binary.
    ///
    /// # Errors
    ///
    /// When it was not named and is not beside this program.
    pub fn underseal(&self) -> anyhow::Result<PathBuf> {
        self.underseal
            .clone()
            .map_or_else(|| beside_this_program("underseal"), Ok)
    }

    /// An older `underseal` binary, if there is one.
    pub fn before(&self) -> Option<&Path> {
        self.before.as_deref()
    }

    /// The libraries of a newer OpenSSL, if there is one.
    pub fn newer_openssl(&self) -> Option<&Path> {
        self.newer_openssl.as_deref()
    }

    /// The rows to measure, starting with another one each round: whoever comes first finds the
    /// machine in another state than who comes last.
    pub fn rows(&self, round: u32) -> Vec<&dyn Row> {
        let wanted = self.rows.iter().filter(|row| self.wants(row.name()));
        self.in_turn(wanted.map(AsRef::as_ref).collect(), round)
    }

    /// `items`, rotated by the round.
    pub fn in_turn<T>(&self, mut items: Vec<T>, round: u32) -> Vec<T> {
        if !items.is_empty() {
            let by = round as usize % items.len();
            items.rotate_left(by);
        }
        items
    }

    /// The row of that name, whether it is measured or not.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn row(&self, name: &str) -> anyhow::Result<&dyn Row> {
        let row = self.rows.iter().find(|row| row.name() == name);
        row.map(AsRef::as_ref)
            .with_context(|| format!("no row {name}"))
    }

    /// Whether `--only` lets this row through.
    pub fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| row.contains(only.as_str()))
    }
}

/// A program that cargo built into the same directory as this one.
///
/// # Errors
///
/// When it is not there.
pub fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    // Test programs lie one directory deeper.
    for directory in this.ancestors().skip(1).take(2) {
        let path = directory.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "no `{name}` beside {}; hint: cargo build --release",
        this.display()
    )
}
