//! Calls that send, on a socket that may get an error from its peer at any time.
//!
//! A kernel that opens puts one there for a record whose header is bad. A call that begins with it does
//! nothing, and is made again ([`leave_error`](Transport::leave_error) says for whom the error is). Two
//! kinds of calls do more than they tell (`tls_sw_sendmsg`, `bpf_exec_tx_verdict`, `tls_tx_records` in
//! net/tls/tls_sw.c):
//!
//! 1. One that closes a record fails in the same way (`EBADMSG`) where the record was sealed, and where it
//!    cannot be and is thrown away.
//! 2. One that waits for room takes the error and, if it sent anything, does not say so: nobody who reads
//!    is told. What it says that it sent may lack a record that is sealed and goes out, and whoever sent
//!    the rest would send that twice.
//!
//! So the error is taken before a record is closed, and no call waits in the kernel: what is sent is sent
//! with [`DONTWAIT`], and of pages, whose calls have no such flag, no more than there is room for.
//!
//! A splice is sent so in any case: one that waits in the kernel keeps the pipe locked, so that nobody can
//! write to it or close it, and waits for each part of its bytes anew.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::net::SendFlags;
use rustix::net::sockopt::{self, Timeout};
use underseal_record::MAX_PLAINTEXT;
use underseal_sys::Errno;

use super::Transmit;
use super::unpushed::{Moved, push_unless_all};
use crate::backoff::Backoff;
use crate::transport::Transport;

/// Flags of a call that does not wait.
pub(super) const DONTWAIT: SendFlags = SendFlags::DONTWAIT;

/// What a call fails with that may have lost data: it is nobody else's error.
const LOST: Errno = Errno::IO;

impl Transmit {
    /// Makes a call that sends with [`DONTWAIT`], and waits as the socket does.
    pub(super) fn call(
        &self,
        transport: &mut impl Transport,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut backoff = Backoff::default();
        loop {
            match self.call_once(transport, &mut call) {
                Err(Errno::AGAIN) => transport.wait_as(&mut backoff, Timeout::Send)?,
                sent => return sent,
            };
        }
    }

    /// Makes a call that moves up to `len` bytes of pages, for which there is [`room`].
    pub(super) fn call_for_pages<T: Moved>(
        &self,
        transport: &mut impl Transport,
        len: usize,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.call_once(transport, |socket| {
            push_unless_all(socket, len, call(socket))
        })
    }

    fn call_once<T>(
        &self,
        transport: &mut impl Transport,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.is_open() {
            transport.leave_error()?;
        }
        transport.when_writable(|socket| match call(socket) {
            Err(Errno::BADMSG) if self.is_open() => Err(LOST),
            done => done,
        })
    }
}

/// Waits until the socket has [`room`], or an error that the next call fails with.
pub(super) fn wait_for_room(transport: &mut impl Transport) -> Result<(), Errno> {
    let mut backoff = Backoff::default();
    loop {
        let ready = transport.wait_as(&mut backoff, Timeout::Send)?;
        if ready.intersects(PollFlags::OUT | PollFlags::HUP) {
            return Ok(());
        }
        transport.leave_error()?;
    }
}

/// The bytes of pages, of `len`, that a socket takes at once after [`wait_for_room`]: poll(2) says so
/// when a third of its buffer is free (`sk_stream_is_writeable` in include/net/sock.h), in which what is
/// sent takes more than its length. Whole records, if that is one.
pub(super) fn room(socket: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    let room = sockopt::socket_send_buffer_size(socket)? / 4;
    let records = room / MAX_PLAINTEXT * MAX_PLAINTEXT;
    Ok(len.min(if records > 0 { records } else { room }))
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use underseal_record::ProtocolVersion;
    use underseal_testkit::notify_of_deliveries;

    use super::*;
    use crate::engine::send_side::SendSide;
    use crate::engine::{Receive, kernel};
    use crate::transport::Std;

    /// A call that moves pages would wait in the kernel, and take an error that a reader has to be told.
    #[test]
    fn a_notification_for_the_owner_of_a_full_socket_is_not_taken_for_room() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut socket = TcpStream::connect(listener.local_addr()?)?;
        notify_of_deliveries(&socket);
        socket.set_nonblocking(true)?;
        let full = loop {
            if let Err(error) = socket.write(&[0; 65_536]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
        let mut rx = Receive::Kernel(kernel::Receive::new(ProtocolVersion::Tls13, None, &[]));
        let (mut reader, mut below) = (None, Std::new(&mut socket));
        let mut transport = SendSide::new(&mut rx, &mut reader, &mut below);
        assert_eq!(wait_for_room(&mut transport), Err(Errno::AGAIN));
        Ok(())
    }
}
