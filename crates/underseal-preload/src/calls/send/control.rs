//! Records of another type than data: a control message of sendmsg(2) names it.

use std::ffi::c_int;

use libc::{cmsghdr, msghdr};
use rustix::io::Errno;
use underseal_record::ContentType;
use underseal_ulp::Plaintext;

use crate::connection::Socket;
use crate::file::Gathered;
use crate::{head, linger, memory};

/// Most bytes of control messages that are looked at.
const MOST: usize = 4096;

const ALIGNMENT: usize = size_of::<usize>();

/// What the control messages say of the record.
///
/// # Errors
///
/// As the kernel: `EINVAL` where none of them is a record's type, or one is malformed.
pub(super) fn record_type(message: &msghdr) -> Result<ContentType, Errno> {
    let len = message.msg_controllen;
    if len > MOST {
        return Err(Errno::NOBUFS);
    }
    // SAFETY: the program has asked for them to be read, and waits for the call's end.
    let bytes = unsafe { memory::bytes(message.msg_control.cast(), len) }?;
    let mut rest = bytes;
    let mut found = None;
    while rest.len() >= size_of::<cmsghdr>() {
        // SAFETY: any bytes are a header: a length and two numbers.
        let header: cmsghdr = unsafe { memory::read(rest.as_ptr().cast()) }?;
        let len = header.cmsg_len;
        if len < size_of::<cmsghdr>() || len > rest.len() {
            return Err(Errno::INVAL);
        }
        if header.cmsg_level == libc::SOL_TLS {
            let data = &rest[size_of::<cmsghdr>()..len];
            if header.cmsg_type != libc::TLS_SET_RECORD_TYPE {
                return Err(Errno::INVAL);
            }
            found = Some(ContentType(*data.first().ok_or(Errno::INVAL)?));
        }
        let next = len.next_multiple_of(ALIGNMENT).min(rest.len());
        rest = &rest[next..];
    }
    found.ok_or(Errno::INVAL)
}

/// Sends a record, or several, of a type.
pub(super) fn send(
    socket: &Socket,
    content_type: ContentType,
    data: &mut Gathered,
    len: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    if content_type == ContentType::APPLICATION_DATA {
        return super::send_data(socket, data, len, flags);
    }
    // No program sends more at once than a chain of certificates.
    const MOST_CONTROL: usize = 1 << 18;
    let mut whole = Vec::new();
    let most = len.min(MOST_CONTROL);
    whole.try_reserve_exact(most).map_err(|_| Errno::NOMEM)?;
    while whole.len() < most {
        let piece = data.at(whole.len(), len - whole.len())?;
        if piece.is_empty() {
            break;
        }
        whole.extend_from_slice(piece);
    }
    if content_type == ContentType::HANDSHAKE
        && head::hold_record(socket, content_type, &whole, flags)?
    {
        return Ok(whole.len());
    }
    let sent = socket.send(flags, |transmit, wire| {
        transmit.send_control(content_type, &whole, wire)
    })?;
    linger::see_to_rest(socket);
    Ok(sent)
}
