//! Who is measured in the VM, and how its processes are started.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::side::Role;
use crate::credentials::Suite;
use crate::rows::name;

/// Ways to send a file, as the tables call them.
const SENDFILE: &str = "sendfile";
const READ_AND_WRITE: &str = "read+write";

/// What holds the records of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The process.
    User,
    /// The kernel.
    Kernel,
}

/// Both.
pub const ENGINES: [Engine; 2] = [Engine::User, Engine::Kernel];

impl Engine {
    /// As the tables call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Kernel => "kernel",
        }
    }
}

/// One row of the tables.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// The directions that it must have handed to the kernel once its handshake is over: what it
    /// sends, what it receives.
    pub in_kernel: [bool; 2],
    /// Whether it can receive in the way that its name says.
    pub receives: bool,
    /// How it sends a file.
    pub file: &'static str,
    /// Its version, where it is no crate.
    pub version: Option<String>,
    /// The program and its first arguments, where it is not this program.
    foreign: Option<Vec<String>>,
}

impl Contender {
    fn own(name: &str, engine: Engine, file: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            in_kernel: [engine == Engine::Kernel; 2],
            receives: true,
            file,
            version: None,
            foreign: None,
        }
    }

    /// underseal with this engine in both directions.
    pub fn underseal(engine: Engine) -> Self {
        match engine {
            Engine::User => Self::own(name::USER_ENGINE, engine, "send_file"),
            Engine::Kernel => Self::own(name::KERNEL_ENGINE, engine, "send_file"),
        }
    }

    /// OpenSSL with kernel TLS, by the command that starts it.
    fn openssl(command: &str) -> anyhow::Result<Self> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let [program, arguments @ ..] = words.as_slice() else {
            anyhow::bail!("an empty command");
        };
        let output = Command::new(program)
            .args(arguments)
            .arg("version")
            .output();
        let output = output.with_context(|| format!("cannot start {command}"))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let number = version.split(' ').nth(1).unwrap_or_default().to_owned();
        ensure!(!number.is_empty(), "{command} has no version: {output:?}");
        // TLS 1.3 in the kernel's receiving direction came with OpenSSL 3.2.
        let receives = !number.starts_with("3.0.") && !number.starts_with("3.1.");
        Ok(Self {
            name: format!("OpenSSL {number}{}", KERNEL_TLS),
            in_kernel: [true, receives],
            receives,
            file: "SSL_sendfile",
            version: Some(version),
            foreign: Some(words),
        })
    }

    /// The command that plays `role`.
    pub(super) fn command(&self, role: Role, with: &Arguments<'_>) -> anyhow::Result<Command> {
        let own_role = !matches!(role, Role::Drain | Role::Pour);
        if let Some(words) = self.foreign.as_ref().filter(|_| own_role) {
            let (program, arguments) = words.split_first().context("an empty command")?;
            let mut command = Command::new(program);
            command.args(arguments);
            command.args([role.word(), with.bytes.to_string(), with.piece.to_string()]);
            command.arg(with.suite.name()).arg(with.directory);
            command.arg(with.directory.join(super::FILE));
            return Ok(command);
        }
        // The fixed sides only ask whether the row encrypts.
        let row = if self.foreign.is_some() {
            name::OPENSSL
        } else {
            &self.name
        };
        let this = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(this);
        command.args(["side", "--row", row, "--role", &role.word()]);
        command.args(["--bytes", &with.bytes.to_string()]);
        command.args(["--piece", &with.piece.to_string()]);
        command.args(["--suite", with.suite.word()]);
        command.arg("--directory").arg(with.directory);
        Ok(command)
    }
}

/// What the name of a row with OpenSSL's kernel TLS ends with.
pub const KERNEL_TLS: &str = ", kernel TLS";

/// What a side is told.
pub(super) struct Arguments<'a> {
    pub(super) bytes: u64,
    pub(super) piece: usize,
    pub(super) suite: Suite,
    pub(super) directory: &'a Path,
}

/// Every row, plain TCP first; `openssl` are the commands of OpenSSL with kernel TLS.
///
/// # Errors
///
/// When one of the commands does not run.
pub fn all(openssl: &[String]) -> anyhow::Result<Vec<Contender>> {
    let mut all = vec![
        Contender::own(name::PLAIN, Engine::User, SENDFILE),
        Contender::underseal(Engine::User),
        Contender::underseal(Engine::Kernel),
        Contender::own(name::RUSTLS_RING, Engine::User, READ_AND_WRITE),
        Contender::own(name::RUSTLS_AWS, Engine::User, READ_AND_WRITE),
        Contender::own(name::OPENSSL, Engine::User, READ_AND_WRITE),
    ];
    for command in openssl {
        all.push(Contender::openssl(command)?);
    }
    Ok(all)
}
