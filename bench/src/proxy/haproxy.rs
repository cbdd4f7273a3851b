//! Debian's HAProxy, with a configuration made for the run.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::{Contender, Setup, name, rules};
use crate::http::server::{Server, free_address};

/// The setting that has Debian's defaults, but for the log: nobody keeps one.
pub(super) const STOCK: &str = "as shipped";

/// Lines of the sections `global` and `defaults`.
pub(super) const CONTENDERS: &[Contender] = &[
    with(STOCK, &["", ""]).with_http2(),
    with("reuse", &["", REUSE]).with_http2(),
    with("reuse, 64 KiB buffers", &["tune.bufsize 65536", REUSE]),
    with("reuse, 256 KiB buffers", &["tune.bufsize 262144", REUSE]),
    with(
        "reuse, splice-auto",
        &["", "http-reuse always\n    option splice-auto"],
    ),
    with("reuse, 2 threads", &["nbthread 2", REUSE]).with_http2(),
    with(
        "reuse, access log",
        &[
            "log stdout format raw local0",
            "http-reuse always\n    log global\n    option httplog",
        ],
    ),
];

/// Connections to the backend are used by all clients.
const REUSE: &str = "http-reuse always";

const fn with(setting: &'static str, lines: &'static [&'static str]) -> Contender {
    Contender {
        row: name::HAPROXY,
        setting,
        start,
        lines,
        with_http2: false,
    }
}

/// Fails when there is no HAProxy: better before a run than in the middle of it.
///
/// # Errors
///
/// When `haproxy` cannot be started.
pub(crate) fn check_installed() -> anyhow::Result<()> {
    let version = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        bail!(
            "haproxy is missing, and its rows are what others are compared with\n\
             hint: apt-get install haproxy, or --only without it"
        );
    }
    Ok(())
}

fn start(setup: &Setup<'_>, contender: &Contender) -> anyhow::Result<Server> {
    let address = free_address()?;
    let credentials = &setup.context.credentials;
    let chain = setup.directory.join("chain.pem");
    let pem = format!("{}{}", credentials.certificate_pem, credentials.key_pem);
    fs::write(&chain, pem).context("cannot write chain.pem")?;
    let [global, defaults] = contender.lines else {
        bail!("a contender has lines of two sections");
    };
    let text = format!(
        "global
    maxconn 2000
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
    ssl-default-bind-ciphersuites {suite}
    {global}
defaults
    mode http
    option dontlognull
    timeout connect 5000
    timeout client 50000
    timeout server 50000
    {defaults}
frontend clients
    bind {address} ssl crt {chain}{alpn}
{rules}    default_backend files
backend files
    server backend {backend}{protocol}
",
        suite = credentials.suite.name(),
        chain = chain.display(),
        alpn = if setup.ends.from_http2 {
            " alpn h2,http/1.1"
        } else {
            ""
        },
        protocol = if setup.ends.to_http2 { " proto h2" } else { "" },
        rules = if setup.ends.with_rules {
            acls()
        } else {
            String::new()
        },
        backend = setup.backend,
    );
    let file = setup.directory.join("haproxy.cfg");
    fs::write(&file, text).context("cannot write haproxy.cfg")?;
    let errors = setup.directory.join("haproxy.err");
    let mut command = Command::new("haproxy");
    command
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .stdout(File::create(setup.directory.join("haproxy.log"))?)
        .stderr(File::create(&errors)?);
    Server::start(contender.row, &mut command, address, true)
        .with_context(|| fs::read_to_string(&errors).unwrap_or_default())
}

/// The rules as ACLs: the first that matches decides.
fn acls() -> String {
    let mut text =
        String::from("    http-request deny if { path /admin } || { path_beg /admin/ }\n");
    for prefix in rules::prefixes() {
        let _ = writeln!(text, "    http-request allow if {{ path_beg {prefix} }}");
    }
    for path in rules::FILES {
        let _ = writeln!(text, "    http-request allow if {{ path {path} }}");
    }
    text + "    http-request deny\n"
}
