//! Whose fault it is that the kernel sends nothing of a file or a pipe: theirs costs the connection nothing.

use std::io::{self, IoSlice};

use rustix::io::Errno;
use underseal_record::ContentType;

use super::Transmit;
use crate::buffers;
use crate::transport::Transport;

impl Transmit {
    /// After a sendfile that failed with `errno` and moved nothing: for the file if it cannot be read,
    /// which costs the connection nothing. `EINVAL` is what files say that can be read and not spliced,
    /// as some of /proc.
    pub(super) fn send_unspliced(
        &mut self,
        transport: &mut impl Transport,
        len: usize,
        errno: Errno,
        mut fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut lent = buffers::lend();
        let len = len.min(lent.len());
        let filled = fill(&mut lent[..len], 0)?;
        if errno != Errno::INVAL {
            return self.checked(Err(errno));
        }
        let slices = [IoSlice::new(&lent[..filled])];
        self.write(transport, ContentType::APPLICATION_DATA, &slices, false)
    }
}

/// Whether a socket alone says so, of itself or its peer: no file is asked then, whose own error would
/// hide this one, and leave a direction open that is at its end. Other errors of sockets are those of
/// files on a network, too.
pub(super) fn is_of_socket(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::sendfile;
    use rustix::net::sockopt::set_socket_linger;

    use super::*;

    fn sockets() -> [TcpStream; 2] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        [near, listener.accept().unwrap().0]
    }

    #[test]
    fn what_a_peer_did_is_no_fault_of_a_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        let [near, far] = sockets();
        set_socket_linger(&far, Some(std::time::Duration::ZERO)).unwrap();
        drop(far);
        poll(&mut [PollFd::new(&near, PollFlags::IN)], None).unwrap();
        // It is reset, and then it has no peer.
        for expected in [Errno::CONNRESET, Errno::PIPE] {
            let errno = sendfile(&near, &file, Some(&mut 0), 10).unwrap_err();
            assert_eq!(errno, expected);
            assert!(is_of_socket(errno));
        }
    }

    #[test]
    fn what_a_file_lacks_is_no_fault_of_a_socket() {
        let [near, _far] = sockets();
        let directory = File::open("/").unwrap();
        let write_only = File::options().write(true).open("/dev/null").unwrap();
        for file in [directory, write_only] {
            let errno = sendfile(&near, &file, Some(&mut 0), 10).unwrap_err();
            assert!(!is_of_socket(errno), "{errno}");
        }
    }
}
