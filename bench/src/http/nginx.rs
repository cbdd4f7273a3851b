//! Debian's nginx, with a configuration made for the run.

pub mod newer;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::name;
use super::serve::WORKERS;
use super::server::{Server, free_address};
use crate::context::Context;

/// Which nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// TLS, with the settings that every guide has.
    Stock,
    /// TLS, with open files cached, the access log buffered, and large output buffers.
    Tuned,
    /// No TLS; files leave through sendfile(2).
    Plain,
    /// The tuned one, under `underseal run`.
    Run,
    /// The tuned one on a newer OpenSSL.
    Newer,
    /// The same, with the library that `underseal run` puts before a program.
    NewerRun,
    /// The one without TLS, under `underseal run`.
    PlainRun,
}

impl Variant {
    fn row(self) -> &'static str {
        match self {
            Self::Stock => name::NGINX_TLS,
            Self::Tuned => name::NGINX_TUNED,
            Self::Plain => name::NGINX_PLAIN,
            Self::Run => name::NGINX_RUN,
            Self::Newer => name::NGINX_NEWER,
            Self::NewerRun => name::NGINX_NEWER_RUN,
            Self::PlainRun => name::NGINX_PLAIN_RUN,
        }
    }

    fn speaks_tls(self) -> bool {
        !matches!(self, Self::Plain | Self::PlainRun)
    }

    /// `command` with what this variant has around it.
    fn around(self, context: &Context, command: Command) -> anyhow::Result<Command> {
        match self {
            Self::Stock | Self::Tuned | Self::Plain => Ok(command),
            Self::Run | Self::PlainRun => under_run(context, &command),
            Self::Newer | Self::NewerRun => {
                newer::command(context, &command, self == Self::NewerRun)
            }
        }
    }
}

/// Fails when there is no nginx: better before a run than in the middle of it.
///
/// # Errors
///
/// When `nginx` cannot be started.
pub fn check_installed() -> anyhow::Result<()> {
    let version = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        bail!(
            "nginx is missing, and the rows of `serve` mean nothing without it\n\
               hint: apt-get install nginx-light, or --only without nginx"
        );
    }
    Ok(())
}

/// Starts nginx on `root`.
///
/// # Errors
///
/// When it does not start.
pub fn start(context: &Context, root: &Path, variant: Variant) -> anyhow::Result<Server> {
    let directory = context.directory.path();
    let address = free_address()?;
    write(
        directory,
        &WORKERS.to_string(),
        &files(directory, root, address, variant),
    )?;
    let mut command = variant.around(context, command(directory))?;
    Server::start(variant.row(), &mut command, address, variant.speaks_tls())
        .with_context(|| errors(directory))
}

/// How nginx is started with the configuration in `directory`.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new("nginx");
    // Before the configuration is read, errors go where -e says, and not to /var/log.
    command
        .arg("-e")
        .arg(directory.join("nginx.err"))
        .arg("-c")
        .arg(directory.join("nginx.conf"))
        .arg("-p")
        .arg(directory);
    command
}

/// The same under `underseal run`, whatever the kernel can do.
///
/// # Errors
///
/// When there is no `underseal`.
pub(crate) fn under_run(context: &Context, command: &Command) -> anyhow::Result<Command> {
    let mut run = Command::new(context.underseal()?);
    run.args(["run", "--always", "--"]);
    run.arg(command.get_program()).args(command.get_args());
    Ok(run)
}

/// What it complained of.
pub(crate) fn errors(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("nginx.err")).unwrap_or_default()
}

/// Writes a configuration with this content of its `http` block.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn write(directory: &Path, workers: &str, http: &str) -> anyhow::Result<()> {
    let path = directory.join("nginx.conf");
    // Workers of a root-started nginx become nobody otherwise, and could not read the files.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let directory = directory.display();
    let text = format!(
        "{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/nginx.err warn;
events {{ worker_connections 16384; }}
http {{
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    scgi_temp_path {directory}/nginx-scgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    {http}
}}
"
    );
    std::fs::write(path, text).context("cannot write nginx.conf")
}

/// A server of files.
fn files(directory: &Path, root: &Path, address: SocketAddr, variant: Variant) -> String {
    let root = root.display();
    let (ssl, tls) = match variant.speaks_tls() {
        true => (" ssl", tls(directory)),
        false => ("", String::new()),
    };
    let (log, tuned) = match variant {
        Variant::Stock | Variant::Plain | Variant::PlainRun => ("", ""),
        _ => (" combined buffer=64k", TUNED),
    };
    // Without `underseal run` nobody else says so.
    let ktls = match variant {
        Variant::NewerRun => "ssl_conf_command Options KTLS;",
        _ => "",
    };
    format!(
        "access_log {directory}/nginx.log{log};
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    {tuned}
    server {{
        listen {address}{ssl} backlog=4096;
        root {root};
        {tls}
        {ktls}
    }}",
        directory = directory.display()
    )
}

const TUNED: &str = "open_file_cache max=1000 inactive=3600s; open_file_cache_valid 3600s;
    output_buffers 4 256k;";

/// The certificate of the run, TLS 1.3 and its one suite.
pub(crate) fn tls(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "ssl_certificate {directory}/cert.pem;
        ssl_certificate_key {directory}/key.pem;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
    )
}
