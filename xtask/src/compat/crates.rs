//! Published crates that depend on tokio-rustls, compiled with the shim.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{document, target, workspace};
use crate::shell;

/// Name, version, and the features with which it uses tokio-rustls.
type Published = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
pub(super) const CRATES: &[Published] = &[
    ("actix-tls", "3.6.1", &["accept", "connect", "rustls-0_23"]),
    ("amqprs", "2.1.5", &["tls"]),
    ("async-nats", "0.51.0", &["default"]),
    ("async-tungstenite", "0.35.0", &["tokio-rustls-webpki-roots"]),
    ("axum-server", "0.9.2", &["tls-rustls-no-provider"]),
    ("fred", "10.1.0", &["enable-rustls-ring"]),
    ("hickory-proto", "0.25.2", &["tls-ring", "tokio", "std"]),
    ("hickory-resolver", "0.26.3", &["tls-ring", "tokio", "system-config"]),
    ("hickory-server", "0.26.3", &["tls-ring"]),
    ("hyper-rustls", "0.27.10", &["ring", "http1", "http2", "tls12", "logging", "native-tokio"]),
    ("kube", "5.0.0", &["client", "rustls-tls", "ring"]),
    ("ldap3", "0.12.1", &["tls-rustls-ring"]),
    ("lettre", "0.11.23", &["tokio1-rustls", "ring", "smtp-transport", "builder", "webpki-roots"]),
    ("libunftp", "0.24.0", &["ring"]),
    ("mail-send", "0.7.0", &["ring", "builder", "logging", "tls12"]),
    ("mongodb", "3.9.1", &["rustls-tls", "compat-3-0-0"]),
    ("mysql_async", "0.37.1", &["default-rustls-ring"]),
    ("pgwire", "0.42.1", &["server-api-ring"]),
    ("pingora-core", "0.9.1", &["rustls"]),
    ("poem", "3.1.12", &["rustls", "server"]),
    ("redis", "1.8.1", &["tokio-rustls-comp"]),
    ("reqwest", "0.13.5", &["rustls-no-provider"]),
    ("rskafka", "0.6.0", &["transport-tls"]),
    ("rumqttc", "0.25.1", &["use-rustls-no-provider"]),
    ("salvo_core", "1.1.0", &["rustls", "server", "http1", "ring"]),
    ("scylla", "1.9.0", &["rustls-023"]),
    ("suppaftp", "12.2.1", &["tokio-rustls-ring"]),
    ("tiberius", "0.13.0", &["rustls", "tds73", "tokio"]),
    ("tls-listener", "0.11.2", &["rustls-ring", "tokio-net"]),
    ("tokio-postgres-rustls", "0.14.0", &["default"]),
    // With another crate that asks for `tokio::fs`: it does not do so itself, and compiles with no tokio-rustls without.
    ("tokio-rustls-acme", "0.9.1", &["axum"]),
    ("tokio-tungstenite", "0.30.0", &["connect", "handshake", "rustls-tls-webpki-roots"]),
    ("tokio-websockets", "0.13.3", &["client", "server", "rustls-webpki-roots", "ring", "rand"]),
    ("tokio-xmpp", "6.0.0", &["starttls", "ring", "webpki-roots"]),
    ("tonic", "0.14.9", &["tls-ring", "transport"]),
    ("volo", "0.12.4", &["rustls"]),
];

/// What came of compiling them, as `compat/crates.json` keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) version: String,
    /// When it was tried.
    pub(super) date: String,
    /// What the compiler said first, where it does not compile.
    pub(super) error: Option<String>,
}

/// A line that cargo prints about a target that does not compile.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    message: String,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
}

pub(super) fn data() -> PathBuf {
    workspace().join("crates.json")
}

/// Compiles the crates called `names`, or all of them, one after the other. `write` keeps each outcome as
/// soon as it is known: a run that is ended early has those before it.
pub(super) fn run(names: &[String], write: bool) -> Result<()> {
    let known = |name: &String| CRATES.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        bail!("`{unknown}` is not among the crates of xtask/src/compat/crates.rs");
    }
    let date = shell::output(shell::program("date", &["--utc", "+%F"]))?;
    let is_asked_for = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let (mut tried, mut compiled) = (0, 0);
    for published in CRATES.iter().filter(|(name, ..)| is_asked_for(name)) {
        let outcome = check(published, date.trim())?;
        println!("{}", document::crate_row(&outcome));
        tried += 1;
        compiled += usize::from(outcome.error.is_none());
        if write {
            document::write(outcome)?;
        }
    }
    println!("{compiled} of {tried} compile");
    Ok(())
}

/// Checks a package that depends on the crate alone, with the shim in place.
fn check(&(name, version, features): &Published, date: &str) -> Result<Outcome> {
    let package = target().join("crates").join(name);
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), "")?;
    fs::write(
        package.join("Cargo.toml"),
        format!(
            "[workspace]\n[package]\nname = \"compiles-{name}\"\nedition = \"2024\"\n\
             [dependencies]\n\
             {name} = {{ version = \"={version}\", default-features = false, features = {features:?} }}\n\
             [patch.crates-io]\ntokio-rustls = {{ path = {:?} }}\n",
            workspace().join("tokio-rustls")
        ),
    )?;
    let mut tree = shell::cargo(&["tree", "--invert", "tokio-rustls", "--depth", "0"]);
    tree.current_dir(&package);
    let tree = shell::output(tree).with_context(|| format!("{name} {version}"))?;
    if !tree.contains("compat/tokio-rustls") {
        bail!("{name} {version} does not use the shim: {}", tree.trim());
    }
    let mut check = shell::cargo(&["check", "--message-format", "json"]);
    // For all of them: what two have in common is compiled once.
    check
        .arg("--target-dir")
        .arg(target().join("crates/target"));
    // Which Kubernetes `kube` is for: a program says that, and there is none here.
    check.env("K8S_OPENAPI_ENABLED_VERSION", "1.37");
    check.current_dir(&package);
    check.stdin(Stdio::null()).stderr(Stdio::null());
    let output = check.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let error = first_error(&said);
    // What was ended, or could not be fetched, was not tried.
    if !output.status.success() && error.is_none() {
        bail!("{name} {version} was not compiled: {}", output.status);
    }
    Ok(Outcome {
        name: name.to_owned(),
        version: version.to_owned(),
        date: date.to_owned(),
        error,
    })
}

/// The first error among what cargo printed, and its place.
fn first_error(said: &str) -> Option<String> {
    let error = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .filter_map(|line| line.message)
        .find(|message| message.level == "error")?;
    let text = error.message.replace('\n', " ");
    Some(match error.spans.first() {
        Some(Span {
            file_name,
            line_start,
        }) => {
            // Behind the registry's own path.
            let mut parts: Vec<_> = file_name.rsplitn(4, '/').collect();
            parts.pop();
            parts.reverse();
            format!("{text} ({}:{line_start})", parts.join("/"))
        }
        None => text,
    })
}
