//! The bench program; `cargo xtask bench` builds and starts it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use underseal_bench::context::Options;
use underseal_bench::{suite, tunables};

#[derive(Parser)]
#[command(about = "Measures underseal beside its peers")]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Subcommand)]
enum Suite {
    /// TLS streams: sockets, records, files, and `underseal serve` against nginx
    Streams(Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let Suite::Streams(options) = Arguments::parse().suite;
    if !options.stock_libc {
        tunables::apply()?;
    }
    suite::run(&options)
}
