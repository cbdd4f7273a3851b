//! What the kernel says of a TCP connection.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::socket_option;

/// `tcpi_bytes_acked` in `struct tcp_info` (`include/uapi/linux/tcp.h`): eight single bytes and 24
/// words, then `tcpi_pacing_rate` and `tcpi_max_pacing_rate`.
const BYTES_ACKED: usize = 8 + 24 * 4 + 2 * 8;

/// `tcpi_bytes_received`, the next one.
const BYTES_RECEIVED: usize = BYTES_ACKED + 8;

/// Bytes that the peer's kernel has acknowledged since the connection began; its program may not
/// have read them, but as many wait for that at most as its receive buffer holds.
///
/// # Errors
///
/// `ENOPROTOOPT`, `EOPNOTSUPP`: no TCP socket, or a kernel before 4.1.
#[doc(alias = "TCP_INFO")]
pub fn bytes_acknowledged(socket: impl AsFd) -> Result<u64, Errno> {
    counter(socket, BYTES_ACKED)
}

/// Bytes that have come from the peer since the connection began, be they read or not.
///
/// # Errors
///
/// `ENOPROTOOPT`, `EOPNOTSUPP`: no TCP socket, or a kernel before 4.1.
#[doc(alias = "TCP_INFO")]
pub fn bytes_received(socket: impl AsFd) -> Result<u64, Errno> {
    counter(socket, BYTES_RECEIVED)
}

/// The 64 bits of `struct tcp_info` at this offset.
fn counter(socket: impl AsFd, at: usize) -> Result<u64, Errno> {
    let mut info = [0; BYTES_RECEIVED + 8];
    let fd = socket.as_fd();
    let len = socket_option::get(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    let bytes = info[..len].get(at..).and_then(<[u8]>::first_chunk);
    bytes
        .copied()
        .map(u64::from_ne_bytes)
        .ok_or(Errno::NOPROTOOPT)
}

/// States of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const CLOSED: u8 = 7;
const CLOSE_WAIT: u8 = 8;

/// Whether a connection that this side has shut down is over: the peer has ended it too and has
/// acknowledged all that it was sent, or it was reset.
///
/// # Errors
///
/// `ENOPROTOOPT`, `EOPNOTSUPP`: no TCP socket.
#[doc(alias = "TCP_INFO")]
pub fn is_closed(socket: impl AsFd) -> Result<bool, Errno> {
    Ok(state(socket)? == CLOSED)
}

/// Whether a connection still sends what it is given: neither was it reset, nor has this side shut
/// it down. It takes no error off the socket.
///
/// # Errors
///
/// `ENOPROTOOPT`, `EOPNOTSUPP`: no TCP socket.
#[doc(alias = "TCP_INFO")]
pub fn can_send(socket: impl AsFd) -> Result<bool, Errno> {
    // As `tcp_sendmsg_locked` has it.
    Ok(matches!(state(socket)?, ESTABLISHED | CLOSE_WAIT))
}

/// `tcpi_state`, the first byte of `struct tcp_info`.
fn state(socket: impl AsFd) -> Result<u8, Errno> {
    let mut state = [0];
    let fd = socket.as_fd();
    socket_option::get(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut state)?;
    Ok(state[0])
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn what_the_peer_received_is_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = bytes_acknowledged(&near).unwrap();
        near.write_all(&[1; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        // An answer carries the acknowledgement with it.
        far.write_all(&[2]).unwrap();
        near.read_exact(&mut [0]).unwrap();
        assert_eq!(bytes_acknowledged(&near), Ok(before + 1000));
    }

    #[test]
    fn what_came_is_received_before_anybody_reads_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = bytes_received(&far).unwrap();
        near.write_all(&[1; 1000]).unwrap();
        while bytes_received(&far) != Ok(before + 1000) {
            std::thread::yield_now();
        }
        far.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(bytes_received(&far), Ok(before + 1000));
    }

    #[test]
    fn other_sockets_have_nothing_acknowledged() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(bytes_acknowledged(&socket).is_err());
        assert!(bytes_received(&socket).is_err());
        assert!(is_closed(&socket).is_err());
        assert!(can_send(&socket).is_err());
    }

    #[test]
    fn a_connection_sends_until_it_is_shut_down_or_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || {
            (
                TcpStream::connect(address).unwrap(),
                listener.accept().unwrap().0,
            )
        };
        let (near, far) = connect();
        assert_eq!(can_send(&near), Ok(true));
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&near).read(&mut [0]).unwrap(), 0);
        assert_eq!(can_send(&near), Ok(true), "the other side may still read");
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(can_send(&near), Ok(false));

        let (mut near, far) = connect();
        drop(far);
        // What nobody reads any more is answered by a reset.
        while can_send(&near) == Ok(true) {
            let _ = near.write(&[1]);
        }
    }

    #[test]
    fn a_connection_is_closed_once_both_sides_are_and_everything_has_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        // More than the other side's buffer takes.
        near.set_nonblocking(true).unwrap();
        while near.write(&[1; 65_536]).is_ok() {}
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(is_closed(&near), Ok(false));
        far.shutdown(Shutdown::Write).unwrap();
        near.set_nonblocking(false).unwrap();
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        assert_eq!(is_closed(&near), Ok(false), "not everything has arrived");
        std::io::copy(&mut far, &mut std::io::sink()).unwrap();
        while is_closed(&near) == Ok(false) {
            std::thread::yield_now();
        }
    }
}
