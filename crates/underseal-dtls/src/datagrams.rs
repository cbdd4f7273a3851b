use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use underseal_sys::udp::{self, Train};

use crate::association::Association;
use crate::{Error, buffers};

/// A connected UDP socket: std's, or tokio's where the feature is on.
pub trait Datagrams: AsFd + sealed::Sealed {
    /// Makes a call that sends. tokio's socket answers `WouldBlock` without it while it is known to
    /// be full.
    #[doc(hidden)]
    fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R>;

    /// Makes a call that receives.
    #[doc(hidden)]
    fn receiving<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R>;

    /// Waits for a datagram, and no longer than until `due`, if the socket waits at all. Whether a call that
    /// receives is in place.
    #[doc(hidden)]
    fn is_readable_by(&self, due: Instant) -> io::Result<bool>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::net::UdpSocket {}
    #[cfg(feature = "tokio")]
    impl Sealed for tokio::net::UdpSocket {}
}

/// Waits until `due`, or as long as the socket's read timeout is.
fn is_readable_by(socket: &UdpSocket, due: Instant) -> io::Result<bool> {
    if fcntl_getfl(socket)?.contains(OFlags::NONBLOCK) {
        return Ok(true);
    }
    let patience = due.saturating_duration_since(Instant::now());
    let patience = socket
        .read_timeout()?
        .map_or(patience, |limit| limit.min(patience));
    poll_for(socket, PollFlags::IN, Some(patience))
}

/// Waits until `socket` is as `flags` say, or until `patience` is over or a signal came. Whether it is so.
pub(crate) fn poll_for(
    socket: impl AsFd,
    flags: PollFlags,
    patience: Option<Duration>,
) -> io::Result<bool> {
    let patience = patience.map(Timespec::try_from).transpose();
    let patience = patience.map_err(|_| Errno::INVAL)?;
    let mut polled = [PollFd::new(&socket, flags)];
    match poll(&mut polled, patience.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a call that sends, and waits as long as the socket is full.
#[cfg(all(feature = "openssl", feature = "tokio"))]
pub(crate) fn send_patiently(
    socket: impl AsFd,
    mut send: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match send() {
            // Whatever ends the waiting: the next try tells.
            Err(Errno::AGAIN) => {
                poll_for(&socket, PollFlags::OUT, None)?;
            }
            sent => return Ok(sent?),
        }
    }
}

impl Datagrams for UdpSocket {
    fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        call(self.as_fd())
    }

    fn receiving<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        call(self.as_fd())
    }

    fn is_readable_by(&self, due: Instant) -> io::Result<bool> {
        is_readable_by(self, due)
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

    fn is_readable_by(&self, _: Instant) -> io::Result<bool> {
        Ok(true)
    }
}

/// Sends `datagrams`, each `segment` bytes long, the last one with what is left.
pub(crate) fn send(socket: &impl Datagrams, datagrams: &[u8], segment: usize) -> io::Result<usize> {
    let segment = u16::try_from(segment).map_err(|_| Errno::MSGSIZE)?;
    socket.sending(|fd| Ok(udp::send_train(fd, datagrams, segment)?))
}

