//! The control message that carries the type of a record.

use std::mem::{offset_of, size_of};

/// `TLS_SET_RECORD_TYPE`, `include/uapi/linux/tls.h`, since Linux 4.13.
const TLS_SET_RECORD_TYPE: i32 = libc::TLS_SET_RECORD_TYPE;
/// `TLS_GET_RECORD_TYPE`, `include/uapi/linux/tls.h`, since Linux 4.17.
const TLS_GET_RECORD_TYPE: i32 = libc::TLS_GET_RECORD_TYPE;

const HEADER: usize = size_of::<libc::cmsghdr>();

/// One control message with one byte in it, with the alignment that `cmsghdr` wants.
///
/// `struct cmsghdr {size_t cmsg_len; int cmsg_level; int cmsg_type;}`, then the byte, then padding
/// to the size of a word.
#[repr(C)]
pub(super) struct RecordType {
    header: libc::cmsghdr,
    content_type: u8,
    padding: [u8; size_of::<usize>() - 1],
}

impl RecordType {
    /// `CMSG_SPACE(1)`.
    pub(super) const LEN: usize = size_of::<Self>();

    /// `CMSG_LEN(1)`.
    const CMSG_LEN: usize = HEADER + 1;

    /// The message that gives the records of a send their type.
    pub(super) fn new(content_type: u8) -> Self {
        Self {
            header: libc::cmsghdr {
                cmsg_len: Self::CMSG_LEN as _,
                cmsg_level: libc::SOL_TLS,
                cmsg_type: TLS_SET_RECORD_TYPE,
            },
            content_type,
            padding: [0; size_of::<usize>() - 1],
        }
    }

    /// The type that the kernel wrote here, if it wrote `len` bytes and they are a type.
    pub(super) fn content_type(&self, len: usize) -> Option<u8> {
        let written = len >= Self::CMSG_LEN
            && self.header.cmsg_level == libc::SOL_TLS
            && self.header.cmsg_type == TLS_GET_RECORD_TYPE
            && self.header.cmsg_len >= Self::CMSG_LEN;
        written.then_some(self.content_type)
    }

    pub(super) fn as_ptr(&self) -> *const Self {
        self
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut Self {
        self
    }
}

// What the kernel's CMSG_SPACE, CMSG_LEN and CMSG_DATA say of a message of one byte.
const _: () = {
    assert!(RecordType::LEN == HEADER + size_of::<usize>());
    assert!(offset_of!(RecordType, content_type) == HEADER);
    assert!(align_of::<RecordType>() == align_of::<usize>());
};

#[cfg(test)]
mod tests {
    use super::*;

    fn from_kernel(level: i32, kind: i32) -> RecordType {
        let mut message = RecordType::new(22);
        message.header.cmsg_level = level;
        message.header.cmsg_type = kind;
        message
    }

    #[test]
    fn type_is_read_from_the_kernels_message_alone() {
        let written = RecordType::CMSG_LEN;
        let own = from_kernel(libc::SOL_TLS, TLS_GET_RECORD_TYPE);
        assert_eq!(own.content_type(written), Some(22));
        assert_eq!(own.content_type(0), None);
        let other = from_kernel(libc::SOL_SOCKET, TLS_GET_RECORD_TYPE);
        assert_eq!(other.content_type(written), None);
        assert_eq!(RecordType::new(22).content_type(written), None);
    }
}
