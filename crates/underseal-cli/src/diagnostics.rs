//! Messages about the running server: `tracing` to stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// Level used when neither `--log` nor `RUST_LOG` says otherwise: one line per connection that
/// ended for a reason worth knowing, nothing for those that went well.
const DEFAULT_FILTER: &str = "info";

/// Installs the subscriber. `filter` is the value of `--log`, which goes before `RUST_LOG`.
///
/// # Errors
/// [`Exit::Usage`] when the filter cannot be parsed.
pub(crate) fn install(filter: Option<&str>) -> Result<(), Failure> {
    let from_environment = std::env::var("RUST_LOG").ok();
    let directives = filter
        .or(from_environment.as_deref())
        .unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("cannot use log filter `{directives}`: {error}"),
            "use a level (`error`, `warn`, `info`, `debug`, `trace`) or `target=level`",
        )
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour_wanted(io::stderr().is_terminal()))
        .with_target(false)
        // It would report a lost stderr to stderr, by a macro that panics then.
        .log_internal_errors(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("cannot install the log: {error}"),
            "this is a defect of underseal",
        )
    })
}

/// Colour only on a terminal, and not when NO_COLOR is set to anything (no-color.org).
pub(crate) fn colour_wanted(terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !refused
}
