//! What this kernel can do, found out by asking it.
//!
//! A probe makes a socket of its own and tries. Nothing is inferred from a version number: vendors
//! backport, and modules can be missing.

mod kernel_tls;

use std::fmt;

use rustix::io::Errno;

pub use kernel_tls::KernelTls;

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It works: it was tried.
    Yes,
    /// The kernel refused, and said this.
    No(Errno),
    /// It could not be tried: what came before it failed with this.
    CannotTell(Errno),
}

impl Answer {
    /// Whether it works.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    /// What the kernel said, unless it said yes.
    pub fn errno(self) -> Option<Errno> {
        match self {
            Self::Yes => None,
            Self::No(errno) | Self::CannotTell(errno) => Some(errno),
        }
    }

    /// The answer in the result of a call that was tried.
    fn of<T>(result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Self::Yes,
            Err(errno) => Self::No(errno),
        }
    }

    /// This answer, if there is none that makes it impossible to tell.
    fn after(self, condition: Self) -> Self {
        match condition {
            Self::Yes => self,
            Self::No(errno) | Self::CannotTell(errno) => Self::CannotTell(errno),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No(_) => "no",
            Self::CannotTell(_) => "cannot tell",
        })
    }
}
