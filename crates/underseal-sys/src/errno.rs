//! The names of errors: what to look for in a manual page.

use rustix::io::Errno;

/// The errors that the calls of this crate are known to give, and those that any call can give.
const NAMES: &[(Errno, &str)] = &[
    (Errno::PERM, "EPERM"),
    (Errno::NOENT, "ENOENT"),
    (Errno::INTR, "EINTR"),
    (Errno::IO, "EIO"),
    (Errno::NXIO, "ENXIO"),
    (Errno::TOOBIG, "E2BIG"),
    (Errno::BADF, "EBADF"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::ACCESS, "EACCES"),
    (Errno::FAULT, "EFAULT"),
    (Errno::BUSY, "EBUSY"),
    (Errno::EXIST, "EEXIST"),
    (Errno::NODEV, "ENODEV"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::INVAL, "EINVAL"),
    (Errno::NFILE, "ENFILE"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::PIPE, "EPIPE"),
    (Errno::NOSYS, "ENOSYS"),
    (Errno::BADMSG, "EBADMSG"),
    (Errno::BADFD, "EBADFD"),
    (Errno::MSGSIZE, "EMSGSIZE"),
    (Errno::NOPROTOOPT, "ENOPROTOOPT"),
    (Errno::PROTONOSUPPORT, "EPROTONOSUPPORT"),
    (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
    (Errno::ADDRINUSE, "EADDRINUSE"),
    (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::NETDOWN, "ENETDOWN"),
    (Errno::NETUNREACH, "ENETUNREACH"),
    (Errno::CONNABORTED, "ECONNABORTED"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::NOBUFS, "ENOBUFS"),
    (Errno::ISCONN, "EISCONN"),
    (Errno::NOTCONN, "ENOTCONN"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
    (Errno::CONNREFUSED, "ECONNREFUSED"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::KEYEXPIRED, "EKEYEXPIRED"),
];

/// The name of an error as errno(3) has it; its number for one that no call of this crate gives.
pub fn errno_name(errno: Errno) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == errno);
    known.map_or_else(
        || format!("errno {}", errno.raw_os_error()),
        |(_, name)| (*name).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_errno_3_and_others_are_numbers() {
        // The numbers are the kernel's, the same on every architecture that has errno-base.h.
        for (number, name) in [(1, "EPERM"), (2, "ENOENT"), (16, "EBUSY"), (22, "EINVAL")] {
            assert_eq!(errno_name(Errno::from_raw_os_error(number)), name);
        }
        assert_eq!(errno_name(Errno::from_raw_os_error(4000)), "errno 4000");
    }

    #[test]
    fn no_error_has_two_names() {
        for (index, (errno, name)) in NAMES.iter().enumerate() {
            let rest = &NAMES[index + 1..];
            assert!(
                rest.iter()
                    .all(|other| other.0 != *errno && other.1 != *name),
                "{name}"
            );
        }
    }
}
