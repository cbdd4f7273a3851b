//! `underseal policy check`.

use underseal_policy::model::AuthorizationPolicy;
use underseal_policy::{LoadError, PolicyFile, load};

use super::arguments::{CheckArgs, Files};
use super::{print, read};
use crate::exit::{Exit, Failure};

/// Loads all files and prints what is wrong with any of them.
///
/// # Errors
/// [`Exit::Policy`] when something is, or a file cannot be read.
pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match loaded(&args.files)? {
        Ok(_) if args.json => Ok(()),
        Ok(policies) => print(&format!(
            "{} in {}\n",
            count(policies.len(), "policy", "policies"),
            count(args.files.files.len(), "file", "files"),
        )),
        Err(errors) => {
            let line = if args.json { json } else { text };
            print(&errors.iter().map(line).collect::<String>())?;
            Err(refused(&errors))
        }
    }
}

/// The policies of `files`, or what is wrong with them.
///
/// # Errors
/// [`Exit::Policy`] when a file cannot be read.
pub(super) fn loaded(
    files: &Files,
) -> Result<Result<Vec<AuthorizationPolicy>, Vec<LoadError>>, Failure> {
    let texts = read(&files.files)?;
    let files_read: Vec<_> = texts
        .iter()
        .map(|file| PolicyFile {
            name: &file.name,
            text: &file.text,
        })
        .collect();
    Ok(load(&files_read, &files.tcp_port))
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
        "line": error.place.line,
        "column": error.place.column,
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
