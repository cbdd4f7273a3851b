//! Whether connections are accepted, and when again after there was no descriptor for one.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

/// How long a listener is left alone that had no connection to give.
const AGAIN: Duration = Duration::from_millis(250);

/// The next connection that `poll_accept` gives, for listeners beside those of workers. A listener that
/// failed is asked again later, because at once would spin while there are no descriptors.
pub(crate) async fn next<T>(
    mut poll_accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> T {
    loop {
        match poll_fn(&mut poll_accept).await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                sleep(AGAIN).await;
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_listener_without_descriptors_is_asked_again_later() {
        let begun = tokio::time::Instant::now();
        let mut answers = vec![Ok(7), Err(rustix::io::Errno::MFILE.into())];
        let accepted = next(|_| Poll::Ready(answers.pop().expect("another answer"))).await;
        assert_eq!((accepted, begun.elapsed()), (7, AGAIN));
    }
}
