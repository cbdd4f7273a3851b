//! Datagrams of a socket that hears many peers, with both of their addresses.

mod control;

use std::io::{IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrOpaque, SocketAddrStorage};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, getsockname};

use super::Train;
use crate::message::{empty_header, receive_header, send_header};
use crate::socket_option;
use control::Control;

/// Where datagrams come from and are to be answered: the peer's address, and that of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a datagram has two addresses")]
pub struct Path {
    /// The peer.
    pub peer: SocketAddr,
    /// The address of this host that the peer knows; `None` leaves it to the kernel's routes.
    pub local: Option<Local>,
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an address needs no more (RFC 4007)"
)]
pub struct Local {
    /// The address.
    pub address: IpAddr,
    /// The index of its interface, where it is an address of that link alone; 0 elsewhere, where answers may leave by
    /// another one.
    pub interface: u32,
}

impl From<SocketAddr> for Path {
    fn from(peer: SocketAddr) -> Self {
        let local = None;
        Self { peer, local }
    }
}

/// Has the kernel say which address of this host each datagram was sent to.
///
/// | errno | why |
/// |---|---|
/// | `EAFNOSUPPORT` | neither IPv4 nor IPv6 |
#[doc(alias = "IP_PKTINFO")]
#[doc(alias = "IPV6_RECVPKTINFO")]
pub fn set_packet_info(fd: impl AsFd, on: bool) -> Result<(), Errno> {
    let (level, name) = match getsockname(&fd)?.address_family() {
        AddressFamily::INET => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        // Of IPv4, too, where the socket takes it.
        AddressFamily::INET6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        _ => return Err(Errno::AFNOSUPPORT),
    };
    socket_option::set(fd.as_fd(), level, name, &i32::from(on).to_ne_bytes())
}

/// As [`receive_train`](super::receive_train), and says which way it came: from one peer, to an address
/// that is known after [`set_packet_info`].
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and there is none; or the time to wait is over |
/// | `ECONNREFUSED` and others | what ICMP said of an earlier datagram |
/// | `EAFNOSUPPORT` | neither IPv4 nor IPv6 |
#[doc(alias = "UDP_GRO")]
pub fn receive_train_from(fd: impl AsFd, buffer: &mut [u8]) -> Result<(Train, Path), Errno> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = Control::empty();
    let mut name = MaybeUninit::<SocketAddrStorage>::zeroed();
    let mut header = empty_header();
    header.msg_iov = slices.as_mut_ptr().cast();
    header.msg_iovlen = slices.len() as _;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = Control::LEN as _;
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = size_of::<SocketAddrStorage>() as _;
    // SAFETY: `IoSliceMut` has the layout of `iovec` on Unix; slices, `control` and `name` are borrowed
    // mutably until the end of this function, and the lengths are theirs.
    let len = unsafe { receive_header(fd.as_fd(), &mut header, RecvFlags::empty()) }?;
    if (header.msg_namelen as usize) < size_of::<libc::sa_family_t>() {
        return Err(Errno::AFNOSUPPORT);
    }
    // SAFETY: all of `name` was zeroed, and the kernel wrote an address of this length to it.
    let peer = unsafe { SocketAddrAny::new(name, header.msg_namelen) };
    let received = control.received(header.msg_controllen as _);
    let train = Train {
        len,
        segment: received.segment.unwrap_or(len),
    };
    let peer = SocketAddr::try_from(peer)?;
    let local = received.local;
    Ok((train, Path { peer, local }))
}

