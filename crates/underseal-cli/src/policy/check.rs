//! `underseal policy check`.

use underseal_policy::model::AuthorizationPolicy;
use underseal_policy::{LoadError, load_all, load_without_http};

use super::arguments::{self, CheckArgs};
use super::{Files, convert, print};
use crate::exit::{Exit, Failure, say};

/// Loads all files and prints what is wrong with any of them.
///
/// # Errors
/// [`Exit::Policy`] when something is, or a file cannot be read.
pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let files = Files::read(&args.files.files)?;
    match loaded(&files, &args.files, |_| true) {
        Ok(_) if args.json => Ok(()),
        Ok(policies) => print(&format!(
            "{} in {}\n",
            count(policies.len(), "policy", "policies"),
            count(files.len(), "file", "files"),
        )),
        Err(errors) => {
            let line = if args.json { json } else { text };
            print(&errors.iter().map(line).collect::<String>())?;
            Err(refused(&errors))
        }
    }
}

/// The policies of `files`, or what is wrong with them, where a policy `is_for` which that is judges. What was
/// passed over is said on stderr.
pub(super) fn loaded(
    files: &Files,
    args: &arguments::Files,
    is_for: impl Fn(&AuthorizationPolicy) -> bool,
) -> Result<Vec<AuthorizationPolicy>, Vec<LoadError>> {
    let files = files.policy_files();
    let loaded = match args.without_http() {
        Some(ports) => load_without_http(&files, &ports, is_for),
        None => load_all(&files, &args.tcp_port),
    }?;
    say(&loaded
        .passed_over
        .iter()
        .map(convert::note)
        .collect::<String>());
    Ok(loaded.policies)
}

fn refused(errors: &[LoadError]) -> Failure {
    Failure::new(
        Exit::Policy,
        format!("{}, nothing is loaded", self::errors(errors.len())),
        "`underseal policy schema` prints the JSON Schema of a policy",
    )
}

pub(super) fn text(error: &LoadError) -> String {
    format!("{error}\n")
}

fn json(error: &LoadError) -> String {
    let object = serde_json::json!({
        "file": error.file,
        "line": error.location.line,
        "column": error.location.column,
        "path": error.path,
        "message": error.message,
    });
    format!("{object}\n")
}

/// `1 error`, `2 errors`.
pub(super) fn errors(errors: usize) -> String {
    count(errors, "error", "errors")
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
