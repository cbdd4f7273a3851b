use std::io;

use crate::ParseError;

/// Why a helper of [`crate::Message`] did nothing. The conditions are the kernel's (net/core/filter.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// The range does not lie in the message, or is empty where it may not be (EINVAL).
    #[error("{start}..{end} is no range of a message of {len} bytes")]
    OutOfRange {
        /// Where the range starts.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Bytes of the message.
        len: usize,
    },
    /// The message would grow by more than [`crate::Message::MAX_PUSHED`] bytes (ENOMEM).
    #[error("a message may not grow by {pushed} bytes")]
    TooLong {
        /// Bytes pushed, this time included.
        pushed: usize,
    },
    /// The writer's bytes are too many to be edited: some 4 GiB in one write.
    #[error("a message of {len} bytes is too large to be edited")]
    TooLarge {
        /// Bytes of the message.
        len: usize,
    },
    /// As many bytes are held as may be, or there will be no further byte: the program has to
    /// decide on what it has. (The kernel does not tell its programs.)
    #[error("no further byte can be waited for")]
    CannotCork,
}

/// Why the bytes of a caller were not accepted.
///
/// As an [`io::Error`] it has the kind `PermissionDenied`, which is what the kernel said with EACCES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The program answered [`crate::Verdict::Drop`].
    #[error("refused by the program of this socket")]
    Dropped,
    /// The program panicked: this direction of this socket is over.
    #[error("the program of this socket panicked")]
    Panicked,
    /// The program ended the stream and says why ([`crate::Program::error`]): this direction of this
    /// socket is over.
    #[error("the program of this socket ended the stream: {0}")]
    Ended(#[source] ParseError),
}

impl From<Denied> for io::Error {
    fn from(denied: Denied) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, denied)
    }
}
