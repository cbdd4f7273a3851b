//! `cargo xtask bench`: builds the bench and the binary that it measures, in release mode, and
//! runs it from the root of the workspace.

mod newer;
mod vm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::shell;
use crate::vm::apt::Apt;
use crate::vm::directory;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(clap::Subcommand)]
enum Suite {
    /// TLS streams: sockets, records, files, and `underseal serve` against nginx
    #[command(disable_help_flag = true)]
    Streams {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// A service with many connections of uneven load: `Mux` against pinned threads
    #[command(disable_help_flag = true)]
    Mux {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Programs on a stream, and heads of requests against rules
    #[command(disable_help_flag = true)]
    Policy {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// `underseal proxy` against HAProxy and nginx terminating TLS for the same backend
    #[command(disable_help_flag = true)]
    Proxy {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// nginx under `underseal run` beside nginx that seals by itself, and `underseal serve`
    #[command(disable_help_flag = true)]
    Preload {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// A connection beside a peer that floods their worker with requests for key updates
    #[command(disable_help_flag = true)]
    Floods {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Packets of QUIC, in memory and in transfers of quinn's
    #[command(disable_help_flag = true)]
    Datagrams {
        /// Options of the bench itself; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Draws the picture in the README from the runs that are kept
    Picture,
    /// Guest instructions per MB, in a VM that counts them: the kernel engine, the user engine,
    /// rustls, and OpenSSL with and without its own kernel TLS
    Vm(vm::Args),
}

/// Builds what the suite needs and runs it.
///
/// # Errors
///
/// When the build or the bench fails; both have said why on stderr by then.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.suite {
        Suite::Streams { options } => measure("streams", &["underseal-cli"], options),
        Suite::Mux { options } => measure("mux", &[], options),
        Suite::Policy { options } => measure("policy", &[], options),
        Suite::Proxy { options } => measure("proxy", &["underseal-cli"], options),
        Suite::Preload { options } => preload(options),
        Suite::Floods { options } => measure("floods", &[], options),
        Suite::Datagrams { options } => measure("datagrams", &[], options),
        Suite::Picture => measure("picture", &[], &[]),
        Suite::Vm(args) => vm::run(args),
    }
}

/// With the newer OpenSSL, unless the options name another one.
fn preload(options: &[OsString]) -> anyhow::Result<()> {
    const NAMED: &str = "--newer-openssl";
    let mut options = options.to_vec();
    let is_wanted = |option: &OsString| [NAMED, "--help", "-h"].iter().any(|known| option == known);
    if !options.iter().any(is_wanted) {
        let apt = Apt::open(directory().join("apt"))?;
        options.extend([NAMED.into(), newer::libraries(&apt)?.into()]);
    }
    measure("preload", &["underseal-cli", "underseal-preload"], &options)
}

/// Builds the bench, and the packages with binaries that it measures, and runs one suite.
fn measure(suite: &str, packages: &[&str], options: &[OsString]) -> anyhow::Result<()> {
    let root = shell::root();
    let mut build = shell::cargo(&["build", "--release", "-p", "underseal-bench"]);
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    shell::run(build)?;
    let bench = target_directory(&root).join("release/underseal-bench");
    let mut bench = shell::program(bench, &[suite]);
    bench.args(options);
    shell::run(bench)
}

/// Where cargo puts what it builds: an absolute `CARGO_TARGET_DIR`, or one below the root.
fn target_directory(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
