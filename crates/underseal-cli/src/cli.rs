//! The command line: one definition that feeds `--help`, the completions and the man pages.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use underseal::Offloads;
use underseal_http::EncodedSlash;
use underseal_policy::model::TrafficDirection;

use crate::exit::{Exit, Failure, tolerate_closed_stdout};
use crate::policy::PolicyArgs;
use crate::proxy::ProxyArgs;

const SERVE_EXAMPLES: &str = "\
Example:
  underseal serve .                          development certificate, https://localhost:8443/
  underseal serve /srv/www --listen 0.0.0.0:443 --cert chain.pem --key key.pem

SIGHUP reloads certificate, key and log file. SIGTERM lets downloads finish, a second one does not.
`underseal --help` lists the environment variables.";

const RUN_NOTES: &str = "\
The program asks Linux for a TLS socket, and gets one on any kernel. It is replaced by PROGRAM, with
LD_PRELOAD set, and OPENSSL_CONF unless that is set already. Where the kernel has TLS, it seals.
Tested with nginx, openssl s_server, redis and Python's ssl; docs/preload.md says what cannot work.

Example:
  underseal run -- nginx -g 'daemon off;'
  underseal run --any -- ./server --port 8443

Environment:
  UNDERSEAL_PRELOAD_LIBRARY  libunderseal_preload.so, where it is not beside this binary
  UNDERSEAL_RUNTIME_DIR      where the OpenSSL configuration is written

Exit codes: those of PROGRAM; 1 it cannot be run so, and why.";

const CONNS_NOTES: &str = "\
TX and RX say who seals and who opens: `user` is the process itself, `kernel-software` and
`kernel-device` are kernel TLS, `kernel` is kernel TLS that does not say which (Linux before 6.15
tells root only). SENT and RECEIVED count plaintext. KEY UPDATES are sent/received.

Example:
  underseal conns
  underseal conns --json | jq 'select(.tx_engine == \"user\")'

Exit codes: 0 listed, even if nothing; 1 a process did not answer, or there is none with this PID.";

const DOCTOR_NOTES: &str = "\
Every answer is yes, no or cannot tell, each with what the kernel said and the fix. All of it is
tried, on loopback sockets and in memory; nothing stays. Asking for kernel TLS as root makes the
kernel load its modules, as the first connection would.

Environment:
  UNDERSEAL_OFFLOAD  auto, kernel or user, or by direction: tx=kernel,rx=user
  UNDERSEAL_AEAD     ring or aws-lc-rs, for every suite
  NO_COLOR           no colours on a terminal either

Exit codes:
  0  probed, whatever the answers
  1  stdout cannot be written
  2  wrong command line";

const NOTES: &str = "\
Example:
  underseal serve .      serve this directory on https://localhost:8443/

Environment:
  UNDERSEAL_OFFLOAD      the engine: auto, kernel or user, or by direction: tx=kernel,rx=user
  UNDERSEAL_AEAD         the AEAD library of the user engine: ring or aws-lc-rs
  UNDERSEAL_RUNTIME_DIR  where processes answer `underseal conns`
  XDG_RUNTIME_DIR        the directory above that, where it is not set
  UNDERSEAL_PRELOAD_LIBRARY
                         the library that `underseal run` puts before programs
  XDG_STATE_HOME         the directory above the development certificate
  RUST_LOG               messages on stderr, where there is no --log
  NO_COLOR               no colours on a terminal either

The first two are for every program that uses underseal.";

/// TLS below the socket.
#[derive(Debug, Parser)]
#[command(
    name = "underseal",
    version,
    max_term_width = 100,
    after_help = NOTES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a directory over HTTPS
    Serve(ServeArgs),
    /// Seal and open for services and clients that do not, and judge what they say
    Proxy(Box<ProxyArgs>),
    /// Run a program that is not ours, with a TLS socket below it
    Run(RunArgs),
    /// List the live connections of underseal processes
    Conns(ConnsArgs),
    /// Find out what this machine can do for TLS records
    Doctor(DoctorArgs),
    /// Check policies, and explain what they decide
    Policy(PolicyArgs),
    /// Print completions for a shell
    Completions {
        /// Shell to complete for
        shell: Shell,
    },
    /// Print a man page (roff)
    Man {
        /// Subcommand to describe, such as `serve`, `policy check` or `policy-check`; without it, underseal itself
        command: Vec<String>,
    },
}

