use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::PollFlags;
use underseal_sys::Errno;

use super::{Discard, Discarded, Linger, TICK};
use crate::backoff::{Backoff, Stopwatch};
use crate::engine::Connection;

/// Throws away what `socket` receives, until the peer closes or the limits are used up. `connection`
/// is what the socket carries, if that is known.
pub(crate) fn linger(
    socket: BorrowedFd<'_>,
    mut connection: Option<&mut Connection>,
    limits: Linger,
) {
    let mut lingering = Lingering::new(limits);
    while lingering.turn(socket, connection.as_deref_mut()).is_ok() {}
}

/// A lingering close between two looks at its socket.
struct Lingering {
    limits: Linger,
    discard: Discard,
    stopwatch: Stopwatch,
    backoff: Backoff,
}

impl Lingering {
    fn new(limits: Linger) -> Self {
        Self {
            limits,
            discard: Discard::new(limits.bytes),
            stopwatch: Stopwatch::default(),
            backoff: Backoff::default(),
        }
    }

    /// Throws away what is there and waits for more. Fails when it is over.
    fn turn(
        &mut self,
        socket: BorrowedFd<'_>,
        connection: Option<&mut Connection>,
    ) -> Result<(), Over> {
        self.discard.know(connection.as_deref());
        let left = self.discard.left;
        let discarded = self.discard.discard(socket, connection);
        if self.discard.left < left {
            self.backoff = Backoff::default();
        }
        let waited = match discarded {
            Ok(Discarded::Much) => self.stopwatch.sleep(Duration::ZERO, self.limits.time),
            Err(Errno::AGAIN) => self.wait(socket),
            Ok(Discarded::All) | Err(_) => return Err(Over),
        };
        waited.map_err(|_| Over)
    }

    /// Waits until there may be more.
    fn wait(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let (stopwatch, time) = (&mut self.stopwatch, self.limits.time);
        if self.discard.is_stuck {
            return stopwatch.sleep(TICK, time);
        }
        let ready = self.backoff.wait(stopwatch, socket, PollFlags::IN, time);
        ready.map(drop)
    }
}

/// The peer has closed, the connection failed, or a limit is reached.
#[derive(Debug)]
struct Over;

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::thread;

    use rustix::io::ioctl_fionread;

    use super::*;

    /// Sends a byte whenever `far`, where it comes, has nothing.
    fn send_one_by_one(mut near: TcpStream, far: &TcpStream) -> io::Result<()> {
        for _ in 0..5 {
            near.write_all(b"x")?;
            while ioctl_fionread(far)? > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// As long as each wait had its reason, the next is as short as the first was.
    #[test]
    fn a_peer_that_sends_on_is_not_paused_for() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (socket, _) = listener.accept()?;
        let far = socket.try_clone()?;
        let peer = thread::spawn(move || send_one_by_one(near, &far));
        let mut lingering = Lingering::new(Linger {
            time: Duration::from_secs(60),
            bytes: usize::MAX,
        });
        let mut waits = Vec::new();
        while lingering.turn(socket.as_fd(), None).is_ok() {
            waits.push(lingering.backoff);
        }
        peer.join().expect("no panic")?;
        // How many bytes one turn finds is a matter of luck.
        assert!(waits.len() >= 2, "{waits:?}");
        assert_eq!(waits, vec![waits[0]; waits.len()]);
        Ok(())
    }
}
