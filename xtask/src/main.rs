//! Development tasks of underseal: one word each, the same on a desk and in CI.

mod bench;
mod boring;
mod compat;
mod cost;
mod features;
mod fuzz;
mod packages;
mod python;
mod readme;
mod selftest;
mod shell;
mod test;
mod tree;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit codes, as `--help` prints them.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  a step failed; the last line on stderr says which, and how to run it alone
  2  the command line was not understood
  3  programs are missing and this user may not install them; the apt line is printed";

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test there is, and installs the Debian packages they need when it is root
    Test(test::Args),
    /// Compiles and runs what was written for tokio-rustls
    Compat(compat::Args),
    /// Runs the fuzz targets, from a copy of their committed corpus
    Fuzz(fuzz::Args),
    /// Measures underseal beside its peers
    Bench(bench::Args),
    /// Runs the tests that need a kernel, in Debian's kernels under QEMU
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Compat(args) => compat::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Vm(args) => vm::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            match error.downcast_ref::<packages::Missing>() {
                Some(_) => ExitCode::from(3),
                None => ExitCode::FAILURE,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
