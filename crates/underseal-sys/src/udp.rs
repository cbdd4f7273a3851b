//! UDP segmentation offload (GSO) and receive coalescing (GRO).

mod path;
mod train;

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::probe::Answer;
use crate::socket_option;

pub use path::{Local, Path, receive_train_from, send_train_to, set_packet_info};
pub use train::{MAX_TRAIN, MAX_TRAIN_BYTES, Train, receive_train, send_train};

/// `SOL_UDP`, `include/linux/socket.h`.
const SOL_UDP: i32 = libc::SOL_UDP;
/// `UDP_SEGMENT`, `include/uapi/linux/udp.h`, since Linux 4.18.
const UDP_SEGMENT: i32 = libc::UDP_SEGMENT;
/// `UDP_GRO`, `include/uapi/linux/udp.h`, since Linux 5.0.
const UDP_GRO: i32 = libc::UDP_GRO;

/// Payload of each datagram of the probe.
const SEGMENT: u16 = 100;
/// Loopback delivers before send(2) returns; this only ends the wait where it does not.
const PATIENCE: Duration = Duration::from_millis(200);

/// What UDP can do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// One send becomes several datagrams of a given size.
    pub segment: Answer,
    /// Several datagrams of one size come in one receive.
    pub gro: Answer,
}

impl Udp {
    /// Sends two datagrams at once over the loopback interface, and receives them once apart and
    /// once together.
    pub fn probe() -> Self {
        let segment = received(false, usize::from(SEGMENT));
        let gro = match segment {
            Answer::Yes => received(true, 2 * usize::from(SEGMENT)),
            _ => accepted(),
        };
        Self { segment, gro }
    }
}

/// Makes every send a train of datagrams with `len` bytes of payload each, the last one with what
/// is left. 0 ends it.
///
/// | errno | why |
/// |---|---|
/// | `ENOPROTOOPT` | before Linux 4.18, or not a UDP socket |
///
/// The send itself then fails with `EIO` where the route's interface computes no checksums, and
/// with `EINVAL` for more than 64 datagrams (128 since Linux 6.9) or a `len` above the MTU.
#[doc(alias = "UDP_SEGMENT")]
pub fn set_segment(fd: impl AsFd, len: u16) -> Result<(), Errno> {
    let value = i32::from(len).to_ne_bytes();
    socket_option::set(fd.as_fd(), SOL_UDP, UDP_SEGMENT, &value)
}

/// Lets a receive return several datagrams of one flow and size, one after the other. Their size
/// comes in a control message of this type.
///
/// | errno | why |
/// |---|---|
/// | `ENOPROTOOPT` | before Linux 5.0, or not a UDP socket |
#[doc(alias = "UDP_GRO")]
pub fn set_gro(fd: impl AsFd, on: bool) -> Result<(), Errno> {
    let value = i32::from(on).to_ne_bytes();
    socket_option::set(fd.as_fd(), SOL_UDP, UDP_GRO, &value)
}

/// Whether two segments of one send arrive as `expected` bytes in the first receive.
fn received(gro: bool, expected: usize) -> Answer {
    let (near, far) = match pair() {
        Ok(pair) => pair,
        Err(error) => return Answer::CannotTell(errno(&error)),
    };
    let set = set_segment(&near, SEGMENT);
    // A socket that never heard of it does not coalesce: there is nothing to turn off.
    let set = set.and_then(|()| if gro { set_gro(&far, true) } else { Ok(()) });
    if let Err(errno) = set {
        return Answer::No(errno);
    }
    let mut buffer = [0; 4 * SEGMENT as usize];
    if let Err(error) = near.send(&buffer[..2 * usize::from(SEGMENT)]) {
        return Answer::No(errno(&error));
    }
    match far.recv(&mut buffer) {
        Ok(count) if count == expected => Answer::Yes,
        // The kernel took the option and does not act on it.
        Ok(_) => Answer::No(Errno::OPNOTSUPP),
        Err(error) => Answer::CannotTell(errno(&error)),
    }
}

/// Whether a socket takes the option for coalescing: all that can be tried without segments.
fn accepted() -> Answer {
    match pair() {
        Ok((_, far)) => Answer::of(set_gro(far, true)),
        Err(error) => Answer::CannotTell(errno(&error)),
    }
}

/// Two sockets on loopback that only hear each other.
fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let (near, far) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    far.set_read_timeout(Some(PATIENCE))?;
    Ok((near, far))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_segments_and_coalesces() {
        let yes = Udp {
            segment: Answer::Yes,
            gro: Answer::Yes,
        };
        assert_eq!(Udp::probe(), yes, "Linux 5.0 and later do both");
    }

    #[test]
    fn a_size_that_does_not_arrive_is_no() {
        assert_eq!(received(false, 99), Answer::No(Errno::OPNOTSUPP));
    }

    #[test]
    fn the_options_are_not_for_tcp() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(set_segment(&listener, SEGMENT), Err(Errno::NOPROTOOPT));
        assert_eq!(set_gro(&listener, true), Err(Errno::NOPROTOOPT));
    }
}
