//! Short bodies, read behind their head.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

/// Whether the bytes were in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    Yes,
    /// They are not, and the worker must not wait for the disk; nothing was read.
    No,
}

/// Reads exactly `range` of `file` to the end of `out`.
///
/// # Errors
/// `UnexpectedEof` if the file has become shorter, or what the kernel says. `out` may hold a part
/// then.
pub(crate) fn read_behind(
    out: &mut Vec<u8>,
    file: &File,
    range: &Range<u64>,
) -> io::Result<Cached> {
    let start = out.len();
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    out.resize(start + length, 0);
    let mut filled = 0;
    while filled < length {
        match read_cached(
            file,
            &mut out[start + filled..],
            range.start + filled as u64,
        ) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                out.truncate(start);
                return Ok(Cached::No);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Cached::Yes)
}

fn read_cached(file: &File, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let slices = &mut [IoSliceMut::new(into)];
    match preadv2(file, slices, offset, ReadWriteFlags::NOWAIT) {
        // Not every file system can say whether it would have to wait.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => pread(file, into, offset),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn exactly_the_range_is_appended() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(b"0123456789").expect("write");
        let mut out = b"head ".to_vec();
        out.reserve(100);
        assert_eq!(
            read_behind(&mut out, &file, &(2..5)).expect("read"),
            Cached::Yes
        );
        assert_eq!(out, b"head 234");
        let error = read_behind(&mut out, &file, &(8..11)).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
