use std::{fmt, io};

/// An error number of the kernel. It is printed by its name, as errno(3) has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(rustix::io::Errno);

impl Errno {
    /// `ENOENT`.
    pub const NOENT: Self = Self(rustix::io::Errno::NOENT);
    /// `EEXIST`.
    pub const EXIST: Self = Self(rustix::io::Errno::EXIST);
    /// `EBUSY`.
    pub const BUSY: Self = Self(rustix::io::Errno::BUSY);
    /// `EINVAL`.
    pub const INVAL: Self = Self(rustix::io::Errno::INVAL);
    /// `ENOPROTOOPT`.
    pub const NOPROTOOPT: Self = Self(rustix::io::Errno::NOPROTOOPT);
    /// `ENOTCONN`.
    pub const NOTCONN: Self = Self(rustix::io::Errno::NOTCONN);

    /// The error with this number, as [`io::Error::raw_os_error`] gives it.
    pub fn from_raw_os_error(number: i32) -> Self {
        Self(rustix::io::Errno::from_raw_os_error(number))
    }

    /// The number.
    pub fn raw_os_error(self) -> i32 {
        self.0.raw_os_error()
    }

    /// `rustix`' type stays out of the public signatures: its versions are not this crate's.
    pub(crate) const fn new(errno: rustix::io::Errno) -> Self {
        Self(errno)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&underseal_sys::errno_name(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.raw_os_error())
    }
}
