//! `underseal proxy`, the release binary.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::{Contender, Setup, name, rules};
use crate::http::server::{Server, free_address};

/// The setting that has the defaults, but for the log: nobody keeps one.
pub(super) const STOCK: &str = "as shipped";

/// The older binary, if one was named, with the same.
pub(super) const BEFORE: &str = "before";

/// Options behind the others.
pub(super) const CONTENDERS: &[Contender] = &[
    with(STOCK, &["--access-log", "off"]).with_http2(),
    with(BEFORE, &["--access-log", "off"]).with_http2(),
    with("access log", &["--access-log", "access.log"]),
];

const fn with(setting: &'static str, lines: &'static [&'static str]) -> Contender {
    Contender {
        row: name::UNDERSEAL,
        setting,
        start,
        lines,
        with_http2: false,
    }
}

fn start(setup: &Setup<'_>, contender: &Contender) -> anyhow::Result<Server> {
    let binary = match (contender.setting, setup.context.before()) {
        (BEFORE, Some(before)) => before.to_owned(),
        _ => setup.context.underseal()?,
    };
    let address = free_address()?;
    let credentials = setup.context.directory.path();
    let errors = setup.directory.join("proxy.err");
    let mut command = Command::new(fs::canonicalize(binary)?);
    command
        .current_dir(setup.directory)
        .arg("proxy")
        .args(["--listen", &address.to_string()])
        .args(["--to", &setup.backend.to_string()])
        .arg("--cert")
        .arg(credentials.join("cert.pem"))
        .arg("--key")
        .arg(credentials.join("key.pem"))
        .args(["--grace", "1"])
        .args(contender.lines)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors).context("cannot create a log")?);
    if setup.ends.to_http2 {
        command.args(["--to-protocol", "h2"]);
    }
    if setup.ends.with_rules {
        let policies = setup.directory.join("policies.yaml");
        fs::write(&policies, rules::policies()).context("cannot write policies.yaml")?;
        command.arg("--policy").arg(policies);
    }
    Server::start(contender.row, &mut command, address, true)
        .with_context(|| fs::read_to_string(&errors).unwrap_or_default())
}
