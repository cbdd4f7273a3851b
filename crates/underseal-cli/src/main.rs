//! The binary `underseal`: reads the command line and hands over to the subcommand.
//!
//! stdout carries data only (access log, list of connections, completions, man page); everything for people goes to
//! stderr. Exit codes are the variants of [`exit::Exit`].

mod certificates;
mod cli;
mod conns;
mod development;
mod diagnostics;
mod doctor;
mod exit;
mod offload;
mod policy;
mod proxy;
mod run;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let outcome = match cli::Cli::parse().command {
        cli::Command::Serve(args) => serve::run(&args),
        cli::Command::Proxy(args) => proxy::run(&args),
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Conns(args) => conns::run(&args),
        cli::Command::Doctor(args) => doctor::run(&args),
        cli::Command::Policy(args) => policy::run(&args),
        cli::Command::Completions { shell } => cli::print_completions(shell),
        cli::Command::Man { command } => cli::print_man(&command),
    };
    exit::report(outcome)
}
