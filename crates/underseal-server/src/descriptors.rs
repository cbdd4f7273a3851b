//! File descriptors: as many as the system gives, and a reserve for the files that are sent.

use std::os::fd::{AsFd, AsRawFd as _, RawFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most descriptors held back from connections.
const MAX_RESERVE: u64 = 1024;

/// Where new connections would begin to take what running ones need to open files.
///
/// The kernel gives out the lowest free descriptor, so a number at or above the limit says that
/// about as many are in use, without anybody counting them.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    first: RawFd,
}

impl Reserve {
    /// Raises the soft limit of open files to the hard one, and holds back an eighth of it. Not
    /// being allowed to raise it is no failure.
    pub fn set_up() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => maximum,
            Err(error) => {
                tracing::debug!("open files limit stays {current:?}: {error}");
                current
            }
        };
        Self::below(limit)
    }

    fn below(limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let first = limit - (limit / 8).min(MAX_RESERVE);
        Self {
            first: RawFd::try_from(first).unwrap_or(RawFd::MAX),
        }
    }

    /// Whether `accepted` is the last connection to be accepted for now.
    pub fn is_reached_by(self, accepted: impl AsFd) -> bool {
        accepted.as_fd().as_raw_fd() >= self.first
    }

    /// Whether another connection may be accepted; `any` is any descriptor.
    pub fn has_room(self, any: impl AsFd) -> bool {
        rustix::io::fcntl_dupfd_cloexec(any, 0).is_ok_and(|next| !self.is_reached_by(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_held_back_up_to_a_thousand() {
        assert_eq!(Reserve::below(Some(64)).first, 56);
        assert_eq!(Reserve::below(Some(1_048_576)).first, 1_047_552);
        assert_eq!(Reserve::below(None).first, RawFd::MAX);
    }

    #[test]
    fn room_is_what_the_next_descriptor_says() {
        let file = std::fs::File::open("/proc/self/status").expect("proc");
        assert!(Reserve { first: RawFd::MAX }.has_room(&file));
        assert!(!Reserve { first: 0 }.has_room(&file));
        assert!(Reserve { first: 0 }.is_reached_by(&file));
    }
}
