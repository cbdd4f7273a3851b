//! Exit codes and hints for what keeps a server from starting.

use std::io;

use underseal_server::{Error, IdentityError, Part};

use super::{Exit, Failure};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = match &error {
            Error::Address { .. } | Error::Listen { .. } => {
                return Self::of_listener("--listen", error);
            }
            Error::AccessLog { .. } => (
                Exit::Failure,
                "give a writable path, `-` for stdout, or `off`",
            ),
            Error::Identity(error) => (Exit::Certificate, identity_hint(error)),
            Error::Tls(_) => (Exit::Failure, super::TLS_HINT),
            Error::Workers(_) => (Exit::Failure, "try fewer `--workers`"),
            _ => (
                Exit::Failure,
                "the system is short of something; `--log debug` may say more",
            ),
        };
        Self::new(exit, error.to_string(), hint)
    }
}

impl Failure {
    /// What keeps a server from listening where `option` says.
    pub(crate) fn of_listener(option: &str, error: Error) -> Self {
        let hint = match &error {
            Error::Address { .. } => format!(
                "write `{option} ADDRESS:PORT`, for example `127.0.0.1:8443`, `[::1]:8443` or \
                 `0.0.0.0:443`"
            ),
            Error::Listen { error, .. } => listen_hint(option, error),
            _ => return error.into(),
        };
        Self::new(Exit::Listen, error.to_string(), hint)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Error::from(error).into()
    }
}

fn identity_hint(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Read { .. } => "check the path, and that this user may read the file",
        IdentityError::Missing {
            part: Part::Certificate,
            ..
        } => "the file must be PEM, with `-----BEGIN CERTIFICATE-----`",
        IdentityError::Missing {
            part: Part::Key, ..
        } => {
            "the file must be PEM, with `-----BEGIN PRIVATE KEY-----`; \
             `openssl pkey -in FILE` takes the password off an encrypted key"
        }
        IdentityError::Key { .. } => {
            "RSA (2048 bits and up), ECDSA (P-256, P-384, P-521) and Ed25519 keys are supported"
        }
        IdentityError::Mismatch { .. } => {
            "the server's own certificate must come first in the file, before its issuers"
        }
        IdentityError::Certificate { .. } => {
            "`openssl x509 -in FILE -noout -text` shows whether it is a certificate"
        }
        _ => "the file must be well-formed PEM",
    }
}

fn listen_hint(option: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another server has this port; choose another `{option}`, or port 0 for any free one"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one for `{option}`"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("no interface of this machine has this address; choose another `{option}`")
        }
        _ => format!("choose another address with `{option}`"),
    }
}
