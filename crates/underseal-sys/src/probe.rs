//! What this kernel can do, found out by asking it.
//!
//! A probe makes a socket of its own and tries. Nothing is inferred from a version number: vendors
//! backport, and modules can be missing.

mod kernel_tls;
mod memory;

use std::fmt;

use rustix::io::Errno;

pub use kernel_tls::KernelTls;
pub use memory::Memory;

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who asks must know each answer")]
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

    /// The answer in the result of a call that was tried. A process that may not, or that is out
    /// of memory or descriptors, learns nothing about the kernel.
    pub(crate) fn of<T>(result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Self::Yes,
            Err(
                errno @ (Errno::PERM
                | Errno::ACCESS
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::MFILE
                | Errno::NFILE),
            ) => Self::CannotTell(errno),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_process_is_not_one_of_the_kernel() {
        assert_eq!(Answer::of(Ok(())), Answer::Yes);
        let refused = |errno| Answer::of::<()>(Err(errno));
        assert_eq!(refused(Errno::PERM), Answer::CannotTell(Errno::PERM));
        assert_eq!(refused(Errno::MFILE), Answer::CannotTell(Errno::MFILE));
        assert_eq!(refused(Errno::NOENT), Answer::No(Errno::NOENT));
    }
}
