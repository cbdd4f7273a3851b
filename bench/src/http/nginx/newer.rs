//! nginx on a newer OpenSSL than it was built with: the same binary, started by the dynamic linker that came with
//! that OpenSSL, whose C library it needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::context::Context;

/// The dynamic linker among the libraries in `libraries`.
fn linker(libraries: &Path) -> Command {
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(libraries);
    command
}

/// The same nginx as `command` starts, on the newer OpenSSL of the run; with the library before it that seals, if it is
/// wanted: `underseal run` puts it before programs that the system's own dynamic linker starts.
///
/// # Errors
///
/// When the run has no newer OpenSSL, or there is no library.
pub(super) fn command(
    context: &Context,
    command: &Command,
    seals: bool,
) -> anyhow::Result<Command> {
    let libraries = context.newer_openssl().context("no newer OpenSSL")?;
    let mut linker = linker(libraries);
    if seals {
        let library = context
            .underseal()?
            .with_file_name("libunderseal_preload.so");
        linker
            .arg("--preload")
            .arg(library.canonicalize().context("no library")?);
        linker.env("UNDERSEAL_PRELOAD_ALWAYS", "1");
    }
    linker.arg(nginx()?).args(command.get_args());
    Ok(linker)
}

/// What nginx says of the OpenSSL in `libraries`.
///
/// # Errors
///
/// When it does not run with it.
pub fn version(libraries: &Path) -> anyhow::Result<String> {
    let output = linker(libraries).arg(nginx()?).arg("-V").output();
    let output = output.context("cannot start the dynamic linker")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split_once("(running with ");
    let version = version.and_then(|(_, rest)| Some(rest.split_once(')')?.0.to_owned()));
    version.with_context(|| format!("nginx runs with no newer OpenSSL: {text}"))
}

/// The dynamic linker looks for no programs.
fn nginx() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("nginx"));
    let found = files.find(|file| file.is_file());
    found.context("nginx is missing; hint: apt-get install nginx-light")
}
