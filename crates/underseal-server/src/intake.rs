//! Whether a worker accepts connections.

use std::io;

/// Whether connections are accepted. While they are not, they wait in the backlog; asking for them
/// again at once would spin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    Open,
    /// Out of descriptors or memory.
    Full,
    /// There is room again, as far as is known so soon after.
    Recovering,
}

impl Intake {
    /// A burst is over, and said to be, once a whole tick went by without running out again.
    pub(super) fn after_tick(self, has_room: impl FnOnce() -> bool) -> Self {
        match self {
            Self::Full if !has_room() => Self::Full,
            Self::Full => Self::Recovering,
            Self::Recovering => {
                tracing::info!("accepting connections again");
                Self::Open
            }
            Self::Open => Self::Open,
        }
    }

    pub(super) fn exhausted(self) -> Self {
        if self == Self::Open {
            tracing::warn!("out of file descriptors or memory: new connections have to wait");
        }
        Self::Full
    }
}

/// Out of descriptors or memory, as opposed to a connection that failed on its own.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    exhausted
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
