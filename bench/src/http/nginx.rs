//! Debian's nginx, with a configuration made for the run.

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
}

impl Variant {
    fn row(self) -> &'static str {
        match self {
            Self::Stock => name::NGINX_TLS,
            Self::Tuned => name::NGINX_TUNED,
            Self::Plain => name::NGINX_PLAIN,
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
    let path = directory.join("nginx.conf");
    std::fs::write(&path, configuration(directory, root, address, variant))
        .context("cannot write nginx.conf")?;
    let errors = directory.join("nginx.err");
    let mut command = Command::new("nginx");
    // Before the configuration is read, errors go where -e says, and not to /var/log.
    command
        .arg("-e")
        .arg(&errors)
        .arg("-c")
        .arg(&path)
        .arg("-p")
        .arg(directory);
    Server::start(
        variant.row(),
        &mut command,
        address,
        variant != Variant::Plain,
    )
    .with_context(|| std::fs::read_to_string(&errors).unwrap_or_default())
}

fn configuration(directory: &Path, root: &Path, address: SocketAddr, variant: Variant) -> String {
    let directory = directory.display();
    let root = root.display();
    // Workers of a root-started nginx become nobody otherwise, and could not read the files.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let (ssl, tls) = match variant {
        Variant::Plain => ("", String::new()),
        Variant::Stock | Variant::Tuned => (" ssl", tls(&directory.to_string())),
    };
    let (log, tuned) = match variant {
        Variant::Tuned => (" combined buffer=64k", TUNED),
        Variant::Stock | Variant::Plain => ("", ""),
    };
    format!(
        "{user}
daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/nginx.err warn;
events {{ worker_connections 16384; }}
http {{
    access_log {directory}/nginx.log{log};
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    scgi_temp_path {directory}/nginx-scgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    {tuned}
    server {{
        listen {address}{ssl} backlog=4096;
        root {root};
        {tls}
    }}
}}
"
    )
}

const TUNED: &str = "open_file_cache max=1000 inactive=3600s; open_file_cache_valid 3600s;
    output_buffers 4 256k;";

fn tls(directory: &str) -> String {
    format!(
        "ssl_certificate {directory}/cert.pem;
        ssl_certificate_key {directory}/key.pem;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
    )
}
