//! The bench program; `cargo xtask bench` builds and starts it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use underseal_bench::context::Options;
use underseal_bench::report::picture;
use underseal_bench::{datagrams, floods, mux, policy, preload, proxy, suite, tunables, vm};

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
    /// A service with many connections of uneven load: `Mux` against pinned threads
    Mux(mux::Options),
    /// Programs on a stream, and heads of requests against rules
    Policy(Options),
    /// `underseal proxy` against HAProxy and nginx terminating TLS for the same backend
    Proxy(Options),
    /// nginx under `underseal run` beside nginx that seals by itself, and `underseal serve`
    Preload(Options),
    /// A connection beside a peer that floods their worker with requests for key updates
    Floods(Options),
    /// Packets of QUIC, in memory and in transfers of quinn's
    Datagrams(Options),
    /// Guest instructions per MB; runs inside of the VM that `cargo xtask bench vm` boots
    Vm(vm::Options),
    /// Draws the picture in the README, from the runs that are kept; run from the repository's root
    Picture,
    /// One side of a transfer in the VM
    #[command(hide = true)]
    Side(vm::side::Options),
    /// Makes the summary of a run in a VM
    VmSummary(vm::report::Options),
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
    match Arguments::parse().suite {
        Suite::Streams(options) => run_suite(&suite::STREAMS, &options),
        Suite::Policy(options) => run_suite(&policy::SUITE, &options),
        Suite::Proxy(options) => run_suite(&proxy::SUITE, &options),
        Suite::Preload(options) => run_suite(&preload::SUITE, &options),
        Suite::Floods(options) => run_suite(&floods::SUITE, &options),
        Suite::Datagrams(options) => run_suite(&datagrams::SUITE, &options),
        Suite::Mux(options) => mux::run(&options),
        Suite::Picture => Ok(fs::write(picture::FILE, picture::draw(Path::new("."))?)?),
        Suite::Vm(options) => vm::run(&options),
        Suite::Side(options) => vm::side::run(&options),
        Suite::VmSummary(options) => vm::report::run(&options),
    }
}

fn run_suite(suite: &suite::Suite, options: &Options) -> anyhow::Result<()> {
    if !options.stock_libc {
        tunables::apply()?;
    }
    suite::run(suite, options)
}
