//! Guest instructions per MB: the stream bench inside of a VM whose clocks count instructions.
//!
//! `cargo xtask bench vm` boots QEMU with `-icount shift=0`, where every instruction takes one
//! nanosecond of the guest's time. The CPU clock of a process is then the number of instructions
//! that it ran, in user and kernel mode, with the interrupts that hit it; [`calibration`] proves it
//! before anything is measured. Each side of a transfer is a process of its own ([`side`]).

pub mod calibration;
pub mod contenders;
mod counters;
pub mod report;
pub mod side;
mod transfer;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::credentials::{Credentials, Suite};
use crate::machine::Machine;
use crate::rows::name;
use crate::run::{Run, Samples};
use contenders::{Contender, ENGINES, Engine};
use side::Role;
use transfer::{Cost, End, Transfer};

/// The file that is sent, below the directory of the run.
pub const FILE: &str = "file";
/// What a line of the output begins with that holds the run.
pub const RUN_MARK: &str = "run: ";

/// Bytes of a write, or of a read.
const PIECES: [usize; 3] = [16 << 10, 64 << 10, 256 << 10];
/// The size that is taken with every suite, and for pairs.
const MIDDLE: usize = 64 << 10;

/// Options of `underseal-bench vm`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often each row is measured
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// MiB of one transfer
    #[arg(long, default_value_t = 16)]
    pub mebibytes: u64,
    /// Measure only rows whose name contains ROW (may be repeated)
    #[arg(long, value_name = "ROW")]
    pub only: Vec<String>,
    /// Programs that are OpenSSL with its kernel TLS, each perhaps behind a loader and its options
    #[arg(long, value_name = "COMMAND")]
    pub openssl: Vec<String>,
    /// Do not insist that the clocks count instructions: for a test outside of the VM
    #[arg(long)]
    pub any_clock: bool,
}

/// Measures, and prints the run as one line of JSON.
///
/// # Errors
///
/// When the clocks do not count instructions, or a row fails or does not use the engine it claims.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    Credentials::generate()?.write_below(directory.path())?;
    let bytes = options.mebibytes << 20;
    fs::write(
        directory.path().join(FILE),
        vec![0x5a; usize::try_from(bytes)?],
    )?;
    let mut samples = Samples::default();
    calibration::check(&mut samples).or_else(|error| match options.any_clock {
        true => Ok(()),
        false => Err(error),
    })?;
    let contenders = contenders::all(&options.openssl)?;
    let contenders = contenders.into_iter().filter(|contender| {
        let wanted = |only: &String| contender.name.contains(only.as_str());
        options.only.is_empty() || options.only.iter().any(wanted)
    });
    let mut bench = Bench {
        directory: directory.path().to_owned(),
        bytes,
        contenders: contenders.collect(),
        samples,
    };
    for round in 0..options.rounds {
        bench
            .take(round)
            .with_context(|| format!("round {}", round + 1))?;
    }
    let mut machine = Machine::this()?;
    machine.versions.extend(bench.versions());
    let run = Run::new(machine, bench.samples);
    println!("{RUN_MARK}{}", serde_json::to_string(&run)?);
    Ok(())
}

/// A run in progress.
struct Bench {
    directory: PathBuf,
    bytes: u64,
    contenders: Vec<Contender>,
    samples: Samples,
}

impl Bench {
    /// Every row once, each round starting with another one.
    fn take(&mut self, round: u32) -> anyhow::Result<()> {
        let mut contenders = self.contenders.clone();
        let by = round as usize % contenders.len().max(1);
        contenders.rotate_left(by);
        for suite in Suite::ALL {
            for contender in &contenders {
                eprintln!("round {}: {}, {}", round + 1, suite.name(), contender.name);
                self.contender(contender, suite, round)
                    .with_context(|| format!("{} with {}", contender.name, suite.name()))?;
            }
            if self
                .contenders
                .iter()
                .any(|row| row.name == name::KERNEL_ENGINE)
            {
                self.pairs(suite, round)?;
            }
        }
        Ok(())
    }

    fn contender(&mut self, row: &Contender, suite: Suite, round: u32) -> anyhow::Result<()> {
        let pieces: &[usize] = match suite {
            Suite::Aes128 => &PIECES,
            Suite::Aes256 => &[MIDDLE],
        };
        for (role, peer) in [(Role::Send, Role::Drain), (Role::Receive, Role::Pour)] {
            if role == Role::Receive && !row.receives {
                continue;
            }
            for &piece in pieces {
                let cost = self.transfer(suite, (row, role), (row, peer), piece)?;
                let setting = piece.to_string();
                self.keep(
                    (&measure(&role.word(), suite), &row.name, &setting, round),
                    cost,
                );
            }
        }
        let cost = self.transfer(suite, (row, Role::File), (row, Role::Drain), MIDDLE)?;
        self.keep((&measure("file", suite), &row.name, row.file, round), cost);
        Ok(())
    }

    /// Every engine that sends with every engine that receives.
    fn pairs(&mut self, suite: Suite, round: u32) -> anyhow::Result<()> {
        for sender in ENGINES {
            for receiver in ENGINES {
                let (near, far) = (Contender::underseal(sender), Contender::underseal(receiver));
                let ends = ((&near, Role::Send), (&far, Role::ReceiveAsClient));
                let cost = self.transfer(suite, ends.0, ends.1, MIDDLE)?;
                let row = pair_name(sender, receiver);
                self.keep((&measure("pair", suite), &row, "65536", round), cost);
            }
        }
        Ok(())
    }

    fn transfer(
        &self,
        suite: Suite,
        own: (&Contender, Role),
        peer: (&Contender, Role),
        piece: usize,
    ) -> anyhow::Result<Cost> {
        let end = |(contender, role)| End { contender, role };
        let transfer = Transfer {
            directory: &self.directory,
            suite,
            bytes: self.bytes,
            piece,
        };
        transfer.run(&end(own), &end(peer))
    }

    fn keep(&mut self, at: (&str, &str, &str, u32), cost: Cost) {
        let per_mb = |instructions: u64| instructions as f64 / 1e3 / (self.bytes as f64 / 1e6);
        let (own, peer, elsewhere) = (per_mb(cost.own), per_mb(cost.peer), per_mb(cost.elsewhere));
        self.samples.add(
            at,
            &[
                ("own", own),
                ("peer", peer),
                ("both", own + peer),
                ("elsewhere", elsewhere),
            ],
        );
    }

    fn versions(&self) -> Vec<(String, String)> {
        let kernel_tls = self.contenders.iter().filter_map(|row| row.version.clone());
        kernel_tls
            .map(|version| ("OpenSSL with its kernel TLS".to_owned(), version))
            .collect()
    }
}

/// What a measure is called: with another suite it is another one.
pub fn measure(role: &str, suite: Suite) -> String {
    format!("{role}, {}", suite.name())
}

/// What a pair is called.
pub fn pair_name(sender: Engine, receiver: Engine) -> String {
    format!("{} sends, {} receives", sender.word(), receiver.word())
}
