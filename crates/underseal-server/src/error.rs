//! Why a server cannot start, or go on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustls_pki_types::pem;

/// Why a server cannot start, or go on. The texts are one line each, for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The access log cannot be written to.
    #[error("cannot open access log `{}`: {error}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Certificate and key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The text is no address, or names none.
    #[error("cannot listen on `{address}`: {why}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system does not let this process listen there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The TLS library cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
    /// A runtime or a thread of a worker cannot be made.
    #[error("cannot start the workers: {0}")]
    Workers(io::Error),
    /// A worker failed, or signals cannot be received.
    #[error("cannot serve: {0}")]
    Serve(io::Error),
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {part} `{}`: {error}", path.display())]
    Read {
        /// What was to be read.
        part: Part,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file of PEM has none of what it is to have.
    #[error("cannot read {part} `{}`: no {part} in it", path.display())]
    Missing {
        /// What was to be read.
        part: Part,
        /// The file.
        path: PathBuf,
    },
    /// A file is no PEM.
    #[error("cannot read {part} `{}`: {error}", path.display())]
    Pem {
        /// What was to be read.
        part: Part,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// The key is of no kind that can be used.
    #[error("cannot use key `{}`: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What the TLS library said.
        error: rustls::Error,
    },
    /// The certificate is none.
    #[error("cannot use certificate `{}`: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the TLS library said.
        error: rustls::Error,
    },
    /// The key is another certificate's.
    #[error(
        "certificate `{}` and key `{}` do not belong together",
        certificate.display(),
        key.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// One of the two files of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The chain, own certificate first.
    Certificate,
    /// The private key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
        })
    }
}

/// A message without ` (os error N)`, which `io::Error` adds to the system's words and which tells a
/// person nothing.
pub fn without_error_numbers(text: String) -> String {
    match text.split_once(" (os error ") {
        Some((before, rest)) => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{}", after.strip_prefix(')').unwrap_or(after))
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_words_and_no_numbers() {
        let error = io::Error::from_raw_os_error(2);
        let text = without_error_numbers(format!("x: {error}, y"));
        assert_eq!(text, "x: No such file or directory, y");
    }
}
