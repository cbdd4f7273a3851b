//! Whose fault it is that the kernel sends nothing of a file or a pipe: theirs costs the connection nothing.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use underseal_record::ContentType;

use super::Transmit;
use crate::buffers;
use crate::transport::Transport;

impl Transmit {
    /// After a sendfile that failed with `errno` and moved nothing: for the file if it cannot be read,
    /// which costs the connection nothing. `EINVAL` is what files say that can be read and not spliced,
    /// as some of /proc.
    pub(super) fn send_unspliced(
        &mut self,
        transport: &mut impl Transport,
        len: usize,
        errno: Errno,
        mut fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut lent = buffers::lend();
        let len = len.min(lent.len());
        let filled = fill(&mut lent[..len], 0)?;
        if errno != Errno::INVAL {
            return self.checked(Err(errno));
        }
        let slices = [IoSlice::new(&lent[..filled])];
        self.write(transport, ContentType::APPLICATION_DATA, &slices, false)
    }
}

/// Whether splice(2) takes nothing out of `pipe`, whatever the socket: it is the end to write to.
pub(super) fn is_write_only(pipe: BorrowedFd<'_>) -> bool {
    fcntl_getfl(pipe).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::WRONLY)
}
