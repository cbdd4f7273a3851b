//! `underseal policy`: what policy files say, and what they would do with a request.

mod arguments;
mod check;
mod convert;
mod explain;
mod files;

use std::io::{self, Write as _};

pub(crate) use self::arguments::PolicyArgs;
use self::arguments::Subcommand;
use self::files::Files;
use crate::exit::{Failure, tolerate_closed_stdout};

/// Does what the subcommand says.
///
/// # Errors
/// [`Exit::Policy`](crate::exit::Exit::Policy) for files that cannot be read or are no policies.
pub(crate) fn run(args: &PolicyArgs) -> Result<(), Failure> {
    match &args.command {
        Subcommand::Check(args) => check::run(args),
        Subcommand::Explain(args) => explain::run(args),
        Subcommand::Convert(args) => convert::run(args),
        Subcommand::Schema => print(&format!("{:#}\n", underseal_policy::json_schema())),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    tolerate_closed_stdout(written.and_then(|()| stdout.flush()))
}
