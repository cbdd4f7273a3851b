//! How the process ends: exit codes and the two lines printed with a failure.

use std::io::{self, Write as _};
use std::process::ExitCode;

use underseal_server::{terminal, without_error_numbers};

mod proxy;
mod server;

/// Where the TLS library cannot be set up.
const TLS_HINT: &str = "this is a defect of underseal or of the system's random generator";

/// Exit codes, documented in the README; closed on purpose, since scripts match on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failure = 1,
    /// The command line is wrong; clap exits with the same code by itself.
    Usage = 2,
    /// Certificate or key: missing, unreadable, not PEM, or not a pair.
    Certificate = 3,
    /// The address to listen on: malformed, in use, or not permitted.
    Listen = 4,
    /// The directory to serve: missing, unreadable, or no directory.
    Directory = 5,
    /// A policy file: missing, unreadable, or no policy.
    Policy = 6,
}

/// Why a subcommand gave up: one line on what happened, one on what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: String,
}

impl Failure {
    /// Both texts are one line each, lower case, without a full stop.
    pub(crate) fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit,
            message: without_error_numbers(message.into()),
            hint: hint.into(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

/// Prints the failure, if there is one, and turns the outcome into the exit code.
pub(crate) fn report(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = one_line(&failure.message);
            say(&format!(
                "error: {message}\nhint: {}\n",
                one_line(&failure.hint)
            ));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Writes a message for people. `eprint!` would panic if stderr's reader went away.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A write to stdout whose reader went away is the reader's choice and no failure.
pub(crate) fn tolerate_closed_stdout(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failure,
            format!("cannot write to stdout: {error}"),
            "check what stdout is connected to, or whether its disk is full",
        )),
        _ => Ok(()),
    }
}

/// File names may hold line breaks; the promise of one line per failure is kept regardless.
pub(crate) fn one_line(text: &str) -> String {
    terminal::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_stdout_is_success_and_a_full_disk_is_not() {
        assert!(tolerate_closed_stdout(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(tolerate_closed_stdout(Err(io::ErrorKind::StorageFull.into())).is_err());
    }

    #[test]
    fn control_characters_cannot_break_the_line() {
        assert_eq!(one_line("a\nb\u{9b}31m"), "a\u{fffd}b\u{fffd}31m");
    }
}
