//! Why a proxy cannot start, or goes on with what it loaded before.

use std::io;
use std::path::PathBuf;

/// Why a proxy cannot start, or goes on with what it loaded before. The texts are one line each, for
/// people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificates of authorities cannot be read.
    #[error("cannot read CAs of `{}`: {why}", path.display())]
    ReadAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing can be verified with the authorities.
    #[error("cannot use CAs of `{}`: {why}", path.display())]
    UseAuthorities {
        /// The file.
        path: PathBuf,
        /// What the TLS library said.
        why: String,
    },
    /// The system has none.
    #[error("the system has no CAs to verify TLS backends with")]
    NoSystemAuthorities,
    /// The TLS library cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
    /// OpenSSL, which makes the handshakes of DTLS, cannot be set up.
    #[error("cannot set up DTLS: {0}")]
    Dtls(String),
    /// A directory has no file of policies.
    #[error("no policy in `{}`{}", directory.display(), not_read(unread))]
    NoPolicy {
        /// The directory.
        directory: PathBuf,
        /// What lies there and is not read.
        unread: Vec<PathBuf>,
    },
    /// Policies are there, and none is for this workload: nothing would be judged.
    #[error("{0}")]
    Unselected(String),
    /// A file of policies, or a directory of them, cannot be read.
    #[error("cannot read policy `{}`: {error}", path.display())]
    ReadPolicy {
        /// The file or the directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Policies do not load.
    #[error("{first}{}", and_more(*count))]
    Policy {
        /// The first error, with its file and place.
        first: String,
        /// How many there are.
        count: usize,
    },
}

fn not_read(unread: &[PathBuf]) -> String {
    let names = unread.iter().map(|path| format!("`{}`", path.display()));
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; not read: {}", names.join(", ")),
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    }
}