/// Options of `underseal serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Directory to serve
    pub(crate) dir: PathBuf,

    /// Address and port; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub(crate) listen: String,

    /// Answer plain HTTP here, with where the same is over TLS
    #[arg(long, value_name = "ADDR")]
    pub(crate) redirect_http: Option<String>,

    /// Certificate chain, PEM, own certificate first; several for several names
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Vec<PathBuf>,

    /// Private key of the certificate, PEM; of several in their order
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Vec<PathBuf>,

    /// Worker threads [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Where records are sealed: auto, kernel or user, or as in `tx=kernel,rx=user`
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub(crate) offload: Offloads,

    /// Access log as JSON lines: a file, `-` for stdout, or `off`
    #[arg(long, value_name = "PATH", default_value = "-")]
    pub(crate) access_log: PathBuf,

    /// Serve and list names that begin with a dot
    #[arg(long)]
    pub(crate) hidden: bool,

    /// Longest TLS handshake or request head
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) header_timeout: Duration,

    /// Longest wait for the next request
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub(crate) idle_timeout: Duration,

    /// Longest stall of a client that receives
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) send_timeout: Duration,

    /// How long running downloads may go on after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) grace: Duration,

    /// Messages on stderr: level or filter, as RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// Options of `underseal run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_NOTES)]
pub(crate) struct RunArgs {
    /// Also a program that this was not tested with
    #[arg(long)]
    pub(crate) any: bool,

    /// Seal here even where the kernel has TLS
    #[arg(long)]
    pub(crate) always: bool,

    /// Also open what the program receives, if it asks for that
    #[arg(long)]
    pub(crate) receive: bool,

    /// Program, and what it is called with
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub(crate) program: Vec<OsString>,
}

/// Options of `underseal conns`.
#[derive(Debug, Args)]
#[command(after_help = CONNS_NOTES)]
pub(crate) struct ConnsArgs {
    /// One JSON object per connection and line
    #[arg(long)]
    pub(crate) json: bool,

    /// Only this process; may be given several times
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,

    /// Also kernel TLS sockets of programs that are not underseal
    #[arg(long)]
    pub(crate) all: bool,
}

/// Options of `underseal doctor`.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_NOTES)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Seconds with an optional fraction, at most a day, so that sums of them cannot overflow.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(Duration::from_secs_f64(value)),
        _ => Err("expected seconds between 0 and 86400".to_owned()),
    }
}

/// A label of a workload.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Whether policies judge what a workload receives or what it sends.
pub(crate) fn traffic_direction() -> impl TypedValueParser<Value = TrafficDirection> {
    one_of([
        ("ingress", TrafficDirection::Ingress),
        ("egress", TrafficDirection::Egress),
    ])
}

/// What becomes of `%2F` in a path.
pub(crate) fn encoded_slash() -> impl TypedValueParser<Value = EncodedSlash> {
    one_of([
        ("reject", EncodedSlash::Reject),
        ("keep", EncodedSlash::Keep),
        ("decode", EncodedSlash::Decode),
    ])
}

/// One of these words, and what it stands for.
pub(crate) fn one_of<T: Clone + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    let names = words.each_ref().map(|(name, _)| *name);
    PossibleValuesParser::new(names).try_map(move |given| {
        let word = words.iter().find(|(name, _)| *name == given);
        word.map(|(_, value)| value.clone()).ok_or("no such word")
    })
}

/// Writes the completion script of `shell` to stdout.
///
/// # Errors
/// [`Exit::Failure`] when stdout cannot be written for another reason than a closed pipe.
pub(crate) fn print_completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "underseal", &mut script);
    tolerate_closed_stdout(io::stdout().lock().write_all(&script))
}

/// Writes the man page of underseal, or of one subcommand, to stdout. Pages are named with hyphens, which
/// no subcommand has in its own name.
///
/// # Errors
/// [`Exit::Usage`] when there is no such subcommand.
pub(crate) fn print_man(path: &[String]) -> Result<(), Failure> {
    let mut root = Cli::command();
    // Subcommands are named after the commands above them.
    root.build();
    let mut names = path.iter().flat_map(|words| words.split('-'));
    let command = names.try_fold(&root, |above, name| above.find_subcommand(name));
    let command = command.cloned().ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("there is no subcommand `{}`", path.join(" ")),
            "`underseal --help` lists the subcommands",
        )
    })?;
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    tolerate_closed_stdout(rendered.and_then(|()| io::stdout().lock().write_all(&page)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_take_fractions_and_refuse_nonsense() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["-1", "nan", "inf", "1e9", "ten", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
