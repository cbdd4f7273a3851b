use std::sync::atomic::{AtomicU32, Ordering};

use underseal_sys::Errno as KernelErrno;
use underseal_sys::tls::Direction;

use crate::Errno;

/// Why the kernel engine did not take a direction. Errors of the kernel stand beside the call that
/// they came from; the tables of [`underseal_sys::tls`] say what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The stream below is not a TCP socket, or one inside of a type that underseal does not know.
    #[error("the stream below is not a TCP socket of std or tokio")]
    NotTcp,
    /// The socket cannot have the upper layer protocol `tls`: `ENOENT` if this kernel has none,
    /// `EEXIST` if the socket has another, `ENOTCONN` if it is not established.
    #[error("no kernel TLS on this socket ({0})")]
    Ulp(Errno),
    /// The kernel does not take these keys, mostly because it does not know the suite.
    #[error("kernel TLS does not take these keys ({0})")]
    Keys(Errno),
    /// The kernel cannot replace keys after a key update: that needs Linux 6.14.
    #[error("kernel TLS cannot update keys ({0})")]
    Rekey(Errno),
    /// The kernel cannot make records shorter than 2^14 bytes: that needs Linux 6.19.
    #[error("kernel TLS cannot limit the length of records ({0})")]
    MaxPayload(Errno),
    /// The kernel does not pad records.
    #[error("kernel TLS does not pad records")]
    Padding,
    /// The receive buffer is smaller than a record, and could not be raised: receiving would
    /// crawl. The size is what the kernel counts, in bytes.
    #[error("the socket's receive buffer of {0} bytes is too small, see net.core.rmem_max")]
    ReceiveBuffer(usize),
    /// The kernel holds the direction already, and does not give it back.
    #[error("the kernel holds this direction until the socket is closed")]
    HeldByKernel,
    /// The kernel holds other keys than this stream gave it last: another process, which has the
    /// socket too, updated them. To go on would use nonces twice.
    #[error("another process has updated the keys of this socket")]
    Shared,
}

impl Refusal {
    pub(crate) fn ulp(errno: KernelErrno) -> Self {
        Self::Ulp(Errno::new(errno))
    }

    pub(crate) fn keys(errno: KernelErrno) -> Self {
        Self::Keys(Errno::new(errno))
    }

    pub(crate) fn rekey(errno: KernelErrno) -> Self {
        Self::Rekey(Errno::new(errno))
    }

    pub(crate) fn max_payload(errno: KernelErrno) -> Self {
        Self::MaxPayload(Errno::new(errno))
    }

    /// What the kernel said, if it was asked.
    pub fn errno(self) -> Option<Errno> {
        match self {
            Self::Ulp(errno) | Self::Keys(errno) | Self::Rekey(errno) | Self::MaxPayload(errno) => {
                Some(errno)
            }
            _ => None,
        }
    }

    /// Says once per process and direction that the user engine goes on for this reason.
    pub(crate) fn log_once(self, direction: Direction) {
        static SAID: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
        let bit = 1 << self.index();
        if SAID[direction as usize].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::info!(%direction, "user engine instead of the kernel's: {self}");
        }
    }

    fn index(self) -> u32 {
        match self {
            Self::NotTcp => 0,
            Self::Ulp(_) => 1,
            Self::Keys(_) => 2,
            Self::Rekey(_) => 3,
            Self::MaxPayload(_) => 4,
            Self::Padding => 5,
            Self::ReceiveBuffer(_) => 6,
            Self::HeldByKernel => 7,
            Self::Shared => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_has_every_message() {
        let page = include_str!("../../../../docs/kernel-tls.md");
        let mut refusals = vec![
            Refusal::NotTcp,
            Refusal::Ulp(Errno::NOENT),
            Refusal::Ulp(Errno::EXIST),
            Refusal::Ulp(Errno::NOTCONN),
            Refusal::Keys(Errno::NOENT),
            Refusal::Keys(Errno::INVAL),
            Refusal::Rekey(Errno::BUSY),
            Refusal::MaxPayload(Errno::NOPROTOOPT),
            Refusal::Padding,
            Refusal::ReceiveBuffer(4096),
            Refusal::HeldByKernel,
        ];
        for refusal in &refusals {
            assert!(page.contains(&format!("| `{refusal}` |")), "{refusal}");
        }
        // None is left out: their indices are without a gap, and the match over them is complete.
        refusals.sort_by_key(|refusal| refusal.index());
        refusals.dedup_by_key(|refusal| refusal.index());
        let indices: Vec<_> = refusals.iter().map(|refusal| refusal.index()).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
