//! `underseal serve`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::name;
use super::server::{Server, free_address};
use crate::context::Context;

/// Workers, as nginx has.
pub const WORKERS: u32 = 2;

/// Starts the release binary on `root`, with its access log in a file.
///
/// # Errors
///
/// When it does not start.
pub fn start(context: &Context, root: &Path) -> anyhow::Result<Server> {
    let directory = context.directory.path();
    let errors = directory.join("serve.err");
    let address = free_address()?;
    let mut command = Command::new(context.underseal()?);
    command
        .arg("serve")
        .arg(root)
        .args([
            "--listen",
            &address.to_string(),
            "--workers",
            &WORKERS.to_string(),
        ])
        .args(["--idle-timeout", "3600", "--grace", "1"])
        .arg("--access-log")
        .arg(directory.join("serve.log"))
        .arg("--cert")
        .arg(directory.join("cert.pem"))
        .arg("--key")
        .arg(directory.join("key.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors).context("cannot create a log")?);
    Server::start(name::SERVE, &mut command, address, true)
        .with_context(|| std::fs::read_to_string(&errors).unwrap_or_default())
}
