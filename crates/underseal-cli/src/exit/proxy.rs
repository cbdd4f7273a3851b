//! Exit codes and hints for what keeps a proxy from starting.

use underseal_proxy::Error;

use super::{Exit, Failure};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = match &error {
            Error::ReadAuthorities { .. } | Error::UseAuthorities { .. } => (
                Exit::Certificate,
                "the file must be PEM, with one or more `-----BEGIN CERTIFICATE-----`",
            ),
            Error::NoSystemAuthorities => (
                Exit::Certificate,
                "install `ca-certificates`, or give `--to-ca`",
            ),
            Error::Dtls(_) => (
                Exit::Certificate,
                "certificate, key and CAs must be PEM that OpenSSL reads, and belong together",
            ),
            Error::NoPolicy { .. } => (
                Exit::Policy,
                "of a directory the files *.yaml, *.yml and *.json are read",
            ),
            Error::Unselected(_) => (
                Exit::Policy,
                "give `--label` and `--direction` as the policies want them, or `--allow-unselected`",
            ),
            Error::ReadPolicy { .. } => (
                Exit::Policy,
                "check the path, and that this user may read the file",
            ),
            Error::Policy { .. } => (
                Exit::Policy,
                "`underseal policy check FILE` lists every error of a file",
            ),
            Error::Tls(_) => (Exit::Failure, super::TLS_HINT),
            _ => (Exit::Failure, "`--log debug` may say more"),
        };
        Self::new(exit, error.to_string(), hint)
    }
}
