//! `underseal run`: a program that is not ours, with a TLS socket below it.

mod elf;
mod embedded;
pub(crate) mod library;
mod openssl;
mod private;
mod program;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::cli::RunArgs;
use crate::exit::{Exit, Failure, say};

/// The programs that this was tested with, by the start of their names.
const TESTED: [&str; 4] = ["nginx", "openssl", "python", "redis"];

/// The list of libraries that the dynamic linker puts before a program's.
const PRELOAD: &str = "LD_PRELOAD";

/// Becomes the program.
///
/// # Errors
///
/// [`Exit::Failure`] if it cannot be run so, with the reason.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let Some((name, arguments)) = args.program.split_first() else {
        return Err(refused(
            "no program is named",
            "say which: `underseal run -- PROGRAM`",
        ));
    };
    let program = program::find(name)?;
    program::can_be_run(&program)?;
    if !is_tested(&program) {
        if !args.any {
            let message = format!("this was not tested with `{}`", program.display());
            return Err(refused(
                &message,
                "`--any` runs it; docs/preload.md says what cannot be seen",
            ));
        }
        say(
            "note: what this program writes by raw system calls or by io_uring to a TLS socket fails\n",
        );
    }
    let mut command = Command::new(&program);
    command.arg0(name).args(arguments);
    command.env(
        PRELOAD,
        preload(&library::find()?, std::env::var_os(PRELOAD)),
    );
    if args.always {
        command.env("UNDERSEAL_PRELOAD_ALWAYS", "1");
    }
    if args.receive {
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
    }
    if let Some(configuration) = openssl::configuration()? {
        command.env(openssl::VARIABLE, configuration);
    }
    // It returns only if it fails.
    let error = command.exec();
    let message = format!("cannot run `{}`: {error}", program.display());
    Err(refused(&message, "check the program and what it needs"))
}

fn refused(message: &str, hint: &str) -> Failure {
    Failure::new(Exit::Failure, message, hint)
}

/// Whether the program has a name of those that were tested: as it is called, or as its file is.
fn is_tested(program: &std::path::Path) -> bool {
    let file = program.canonicalize();
    [Some(program), file.as_deref().ok()]
        .into_iter()
        .flatten()
        .filter_map(|path| path.file_name()?.to_str())
        .any(|name| TESTED.iter().any(|tested| name.starts_with(tested)))
}

/// The library, before those that were to be loaded already.
fn preload(library: &std::path::Path, others: Option<OsString>) -> OsString {
    let mut all = library.as_os_str().to_owned();
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        all.push(OsStr::new(":"));
        all.push(others);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn our_library_comes_first() {
        let library = Path::new("/lib/ours.so");
        assert_eq!(preload(library, None), "/lib/ours.so");
        assert_eq!(preload(library, Some(OsString::new())), "/lib/ours.so");
        let others = Some("/lib/theirs.so".into());
        assert_eq!(preload(library, others), "/lib/ours.so:/lib/theirs.so");
    }

    #[test]
    fn tested_programs_have_versions_in_their_names() {
        assert!(is_tested(Path::new("/nowhere/nginx")));
        assert!(is_tested(Path::new("/nowhere/python3.11")));
        assert!(!is_tested(Path::new("/nowhere/haproxy")));
    }
}
