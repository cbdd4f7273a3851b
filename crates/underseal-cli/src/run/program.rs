//! Which file a program is, and whether a library can be put before it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::elf::{self, Unsuitable};
use super::refused;
use crate::exit::Failure;

/// As much of a file as is looked at: its headers are at its start.
const HEAD: u64 = 64 * 1024;

/// How many scripts the kernel takes that run each other (`exec_binprm` of `fs/exec.c`).
const MOST_INTERPRETERS: usize = 5;

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;

/// Finds a program as a shell does.
///
/// # Errors
///
/// If there is none.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(name));
    files.find(|file| is_executable(file)).ok_or_else(|| {
        let message = format!("there is no program `{}`", name.display());
        refused(&message, "check its name, and the variable PATH")
    })
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// Whether the dynamic linker will put a library before it.
///
/// # Errors
///
/// With the reason if not.
pub(super) fn can_be_run(program: &Path) -> Result<(), Failure> {
    let mut program = program.to_owned();
    for _ in 0..=MOST_INTERPRETERS {
        // Where it cannot be read it is no script either.
        let head = head_of(&program).unwrap_or_default();
        match interpreter(&head) {
            // Its own bits and capabilities are nothing to the kernel.
            Some(next) => program = next,
            None => return executable_can_be_run(&program),
        }
    }
    let message = format!("`{}` is the interpreter of too many", program.display());
    Err(refused(&message, "name a program that is no script"))
}

fn executable_can_be_run(program: &Path) -> Result<(), Failure> {
    let name = program.display();
    let unreadable = |error: io::Error| {
        let message = format!("cannot read `{name}`: {error}");
        refused(&message, "check its name and its permissions")
    };
    let metadata = program.metadata().map_err(unreadable)?;
    if metadata.mode() & (SET_USER | SET_GROUP) != 0 {
        let message = format!("`{name}` runs as another user or group than who starts it");
        let hint =
            "the dynamic linker loads no foreign libraries then; take its setuid and setgid bits";
        return Err(refused(&message, hint));
    }
    if loses_environment(
        has_capabilities(program),
        rustix::process::getuid().is_root(),
    ) {
        let message = format!("`{name}` has capabilities that who starts it has not");
        let hint = "the dynamic linker loads no foreign libraries then; start it as root, or with ambient \
                    capabilities in place of its own";
        return Err(refused(&message, hint));
    }
    is_suitable(program, &head_of(program).map_err(unreadable)?)
}

/// Whether the file gives capabilities to who executes it (capabilities(7)).
fn has_capabilities(program: &Path) -> bool {
    let mut capabilities = [0_u8; 64];
    let found = rustix::fs::getxattr(program, "security.capability", &mut capabilities[..]);
    found.is_ok_and(|len| len > 0)
}

/// Whether the kernel has the dynamic linker leave out what the environment says: as for setuid, but not for root.
fn loses_environment(has_capabilities: bool, is_root: bool) -> bool {
    has_capabilities && !is_root
}

fn is_suitable(program: &Path, head: &[u8]) -> Result<(), Failure> {
    let own = head_of(Path::new("/proc/self/exe")).unwrap_or_default();
    let name = program.display();
    elf::check(head, &own).map_err(|why| {
        let (why, hint) = match why {
            Unsuitable::Static => (
                "is linked statically: no library can be put before it",
                "take a build of it that is linked dynamically, or `underseal proxy`",
            ),
            Unsuitable::OtherLibrary => (
                "uses another C library than this underseal",
                "take builds of both for the same C library",
            ),
            Unsuitable::OtherMachine => (
                "is for another processor than this underseal",
                "take an underseal that was built for the same",
            ),
            Unsuitable::NoProgram => ("is no program of 64 bits", "name a program"),
        };
        refused(&format!("`{name}` {why}"), hint)
    })
}

fn head_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Who runs a script.
fn interpreter(head: &[u8]) -> Option<PathBuf> {
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let name = &line[..end.unwrap_or(line.len())];
    Some(OsStr::from_bytes(name).into())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_script_names_who_runs_it() {
        let named = |line: &str| interpreter(line.as_bytes());
        assert_eq!(named("#!/bin/sh\nexit"), Some("/bin/sh".into()));
        assert_eq!(
            named("#! /usr/bin/env python3"),
            Some("/usr/bin/env".into())
        );
        assert_eq!(named("\x7fELF"), None);
    }

    #[test]
    fn capabilities_of_a_file_are_in_the_way_of_all_but_root() {
        assert!(loses_environment(true, false));
        assert!(!loses_environment(true, true) && !loses_environment(false, false));
        assert!(!has_capabilities(Path::new("/proc/self/exe")));
    }

    #[test]
    fn the_shell_can_be_run_and_nonsense_cannot() {
        let shell = find(OsStr::new("sh")).expect("a shell");
        assert!(can_be_run(&shell).is_ok());
        assert!(find(OsStr::new("no-such-program-here")).is_err());
        assert!(can_be_run(Path::new("/nonexistent")).is_err());
        assert!(can_be_run(Path::new("/etc/passwd")).is_err());
    }

    #[test]
    fn a_script_can_be_run_where_its_interpreter_can() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, content: &[u8], mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("a file");
            let permissions = Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("the file's mode");
            path
        };
        let line = |path: &Path| format!("#!{}\n", path.display());
        let shell = find(OsStr::new("sh")).expect("a shell");
        let own = std::fs::read("/proc/self/exe").expect("this program");
        let other_user = file("other-user", &own, 0o4755);
        assert!(can_be_run(&other_user).is_err());
        let script = file("script", line(&other_user).as_bytes(), 0o755);
        assert!(can_be_run(&script).is_err(), "another user's interpreter");
        let script = file("outer", line(&script).as_bytes(), 0o755);
        assert!(can_be_run(&script).is_err(), "of a script's interpreter");
        let script = file("setuid", line(&shell).as_bytes(), 0o4755);
        assert!(can_be_run(&script).is_ok(), "a script's own bit is nothing");
        let circle = directory.path().join("circle");
        let circle = file("circle", line(&circle).as_bytes(), 0o755);
        assert!(can_be_run(&circle).is_err(), "it is its own");
    }
}
