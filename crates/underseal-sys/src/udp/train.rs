//! Several datagrams of one size in one call.

use std::io::{IoSlice, IoSliceMut};
use std::mem::{offset_of, size_of};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::{SOL_UDP, UDP_GRO, UDP_SEGMENT};
use crate::message::{empty_header, receive_header, send_header};

/// Most datagrams of one send: 128 since Linux 6.9, 64 before (`UDP_MAX_SEGMENTS`).
pub const MAX_TRAIN: usize = 64;

/// Most bytes of one send or receive: an IPv4 packet without its headers.
pub const MAX_TRAIN_BYTES: usize = 65_507;

/// What [`receive_train`] received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a train is does not change")]
pub struct Train {
    /// Bytes of all datagrams.
    pub len: usize,
    /// Bytes of each, the last one excepted, which may be shorter; `len` where there is one.
    pub segment: usize,
}

/// Sends `datagrams` as datagrams of `segment` bytes, the last one with what is left.
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and is full |
/// | `EINVAL` | more than [`MAX_TRAIN`] datagrams, or a `segment` above the MTU |
/// | `EIO` | the route's interface computes no checksums |
/// | `EMSGSIZE` | more than [`MAX_TRAIN_BYTES`] |
/// | `ECONNREFUSED` and others | what ICMP said of an earlier datagram; nothing was sent |
#[doc(alias = "UDP_SEGMENT")]
pub fn send_train(fd: impl AsFd, datagrams: &[u8], segment: u16) -> Result<usize, Errno> {
    let slices = [IoSlice::new(datagrams)];
    let control = SegmentSize::for_send(segment);
    let mut header = empty_header();
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len() as _;
    if datagrams.len() > usize::from(segment) {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = size_of::<SegmentSize>() as _;
    }
    // SAFETY: `IoSlice` has the layout of `iovec` on Unix; slices and `control` live until the end
    // of this function, and the lengths are theirs. sendmsg only reads through both.
    unsafe { send_header(fd.as_fd(), &header, SendFlags::empty()) }
}

/// Receives a datagram, or several of one size where [`set_gro`](super::set_gro) allows it.
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and there is none; or the time to wait is over |
/// | `ECONNREFUSED` and others | what ICMP said of an earlier datagram |
#[doc(alias = "UDP_GRO")]
pub fn receive_train(fd: impl AsFd, buffer: &mut [u8]) -> Result<Train, Errno> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = SegmentSize::empty();
    let mut header = empty_header();
    header.msg_iov = slices.as_mut_ptr().cast();
    header.msg_iovlen = slices.len() as _;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<SegmentSize>() as _;
    // SAFETY: `IoSliceMut` has the layout of `iovec` on Unix; slices and `control` are borrowed
    // mutably until the end of this function, and the lengths are theirs.
    let len = unsafe { receive_header(fd.as_fd(), &mut header, RecvFlags::empty()) }?;
    let segment = control.received(header.msg_controllen as _);
    Ok(Train {
        len,
        segment: segment.unwrap_or(len),
    })
}

const HEADER: usize = size_of::<libc::cmsghdr>();

/// One control message with a size in it: `__u16` to the kernel, `int` from it. The kernel's
/// `CMSG_SPACE` of both is a word behind the header.
#[repr(C)]
struct SegmentSize {
    header: libc::cmsghdr,
    value: [u8; size_of::<usize>()],
}

impl SegmentSize {
    fn for_send(segment: u16) -> Self {
        let mut message = Self::empty();
        message.header.cmsg_len = (HEADER + size_of::<u16>()) as _;
        message.header.cmsg_level = SOL_UDP;
        message.header.cmsg_type = UDP_SEGMENT;
        message.value[..2].copy_from_slice(&segment.to_ne_bytes());
        message
    }

    fn empty() -> Self {
        Self {
            header: libc::cmsghdr {
                cmsg_len: 0,
                cmsg_level: 0,
                cmsg_type: 0,
            },
            value: [0; size_of::<usize>()],
        }
    }

    /// The size that the kernel wrote here, if it wrote `len` bytes and they are one.
    fn received(&self, len: usize) -> Option<usize> {
        const INT: usize = size_of::<libc::c_int>();
        let written = len >= HEADER + INT
            && self.header.cmsg_level == SOL_UDP
            && self.header.cmsg_type == UDP_GRO
            && self.header.cmsg_len >= HEADER + INT;
        let (value, _) = self.value.split_first_chunk::<INT>()?;
        let size = usize::try_from(libc::c_int::from_ne_bytes(*value)).ok()?;
        (written && size > 0).then_some(size)
    }

    fn as_ptr(&self) -> *const Self {
        self
    }

    fn as_mut_ptr(&mut self) -> *mut Self {
        self
    }
}

// What the kernel's CMSG_SPACE and CMSG_DATA say of a message of up to a word.
const _: () = {
    assert!(size_of::<SegmentSize>() == HEADER + size_of::<usize>());
    assert!(offset_of!(SegmentSize, value) == HEADER);
    assert!(align_of::<SegmentSize>() == align_of::<usize>());
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::{pair, set_gro};

    #[test]
    fn a_train_arrives_apart_where_it_is_not_asked_for_together() {
        let (near, far) = pair().unwrap();
        assert_eq!(send_train(&near, b"aabbc", 2), Ok(5));
        let mut buffer = [0; 100];
        for expected in [&b"aa"[..], b"bb", b"c"] {
            let train = receive_train(&far, &mut buffer).unwrap();
            assert_eq!(&buffer[..train.len], expected);
            assert_eq!(train.segment, expected.len());
        }
    }

    #[test]
    fn a_train_arrives_together_with_the_size_of_its_datagrams() {
        let (near, far) = pair().unwrap();
        set_gro(&far, true).unwrap();
        send_train(&near, &[7; 2500], 1000).unwrap();
        let mut buffer = [0; 4000];
        let train = receive_train(&far, &mut buffer).unwrap();
        assert_eq!((train.len, train.segment), (2500, 1000));
        near.send(&[7; 10]).unwrap();
        let single = receive_train(&far, &mut buffer).unwrap();
        assert_eq!((single.len, single.segment), (10, 10));
    }

    #[test]
    fn a_train_that_is_too_long_is_refused() {
        let (near, _far) = pair().unwrap();
        assert_eq!(send_train(&near, &[0; 200], 1), Err(Errno::INVAL));
    }

    #[test]
    fn a_control_message_of_another_kind_has_no_size() {
        let mut message = SegmentSize::for_send(5);
        assert_eq!(message.received(size_of::<SegmentSize>()), None);
        message.header.cmsg_type = UDP_GRO;
        message.header.cmsg_len = (HEADER + 4) as _;
        assert_eq!(message.received(size_of::<SegmentSize>()), Some(5));
        assert_eq!(message.received(HEADER), None);
    }
}
