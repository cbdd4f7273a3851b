//! What the kernel says of a TCP connection.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::socket_option;

/// `tcpi_bytes_acked` in `struct tcp_info` (`include/uapi/linux/tcp.h`): eight single bytes and 24
/// words, then `tcpi_pacing_rate` and `tcpi_max_pacing_rate`.
const BYTES_ACKED: usize = 8 + 24 * 4 + 2 * 8;

/// Bytes that the peer's kernel has acknowledged since the connection began; its program may not
/// have read them, but as many wait for that at most as its receive buffer holds.
///
/// # Errors
///
/// `ENOPROTOOPT`, `EOPNOTSUPP`: no TCP socket, or a kernel before 4.1.
#[doc(alias = "TCP_INFO")]
pub fn bytes_acknowledged(socket: impl AsFd) -> Result<u64, Errno> {
    let mut info = [0; BYTES_ACKED + 8];
    let fd = socket.as_fd();
    let len = socket_option::get(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    match info[..len].split_at_checked(BYTES_ACKED) {
        Some((_, acked)) => acked.try_into().map(u64::from_ne_bytes).ok(),
        None => None,
    }
    .ok_or(Errno::NOPROTOOPT)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

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
    fn other_sockets_have_nothing_acknowledged() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(bytes_acknowledged(&socket).is_err());
    }
}
