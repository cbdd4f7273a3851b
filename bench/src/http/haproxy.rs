//! Debian's HAProxy as a server: it answers every request with a file that it keeps in memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::name;
use super::server::{Server, free_address};
use crate::context::Context;

/// Starts HAProxy, which answers with the small file of `root`.
///
/// # Errors
///
/// When it does not start.
pub fn start(context: &Context, root: &Path) -> anyhow::Result<Server> {
    let directory = context.directory.path();
    let address = free_address()?;
    let credentials = &context.credentials;
    let chain = directory.join("chain.pem");
    let pem = format!("{}{}", credentials.certificate_pem, credentials.key_pem);
    fs::write(&chain, pem).context("cannot write chain.pem")?;
    let text = format!(
        "global
    maxconn 2000
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites {suite}
defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
frontend clients
    bind {address} ssl crt {chain}
    http-request return status 200 content-type application/octet-stream file {file}
",
        suite = credentials.suite.name(),
        chain = chain.display(),
        file = root.join("small").display(),
    );
    let file = directory.join("haproxy.cfg");
    fs::write(&file, text).context("cannot write haproxy.cfg")?;
    let errors = directory.join("haproxy.err");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    command.stdout(File::create(directory.join("haproxy.log"))?);
    command.stderr(File::create(&errors)?);
    Server::start(name::HAPROXY, &mut command, address, true)
        .with_context(|| fs::read_to_string(&errors).unwrap_or_default())
}
