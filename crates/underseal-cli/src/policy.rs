//! `underseal policy`: what policy files say, and what they would do with a request.

mod arguments;
mod check;
mod convert;
mod explain;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(crate) use self::arguments::PolicyArgs;
use self::arguments::Subcommand;
use crate::exit::{Exit, Failure, tolerate_closed_stdout};

/// Does what the subcommand says.
///
/// # Errors
/// [`Exit::Policy`] for files that cannot be read or are no policies.
pub(crate) fn run(args: &PolicyArgs) -> Result<(), Failure> {
    match &args.command {
        Subcommand::Check(args) => check::run(args),
        Subcommand::Explain(args) => explain::run(args),
        Subcommand::Convert(args) => convert::run(args),
        Subcommand::Schema => print(&format!("{:#}\n", underseal_policy::json_schema())),
    }
}

/// The text of a file.
struct Text {
    /// As messages name it.
    name: String,
    text: String,
}

/// Reads all `paths`; `-` is stdin.
fn read(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    let read = paths.iter().map(|path| {
        let name = path.display().to_string();
        let text = if path == Path::new("-") {
            io::read_to_string(io::stdin().lock())
        } else {
            fs::read_to_string(path)
        };
        let text = text.map_err(|error| {
            Failure::new(
                Exit::Policy,
                format!("cannot read {name}: {error}"),
                "a policy file is YAML in UTF-8; `-` reads stdin",
            )
        })?;
        Ok(Text { name, text })
    });
    read.collect()
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    tolerate_closed_stdout(written.and_then(|()| stdout.flush()))
}
