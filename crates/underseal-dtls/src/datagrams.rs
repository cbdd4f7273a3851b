use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use underseal_sys::udp::{self, Train};

/// A connected UDP socket: std's, or tokio's where the feature is on.
pub trait Datagrams: AsFd + sealed::Sealed {
    /// Makes a call that sends. tokio's socket answers `WouldBlock` without it while it is known to
    /// be full.
    #[doc(hidden)]
    fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R>;

    /// Makes a call that receives.
    #[doc(hidden)]
    fn receiving<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::net::UdpSocket {}
    #[cfg(feature = "tokio")]
    impl Sealed for tokio::net::UdpSocket {}
}

impl Datagrams for UdpSocket {
    fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        call(self.as_fd())
    }

    fn receiving<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        call(self.as_fd())
    }
}

#[cfg(feature = "tokio")]
impl Datagrams for tokio::net::UdpSocket {
    fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        self.try_io(tokio::io::Interest::WRITABLE, || call(self.as_fd()))
    }

    fn receiving<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        self.try_io(tokio::io::Interest::READABLE, || call(self.as_fd()))
    }
}

/// Sends `datagrams`, each `segment` bytes long, the last one with what is left.
pub(crate) fn send(socket: &impl Datagrams, datagrams: &[u8], segment: usize) -> io::Result<usize> {
    let segment = u16::try_from(segment).map_err(|_| Errno::MSGSIZE)?;
    socket.sending(|fd| Ok(udp::send_train(fd, datagrams, segment)?))
}

/// Receives a datagram, or several of one size.
pub(crate) fn receive(socket: &impl Datagrams, buffer: &mut [u8]) -> io::Result<Train> {
    socket.receiving(|fd| Ok(udp::receive_train(fd, buffer)?))
}

/// Whether `error` is what somebody said by ICMP, who need not be the peer: it says nothing of this
/// call, and the socket has forgotten it (`include/net/icmp.h`, `icmp_err_convert`).
pub(crate) fn is_icmp(error: &io::Error) -> bool {
    let said = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        Errno::CONNREFUSED,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::PROTO,
        Errno::ACCESS,
    ];
    Errno::from_io_error(error).is_some_and(|errno| said.contains(&errno))
}