/// As [`send_train`](super::send_train), on `path`.
///
/// | errno | why |
/// |---|---|
/// | `EAGAIN` | the socket does not wait, and is full |
/// | `EINVAL` | more than [`MAX_TRAIN`](super::MAX_TRAIN) datagrams, a `segment` above the MTU, or no address of this host |
/// | `EIO` | the route's interface computes no checksums |
/// | `EMSGSIZE` | more than [`MAX_TRAIN_BYTES`](super::MAX_TRAIN_BYTES) |
/// | `ENETUNREACH` | no route from that address |
/// | `ECONNREFUSED` and others | what ICMP said of an earlier datagram; nothing was sent |
#[doc(alias = "UDP_SEGMENT")]
pub fn send_train_to(
    fd: impl AsFd,
    datagrams: &[u8],
    segment: u16,
    path: &Path,
) -> Result<usize, Errno> {
    let slices = [IoSlice::new(datagrams)];
    let mut control = Control::empty();
    let mut control_len = 0;
    if datagrams.len() > usize::from(segment) {
        control_len = control.push_segment(control_len, segment);
    }
    if let Some(local) = path.local {
        control_len = control.push_local(control_len, local, path.peer.is_ipv6());
    }
    let mut header = empty_header();
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len() as _;
    if control_len > 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_len as _;
    }
    let send = |name: *const SocketAddrOpaque, len| {
        header.msg_name = name.cast_mut().cast();
        header.msg_namelen = len;
        // SAFETY: `IoSlice` has the layout of `iovec` on Unix; slices and `control` live until the end of this
        // function, the address until that of this closure, and the lengths are theirs. sendmsg only reads
        // through all of them.
        unsafe { send_header(fd.as_fd(), &header, SendFlags::empty()) }
    };
    // SAFETY: the closure keeps nothing of the address.
    unsafe { path.peer.with_sockaddr(send) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    use super::*;
    use crate::udp::set_gro;

    fn bind(address: impl Into<IpAddr>) -> UdpSocket {
        UdpSocket::bind((address.into(), 0)).unwrap()
    }

    /// Each answer leaves from the address that was asked, also where another one is nearer.
    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        let asked: [IpAddr; 2] = [
            Ipv4Addr::new(127, 0, 0, 77).into(),
            Ipv4Addr::LOCALHOST.into(),
        ];
        for (server, client) in [
            (bind(Ipv4Addr::UNSPECIFIED), bind(Ipv4Addr::LOCALHOST)),
            // Of IPv4, on a socket of both.
            (bind(Ipv6Addr::UNSPECIFIED), bind(Ipv4Addr::LOCALHOST)),
        ] {
            set_packet_info(&server, true).unwrap();
            let port = server.local_addr().unwrap().port();
            for asked in asked {
                client.send_to(b"question", (asked, port)).unwrap();
                let mut buffer = [0; 100];
                let (train, path) = receive_train_from(&server, &mut buffer).unwrap();
                assert_eq!(&buffer[..train.len], b"question");
                assert_eq!(path.peer.port(), client.local_addr().unwrap().port());
                assert_eq!(
                    path.local.map(|local| local.address.to_canonical()),
                    Some(asked)
                );
                send_train_to(&server, b"an answer", 9, &path).unwrap();
                let (len, from) = client.recv_from(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], b"an answer");
                assert_eq!(from, (asked, port).into());
            }
        }
    }

    #[test]
    fn addresses_of_ipv6_are_told_and_used() {
        let (server, client) = (bind(Ipv6Addr::UNSPECIFIED), bind(Ipv6Addr::LOCALHOST));
        set_packet_info(&server, true).unwrap();
        let port = server.local_addr().unwrap().port();
        client
            .send_to(b"question", (Ipv6Addr::LOCALHOST, port))
            .unwrap();
        let mut buffer = [0; 100];
        let (_, path) = receive_train_from(&server, &mut buffer).unwrap();
        assert_eq!(
            path.local.map(|local| local.address),
            Some(Ipv6Addr::LOCALHOST.into())
        );
        send_train_to(&server, b"an answer", 9, &path).unwrap();
        let (_, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(from, (Ipv6Addr::LOCALHOST, port).into());
    }

    #[test]
    fn a_train_arrives_together_from_its_peer() {
        let (server, client) = (bind(Ipv4Addr::UNSPECIFIED), bind(Ipv4Addr::LOCALHOST));
        set_packet_info(&server, true).unwrap();
        set_gro(&server, true).unwrap();
        let port = server.local_addr().unwrap().port();
        let to = Path::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        send_train_to(&client, &[7; 2500], 1000, &to).unwrap();
        let mut buffer = [0; 4000];
        let (train, path) = receive_train_from(&server, &mut buffer).unwrap();
        assert_eq!((train.len, train.segment), (2500, 1000));
        assert_eq!(path.peer, client.local_addr().unwrap());
        assert_eq!(
            path.local.map(|local| local.address),
            Some(Ipv4Addr::LOCALHOST.into())
        );
        // And a train back, from there.
        send_train_to(&server, &[8; 250], 100, &path).unwrap();
        for len in [100, 100, 50] {
            assert_eq!(client.recv(&mut buffer).unwrap(), len);
        }
    }

    #[test]
    fn a_socket_that_does_not_ask_is_not_told() {
        let (server, client) = (bind(Ipv4Addr::LOCALHOST), bind(Ipv4Addr::LOCALHOST));
        client.send_to(b"x", server.local_addr().unwrap()).unwrap();
        let (train, path) = receive_train_from(&server, &mut [0; 10]).unwrap();
        assert_eq!((train.len, train.segment, path.local), (1, 1, None));
    }

    #[test]
    fn sockets_of_other_families_are_refused() {
        let (socket, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert_eq!(set_packet_info(&socket, true), Err(Errno::AFNOSUPPORT));
    }
}