/// Seals and sends `payloads` in trains, as many as the socket takes; how many were sent, an error where it took none.
/// `transmit` is given sealed datagrams and the bytes of each, the last one excepted, which may be shorter.
pub(crate) fn send_batch(
    association: &Association,
    payloads: &[impl AsRef<[u8]>],
    mut transmit: impl FnMut(&[u8], usize) -> io::Result<usize>,
) -> Result<usize, Error> {
    let mut buffer = buffers::lend();
    let mut sent = 0;
    while sent < payloads.len() {
        let train = association.seal_train(&payloads[sent..], &mut buffer);
        let outcome = train.and_then(|train| {
            let sealed = &buffer[..train.len];
            Ok(send_train(sealed, train.segment, &mut transmit)?)
        });
        match outcome {
            Ok(count) => sent += count,
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Sends a train, or its datagrams one by one where the path takes no trains: `EIO` where its
/// interface computes no checksums, `EINVAL` (`EMSGSIZE` since Linux 6.14) where datagrams would be
/// fragmented. How many of them were sent; an error where not even the first was.
fn send_train(
    sealed: &[u8],
    segment: usize,
    transmit: &mut impl FnMut(&[u8], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let count = sealed.len().div_ceil(segment);
    let refused = match transmit(sealed, segment) {
        Ok(_) => return Ok(count),
        Err(error) => error,
    };
    let errno = Errno::from_io_error(&refused);
    let no_trains = matches!(errno, Some(Errno::IO | Errno::INVAL | Errno::MSGSIZE));
    if count == 1 || !no_trains {
        return Err(refused);
    }
    for (sent, datagram) in sealed.chunks(segment).enumerate() {
        match transmit(datagram, segment) {
            Ok(_) => {}
            Err(error) if sent == 0 => return Err(error),
            Err(_) => return Ok(sent),
        }
    }
    Ok(count)
}

/// Receives a datagram, or several of one size.
pub(crate) fn receive(socket: &impl Datagrams, buffer: &mut [u8]) -> io::Result<Train> {
    socket.receiving(|fd| Ok(udp::receive_train(fd, buffer)?))
}

/// Whether an error of a UDP socket is what somebody said by ICMP, who need not be the peer: it says
/// nothing of this call, and the socket has forgotten it (`net/ipv4/icmp.c`, `icmp_err_convert`; `net/ipv6/icmp.c`,
/// `icmpv6_err_convert`). `EMSGSIZE` may be of the call, too, if that sends: then the socket says it
/// again.
pub fn is_icmp(error: &io::Error) -> bool {
    let said = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        Errno::CONNREFUSED,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::PROTO,
        Errno::ACCESS,
        Errno::MSGSIZE,
        Errno::OPNOTSUPP,
    ];
    Errno::from_io_error(error).is_some_and(|errno| said.contains(&errno))
}

/// A socket that fails when a test says so.
#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring", feature = "openssl"))]
pub(crate) mod scripted {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// What becomes of the next calls: an error, or what becomes of them anyway.
    type Script = Mutex<VecDeque<Option<Errno>>>;

    #[derive(Debug)]
    pub(crate) struct Scripted {
        socket: UdpSocket,
        sends: Script,
        receives: Script,
    }

    impl Scripted {
        /// Two sockets that only hear each other; the first follows the scripts.
        pub(crate) fn pair(sends: &[Option<Errno>], receives: &[Option<Errno>]) -> (Self, Self) {
            let bind = || UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
            let (near, far) = (bind(), bind());
            let connect = |socket: &UdpSocket, peer: &UdpSocket| {
                let address = peer.local_addr().expect("it is bound");
                socket.connect(address).expect("loopback is there");
            };
            connect(&near, &far);
            connect(&far, &near);
            let script = |errors: &[Option<Errno>]| Mutex::new(errors.iter().copied().collect());
            let scripted = |socket, sends, receives| Self {
                socket,
                sends: script(sends),
                receives: script(receives),
            };
            (scripted(near, sends, receives), scripted(far, &[], &[]))
        }
    }

    fn follow<R>(script: &Script, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let next = script.lock().expect("no test panicked").pop_front();
        match next.flatten() {
            Some(errno) => Err(errno.into()),
            None => call(),
        }
    }

    impl AsFd for Scripted {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    impl sealed::Sealed for Scripted {}

    impl Datagrams for Scripted {
        fn sending<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
            follow(&self.sends, || call(self.as_fd()))
        }

        fn receiving<R>(
            &self,
            call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
        ) -> io::Result<R> {
            follow(&self.receives, || call(self.as_fd()))
        }

        fn is_readable_by(&self, due: Instant) -> io::Result<bool> {
            is_readable_by(&self.socket, due)
        }
    }
}

#[cfg(test)]
#[cfg(all(feature = "openssl", feature = "tokio"))]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc;
    use std::thread;

    use rustix::net::{SendFlags, send};

    use super::*;

    #[test]
    fn whoever_sends_through_a_full_socket_waits_until_it_has_room() {
        let (near, far) = UnixDatagram::pair().expect("there are descriptors");
        near.set_nonblocking(true).expect("it is a socket");
        while near.send(&[7; 1000]).is_ok() {}
        let (tell, tries) = mpsc::channel();
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                send_patiently(&near, || {
                    tell.send(()).expect("the test counts");
                    send(&near, b"x", SendFlags::empty())
                })
            });
            tries.recv().expect("it is tried");
            // Long enough for another try that would find it full.
            thread::sleep(Duration::from_millis(50));
            let early = tries.try_recv();
            while far.recv(&mut [0; 1000]).is_ok_and(|len| len > 1) {}
            assert!(early.is_err());
            let sent = sending.join().expect("it has not panicked");
            assert_eq!(sent.expect("the socket can be waited for"), 1);
        });
        assert_eq!(tries.try_iter().count(), 1);
    }

    #[test]
    fn whoever_sends_patiently_is_told_of_errors() {
        let (near, far) = UnixDatagram::pair().expect("there are descriptors");
        drop(far);
        let sent = send_patiently(&near, || send(&near, b"x", SendFlags::empty()));
        let errno = sent.as_ref().err().and_then(Errno::from_io_error);
        assert_eq!(errno, Some(Errno::CONNREFUSED));
    }
}
