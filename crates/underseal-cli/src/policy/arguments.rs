//! The command line of `underseal policy`.

use std::path::PathBuf;

use clap::Args;

const NOTES: &str = "\
Exit codes:
  0  done
  1  stdout cannot be written
  2  wrong command line
  6  a file cannot be read, or is no policy";

const CHECK_NOTES: &str = "\
Every error of every file is printed, as FILE:LINE:COLUMN: KEY: what is wrong. With --json, each is
one object per line: file, line, column, path, message.

Example:
  underseal policy check policies/*.yaml
  underseal policy check - --tcp-port 5432 < policy.yaml

Exit codes: 0 all files load; 6 some do not, or cannot be read.";

/// Options of `underseal policy`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(super) command: Subcommand,
}

/// What to do with policies.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Say whether policy files load, and every reason why not
    Check(CheckArgs),
    /// Print the JSON Schema of a policy
    Schema,
}

/// Options of `underseal policy check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_NOTES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) files: Files,

    /// One JSON object per error and line
    #[arg(long)]
    pub(super) json: bool,
}

/// Policy files and what must be known to read them.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Policy files, YAML, several policies in one if separated by `---`; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    /// Port on which something else than HTTP is spoken; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) tcp_port: Vec<u16>,
}
