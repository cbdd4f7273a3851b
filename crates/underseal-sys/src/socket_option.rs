//! getsockopt(2) and setsockopt(2) for options that rustix does not know.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// Sets option `name` of `level` to the bytes of `value`.
pub(crate) fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let len = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the descriptor is open for the length of the call, and the kernel reads `len` bytes
    // at the pointer, which is the length of the slice that it comes from.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Reads option `name` of `level` into `value`; returns how many bytes the kernel wrote.
pub(crate) fn get(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut len = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the descriptor is open for the length of the call, and the kernel writes no more than
    // `len` bytes to the pointer, which is the length of the slice that it comes from.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result == 0 {
        Ok(len as usize)
    } else {
        Err(last())
    }
}

/// The error of the call that has just failed on this thread.
pub(crate) fn last() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
